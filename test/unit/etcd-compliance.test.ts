/**
 * One suite for both of etcd's shapes: the simulator's SimEtcd and the adapter before a real etcd.
 * What holds for only one of them would make the simulator prove facts about a fake.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SimEtcd } from '../sim/etcd.ts';
import type { EtcdCompare, EtcdOp, EtcdRequest, EtcdResult } from '../../cluster/core/ports.ts';
import { EtcdAsker, type EtcdProcess, etcdMissing, startEtcd } from '../support/etcd-process.ts';

type TxnResult = Extract<EtcdResult, { outcome: 'txn' }>;
type Ask = EtcdRequest extends infer R ? (R extends unknown ? Omit<R, 'id'> : never) : never;

/** What the suite needs of either. Each test has keys of its own below its `root`. */
interface Subject {
  ask(request: Ask): Promise<EtcdResult>;
  /** Lets at least this much of the subject's time go by. */
  pass(ms: number): Promise<void>;
  hints(): number;
}

function simSubject(): Subject {
  const sim = new SimEtcd();
  let nowMs = 1_000_000;
  let id = 0;
  let hints = 0;
  sim.onChange(() => hints++);
  return {
    ask: (request) => Promise.resolve(sim.apply({ ...request, id: ++id }, nowMs)),
    pass: (ms) => {
      nowMs += ms;
      sim.expire(nowMs);
      return Promise.resolve();
    },
    hints: () => hints,
  };
}

const DEADLINE_MS = 5000;

function makeTools(subject: Subject, root: string) {
  const txn = async (compares: EtcdCompare[], then: EtcdOp[], otherwise: EtcdOp[] = []): Promise<TxnResult> => {
    const result = await subject.ask({ kind: 'txn', compares, then, otherwise, deadlineMs: DEADLINE_MS });
    assert.equal(result.outcome, 'txn', JSON.stringify(result));
    return result;
  };
  const key = (name: string): string => `${root}/${name}`;
  const put = (name: string, value = name, lease?: string): EtcdOp => ({
    op: 'put',
    key: key(name),
    value: Buffer.from(value),
    ...(lease === undefined ? {} : { lease }),
  });
  const get = (name: string): EtcdOp => ({ op: 'get', key: key(name) });
  const all = (limit = 0): EtcdOp => ({ op: 'get-prefix', prefix: `${root}/`, limit });
  const names = (result: TxnResult, at = 0): string[] =>
    (result.reads[at] ?? []).map((entry) => entry.key.slice(root.length + 1));
  const grant = async (ttlSeconds: number): Promise<{ lease: string; ttlSeconds: number }> => {
    const result = await subject.ask({ kind: 'grant', ttlSeconds, deadlineMs: DEADLINE_MS });
    assert.equal(result.outcome, 'granted', JSON.stringify(result));
    return result;
  };
  const keepalive = async (lease: string): Promise<number> => {
    const result = await subject.ask({ kind: 'keepalive', lease, deadlineMs: DEADLINE_MS });
    assert.equal(result.outcome, 'alive', JSON.stringify(result));
    return result.ttlSeconds;
  };
  /** Lets time go by until the key is gone; fails if it never is. */
  const untilGone = async (name: string): Promise<void> => {
    for (let waits = 0; waits < 100; waits++) {
      if (names(await txn([], [get(name)])).length === 0) return;
      await subject.pass(200);
    }
    assert.fail(`${name} outlived its lease`);
  };
  return { txn, key, put, get, all, names, grant, keepalive, untilGone };
}

type Case = (subject: Subject, tools: ReturnType<typeof makeTools>) => Promise<void>;

const CASES: Readonly<Record<string, Case>> = {
  'a write gives its key the revision of the transaction': async (_, { txn, put, get }) => {
    const first = await txn([], [put('one'), put('two')]);
    const second = await txn([], [put('one', 'again')]);
    assert.equal(second.revision, first.revision + 1);
    const read = await txn([], [get('one'), get('two')]);
    assert.equal(read.revision, second.revision);
    assert.deepEqual(
      read.reads.map(([entry]) => [entry?.createRevision, entry?.modRevision, entry?.value.toString(), entry?.lease]),
      [
        [first.revision, second.revision, 'again', '0'],
        [first.revision, first.revision, 'two', '0'],
      ],
    );
    assert.match(read.clusterId, /^[1-9]\d*$/);
    assert.equal(read.clusterId, first.clusterId);
  },

  'comparing with 0 asks whether a key does not exist': async (_, { txn, put, key }) => {
    for (const field of ['modRevision', 'createRevision'] as const) {
      const absent = field === 'modRevision' ? { key: key(field), modRevision: 0 } : { key: key(field), createRevision: 0 };
      assert.equal((await txn([absent], [put(field)])).succeeded, true);
      assert.equal((await txn([absent], [put(field)])).succeeded, false);
    }
  },

  'a mod revision holds until the next write, a create revision until the key is made anew': async (_, tools) => {
    const { txn, put, key } = tools;
    const made = await txn([], [put('k')]);
    const written = await txn([{ key: key('k'), modRevision: made.revision }], [put('k', 'new')]);
    assert.equal(written.succeeded, true);
    assert.equal((await txn([{ key: key('k'), modRevision: made.revision }], [put('k')])).succeeded, false);
    assert.equal((await txn([{ key: key('k'), createRevision: made.revision }], [])).succeeded, true);
    await txn([], [{ op: 'delete', key: key('k') }]);
    await txn([], [put('k')]);
    assert.equal((await txn([{ key: key('k'), createRevision: made.revision }], [])).succeeded, false);
  },

  'all compares must hold, and only one branch runs': async (_, { txn, put, get, key }) => {
    const made = await txn([], [put('k')]);
    const compares = [
      { key: key('k'), modRevision: made.revision },
      { key: key('absent'), modRevision: made.revision },
    ];
    const result = await txn(compares, [put('then')], [put('otherwise'), get('k'), get('then'), get('otherwise')]);
    assert.equal(result.succeeded, false);
    assert.deepEqual(
      result.reads.map((read) => read.map((entry) => entry.value.toString())),
      [[], ['k'], [], ['otherwise']],
    );
  },

  'a read inside a transaction sees what stands before it, not what follows': async (_, { txn, put, get, all, names }) => {
    await txn([], [put('k', 'old')]);
    const result = await txn([], [get('k'), put('k', 'new'), get('k'), put('l'), all()]);
    const values = result.reads.map((read) => read.map((entry) => entry.value.toString()));
    assert.deepEqual(values, [['old'], [], ['new'], [], ['new', 'l']]);
    assert.deepEqual(names(result, 4), ['k', 'l']);
    assert.equal(result.reads[4]?.[1]?.modRevision, result.revision);
  },

  'a prefix is read in the order of its keys, up to the limit': async (_, { txn, put, all, names, key }) => {
    const unsorted = ['b', 'a/2', 'a', 'a/10', 'a0', '\u{1f600}', '\uffe6', 'ä', 'Z'];
    await txn([], unsorted.map((name) => put(name)));
    const sorted = ['Z', 'a', 'a/10', 'a/2', 'a0', 'b', 'ä', '\uffe6', '\u{1f600}'];
    assert.deepEqual(names(await txn([], [all()])), sorted);
    assert.deepEqual(names(await txn([], [all(3)])), sorted.slice(0, 3));
    assert.deepEqual(names(await txn([], [{ op: 'get-prefix', prefix: key('a/'), limit: 0 }])), ['a/10', 'a/2']);
    assert.deepEqual(names(await txn([], [{ op: 'get-prefix', prefix: key('c'), limit: 0 }])), []);
  },

  'of a prefix the keys alone can be read, with what says when they changed': async (_, { txn, put, key }) => {
    const made = await txn([], [put('a/1', 'one'), put('a/2', 'two')]);
    await txn([], [put('a/2', 'three')]);
    const [found] = (await txn([], [{ op: 'get-prefix', prefix: key('a/'), limit: 0, keysOnly: true }])).reads;
    assert.deepEqual(found?.map((entry) => [entry.key, entry.value.length, entry.modRevision]),
      [[key('a/1'), 0, made.revision], [key('a/2'), 0, made.revision + 1]]);
  },

  'deleting a prefix takes what begins with it and nothing else': async (_, { txn, put, get, all, names, key }) => {
    await txn([], ['a', 'a/1', 'a/2', 'a0', 'b'].map((name) => put(name)));
    const result = await txn([], [{ op: 'delete-prefix', prefix: key('a/') }, get('a/1'), all()]);
    assert.deepEqual(result.reads[1], []);
    assert.deepEqual(names(result, 2), ['a', 'a0', 'b']);
  },

  'what changes nothing makes no revision': async (_, { txn, put, get, key }) => {
    const made = await txn([], [put('k')]);
    const idle = await txn([], [{ op: 'delete', key: key('absent') }, { op: 'delete-prefix', prefix: key('no/') }]);
    assert.equal(idle.revision, made.revision);
    assert.equal((await txn([], [get('k')])).revision, made.revision);
    assert.equal((await txn([], [{ op: 'delete', key: key('k') }])).revision, made.revision + 1);
  },

  'values are bytes': async (_, { txn, get, key }) => {
    const value = Buffer.from([0, 255, 128, 10, 0]);
    await txn([], [{ op: 'put', key: key('bytes'), value }, { op: 'put', key: key('empty'), value: Buffer.alloc(0) }]);
    const { reads } = await txn([], [get('bytes'), get('empty')]);
    assert.deepEqual(reads[0]?.[0]?.value, value);
    assert.equal(reads[1]?.[0]?.value.length, 0);
  },

  'a transaction that writes a key twice is refused as a whole': async (subject, { txn, put, all, names, key }) => {
    const refused: EtcdOp[][] = [
      [put('other'), put('k'), put('k')],
      [put('other'), put('k'), { op: 'delete', key: key('k') }],
      [put('other'), { op: 'delete-prefix', prefix: key('') }],
    ];
    for (const then of refused) {
      const result = await subject.ask({ kind: 'txn', compares: [], then, otherwise: [], deadlineMs: DEADLINE_MS });
      assert.match(result.outcome === 'unknown' ? result.error : JSON.stringify(result), /duplicate key/);
    }
    assert.deepEqual(names(await txn([], [all()])), []);
  },

  'a transaction of 128 operations is taken, one of 129 or of 1.75 MiB is refused': async (subject, { txn, put, all, names }) => {
    const puts = (count: number): EtcdOp[] => Array.from({ length: count }, (_, at) => put(`k${at}`));
    await txn([], puts(128));
    const large: EtcdOp = { ...put('large'), op: 'put', key: 'large', value: Buffer.alloc(1.75 * 1024 * 1024) };
    for (const [then, error] of [[puts(129), /too many operations/], [[large], /too large/]] as const) {
      const result = await subject.ask({ kind: 'txn', compares: [], then, otherwise: [], deadlineMs: DEADLINE_MS });
      assert.match(result.outcome === 'unknown' ? result.error : JSON.stringify(result).slice(0, 100), error);
    }
    assert.equal(names(await txn([], [all()])).length, 128);
  },

  'a lease id is more than a number can hold, and comes back with its keys': async (_, { txn, put, get, grant }) => {
    const { lease, ttlSeconds } = await grant(30);
    assert.equal(ttlSeconds, 30);
    assert.ok(BigInt(lease) > BigInt(Number.MAX_SAFE_INTEGER));
    await txn([], [put('k', 'v', lease)]);
    assert.equal((await txn([], [get('k')])).reads[0]?.[0]?.lease, lease);
  },

  'a TTL below the minimum is raised, and a keepalive says the granted one': async (_, { grant, keepalive }) => {
    const { lease, ttlSeconds } = await grant(1);
    assert.equal(ttlSeconds, 2);
    assert.equal(await keepalive(lease), 2);
  },

  'revoking removes the keys of the lease in one revision, and can be repeated': async (subject, tools) => {
    const { txn, put, all, names, grant, keepalive } = tools;
    const { lease } = await grant(30);
    const made = await txn([], [put('a', 'v', lease), put('b', 'v', lease), put('c')]);
    for (let times = 0; times < 2; times++) {
      assert.equal((await subject.ask({ kind: 'revoke', lease, deadlineMs: DEADLINE_MS })).outcome, 'revoked');
    }
    const left = await txn([], [all()]);
    assert.deepEqual(names(left), ['c']);
    assert.equal(left.revision, made.revision + 1);
    assert.equal(await keepalive(lease), 0);
  },

  'a put without a lease detaches the key, one with another lease moves it': async (subject, tools) => {
    const { txn, put, all, names, grant } = tools;
    const [first, second] = [await grant(30), await grant(30)];
    await txn([], [put('free', 'v', first.lease), put('moved', 'v', first.lease), put('kept', 'v', first.lease)]);
    await txn([], [put('free'), put('moved', 'v', second.lease)]);
    await subject.ask({ kind: 'revoke', lease: first.lease, deadlineMs: DEADLINE_MS });
    assert.deepEqual(names(await txn([], [all()])), ['free', 'moved']);
  },

  'a put with a lease that is gone is refused with its whole transaction': async (subject, { txn, put, all, names }) => {
    const then = [put('a'), put('b', 'v', '7587850000000999999')];
    const result = await subject.ask({ kind: 'txn', compares: [], then, otherwise: [], deadlineMs: DEADLINE_MS });
    assert.match(result.outcome === 'unknown' ? result.error : JSON.stringify(result), /lease not found/);
    assert.deepEqual(names(await txn([], [all()])), []);
    const elsewhere = await txn([], [put('c')], then);
    assert.equal(elsewhere.succeeded, true, 'the branch that does not run is not asked for its leases');
  },

  'a keepalive of an unknown lease says 0': async (_, { keepalive }) => {
    assert.equal(await keepalive('7587850000000999998'), 0);
  },

  'a lease that is kept alive lives on, and takes its keys along when it ends': async (subject, tools) => {
    const { txn, put, get, all, names, grant, keepalive, untilGone } = tools;
    const { lease } = await grant(2);
    await txn([], [put('bound', 'v', lease), put('also', 'v', lease), put('free')]);
    for (let beats = 0; beats < 4; beats++) {
      await subject.pass(700);
      assert.equal(await keepalive(lease), 2);
    }
    assert.deepEqual(names(await txn([], [get('bound')])), ['bound']);
    await untilGone('bound');
    assert.deepEqual(names(await txn([], [all()])), ['free']);
    assert.equal(await keepalive(lease), 0);
  },

  'a change gives a hint, and so does the end of a lease': async (subject, { txn, put, grant, untilGone }) => {
    const hinted = async (before: number): Promise<void> => {
      for (let waits = 0; waits < 200 && subject.hints() === before; waits++) await subject.pass(20);
      assert.ok(subject.hints() > before, 'no hint came');
    };
    let before = subject.hints();
    const { lease } = await grant(2);
    await txn([], [put('k', 'v', lease)]);
    await hinted(before);
    before = subject.hints();
    await untilGone('k');
    await hinted(before);
  },
};

describe('SimEtcd', () => {
  for (const [title, run] of Object.entries(CASES)) {
    test(title, async () => {
      const subject = simSubject();
      await run(subject, makeTools(subject, 'case'));
    });
  }

  test('a new leader of etcd starts every lease at its full TTL', () => {
    const sim = new SimEtcd({ leaseTtlMinSeconds: 3 });
    const granted = sim.apply({ kind: 'grant', id: 1, ttlSeconds: 1, deadlineMs: 1 }, 0);
    assert.ok(granted.outcome === 'granted' && granted.ttlSeconds === 3);
    assert.equal(sim.nextExpiry(), 3000);
    sim.grantAll(2900);
    sim.expire(5899);
    assert.equal(sim.nextExpiry(), 5900);
    sim.expire(5900);
    assert.equal(sim.nextExpiry(), undefined);
  });

  test('a restored snapshot goes back in revision, with another cluster id if one is named', () => {
    const sim = new SimEtcd();
    const put = (value: string): EtcdResult => {
      const then: EtcdOp[] = [{ op: 'put', key: 'k', value: Buffer.from(value) }];
      return sim.apply({ kind: 'txn', id: 1, compares: [], then, otherwise: [], deadlineMs: 1 }, 0);
    };
    put('old');
    const snapshot = sim.snapshot();
    put('new');
    assert.equal(sim.revision, 3);
    sim.restore(snapshot, 0, '77');
    assert.equal(sim.revision, 2);
    assert.deepEqual(sim.entries().map(({ value }) => value.toString()), ['old']);
    const again = put('other');
    assert.ok(again.outcome === 'txn' && again.clusterId === '77' && again.revision === 3);
    assert.equal(snapshot.keys.get('k')?.value.toString(), 'old');
  });
});

const missing = etcdMissing();
if (missing !== undefined && process.env['CI'] === 'true') {
  test('a real etcd is there', () => assert.fail(missing));
}

describe('the adapter before a real etcd', { skip: missing ?? false, timeout: 120_000 }, () => {
  let etcd: EtcdProcess;
  let asker: EtcdAsker;

  before(async () => {
    etcd = await startEtcd();
    asker = new EtcdAsker([etcd.endpoint]);
    await asker.ready();
  });
  after(async () => {
    await asker.close();
    await etcd.remove();
  });

  for (const [at, [title, run]] of Object.entries(CASES).entries()) {
    test(title, async () => {
      await run(asker, makeTools(asker, `case${at}`));
    });
  }
});
