/** How long leases are held, as the metric `lessor_lease_held_seconds` tells it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldSeconds } from '../../node/lease/held.ts';
import { BindingState, encodeRecord, withState } from '../../node/lease/record.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { chaddrOf, ip, release } from '../support/client-packets.ts';
import { SmallCluster } from '../support/small-cluster.ts';

const GRANTED = 1_000_000;
const EMPTY = Buffer.alloc(0);

function active(expires: number): Buffer {
  return encodeRecord({
    state: BindingState.ACTIVE, hasClientIdentifier: false, reserved: false, htype: 1, chaddr: Buffer.alloc(6, 2), clientKey: Buffer.alloc(7, 1),
    stateSince: GRANTED, lastTransaction: GRANTED + 1800, expires, leaseSeconds: 3600, xid: 1, relayAgentInformation: EMPTY, hostname: EMPTY,
  });
}

test('a lease is held from its grant over all renewals until it is released, declined or has run out', () => {
  const lease = active(GRANTED + 5400);
  assert.equal(heldSeconds(lease, withState(lease, BindingState.RELEASED, GRANTED + 2000)), 2000);
  assert.equal(heldSeconds(lease, withState(lease, BindingState.ABANDONED, GRANTED + 10)), 10);
  assert.equal(heldSeconds(lease, withState(lease, BindingState.EXPIRED, GRANTED + 5401)), 5400);
  // All nodes were off for a week.
  assert.equal(heldSeconds(lease, withState(lease, BindingState.EXPIRED, GRANTED + 604_800)), 5400);
  assert.equal(heldSeconds(active(INFINITE_SECONDS), withState(lease, BindingState.RELEASED, GRANTED + 9_000_000)), 9_000_000);
  // The clock was set back since.
  assert.equal(heldSeconds(lease, withState(lease, BindingState.RELEASED, GRANTED - 5)), 0);
});

test('what ends no lease is not counted: a grant, a renewal, the decline of an offer, an address found in use once more', () => {
  const lease = active(GRANTED + 5400);
  const abandoned = withState(lease, BindingState.ABANDONED, GRANTED);
  assert.equal(heldSeconds(undefined, lease), undefined);
  assert.equal(heldSeconds(lease, lease), undefined);
  assert.equal(heldSeconds(undefined, abandoned), undefined);
  assert.equal(heldSeconds(abandoned, abandoned), undefined);
  assert.equal(heldSeconds(withState(lease, BindingState.EXPIRED, GRANTED), lease), undefined);
});

function counted(cluster: SmallCluster): { count: number; sumSeconds: number; nodes: number } {
  const histograms = cluster.nodes.flatMap(({ counters }) => [...counters.held.bySubnet]);
  assert.ok(histograms.every(([subnet]) => subnet === '10.0.0.0/16'));
  const count = histograms.reduce((sum, [, { counts }]) => sum + counts.reduce((all, one) => all + one, 0), 0);
  return { count, sumSeconds: histograms.reduce((sum, [, histogram]) => sum + histogram.sumSeconds, 0), nodes: histograms.length };
}

test('over all nodes each lease that ends is counted once, whichever node heard of it', () => {
  const clients = 20;
  const cluster = new SmallCluster(['a', 'b']);
  for (const id of ['a', 'b']) cluster.start(id);
  cluster.until('both in one view', 20_000, () => cluster.settled('a b'));
  const began = cluster.agenda.now;
  const leases = Array.from({ length: clients }, (_, client) => ip(cluster.lease(client)!));
  assert.deepEqual(counted(cluster), { count: 0, sumSeconds: 0, nodes: 0 });
  const given = cluster.agenda.now - began;
  cluster.run(100_000);
  // Half of them are released, every release to each of the nodes: one is the owner, the other passes it on.
  for (const [client, address] of leases.slice(0, clients / 2).entries()) {
    const server = cluster.nodes[client % 2]!;
    const bytes = release({ chaddr: chaddrOf(client), xid: 5000 + client, ciaddr: address, serverIdentifier: server.address });
    for (const node of cluster.nodes) node.receivePacket(Buffer.from(bytes), { address, port: 68, unicast: true });
  }
  cluster.run(2000);
  const { count, sumSeconds, nodes } = counted(cluster);
  assert.equal(count, clients / 2);
  assert.equal(nodes, 2);
  // The first lease is as old as it took to give the others.
  assert.ok(sumSeconds >= count * 100 && sumSeconds <= count * (101 + given / 1000), `${sumSeconds} s`);
});
