/** Abandoned addresses: what an operator sees of them, and makes free again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abandonedClear, abandonedList } from '../../node/admin/operations/abandoned.ts';
import { BindingState, recordState } from '../../node/lease/record.ts';
import { chaddrOf, decline, ip } from '../support/client-packets.ts';
import { subnetConfig } from '../support/configs.ts';
import { OperatedCluster } from '../support/operated-cluster.ts';

function smallPool(): OperatedCluster {
  return OperatedCluster.with(['a', 'b'], { subnets: [subnetConfig({
    name: '10.0.0.0/16', prefixLength: 16, pools: [{ first: ip('10.0.1.0'), last: ip('10.0.1.3') }], authoritative: true, leaseSeconds: 600,
  })] });
}

/** A client that has had its lease for a while finds its address in use. */
function declined(cluster: OperatedCluster, client: number, afterMs = 60_000): string {
  const address = cluster.lease(client)!;
  cluster.run(afterMs);
  cluster.ask(client, decline({ chaddr: chaddrOf(client), xid: cluster.random.u32(), requestedAddress: ip(address) }));
  return address;
}

const states = (cluster: OperatedCluster, addresses: readonly string[]): (number | undefined)[] =>
  addresses.map((address) => recordState(cluster.host('b').table.read(ip(address))!));

test('they are listed with who found them, and freed one by one or all at once, whoever owns them', async () => {
  const cluster = smallPool();
  const addresses = [1, 2, 3, 4].map((client) => declined(cluster, client));
  assert.equal(new Set(addresses).size, 4);
  const listed = await cluster.list('a', abandonedList, { subnet: '10.0.0.0/16' });
  assert.deepEqual(listed.map(({ address, found, subnet }) => [address, found, subnet]), addresses.toSorted().map((address) => [address, 'declined', '10.0.0.0/16']));
  assert.match(listed[0]!.hardware, /^02:00:/);
  assert.deepEqual(await cluster.operate('a', abandonedClear, { address: addresses[0]!, reason: 'printer moved' }), { cleared: 1 });
  assert.deepEqual(states(cluster, addresses), [BindingState.RELEASED, ...addresses.slice(1).map(() => BindingState.ABANDONED)]);
  assert.deepEqual(await cluster.operate('b', abandonedClear, { all: true }), { cleared: 3 });
  assert.deepEqual(states(cluster, addresses), addresses.map(() => BindingState.RELEASED));
  assert.deepEqual(await cluster.list('b', abandonedList, {}), []);
  cluster.run(60_000);
  assert.deepEqual([11, 12, 13, 14].map((client) => cluster.lease(client)!).toSorted(), addresses.toSorted());
});

test('one that its client may still go by stays that client\'s until the lease would have ended', async () => {
  const cluster = smallPool();
  const address = declined(cluster, 1, 5000);
  await cluster.operate('a', abandonedClear, { subnet: '10.0.0.0/16' });
  cluster.run(120_000);
  const others = [2, 3, 4].map((client) => cluster.lease(client));
  assert.ok(!others.includes(address));
  assert.equal(cluster.lease(5), undefined);
  cluster.run(520_000);
  assert.equal(cluster.lease(5), address);
});

test('what is not abandoned stays as it is', async () => {
  const cluster = smallPool();
  const address = cluster.lease(1)!;
  await assert.rejects(cluster.operate('a', abandonedClear, { address }), { code: 'refused', message: `${address} is not abandoned` });
  await assert.rejects(cluster.operate('a', abandonedClear, { all: true }), { code: 'refused' });
  await assert.rejects(cluster.operate('a', abandonedClear, { subnet: '10.9.0.0/16' }), { code: 'bad-request' });
  assert.deepEqual(states(cluster, [address]), [BindingState.ACTIVE]);
});
