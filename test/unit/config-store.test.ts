/** The revisions of the configuration in etcd, against etcd's twin, with lost answers and others who write. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ConfigDamaged, ConfigTooLarge, pieceKey } from '../../cluster/io/config-revisions.ts';
import { ConfigStore } from '../../cluster/io/config-store.ts';
import type { PublishOptions } from '../../cluster/io/config-store.ts';
import type { EtcdOp, EtcdRequest, EtcdResult } from '../../cluster/core/ports.ts';
import { encodeView } from '../../cluster/view/view.ts';
import { CONFIG_BYTES_MAX, CONFIG_HISTORY_REVISIONS, CONFIG_PIECE_BYTES } from '../../node/limits.ts';
import { SimEtcd } from '../sim/etcd.ts';

type Fault = 'request-lost' | 'answer-lost' | undefined;

/** An etcd that several stores use at once; each request is applied in the order in which it was sent. */
class Etcd {
  readonly sim = new SimEtcd();
  /** Asked before each request is applied. */
  fault: (request: EtcdRequest) => Fault = () => undefined;
  before: (request: EtcdRequest) => void = () => undefined;
  requests: EtcdRequest[] = [];

  store(onUnreachable: (error: string) => void = () => undefined): ConfigStore {
    const store = new ConfigStore((request) => queueMicrotask(() => store.settle(this.#answer(request))), onUnreachable);
    return store;
  }

  #answer(request: EtcdRequest): EtcdResult {
    this.before(request);
    this.requests.push(request);
    const fault = this.fault(request);
    const unknown: EtcdResult = { id: request.id, outcome: 'unknown', error: 'lost' };
    if (fault === 'request-lost') return unknown;
    const result = this.sim.apply(request, 0);
    return fault === 'answer-lost' ? unknown : result;
  }

  do(...then: EtcdOp[]): void {
    const result = this.sim.apply({ kind: 'txn', id: 0, compares: [], then, otherwise: [], deadlineMs: 1 }, 0);
    assert.equal(result.outcome, 'txn');
  }

  keys(prefix: string): string[] {
    return this.sim.entries().map(({ key }) => key).filter((key) => key.startsWith(prefix));
  }
}

function options(expected: number, comment = ''): PublishOptions {
  return { expected, at: '2026-01-01T00:00:00.000Z', by: 'operator@host', comment };
}

const isRevisionWrite = (request: EtcdRequest): boolean =>
  request.kind === 'txn' && request.then.some((op) => op.op === 'put' && op.key === 'config/revision');

/** Compresses to more than one piece. */
function longText(seed: number): string {
  return `# ${seed}\n${randomBytes(CONFIG_PIECE_BYTES * 2).toString('base64')}`;
}

test('a configuration in several pieces is read as it was written', async () => {
  const etcd = new Etcd();
  const text = longText(1);
  const written = await etcd.store().publish(text, options(0, 'the first'));
  assert.equal(written.outcome, 'written');
  const reader = etcd.store();
  const record = await reader.newest();
  assert.ok(record !== undefined && record.pieces > 1);
  assert.deepEqual({ ...record, id: '', hash: '' }, {
    revision: 1, pieces: record.pieces, bytes: Buffer.byteLength(text), stored: record.stored, at: '2026-01-01T00:00:00.000Z', by: 'operator@host',
    comment: 'the first', previous: 0, id: '', hash: '',
  });
  assert.equal(await reader.text(record), text);
  assert.deepEqual(await reader.record(1), record);
  assert.equal(await reader.record(2), undefined);
  for (const { key, value } of etcd.sim.entries()) assert.ok(value.length <= CONFIG_PIECE_BYTES, key);
});

test('all pieces of a revision are there before it is', async () => {
  const etcd = new Etcd();
  etcd.before = (request) => {
    if (isRevisionWrite(request)) assert.ok(etcd.keys('config/pieces/').length > 1);
  };
  await etcd.store().publish(longText(1), options(0));
  assert.equal(etcd.requests.filter(isRevisionWrite).length, 1);
});

test('of two operators at once one is told, whichever writes first', async () => {
  for (const order of [[0, 1], [1, 0]] as const) {
    const etcd = new Etcd();
    await etcd.store().publish('a: 0', options(0));
    const stores = [etcd.store(), etcd.store()];
    const [first, second] = order;
    const won = await stores[first]!.publish(`a: ${first + 1}`, options(1));
    const lost = await stores[second]!.publish(`a: ${second + 1}`, options(1));
    assert.equal(won.outcome, 'written');
    assert.ok(lost.outcome === 'overtaken' && lost.newest?.revision === 2);
    const record = await stores[0]!.newest();
    assert.equal(await stores[0]!.text(record!), `a: ${first + 1}`);
  }
});

test('of two operators in step with each other exactly one has written', async () => {
  const etcd = new Etcd();
  const outcomes = await Promise.all([etcd.store().publish('a: 1', options(0)), etcd.store().publish('a: 2', options(0))]);
  assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ['overtaken', 'written']);
  assert.equal(etcd.keys('config/revisions/').length, 1);
});

for (const fault of ['request-lost', 'answer-lost'] as const) {
  test(`a revision is written once although an answer is missing (${fault})`, async () => {
    const etcd = new Etcd();
    let faults = 0;
    etcd.fault = (request) => (isRevisionWrite(request) && faults++ === 0 ? fault : undefined);
    const errors: string[] = [];
    const published = await etcd.store((error) => errors.push(error)).publish('a: 1', options(0));
    assert.equal(published.outcome, 'written');
    assert.deepEqual(etcd.keys('config/revisions/'), ['config/revisions/0000000001']);
    // Read back at once where it was applied, told and tried again where it was not.
    assert.equal(errors.length, fault === 'answer-lost' ? 0 : 1);
  });
}

test('a lost write that somebody else has overtaken does not count as written', async () => {
  const etcd = new Etcd();
  const other = etcd.store();
  let lost = false;
  etcd.fault = (request) => (isRevisionWrite(request) && !lost ? (lost = true, 'request-lost') : undefined);
  const mine = etcd.store();
  const published = mine.publish('a: mine', options(0));
  etcd.before = (request) => {
    if (lost && request.kind === 'txn' && request.then[0]?.op === 'get') {
      etcd.before = () => undefined;
      void other.publish('a: theirs', options(0));
    }
  };
  assert.equal((await published).outcome, 'overtaken');
});

test('a store gives up when it is told to', async () => {
  const etcd = new Etcd();
  etcd.fault = () => 'request-lost';
  const store = etcd.store(() => {
    throw new Error('enough');
  });
  await assert.rejects(store.newest(), /enough/);
  await assert.rejects(store.publish('a: 1', options(0)), /enough/);
});

test('pieces that are deleted while a revision is written are written again', async () => {
  const etcd = new Etcd();
  let deleted = 0;
  etcd.before = (request) => {
    if (!isRevisionWrite(request) || deleted++ > 0) return;
    etcd.do({ op: 'delete-prefix', prefix: 'config/pieces/' });
  };
  const text = longText(1);
  const store = etcd.store();
  const published = await store.publish(text, options(0));
  assert.ok(published.outcome === 'written');
  assert.equal(deleted, 2);
  assert.equal(await store.text(published.record), text);
});

test('a piece that is missing, one that is damaged and a record of something else are told from each other', async () => {
  const etcd = new Etcd();
  const store = etcd.store();
  const published = await store.publish(longText(1), options(0));
  assert.ok(published.outcome === 'written');
  const { record } = published;
  const failsWith = async (code: string): Promise<void> => {
    await assert.rejects(store.text(record), (error: unknown) => error instanceof ConfigDamaged && error.code === code);
  };
  const key = pieceKey(record.hash, 1);
  const { value } = etcd.sim.entries().find((entry) => entry.key === key)!;
  const flipped = Buffer.from(value);
  flipped[100]! ^= 1;
  etcd.do({ op: 'put', key, value: flipped });
  await failsWith('pieces-corrupt');
  // Another text altogether, whole by itself.
  for (const { key: own } of etcd.sim.entries().filter((entry) => entry.key.startsWith('config/pieces/'))) etcd.do({ op: 'put', key: own, value: Buffer.alloc(0) });
  etcd.do({ op: 'put', key: pieceKey(record.hash, 0), value: gzipSync('a: 2') });
  await failsWith('pieces-corrupt');
  etcd.do({ op: 'delete', key });
  await failsWith('piece-missing');
  for (const text of ['{', '{}', '{"revision":0,"hash":"00","pieces":1}', '[1]']) {
    etcd.do({ op: 'put', key: 'config/revision', value: Buffer.from(text) });
    await assert.rejects(store.newest(), (error: unknown) => error instanceof ConfigDamaged && error.code === 'record-unreadable', text);
  }
});

test('what is larger than etcd should hold is refused before anything of it is written', async () => {
  const etcd = new Etcd();
  const store = etcd.store();
  await assert.rejects(store.publish('a'.repeat(CONFIG_BYTES_MAX + 1), options(0)), ConfigTooLarge);
  const incompressible = randomBytes(36 * 1024 * 1024).toString('latin1');
  assert.ok(Buffer.byteLength(incompressible) < CONFIG_BYTES_MAX);
  await assert.rejects(store.publish(incompressible, options(0)), ConfigTooLarge);
  assert.deepEqual(etcd.requests, []);
});

test('a configuration of the first version is read, and followed by others', async () => {
  const etcd = new Etcd();
  const text = 'subnets: []\n';
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  etcd.do({ op: 'put', key: `config/pieces/${hash}/0000`, value: gzipSync(text) });
  etcd.do({ op: 'put', key: 'config/revision', value: Buffer.from(JSON.stringify({ revision: 1, hash, pieces: 1 })) });
  const store = etcd.store();
  const record = await store.record(1);
  assert.equal(await store.text(record!), text);
  assert.deepEqual((await store.history()).map(({ revision }) => revision), [1]);
  assert.equal((await store.publish('a: 2', options(1))).outcome, 'written');
  assert.equal((await store.newest())?.previous, 1);
});

test('a rollback writes no pieces', async () => {
  const etcd = new Etcd();
  const store = etcd.store();
  await store.publish('a: 1', options(0));
  await store.publish('a: 2', options(1));
  const pieces = etcd.keys('config/pieces/');
  const published = await store.publishAgain((await store.record(1))!, options(2, 'back to revision 1'));
  assert.ok(published.outcome === 'written' && published.record.revision === 3);
  assert.deepEqual(etcd.keys('config/pieces/'), pieces);
  assert.equal(await store.text(published.record), 'a: 1');
  assert.equal(published.record.comment, 'back to revision 1');
});

test('the same text again takes no more room', async () => {
  const etcd = new Etcd();
  const store = etcd.store();
  await store.publish('a: 1', options(0));
  await store.publish('a: 2', options(1));
  await store.publish('a: 1', options(2));
  assert.equal(etcd.keys('config/pieces/').length, 2);
});

function putView(etcd: Etcd, configRevision: number): void {
  const view = { epoch: 1, generation: 1, members: [{ node: 'a', incarnation: 1 }], slots: Array.from({ length: 256 }, () => 0), protocol: 1, configRevision, probeUntil: 0 };
  etcd.do({ op: 'put', key: 'view', value: encodeView(view) });
}

test('the history is bounded; the newest two, and the one that the view names, are always kept', async () => {
  const etcd = new Etcd();
  const store = etcd.store();
  const count = CONFIG_HISTORY_REVISIONS + 8;
  for (let revision = 0; revision < count; revision++) {
    await store.publish(`a: ${revision}`, options(revision));
    if (revision === 2) putView(etcd, 3);
    await store.tidy();
  }
  const kept = (await store.history()).map(({ revision }) => revision);
  assert.deepEqual(kept, [3, ...Array.from({ length: CONFIG_HISTORY_REVISIONS }, (_, i) => i + count - CONFIG_HISTORY_REVISIONS + 1)]);
  assert.equal(etcd.keys('config/pieces/').length, kept.length);
  assert.equal(await store.text((await store.record(3))!), 'a: 2');
});

test('revisions that are large together are kept fewer', async () => {
  const etcd = new Etcd();
  const store = etcd.store();
  for (let revision = 0; revision < 5; revision++) await store.publish(`a: ${revision}`, options(revision));
  // As if each took 30 MB.
  for (const { key, value } of etcd.sim.entries().filter((entry) => entry.key.startsWith('config/revision'))) {
    etcd.do({ op: 'put', key, value: Buffer.from(JSON.stringify({ ...JSON.parse(value.toString()) as object, stored: 30 * 1024 * 1024 })) });
  }
  assert.deepEqual(await store.tidy(), { revisions: 3, pieces: 3 });
  assert.deepEqual((await store.history()).map(({ revision }) => revision), [4, 5]);
});

test('pieces that no revision names are deleted, those of a revision that comes meanwhile are not', async () => {
  const etcd = new Etcd();
  const store = etcd.store();
  await store.publish('a: 1', options(0));
  etcd.do({ op: 'put', key: pieceKey('00000000000000000000000000000000', 0), value: Buffer.from('left behind') });
  assert.deepEqual(await store.tidy(), { revisions: 0, pieces: 1 });
  assert.equal(etcd.keys('config/pieces/').length, 1);

  // Another operator is between its pieces and its revision when this one tidies up.
  const other = etcd.store();
  let tidied: Promise<unknown> | undefined;
  etcd.before = (request) => {
    if (isRevisionWrite(request)) tidied ??= etcd.store().tidy();
  };
  const published = await other.publish('a: 2', options(1));
  await tidied;
  assert.ok(published.outcome === 'written');
  assert.equal(await store.text(published.record), 'a: 2');
});

test('a node that starts takes what the view names; the first one writes what its file says', async () => {
  const etcd = new Etcd();
  const initial = (text: string) => () => Promise.resolve({ text, ...options(0) });
  const [one, other] = await Promise.all([etcd.store().readOrCreate(initial('a: 1')), etcd.store().readOrCreate(initial('a: 2'))]);
  assert.equal(one.record.revision, 1);
  assert.equal(one.text, other.text);
  await etcd.store().publish('a: 3', options(1));
  assert.equal((await etcd.store().readOrCreate(initial(''))).text, 'a: 3', 'without a view the newest');
  putView(etcd, 1);
  assert.equal((await etcd.store().readOrCreate(initial(''))).text, one.text);
  putView(etcd, 7);
  await assert.rejects(etcd.store().readOrCreate(initial('')), /revision 7, which the view names/);
  await etcd.store().publish('a: 8', options(2));
  assert.equal((await etcd.store().readOrCreate(initial(''))).text, 'a: 8', 'what was applied since takes the place of what etcd has lost');
});

test('an etcd that has lost revisions gives no number twice, and no node\'s old file takes the place of what is in force', async () => {
  const etcd = new Etcd();
  const store = etcd.store();
  putView(etcd, 7);
  const showing = (prepared: number): Buffer => Buffer.from(JSON.stringify({ incarnation: 1, config: { loaded: 7, prepared, refused: { revision: 9, error: 'x' } } }));
  etcd.do({ op: 'put', key: 'nodes/a', value: showing(8) });
  await assert.rejects(store.readOrCreate(() => Promise.resolve({ text: 'a: 1', ...options(0) })), /etcd has lost its configuration, and the nodes have revision 9: apply/);
  assert.deepEqual(etcd.keys('config/'), []);
  const published = await store.publish('a: 2', options(0));
  assert.ok(published.outcome === 'written');
  assert.equal(published.record.revision, 10);
  assert.deepEqual((await store.newest())?.revision, 10);
  const next = await store.publish('a: 3', options(10));
  assert.ok(next.outcome === 'written' && next.record.revision === 11);
});
