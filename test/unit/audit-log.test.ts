/** The audit log tells of everything once: of what commands change in etcd, and of what a node has to say of itself, whoever dies in between. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditChange } from '../../node/admin/audit.ts';
import type { AuditEntry } from '../../node/admin/audit.ts';
import { audit } from '../../node/admin/operations/audit.ts';
import { release } from '../../node/admin/operations/release.ts';
import { AUDIT_SECONDS, AUDIT_TEXT_CHARACTERS_MAX, NOTE_BYTES_MAX } from '../../node/limits.ts';
import { NoteBook } from '../../node/notes/book.ts';
import { encodeNote, NOTE_KEYS, readNote } from '../../node/notes/note.ts';
import { auditOrderPut, slotOfAuditId } from '../../cluster/core/audit-orders.ts';
import { OperatedCluster, OPERATOR } from '../support/operated-cluster.ts';

const ORDER = { at: '2026-01-01T00:00:00.000Z', by: 'alice@noc', operation: 'drain', target: 'a', before: '', after: 'out of service', reason: 'new disk' };

/** As the command line writes it with what it changes. */
function order(cluster: OperatedCluster, id: string): void {
  const put = auditOrderPut({ ...ORDER, id });
  assert(put.op === 'put');
  cluster.put(put.key, JSON.parse(put.value.toString()));
}

function waiting(cluster: OperatedCluster): string[] {
  return cluster.etcd.entries().map(({ key }) => key).filter((key) => key.startsWith('audit/'));
}

function idsOn(cluster: OperatedCluster, node: string): (string | undefined)[] {
  return cluster.audit(node).map(({ id }) => id).toSorted((one, other) => (one! < other! ? -1 : 1));
}

/** An id whose slot the node owns. */
function idOf(cluster: OperatedCluster, node: string, n = 0): string {
  for (let i = n * 1000; ; i++) if (cluster.host(node).owns(slotOfAuditId(`order-${i}`))) return `order-${i}`;
}

test('what a command changes in etcd is written down by one node, and goes from etcd', () => {
  const cluster = OperatedCluster.of('a', 'b');
  const ids = [idOf(cluster, 'a'), idOf(cluster, 'b'), idOf(cluster, 'b', 1)].toSorted();
  for (const id of ids) order(cluster, id);
  cluster.until('all are taken over', 10_000, () => waiting(cluster).length === 0);
  cluster.run(1000);
  for (const node of ['a', 'b']) {
    assert.deepEqual(idsOn(cluster, node), ids);
    const [{ node: writer, ...entry }] = cluster.audit(node) as [AuditEntry];
    assert.ok(['a', 'b'].includes(writer));
    assert.deepEqual(entry, { ...ORDER, id: entry.id, role: 'admin', via: 'etcd', from: '', outcome: 'done', answer: '' });
  }
});

test('the owner dies at any moment: there is one entry, and it is there', () => {
  for (const ms of [0, 20, 60, 100, 150, 250, 400, 700]) {
    const cluster = OperatedCluster.of('a', 'b');
    const id = idOf(cluster, 'a');
    order(cluster, id);
    cluster.run(ms);
    cluster.crash('a');
    cluster.until('b is alone', 60_000, () => cluster.settled('b'));
    cluster.until('it is taken over', 10_000, () => waiting(cluster).length === 0);
    assert.deepEqual(idsOn(cluster, 'b'), [id], `killed after ${ms} ms`);
    cluster.start('a');
    cluster.until('a is back', 60_000, () => cluster.settled('a b') || cluster.settled('b a'));
    cluster.run(2000);
    for (const node of ['a', 'b']) assert.deepEqual(idsOn(cluster, node), [id], `killed after ${ms} ms`);
  }
});

test('both are down when the command is given, and both are killed while they write: there is one entry', () => {
  const cluster = OperatedCluster.of('a', 'b');
  const id = idOf(cluster, 'a');
  const both = (): void => {
    for (const node of ['a', 'b']) cluster.crash(node);
  };
  both();
  order(cluster, id);
  for (const ms of [0, 50, 300]) {
    for (const node of ['a', 'b']) cluster.start(node);
    cluster.until('both serve', 120_000, () => cluster.settled('a b') || cluster.settled('b a'));
    cluster.run(ms);
    both();
  }
  for (const node of ['a', 'b']) cluster.start(node);
  cluster.until('both serve', 120_000, () => cluster.settled('a b') || cluster.settled('b a'));
  cluster.until('it is taken over', 10_000, () => waiting(cluster).length === 0);
  cluster.run(2000);
  for (const node of ['a', 'b']) assert.deepEqual(idsOn(cluster, node), [id]);
});

test('a transaction that is sent again after it was carried over brings no second entry', () => {
  const cluster = OperatedCluster.of('a', 'b');
  const id = idOf(cluster, 'b');
  for (let i = 0; i < 3; i++) {
    order(cluster, id);
    cluster.until('it is taken over', 10_000, () => waiting(cluster).length === 0);
  }
  assert.deepEqual(idsOn(cluster, 'a'), [id]);
});

test('what lies in etcd and cannot be read is an entry all the same, and under an earlier protocol it waits', () => {
  const cluster = new OperatedCluster(['a', 'b']);
  cluster.start('a', { min: 1, max: 2 });
  cluster.start('b');
  cluster.until('both serve', 60_000, () => cluster.settled('a b') || cluster.settled('b a'));
  cluster.put('audit/odd', ['no', 'map']);
  cluster.run(5000);
  assert.deepEqual(waiting(cluster), ['audit/odd']);
  cluster.crash('a');
  cluster.until('b is alone', 60_000, () => cluster.settled('b'));
  cluster.until('it is taken over', 10_000, () => waiting(cluster).length === 0);
  assert.deepEqual(cluster.audit('b').map(({ id, operation, by }) => [id, operation, by]), [['odd', 'unknown', '']]);
});

const WORD = { by: 'root@host', role: 'admin', via: 'socket', from: '', operation: 'partner-down', outcome: 'done', target: 'b', before: '', after: '', reason: '', answer: '' } as const;

test('what a node says of itself while it can write nothing is written once it can, also after a restart', () => {
  const cluster = OperatedCluster.of('a', 'b');
  cluster.cutLink('a', 'b');
  cluster.etcdCut.add('a');
  cluster.until('a is isolated', 20_000, () => cluster.state('a') === 'ISOLATED');
  const node = cluster.node('a');
  assert.equal(node.engine!.audit(WORD, node.now()), true);
  cluster.run(500);
  assert.deepEqual(idsOn(cluster, 'a'), []);
  cluster.crash('a');
  cluster.etcdCut.delete('a');
  cluster.joinLink('a', 'b');
  cluster.start('a');
  cluster.until('a is back', 60_000, () => cluster.settled('a b') || cluster.settled('b a'));
  cluster.until('it is written', 20_000, () => cluster.audit('b').length === 1);
  cluster.run(10_000);
  for (const each of ['a', 'b']) assert.deepEqual(cluster.audit(each).map(({ operation, target, node: writer }) => [operation, target, writer]), [['partner-down', 'b', 'a']]);
  // It does not say it again.
  cluster.crash('a');
  cluster.start('a');
  cluster.until('a is back', 60_000, () => cluster.settled('a b') || cluster.settled('b a'));
  cluster.run(10_000);
  assert.equal(cluster.audit('b').length, 1);
});

test('the log is listed newest first, by who, what and when; a viewer may not read it', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const addresses = [1, 2, 3].map((client) => cluster.lease(client)!);
  for (const [i, address] of addresses.entries()) {
    await cluster.operate('a', release, { address, reason: `number ${i}` }, { ...OPERATOR, name: i === 1 ? 'bob' : 'alice' });
    cluster.run(1500);
  }
  await assert.rejects(cluster.operate('b', release, { address: '10.0.1.200' }));
  cluster.run(1500);
  const list = async (parameters: object): Promise<AuditEntry[]> => cluster.list('b', audit, parameters);
  const all = await list({});
  assert.deepEqual(all.map(({ reason }) => reason), ['', 'number 2', 'number 1', 'number 0']);
  assert.deepEqual(all.map(({ outcome }) => outcome), ['refused', 'done', 'done', 'done']);
  assert.deepEqual(await list({ limit: '2' }), all.slice(0, 2));
  assert.deepEqual(await list({ by: 'bob' }), [all[2]]);
  assert.deepEqual(await list({ outcome: 'refused' }), [all[0]]);
  assert.deepEqual(await list({ operation: 'release', target: addresses[0]! }), [all[3]]);
  assert.deepEqual(await list({ operation: 'drain' }), []);
  assert.deepEqual(await list({ since: all[1]!.at.replace(/\.\d+Z$/, 'Z') }), all.slice(0, 2));
  assert.deepEqual(await list({ until: all[2]!.at.replace(/\.\d+Z$/, 'Z') }).then((found) => found.map(({ reason }) => reason)), ['number 0']);
  await assert.rejects(list({ since: 'yesterday' }), { code: 'bad-request' });
  assert.equal(audit.role, 'operator');
});

test('an entry is a note whatever its texts are made of', () => {
  const cluster = OperatedCluster.of('a');
  for (const text of ['\u0000'.repeat(2000), '😀'.repeat(1000), '"'.repeat(600), '\ud800'.repeat(600)]) {
    const entry: AuditEntry = { ...WORD, at: '', node: 'a', by: text, operation: text, target: text, before: text, after: text, reason: text, answer: text };
    const { address, record } = auditChange(cluster.host('a'), entry, cluster.node('a').now());
    const note = readNote(record)!;
    assert.ok(Buffer.byteLength(JSON.stringify(note.body)) <= NOTE_BYTES_MAX);
    assert.ok((note.body as AuditEntry).target.length <= AUDIT_TEXT_CHARACTERS_MAX);
    assert.equal(note.expires - note.since, AUDIT_SECONDS);
    assert.ok(address >= NOTE_KEYS.audit.first && address <= NOTE_KEYS.audit.last);
  }
});

test('refused attempts in numbers are told of together, and take no room from what was done', async () => {
  const cluster = OperatedCluster.of('a');
  const runner = cluster.runner('a');
  const operation = release as Parameters<typeof runner.refusal>[0];
  for (let i = 0; i < 300; i++) await cluster.settle(runner.refusal(operation, undefined, 'no token', '192.0.2.9'));
  const alone = cluster.audit('a').length;
  assert.ok(alone >= 5 && alone <= 7, `${alone} by themselves`);
  for (let i = 0; i < 300; i++) await cluster.settle(runner.refusal(operation, undefined, 'no token', `192.0.${i >> 8}.${i & 255}`));
  assert.ok(cluster.audit('a').length <= 70, `${cluster.audit('a').length} of all sources`);
  runner.tellOfRefusals();
  cluster.run(61_000);
  runner.tellOfRefusals();
  cluster.run(1000);
  const last = cluster.audit('a').at(-1)!;
  assert.match(last.answer, /^\d{3} more refused attempts were not written down one by one, the last of them by 192\.0\.1\./);
  const { notes } = cluster.host('a');
  assert.equal(notes.count('audit'), 0);
});

test('a full log makes room by its oldest entries, wherever they were written, and a slot that is not full is not touched for another', () => {
  const book = new NoteBook({ read: () => undefined, records: () => [] });
  const { first, last } = NOTE_KEYS.refusal;
  const size = last - first + 1;
  const write = (key: number, since: number): void => book.onRecord(key, encodeNote({}, since, since + 1000));
  const even = (slot: number): boolean => slot % 2 === 0;
  const given = new Set<number>();
  for (let i = 0; i < size; i++) {
    const key = book.newKey('refusal', () => true, true);
    given.add(key);
    write(key, i);
  }
  assert.equal(given.size, size, 'each key once');
  assert.equal(book.newKey('refusal', () => true, false), 0);
  assert.equal(book.all('refusal').get(book.newKey('refusal', () => true, true)), 0, 'the oldest of all');
  for (let i = 0; i < 1000; i++) {
    const key = book.newKey('refusal', even, true);
    assert.ok(even(key & 0xff));
    write(key, size + i);
  }
  const left = [...book.all('refusal').values()];
  assert.equal(left.length, size);
  assert.ok(left.filter((since) => since % 2 === 0 && since < 1900).length <= 60, 'of their slots the oldest are gone');
  // One that ends leaves room, and that is used before anything is replaced.
  book.onRecord(first + 77, undefined);
  assert.equal(book.newKey('refusal', () => true, true), first + 77);
  assert.notEqual(book.newKey('refusal', even, true), first + 77);
});
