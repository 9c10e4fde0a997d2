/** Operations: what is changed, what is written down of it, and what becomes of one that cannot be carried out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { release } from '../../node/admin/operations/release.ts';
import { parseIpv4 } from '../../node/codec/address.ts';
import { BINDING_STATE_NAMES, recordState } from '../../node/lease/record.ts';
import { OperatedCluster, OPERATOR } from '../support/operated-cluster.ts';

function stateOn(cluster: OperatedCluster, node: string, address: string): string {
  const record = cluster.host(node).table.read(parseIpv4(address)!);
  return record === undefined ? 'FREE' : BINDING_STATE_NAMES[recordState(record)];
}

test('a lease is released on every node, whoever owns its address, and the audit log of both tells of it', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const addresses = [1, 2, 3, 4].map((client) => cluster.lease(client)!);
  const owners = new Set(addresses.map((address) => cluster.host('a').ownerOf(parseIpv4(address)! & 255)));
  assert.equal(owners.size, 2, 'both nodes own some of the addresses');
  for (const address of addresses) {
    const { released } = await cluster.operate('a', release, { address, reason: 'moved out' });
    assert.deepEqual(released.map((each) => each.address), [address]);
  }
  for (const node of ['a', 'b']) {
    assert.deepEqual(addresses.map((address) => stateOn(cluster, node, address)), addresses.map(() => 'RELEASED'));
    const entries = cluster.audit(node);
    assert.deepEqual(entries.map(({ target }) => target).sort(), addresses.toSorted());
    for (const { after, before, by, node: writer, operation, outcome, reason, role, via } of entries) {
      assert.deepEqual({ by, role, via, operation, outcome, reason, after, writer }, {
        by: 'alice', role: 'operator', via: 'socket', operation: 'release', outcome: 'done', reason: 'moved out', after: 'released', writer: 'a',
      });
      assert.match(before, /ACTIVE of /);
    }
  }
});

test('all leases of a client are released by its hardware address', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const address = cluster.lease(7)!;
  const { table } = cluster.host('b');
  const hardware = table.read(parseIpv4(address)!)!.subarray(44, 50).toString('hex');
  const { released } = await cluster.operate('b', release, { client: hardware });
  assert.deepEqual(released.map((each) => each.address), [address]);
  assert.equal(stateOn(cluster, 'a', address), 'RELEASED');
});

test('what is refused changes nothing and is written down as well', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  await assert.rejects(cluster.operate('a', release, { address: '10.0.1.77' }), { code: 'refused', message: 'there is no lease of 10.0.1.77' });
  await assert.rejects(cluster.operate('b', release, { client: 'kitchen' }), { code: 'bad-request' });
  cluster.run(1000);
  for (const node of ['a', 'b']) {
    assert.deepEqual(cluster.audit(node).map(({ answer, outcome, target }) => [outcome, target, answer.slice(0, 22)]), [
      ['refused', 'address 10.0.1.77', 'there is no lease of 1'], ['refused', 'client kitchen', 'client: expected a har'],
    ]);
  }
});

test('a caller without the role is refused, and so is nobody, with a word in the audit log', async () => {
  const cluster = OperatedCluster.of('a');
  const runner = cluster.runner('a');
  const operation = release as Parameters<typeof runner.refusal>[0];
  const viewer = { ...OPERATOR, name: 'eve', role: 'viewer' as const };
  assert.match(await cluster.settle(runner.refusal(operation, viewer, '', '10.0.0.9')) ?? '', /needs the role operator; eve is viewer/);
  assert.equal(await cluster.settle(runner.refusal(operation, undefined, 'no token', '10.0.0.9')), 'no token');
  assert.equal(await runner.refusal(operation, OPERATOR, '', ''), undefined);
  assert.deepEqual(cluster.audit('a').map(({ by, from, outcome, role }) => [by, role, from, outcome]), [['eve', 'viewer', '', 'refused'], ['', 'none', '10.0.0.9', 'refused']]);
});

test('a node that is out of service changes nothing, and an event tells of the attempt', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const address = cluster.lease(3)!;
  const runner = cluster.runner('a');
  cluster.cutLink('a', 'b');
  cluster.etcdCut.add('a');
  cluster.until('a is isolated', 20_000, () => cluster.state('a') === 'ISOLATED');
  const operation = release as Parameters<typeof runner.refusal>[0] & { kind: 'change' };
  await assert.rejects(cluster.settle(runner.run(operation, { address, reason: '' }, OPERATOR)), { code: 'unavailable' });
  assert.deepEqual(cluster.reported.map(({ id, fields }) => [id, fields.outcome, fields.inAuditLog]), [['operator.operation', 'refused', false]]);
  assert.equal(stateOn(cluster, 'b', address), 'ACTIVE');
});

test('notes survive a restart, and the death of the node that wrote them', async () => {
  const cluster = OperatedCluster.of('a', 'b');
  const address = cluster.lease(9)!;
  await cluster.operate('a', release, { address });
  cluster.crash('a');
  cluster.until('b is alone', 60_000, () => cluster.settled('b'));
  assert.deepEqual(cluster.audit('b').map(({ target }) => target), [address]);
  cluster.start('a');
  cluster.until('a is back', 60_000, () => cluster.settled('a b') || cluster.settled('b a'));
  assert.deepEqual(cluster.audit('a').map(({ target }) => target), [address]);
});
