/** Reading the history from a second on, against reading all of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { historyNumber } from '../../node/leasequery/history-chunk.ts';
import { changesSince, historyOf } from '../../node/leasequery/history-reader.ts';
import type { MetaAt } from '../../node/leasequery/history-reader.ts';
import { HistoryHost, LARGE, T } from './change-history-fixture.ts';

/** What is on the host's disk, as a moment of the store has it; `reads` are counted. */
function momentOf(host: HistoryHost): MetaAt & { reads: number } {
  const { meta } = host.disk.copy();
  const keys = [...meta.keys()].toSorted();
  return {
    reads: 0,
    readMeta: (key) => meta.get(key),
    *scanMeta(from, to) {
      for (const key of keys) {
        if (key < from || key >= to) continue;
        this.reads++;
        yield [key, meta.get(key)!];
      }
    },
  };
}

const STEPS = fc.array(fc.constantFrom('put', 'put', 'put', 'flush', 'second', 'seconds'), { maxLength: 150 });

function played(steps: readonly string[], host: HistoryHost): HistoryHost {
  for (const [n, step] of steps.entries()) {
    if (step === 'put') host.put(n);
    else if (step === 'flush') host.flush();
    else host.second += step === 'second' ? 1 : 5;
  }
  host.flush();
  return host;
}

test('from every second on: all changes of that second and of later ones, in order', () => {
  fc.assert(fc.property(STEPS, fc.constantFrom(LARGE, { seconds: 20, bytes: 2 ** 40 }, { seconds: 1_000_000, bytes: 2000 }), (steps, limits) => {
    const host = played(steps, new HistoryHost(limits));
    const moment = momentOf(host);
    const all = host.read();
    assert.deepEqual(historyOf(moment), { since: host.history.since, first: host.history.firstNumber, next: host.history.nextNumber });
    for (let second = T - 1; second <= host.second + 1; second++) {
      const expected = all.filter((change) => change.second >= second);
      assert.deepEqual([...changesSince(moment, second)].map(({ number }) => number), expected.map(({ number }) => number), `from ${second - T}`);
    }
    assert.deepEqual([...changesSince(moment, T)], all);
  }), { numRuns: 150 });
});

test('a history that is switched off, suspended or not there gives nothing', () => {
  const host = new HistoryHost();
  assert.equal(historyOf(momentOf(host)), undefined, 'before the first flush');
  host.put(1);
  host.flush();
  assert.equal([...changesSince(momentOf(host), 0)].length, 1);
  host.history.suspend();
  host.flush();
  assert.equal(historyOf(momentOf(host)), undefined);
  assert.deepEqual([...changesSince(momentOf(host), 0)], []);
});

test('what is older than asked for is not read: a few chunks of a thousand', () => {
  const host = new HistoryHost();
  for (let n = 0; n < 1000; n++) {
    host.put(n);
    host.flush();
    host.second++;
  }
  const moment = momentOf(host);
  assert.equal(host.keys.filter((key) => historyNumber(key) !== undefined).length, 1000);
  assert.deepEqual([...changesSince(moment, T + 990)].map(({ second }) => second - T), [990, 991, 992, 993, 994, 995, 996, 997, 998, 999]);
  assert.ok(moment.reads < 40, `${moment.reads} chunks`);
});
