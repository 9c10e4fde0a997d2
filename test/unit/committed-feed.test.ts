/** Changes as they are committed, for who listens (RFC 7724 §7.3), and where they join the history. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { FEED_CHANGES_MAX, FEED_INCARNATIONS_MAX } from '../../node/limits.ts';
import type { BindingChange } from '../../node/leasequery/history-chunk.ts';
import { HistoryHost, LARGE, stamped, T } from './change-history-fixture.ts';
import { at } from './lease-model.ts';

/** How far each log is committed. Incarnation 0 stands for any that is in no view. */
class Commits {
  readonly of = new Map<number, number>([[0, 0]]);
  readonly is = (incarnation: number, seq: number): boolean => seq <= (this.of.get(incarnation) ?? -1);
}

function listening(): { host: HistoryHost; commits: Commits; take: (limit?: number) => { numbers: number[]; through: number | undefined } } {
  const host = new HistoryHost();
  const commits = new Commits();
  host.history.listening = true;
  const take = (limit = 1000): { numbers: number[]; through: number | undefined } => {
    const taken = host.history.takeCommitted(commits.is, limit);
    assert(!taken.lost);
    return { numbers: taken.changes.map(({ number }) => number), through: taken.through };
  };
  return { host, commits, take };
}

test('changes come once they are committed, in order, whichever log commits first', () => {
  const { commits, host, take } = listening();
  host.put(1, stamped(10, 1));
  host.put(2, stamped(20, 1));
  host.put(3, stamped(10, 2));
  host.flush();
  assert.deepEqual(take(), { numbers: [], through: 0 });
  commits.of.set(20, 1);
  assert.deepEqual(take(), { numbers: [], through: 0 });
  commits.of.set(10, 1);
  assert.deepEqual(take(), { numbers: [1, 2], through: 2 });
  commits.of.set(10, 2);
  assert.deepEqual(take(), { numbers: [3], through: 3 });
  assert.deepEqual(take(), { numbers: [], through: 3 });
});

test('at most so many at once', () => {
  const { commits, host, take } = listening();
  for (let seq = 1; seq <= 5; seq++) host.put(seq, stamped(10, seq));
  commits.of.set(10, 5);
  assert.deepEqual(take(2), { numbers: [1, 2], through: 2 });
  assert.deepEqual(take(2), { numbers: [3, 4], through: 4 });
  assert.deepEqual(take(2), { numbers: [5], through: 5 });
});

test('in place of what is never committed comes what its address has become, once that is committed', () => {
  const { commits, host, take } = listening();
  host.put(1, stamped(10, 1));
  host.put(2, stamped(20, 1));
  host.put(1, stamped(20, 2));
  commits.of.set(20, 1);
  assert.deepEqual(take(), { numbers: [], through: 0 });
  commits.of.set(20, 2);
  const taken = host.history.takeCommitted(commits.is, 9);
  assert(!taken.lost);
  assert.deepEqual(taken.changes.map(({ address, number, record }) => [number, address, record]), [
    [1, 1, stamped(20, 2)], [2, 2, stamped(20, 1)], [3, 1, stamped(20, 2)],
  ]);
  assert.equal(taken.through, 3);
});

test('a record that went settles those before it', () => {
  const { host, take } = listening();
  host.put(1, stamped(10, 1));
  host.remove(1);
  assert.deepEqual(take(), { numbers: [1, 2], through: 2 });
});

test('what was stored before anybody listened holds up what comes after, until it is committed', () => {
  const host = new HistoryHost();
  const commits = new Commits();
  host.put(1, stamped(10, 1));
  host.put(2, stamped(20, 7));
  host.flush();
  host.history.listening = true;
  host.put(3, stamped(20, 8));
  commits.of.set(20, 8);
  assert.deepEqual(host.history.takeCommitted(commits.is, 9), { lost: false, changes: [], through: undefined });
  commits.of.set(10, 1);
  const taken = host.history.takeCommitted(commits.is, 9);
  assert(!taken.lost);
  assert.equal(taken.through, 3);
  assert.deepEqual(taken.changes.map(({ number }) => number), [3]);
});

test('after a start, what an earlier one stored counts as committed once the view is finished', () => {
  const host = new HistoryHost();
  host.put(1, stamped(10, 1));
  host.flush();
  host.restart();
  host.history.listening = true;
  const commits = new Commits();
  commits.of.delete(0);
  assert.deepEqual(host.history.takeCommitted(commits.is, 9), { lost: false, changes: [], through: undefined });
  commits.of.set(0, 0);
  assert.deepEqual(host.history.takeCommitted(commits.is, 9), { lost: false, changes: [], through: 1 });
});

test('nobody listens: nothing is kept, whatever is stored', () => {
  const { commits, host, take } = listening();
  host.put(1, stamped(10, 1));
  host.history.listening = false;
  host.put(2, stamped(10, 2));
  assert.deepEqual(take(), { numbers: [], through: undefined });
  host.history.listening = true;
  host.put(3, stamped(10, 3));
  commits.of.set(10, 3);
  assert.deepEqual(take(), { numbers: [3], through: 3 });
});

test('more than fit are lost, which is said once; then it goes on from there', () => {
  const { commits, host, take } = listening();
  const record = stamped(10, 1);
  for (let i = 0; i < FEED_CHANGES_MAX; i++) host.put(i, record);
  assert.deepEqual(take(), { numbers: [], through: 0 });
  host.put(7, record);
  host.put(8, record);
  assert.deepEqual(host.history.takeCommitted(commits.is, 9), { lost: true });
  commits.of.set(10, 2);
  host.put(9, stamped(10, 2));
  assert.deepEqual(take(), { numbers: [FEED_CHANGES_MAX + 3], through: FEED_CHANGES_MAX + 3 });
});

test('whoever listens is told when the history ends or begins anew', () => {
  for (const end of [
    (host: HistoryHost): void => host.configure(undefined),
    (host: HistoryHost): void => host.history.suspend(),
    (host: HistoryHost): void => {
      host.second -= 10_000;
      host.flush();
    },
  ]) {
    const { commits, host } = listening();
    host.put(1, stamped(10, 1));
    end(host);
    assert.deepEqual(host.history.takeCommitted(commits.is, 9), { lost: true });
    assert.equal(host.history.takeCommitted(commits.is, 9).lost, false);
    host.configure(LARGE);
    assert.equal(host.history.listening, true);
  }
});

test('base-time is never past a change that is still to come', () => {
  const { commits, host, take } = listening();
  host.put(1, stamped(10, 1));
  host.second += 2;
  host.put(2, stamped(10, 2));
  host.second += 3;
  assert.equal(host.history.baseSecond(at(host.second)), T);
  commits.of.set(10, 1);
  take();
  assert.equal(host.history.baseSecond(at(host.second)), T + 2);
  commits.of.set(10, 2);
  take();
  assert.equal(host.history.baseSecond(at(host.second)), T + 5);
  host.second--;
  host.put(3, stamped(10, 3));
  assert.equal(host.history.baseSecond(at(host.second)), T + 5);
});

test('logs of many starts are remembered in bounded room, the one that is heard of always', () => {
  const host = new HistoryHost();
  const commits = new Commits();
  for (let incarnation = 10; incarnation < 10 + 3 * FEED_INCARNATIONS_MAX; incarnation++) {
    host.put(1, stamped(incarnation, 1));
    commits.of.set(incarnation, 1);
    host.put(2, stamped(9, incarnation));
  }
  host.history.listening = true;
  assert.deepEqual(host.history.takeCommitted(commits.is, 9), { lost: false, changes: [], through: undefined });
  commits.of.set(9, 1000);
  assert.equal((host.history.takeCommitted(commits.is, 9) as { through?: number }).through, host.history.nextNumber - 1);
});

test('the disk up to `through` and what is taken after it are every address’s last committed change, in order', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), log: fc.integer({ min: 1, max: 3 }), address: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('commit' as const), log: fc.integer({ min: 1, max: 3 }), count: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('take' as const), limit: fc.integer({ min: 1, max: 5 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('listen' as const, 'flush' as const) }) },
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
    const host = new HistoryHost();
    const commits = new Commits();
    const seqs = [0, 0, 0, 0];
    for (const log of [1, 2, 3]) commits.of.set(log, 0);
    let joined: BindingChange[] | undefined;
    let through = 0;
    const take = (limit: number): void => {
      const taken = host.history.takeCommitted(commits.is, limit);
      assert(!taken.lost);
      if (taken.through === undefined) return;
      if (joined === undefined) {
        host.flush();
        const first = taken.changes[0]?.number ?? taken.through + 1;
        joined = host.read().filter(({ number }) => number < first);
      }
      for (const change of taken.changes) {
        assert.ok(change.number > through && change.number <= taken.through);
        assert.ok(through === 0 || change.number === through + 1, 'numbers have no gap');
        assert.ok(change.record === undefined || commits.is(change.record.readUIntBE(12, 6), change.record.readUIntBE(18, 6)));
        joined.push(change);
        through = change.number;
      }
    };
    for (const one of steps) {
      if (one.kind === 'put') host.put(one.address, stamped(one.log, ++seqs[one.log]!));
      else if (one.kind === 'commit') commits.of.set(one.log, Math.min(seqs[one.log]!, commits.of.get(one.log)! + one.count));
      else if (one.kind === 'take') take(one.limit);
      else if (one.kind === 'flush') host.flush();
      else host.history.listening = true;
    }
    host.history.listening = true;
    for (const log of [1, 2, 3]) commits.of.set(log, seqs[log]!);
    for (let i = 0; i < 200; i++) take(5);
    host.flush();
    assert(joined !== undefined);
    const numbers = joined.map(({ number }) => number);
    assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b));
    assert.equal(new Set(numbers).size, numbers.length);
    const last = (changes: readonly BindingChange[]): Map<number, number> => new Map(changes.map(({ address, number }) => [address, number]));
    assert.deepEqual(last(joined), last(host.read()));
  }), { numRuns: 200 });
});
