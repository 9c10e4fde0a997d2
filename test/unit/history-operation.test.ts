/** What `/v1/history` and `lessor history` are told: coverage first, then leases, in parts where there are many. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as pause } from 'node:timers/promises';
import type { HeldLeaseView, HistoryCoverageView } from '../../node/admin/history-view.ts';
import { OperationError } from '../../node/admin/operation.ts';
import type { Caller, OperationHost } from '../../node/admin/operation.ts';
import { history } from '../../node/admin/operations/history.ts';
import { BindingState } from '../../node/lease/record.ts';
import { at } from './lease-model.ts';
import { A, T, TenureHost } from './lease-history-fixture.ts';

const CALLER: Caller = { name: 'alice', role: 'operator', via: 'socket', from: '' };

interface Told {
  readonly coverage: HistoryCoverageView;
  readonly leases: readonly HeldLeaseView[];
}

async function told(host: TenureHost, parameters: object): Promise<Told> {
  assert(history.kind === 'list', 'a list');
  // What the operation looks at of a node.
  const node = { node: 'a', table: host, tenures: host.history, now: () => at(host.second), pause: () => pause() } as unknown as OperationHost;
  const entries = [];
  for await (const entry of history.run(node, history.parameters.parse(parameters), CALLER)) entries.push(history.result.parse(entry));
  const [coverage, ...leases] = entries;
  return { coverage: coverage as HistoryCoverageView, leases: leases as HeldLeaseView[] };
}

function host(rounds: number): TenureHost {
  const made = new TenureHost();
  for (let i = 0; i < rounds; i++) {
    made.second = T + i * 100;
    made.grant(A, `c${i % 3}`, 60, 'eth1');
    made.second += 50;
    made.end(A, BindingState.RELEASED);
    if (i % 100 === 0) made.flush();
  }
  return made;
}

test('the answer says from when on the history knows, and then who held the address', async () => {
  const { coverage, leases } = await told(host(2), { address: '10.0.0.1' });
  assert.deepEqual(coverage, { kind: 'coverage', node: 'a', since: '2027-01-15T12:00:00Z', gap: null, goesOnAt: null });
  assert.deepEqual(leases.map(({ from, to, end, client }) => [from, to, end, Buffer.from(client, 'hex').toString()]), [
    ['2027-01-15T12:01:40Z', '2027-01-15T12:02:30Z', 'released', 'c1'], ['2027-01-15T12:00:00Z', '2027-01-15T12:00:50Z', 'released', 'c0'],
  ]);
  assert.deepEqual(leases[0]!.relay, { 'circuit-id': 'eth1', 'remote-id': 'relay' });
});

test('a time, a period and a client narrow it down; a lease that goes on has no end', async () => {
  const made = host(5);
  made.second = T + 1000;
  made.grant(A, 'c0', 600);
  const client = Buffer.from('c0').toString('hex');
  assert.equal((await told(made, { address: '10.0.0.1', at: '2027-01-15T12:01:45Z' })).leases.length, 1);
  assert.equal((await told(made, { address: '10.0.0.1', at: '2027-01-15T14:01:45+02:00' })).leases.length, 1);
  assert.equal((await told(made, { address: '10.0.0.1', at: '2027-01-15T12:01:00Z' })).leases.length, 0);
  assert.equal((await told(made, { address: '10.0.0.1', from: '2027-01-15T12:01:00Z', to: '2027-01-15T12:04:00Z' })).leases.length, 2);
  const { leases } = await told(made, { client });
  assert.deepEqual(leases.map(({ end, to }) => [end, to === null]), [['active', true], ['released', false], ['released', false]]);
  assert.equal((await told(made, { client: '00:11:22:33:44:55' })).leases.length, 0);
});

test('a long answer goes on where it says, and tells each lease once', async () => {
  const made = host(6000);
  const leases: HeldLeaseView[] = [];
  let parts = 0;
  for (let goOnAt: string | undefined; ; parts++) {
    const { coverage, leases: part } = await told(made, { address: '10.0.0.1', ...(goOnAt === undefined ? {} : { goOnAt }) });
    leases.unshift(...part);
    if (coverage.goesOnAt === null) break;
    goOnAt = coverage.goesOnAt;
  }
  assert.ok(parts > 0);
  assert.equal(leases.length, 6000);
  assert.deepEqual(leases.map(({ from }) => from), [...new Set(leases.map(({ from }) => from))].sort().reverse());
});

test('what cannot be asked is refused', async () => {
  const made = host(1);
  const refused = async (parameters: object, code: string): Promise<void> => {
    await assert.rejects(told(made, parameters), (error) => error instanceof OperationError && error.code === code);
  };
  for (const parameters of [{}, { address: '10.0.0.1', client: '00' }, { address: 'x' }, { address: '10.0.0.1', at: 'x' }, { address: '10.0.0.1', at: '2027-01-15T12:00:00Z', from: '2027-01-15T12:00:00Z' }]) {
    assert.equal(history.parameters.safeParse(parameters).success, false, JSON.stringify(parameters));
  }
  await refused({ client: 'laptop' }, 'bad-request');
  await refused({ address: '10.0.0.1', from: '2027-01-15T12:00:01Z', to: '2027-01-15T12:00:00Z' }, 'bad-request');
  await refused({ address: '10.0.0.1', at: '0001-01-01T00:00:00Z' }, 'bad-request');
  made.history.configure(undefined, at(made.second));
  await refused({ address: '10.0.0.1' }, 'not-found');
});
