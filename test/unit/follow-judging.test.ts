/** What `npm run follow` judges by: a judge that finds nothing would make every run clean. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readRequestorLine, type ClientEvent, type RequestorEvent, type StoredLease, type ToldChange } from '../follow/events.ts';
import { isClean, judge, type Verdict } from '../follow/judge.ts';
import { reportLines } from '../follow/report.ts';

const HARDWARE = '02:00:00:00:00:01';
const OTHER = '02:00:00:00:00:02';
const ADDRESS = '10.0.0.1';

const ms = (second: number): number => second * 1000 + 100;

function asked(second: number, xid: number, hardware = HARDWARE): ClientEvent {
  return { event: 'request', at: ms(second), address: ADDRESS, hardware, xid };
}

/** A request and its DHCPACK. */
function acked(second: number, xid: number, hardware = HARDWARE): ClientEvent[] {
  return [asked(second, xid, hardware), { event: 'ack', at: ms(second) + 20, address: ADDRESS, hardware, xid }];
}

function released(second: number, xid: number): ClientEvent {
  return { event: 'release', at: ms(second), address: ADDRESS, hardware: HARDWARE, xid };
}

/** Told half a second after it was made. */
function told(state: string, stateSince: number, lastTransaction: number, more: Partial<ToldChange> = {}): ToldChange {
  return {
    event: 'change', at: ms(Math.max(stateSince, lastTransaction)) + 500, address: ADDRESS, type: state === 'ACTIVE' ? 'ACTIVE' : 'UNASSIGNED',
    state, hardware: HARDWARE, lastTransaction, stateSince, ...more,
  };
}

function stored(state: string, stateSince: number, lastTransaction: number, hardware = HARDWARE): StoredLease {
  return { address: ADDRESS, state, hardware, lastTransaction, stateSince };
}

const CONNECTED = { event: 'connected', at: 0, server: '10.0.0.11:67', sinceSecond: undefined } as const;
const READ_AT = ms(1000);

function judged(clients: readonly ClientEvent[], changes: readonly RequestorEvent[], leases: readonly StoredLease[]): Verdict {
  return judge({ clients, requestor: [CONNECTED, ...changes], stores: [{ node: 'a', from: READ_AT, leases }] });
}

/** A lease that is renewed, ends, and is given to the same client again, which releases it. */
const LIFE: readonly ClientEvent[] = [...acked(100, 1), ...acked(115, 2), ...acked(200, 3), released(210, 4)];
const LIFE_TOLD: readonly ToldChange[] = [told('ACTIVE', 100, 100), told('ACTIVE', 100, 115), told('EXPIRED', 146, 115), told('ACTIVE', 200, 200), told('RELEASED', 210, 200)];
const LIFE_STORED = [stored('RELEASED', 210, 200)];

test('all told once and in order is clean, and counted', () => {
  const verdict = judged(LIFE, LIFE_TOLD, LIFE_STORED);
  assert.ok(isClean(verdict), JSON.stringify(verdict));
  assert.deepEqual([verdict.acks, verdict.told, verdict.byState], [3, 5, { ACTIVE: 3, EXPIRED: 1, RELEASED: 1 }]);
  assert.deepEqual(verdict.waits, [480, 480, 480]);
});

test('each change that is left out is noticed', () => {
  for (const [i, left] of LIFE_TOLD.entries()) {
    const verdict = judged(LIFE, LIFE_TOLD.toSpliced(i, 1), LIFE_STORED);
    assert.ok(!isClean(verdict), `without ${left.state} of ${left.stateSince}`);
    if (left.type === 'ACTIVE') assert.equal(verdict.missed.length, 1);
  }
});

test('each change that is told again is noticed, at once and later', () => {
  for (const [i, change] of LIFE_TOLD.entries()) {
    for (const at of [i + 1, LIFE_TOLD.length]) {
      const verdict = judged(LIFE, LIFE_TOLD.toSpliced(at, 0, change), LIFE_STORED);
      assert.equal(verdict.repeated.length, 1, `${change.state} of ${change.stateSince} at ${at}`);
    }
  }
});

test('changes in another order are noticed, though none is missing', () => {
  for (let i = 0; i + 1 < LIFE_TOLD.length; i++) {
    const verdict = judged(LIFE, LIFE_TOLD.toSpliced(i, 2, LIFE_TOLD[i + 1]!, LIFE_TOLD[i]!), LIFE_STORED);
    assert.deepEqual([verdict.missed, verdict.repeated], [[], []]);
    assert.ok(verdict.disorder.length > 0, `at ${i}`);
  }
});

test('a change of another client, of another time and of nobody is noticed', () => {
  const of = (change: ToldChange): Verdict => judged(acked(100, 1), [change], [stored('ACTIVE', 100, 100)]);
  assert.ok(isClean(of(told('ACTIVE', 100, 100))));
  for (const change of [told('ACTIVE', 100, 100, { hardware: OTHER }), told('ACTIVE', 100, 110), told('ACTIVE', 96, 96)]) {
    const verdict = of(change);
    assert.deepEqual([verdict.unexplained.length, verdict.missed.length], [1, 2], JSON.stringify(change));
  }
  assert.equal(judged([], [told('RELEASED', 100, 90)], [stored('RELEASED', 100, 90)]).unexplained.length, 1);
  assert.equal(judged([], [told('ABANDONED', 100, 90)], [stored('ABANDONED', 100, 90)]).unexplained.length, 1);
});

test('a change whose DHCPACK was lost is explained by its request, once', () => {
  const clients = [asked(100, 1), ...acked(102, 2)];
  assert.ok(isClean(judged(clients, [told('ACTIVE', 100, 100), told('ACTIVE', 100, 102)], [stored('ACTIVE', 100, 102)])));
  assert.ok(isClean(judged(clients, [told('ACTIVE', 102, 102)], [stored('ACTIVE', 102, 102)])));
  const twice = judged(clients, [told('ACTIVE', 100, 100), told('ACTIVE', 100, 101), told('ACTIVE', 100, 102)], [stored('ACTIVE', 100, 102)]);
  assert.equal(twice.unexplained.length, 1);
});

test('an address that is got, released and got again within a second has three changes', () => {
  const clients = [...acked(100, 1), released(100, 2), ...acked(100, 3)];
  const changes = [told('ACTIVE', 100, 100), told('RELEASED', 100, 100), told('ACTIVE', 100, 100)];
  assert.ok(isClean(judged(clients, changes, [stored('ACTIVE', 100, 100)])));
  const verdict = judged(clients, changes.slice(0, 2), [stored('ACTIVE', 100, 100)]);
  assert.deepEqual([verdict.missed.length, verdict.differences.length], [1, 1]);
});

test('a renewal within the second of another one makes no change that could be told from it, unless the lease ended between', () => {
  const clients = [...acked(100, 1), { ...asked(100, 2), at: ms(100) + 700 }, { event: 'ack', at: ms(100) + 720, address: ADDRESS, hardware: HARDWARE, xid: 2 }] as const;
  const first = told('ACTIVE', 100, 100, { at: ms(100) + 30 });
  const verdict = judged(clients, [first], [stored('ACTIVE', 100, 100)]);
  assert.ok(isClean(verdict));
  assert.equal(verdict.alike, 1);
  const renewed = judged([...clients, ...acked(101, 4)], [first, told('ACTIVE', 100, 101)], [stored('ACTIVE', 100, 101)]);
  assert.deepEqual([isClean(renewed), renewed.alike], [true, 1]);
  const between = told('RELEASED', 100, 100, { at: ms(100) + 400 });
  assert.equal(judged([...clients, released(100, 3)], [first, between], [stored('RELEASED', 100, 100)]).missed.length, 1);
  // It may be told as well.
  assert.ok(isClean(judged(clients, [first, first], [stored('ACTIVE', 100, 100)])));
});

test('the end of a lease that was not told is noticed where another client has the address then', () => {
  const clients = [...acked(100, 1), ...acked(200, 2, OTHER)];
  const verdict = judged(clients, [told('ACTIVE', 100, 100), told('ACTIVE', 200, 200, { hardware: OTHER })], [stored('ACTIVE', 200, 200, OTHER)]);
  assert.equal(verdict.disorder.length, 1);
  assert.match(verdict.disorder[0]!, /the end before it was not told/);
});

test('what a store says is compared with what was told when it was read', () => {
  const store = (lease: StoredLease, changes: readonly ToldChange[]): Verdict => judged(LIFE, changes, [lease]);
  // Told of, and not on record any more: it was so long before.
  assert.equal(store(stored('ACTIVE', 200, 200), LIFE_TOLD).differences.length, 1);
  assert.equal(store(stored('EXPIRED', 211, 200), LIFE_TOLD).missed.length, 1);
  assert.equal(judged(LIFE, LIFE_TOLD, []).differences.length, 1);
  // Changed after it was read.
  const late = LIFE_TOLD.with(LIFE_TOLD.length - 1, { ...LIFE_TOLD.at(-1)!, at: READ_AT + 1 });
  assert.ok(isClean(store(stored('ACTIVE', 200, 200), late)));
});

test('what lies in a hole that the requestor was told of is excused, and nothing else', () => {
  const hole: RequestorEvent[] = [{ ...CONNECTED, at: ms(130), sinceSecond: 112 }, { event: 'data-missing', at: ms(130), baseSecond: 150 }];
  const [first, second, expired, again, end] = LIFE_TOLD as [ToldChange, ToldChange, ToldChange, ToldChange, ToldChange];
  const verdict = judged(LIFE, [first, ...hole, again, end], LIFE_STORED);
  assert.ok(isClean(verdict), JSON.stringify(verdict));
  assert.deepEqual([verdict.holes, verdict.excused], [[{ from: 112, to: 150, isFilled: false }], 1]);
  assert.ok(!isClean(judged(LIFE, [first, ...hole, second, expired, end], LIFE_STORED)));
  assert.equal(judged(LIFE, [first, second, expired, ...hole, again], LIFE_STORED).missed.length, 1);
});

test('after a hole that a bulk query has filled the last state of all is known again, and what is older than that does not count', () => {
  const begins: RequestorEvent[] = [{ ...CONNECTED, at: ms(230), sinceSecond: 190 }, { event: 'data-missing', at: ms(230), baseSecond: 230 }];
  const filled: RequestorEvent = { event: 'bulk-fill-complete', at: ms(231), baseSecond: Number.NaN };
  const [first, second, expired, again, end] = LIFE_TOLD as [ToldChange, ToldChange, ToldChange, ToldChange, ToldChange];
  for (const found of [[end], [end, again], [again, end], [expired, end], [end, second]]) {
    const verdict = judged(LIFE, [first, second, expired, ...begins, ...found, filled], LIFE_STORED);
    assert.ok(isClean(verdict), JSON.stringify(verdict));
    assert.equal(verdict.holes[0]?.isFilled, true);
  }
  assert.ok(!isClean(judged(LIFE, [first, second, expired, ...begins, filled], LIFE_STORED)));
  assert.ok(isClean(judged(LIFE, [first, second, expired, ...begins], LIFE_STORED)));
  assert.ok(!isClean(judged(LIFE, [first, second, expired, ...begins, filled, end, again], LIFE_STORED)));
});

test('lines of the requestor', () => {
  const line = '{"type":"ACTIVE","address":"10.0.0.1","state":"ACTIVE","hardware":"02:00:00:00:00:01","leaseSeconds":6,' +
    '"lastTransaction":"1970-01-01T00:01:40Z","stateSince":"1970-01-01T00:01:39Z","baseTime":"1970-01-01T00:01:40Z"}';
  assert.deepEqual(readRequestorLine(line, 7), told('ACTIVE', 99, 100, { at: 7 }));
  assert.deepEqual(readRequestorLine('{"status":"data-missing","baseTime":"1970-01-01T00:01:40Z"}', 7), { event: 'data-missing', at: 7, baseSecond: 100 });
  assert.deepEqual(readRequestorLine('10.0.0.1:67: connected; changes since 1970-01-01T00:01:40Z.', 7),
    { event: 'connected', at: 7, server: '10.0.0.1:67', sinceSecond: 100 });
  assert.deepEqual(readRequestorLine('10.0.0.1:67: connected; changes from now on.', 7), { event: 'connected', at: 7, server: '10.0.0.1:67', sinceSecond: undefined });
  assert.equal(readRequestorLine('10.0.0.1:67 ended the query: QUERY_TERMINATED. Next: 10.0.0.2:67, now.', 7)?.event, 'ended');
});

test('the report names what is wrong', () => {
  const clean = judged(LIFE, LIFE_TOLD, LIFE_STORED);
  const lines = reportLines(clean, clean);
  assert.ok(lines.some((line) => /^changes told +5 \(3 ACTIVE, 1 EXPIRED, 1 RELEASED\)$/.test(line)), lines.join('\n'));
  const wrong = judged(LIFE, LIFE_TOLD.slice(1), LIFE_STORED);
  assert.match(reportLines(wrong, clean).join('\n'), /\n {4}missed: the DHCPACK of 10\.0\.0\.1 to 02:00:00:00:00:01 at 1970-01-01T00:01:40/);
});
