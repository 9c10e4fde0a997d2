/** What the torture judges by: a judge that finds nothing would make every run clean. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { LeaseView } from '../../node/admin/lease-view.ts';
import type { Ended, Granted, Refused } from '../torture/events.ts';
import { figuresByKind, notServed, SERVED_MS_MAX, type FaultWindow } from '../torture/gaps.ts';
import { Judge, type HeldLease, type Wait } from '../torture/judge.ts';
import { compareKnowledge } from '../torture/known-leases.ts';
import { renderSummary } from '../torture/report.ts';
import { describeFault, FAULT_KINDS, schedule, type FaultKind, type Plan } from '../torture/schedule.ts';

function granted(client: string, address: string, at: number, until: number, more: Partial<Granted> = {}): Granted {
  return { event: 'granted', client, hardware: `02${client}`, address, at, until, how: 'new', serverId: '10.0.0.1', since: at - 5, ...more };
}

function ended(client: string, address: string, at: number, why: Ended['why']): Ended {
  return { event: 'ended', client, hardware: `02${client}`, address, at, why, since: at - 20_000 };
}

function refused(client: string, held: boolean): Refused {
  return { event: 'refused', client, hardware: `02${client}`, address: '10.0.0.9', at: 5000, how: 'renew', serverId: '10.0.0.1', held };
}

test('an address that two clients hold at one time is a duplicate; after a release, and after the lease, it is not', () => {
  const judge = new Judge();
  judge.on(granted('a', '10.0.0.1', 1000, 31_000));
  judge.on(ended('a', '10.0.0.1', 2000, 'released'));
  judge.on(granted('b', '10.0.0.1', 2500, 32_500));
  judge.onLoad({ hardware: 'cc', address: '10.0.0.1', at: 32_500, until: 62_500 });
  assert.deepEqual(judge.duplicates(), []);
  judge.on(granted('d', '10.0.0.1', 62_400, 92_400));
  assert.equal(judge.duplicates().length, 1);
  assert.match(judge.duplicates()[0]!, /perfdhcp's cc's until .* and d's from/);
});

test('a refusal of what a client holds, and another address under it, are lost leases; a refusal of what is over is none', () => {
  const judge = new Judge();
  judge.on(refused('a', false));
  assert.deepEqual(judge.lost, []);
  judge.on(refused('a', true));
  judge.on(ended('b', '10.0.0.2', 5000, 'changed'));
  assert.equal(judge.lost.length, 2);
});

test('what a client holds is known until its lease is over or it gave it up', () => {
  const judge = new Judge();
  for (const [client, until] of [['a', 31_000], ['b', 41_000], ['c', 41_000]] as const) judge.on(granted(client, `10.0.0.${client}`, 1000, until));
  judge.on(ended('c', '10.0.0.c', 2000, 'forgotten'));
  assert.deepEqual(judge.heldAt(30_000).map(({ client }) => client), ['a', 'b']);
  assert.deepEqual(judge.heldAt(31_000).map(({ client }) => client), ['b']);
});

const knownAs = (lease: Partial<LeaseView>): LeaseView => ({
  address: '10.0.0.1', state: 'ACTIVE', client: '0102aa', clientIdentifier: false, hardware: '02:aa', expires: '1970-01-01T00:01:00Z',
  stateSince: '', lastTransaction: '', leaseSeconds: 30, subnet: '10.0.0.0/8', reserved: false, stamp: { epoch: 1, incarnation: 'f', seq: 1 }, ...lease,
});

async function unknownWhere(view: LeaseView | undefined): Promise<readonly string[]> {
  const node = (name: string, has: LeaseView | undefined) => ({ name, fetch: () => Promise.resolve(has === undefined ? '' : `${JSON.stringify(has)}\n`) });
  const held: HeldLease[] = [{ client: 'a', hardware: '02aa', address: '10.0.0.1', until: 65_000 }];
  const { differences, unknown } = await compareKnowledge([node('a', view), node('b', view)], () => held);
  assert.deepEqual(differences, []);
  return unknown;
}

test('each node must know the lease that a client holds; one that ended early by a slow clock, its address kept, is known', async () => {
  assert.deepEqual(await unknownWhere(knownAs({})), []);
  assert.deepEqual(await unknownWhere(knownAs({ state: 'EXPIRED' })), []);
  const unknown = await Promise.all([
    undefined, knownAs({ hardware: '02:bb' }), knownAs({ state: 'RELEASED' }), knownAs({ state: 'EXPIRED', expires: '1970-01-01T00:00:54Z' }),
  ].map(unknownWhere));
  for (const lines of unknown) assert.equal(lines.length, 2, 'on both nodes');
});

test('nodes that have different things on record are found', async () => {
  const node = (name: string, seq: number) => ({ name, fetch: () => Promise.resolve(JSON.stringify(knownAs({ stamp: { epoch: 1, incarnation: 'f', seq } }))) });
  const { differences } = await compareKnowledge([node('a', 1), node('b', 1), node('c', 2)], () => []);
  assert.equal(differences.length, 1);
  assert.match(differences[0]!, /^a \| c: 10\.0\.0\.1 /);
});

function planOf(kind: FaultKind, more: Partial<Plan> = {}): Plan {
  const [plan] = schedule({ seed: 1, nodes: 2, long: false, only: [kind] });
  return { ...plan!, faults: plan!.faults.slice(0, 1), promised: true, ...more };
}

const wait = (since: number, at: number, more: Partial<Wait> = {}): Wait => ({ client: 'a', what: 'new', since, at, served: true, ...more });

test('a wait counts for the fault that it met, from its beginning on', () => {
  const windows: FaultWindow[] = [{ plan: planOf('kill-node', { number: 7 }), begin: 10_000, end: 20_000 }];
  const waits = [wait(1000, 1010), wait(9000, 13_000), wait(12_000, 12_020), wait(19_000, 25_000, { what: 'known' }), wait(20_000, 20_030)];
  const [none, kill] = figuresByKind(waits, windows, new Map([[7, 1234]]));
  assert.deepEqual(none, { kind: 'none', times: 0, newClients: { count: 2, p99Ms: 30, worstMs: 30 }, knownClients: { count: 0, p99Ms: 0, worstMs: 0 }, recoveryWorstMs: 0 });
  assert.deepEqual(kill, {
    kind: 'kill-node', times: 1, newClients: { count: 2, p99Ms: 3000, worstMs: 3000 }, knownClients: { count: 1, p99Ms: 6000, worstMs: 6000 }, recoveryWorstMs: 1234,
  });
});

test('whoever waits too long, or loses its lease, is not served, unless all nodes were gone', () => {
  const windows: FaultWindow[] = [
    { plan: planOf('kill-node', { number: 1 }), begin: 10_000, end: 40_000 }, { plan: planOf('power-cut', { number: 2, promised: false }), begin: 100_000, end: 130_000 },
  ];
  const found = (waits: readonly Wait[]): string[] => notServed(waits, windows, ({ faults }) => faults[0]!.kind);
  assert.deepEqual(found([wait(10_000, 10_000 + SERVED_MS_MAX), wait(99_000, 140_000), wait(110_000, 129_000, { served: false })]), []);
  assert.match(found([wait(10_000, 10_001 + SERVED_MS_MAX)])[0]!, /was served after 15001 ms \(1 kill-node\)/);
  assert.match(found([wait(10_000, 21_000, { served: false })])[0]!, /lost its lease/);
  assert.deepEqual(found([wait(10_000, 12_000, { served: false })]), [], 'it began to renew when the end was near');
  assert.match(found([wait(50_000, 70_000)])[0]!, /no fault at all/);
});

test('the schedule is the seed\'s, goes through every kind before one comes again, and promises nothing for two at once', () => {
  const take = (seed: number, count: number): Plan[] => {
    const plans = schedule({ seed, nodes: 3, long: true });
    return Array.from({ length: count }, () => plans.next().value as Plan);
  };
  assert.deepEqual(take(5, 50), take(5, 50));
  assert.notDeepEqual(take(5, 50), take(6, 50));
  const round = take(9, FAULT_KINDS.length).map(({ faults }) => faults[0]!.kind);
  assert.deepEqual(round.toSorted(), [...FAULT_KINDS].toSorted());
  const many = take(1, 2000);
  const two = many.filter(({ faults }) => faults.length > 1);
  assert.ok(two.length > 50 && two.length < 500, `${two.length} of 2000`);
  assert.ok(two.every(({ promised }) => !promised));
  // A disk that is wiped while its only copy is away would be a loss that nobody promised to prevent.
  assert.ok(two.every(({ faults }) => faults.every(({ kind }) => kind !== 'wipe-disk' && kind !== 'clock-steps')));
  assert.ok(many.some(({ holdMs }) => holdMs > 100_000) && many.every(({ holdMs }) => holdMs <= 120_000));
  for (const { faults } of many) for (const { node, other } of faults) assert.ok(node !== other && node < 3 && other < 3);
  for (const plan of take(2, 100)) for (const fault of plan.faults) assert.match(describeFault(fault, (number) => 'abc'[number]!), /^[a-z-]+/);
});

test('the summary names every fault, and what must be zero', () => {
  const figures = { count: 3, p99Ms: 1020, worstMs: 3400 };
  const text = renderSummary({
    seed: 4, nodes: 3, seconds: 61.2, faults: 2, leases: 100, clients: 10, comparisons: 1, duplicates: 0, lost: 2,
    queries: { questions: 500, answers: 470, silent: 30, bulkQueries: 4, bulkDone: 3, bulkLeases: 600, contradictions: 1 },
    kinds: [{ kind: 'none', times: 0, newClients: figures, knownClients: { ...figures, count: 0 }, recoveryWorstMs: 0 },
      { kind: 'kill-node', times: 2, newClients: figures, knownClients: figures, recoveryWorstMs: 7000 }],
  });
  assert.match(text, /^none +- +3 +1\.02 +3\.40 +0 +- +- +-$/m);
  assert.match(text, /^kill-node +2 +3 +1\.02 +3\.40 +3 +1\.02 +3\.40 +7\.00$/m);
  assert.match(text, /^LEASEQUERY: 500 questions, 470 answers, 30 without one; 3 of 4 bulk queries, compared with 600 leases; contradictions: 1$/m);
  assert.match(text, /^duplicates: 0, lost leases: 2$/m);
});
