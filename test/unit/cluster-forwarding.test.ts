/**
 * A change of an address that another node owns, asked for just when that node or the link to it fails, or the
 * address moves: the client's one packet is answered as soon as anybody may answer it, and a copy is no worse off.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerMessage } from '../../cluster/core/ports.ts';
import { assignSlots } from '../../cluster/view/slots.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import type { SimNode } from '../sim/node.ts';
import { chaddrOf, ip, parseReply, request } from '../support/client-packets.ts';
import { SmallCluster } from '../support/small-cluster.ts';

const ACK = 5;

class Watched extends SmallCluster {
  /** Acknowledgements by client and xid: from whom. */
  readonly acked = new Map<string, string[]>();

  override onPacket(node: SimNode, packet: OutgoingPacket): void {
    super.onPacket(node, packet);
    const reply = parseReply(Buffer.from(packet.bytes));
    if (reply.type !== ACK) return;
    const key = `${packet.bytes.toString('hex', 28, 34)} ${reply.xid}`;
    this.acked.set(key, [...this.acked.get(key) ?? [], node.id]);
  }

  owner(address: string, asSeenBy: string): string | undefined {
    return this.node(asSeenBy).engine!.core.ownerOf(ip(address) & 255);
  }

  isMember(id: string): boolean {
    return this.node(id).engine!.core.state.phase === 'member';
  }

  owns(id: string, address: string): boolean {
    return this.node(id).engine!.core.owns(ip(address) & 255);
  }

  /** A renewal to a node of the client's choice. */
  renew(client: number, address: string, to: string, xid: number): void {
    const bytes = request({ chaddr: chaddrOf(client), ciaddr: ip(address), xid });
    this.node(to).receivePacket(bytes, { address: ip(address), port: 68, unicast: true });
  }

  isAcked(client: number, xid: number): boolean {
    return this.acked.has(`${chaddrOf(client).toString('hex')} ${xid}`);
  }

  /** Of a node's own log: how many changes it has made. */
  changes(id: string): number {
    return this.node(id).engine!.core.state.log.last;
  }
}

/** All in one view, and a client whose address this node owns. */
function withLeaseOf(owner: string, ids: readonly string[] = ['a', 'b']): { cluster: Watched; client: number; address: string } {
  const cluster = new Watched(ids);
  for (const id of ids) cluster.start(id);
  cluster.until('all in one view', 20_000, () => cluster.settled(ids.join(' ')));
  cluster.run(1000);
  for (let client = 0; client < 100; client++) {
    const address = cluster.lease(client);
    if (address !== undefined && cluster.owner(address, 'a') === owner) return { cluster, client, address };
  }
  throw new Error(`nobody got an address of ${owner}`);
}

test('the link goes down: the change is asked for again through etcd', () => {
  const { cluster, client, address } = withLeaseOf('b');
  cluster.cutLink('a', 'b');
  cluster.renew(client, address, 'a', 7);
  // Nothing else is under way, so a link is given up after a second of silence.
  const took = cluster.until('an answer', 2000, () => cluster.isAcked(client, 7));
  assert.ok(took < 1500, `${took} ms`);
});

test('the link comes up for a moment: what waited for etcd, and went over it, is asked for again', () => {
  const { cluster, client, address } = withLeaseOf('b');
  const another = Array.from({ length: 100 }, (_, i) => 200 + i).find((number) => cluster.owner(cluster.lease(number)!, 'a') === 'a')!;
  const own = cluster.lease(another)!;
  const isUp = (): boolean => cluster.node('a').engine!.core.state.peers.get('b')!.up;
  cluster.cutLink('a', 'b');
  cluster.until('a to notice', 2000, () => !isUp());
  // The first item for the inbox gets no answer, and the proposal waits behind it.
  cluster.etcdCut.add('a');
  cluster.renew(another, own, 'a', 6);
  cluster.run(1400);
  cluster.renew(client, address, 'a', 7);
  let over = 0;
  cluster.tamper = (from, _to, message): PeerMessage => {
    if (from !== 'a' || message.body?.$case !== 'propose') return message;
    over++;
    return { body: undefined };
  };
  cluster.joinLink('a', 'b');
  cluster.until('the link', 3000, isUp);
  cluster.etcdCut.delete('a');
  cluster.until('the proposal over the link', 2000, () => over > 0);
  cluster.cutLink('a', 'b');
  cluster.renew(another, own, 'a', 8);
  cluster.until('an answer', 1500, () => cluster.isAcked(client, 7));
});

test('the owner dies and this node takes over: it makes the change itself', () => {
  const { cluster, client, address } = withLeaseOf('b');
  cluster.crash('b');
  cluster.renew(client, address, 'a', 7);
  const took = cluster.until('an answer', 2000, () => cluster.isAcked(client, 7));
  assert.ok(took < 1000, `${took} ms`);
});

test('the owner falls silent and this node takes over: what was asked for meanwhile is answered', () => {
  const { cluster, client, address } = withLeaseOf('b');
  cluster.cutLink('a', 'b');
  cluster.etcdCut.add('b');
  cluster.run(1800);
  cluster.renew(client, address, 'a', 7);
  cluster.until('an answer', 3000, () => cluster.isAcked(client, 7));
  assert.equal(cluster.members, 'a');
});

test('the owner dies and another one takes over: it is asked instead', () => {
  const { cluster, client, address } = withLeaseOf('c', ['a', 'b', 'c']);
  cluster.crash('c');
  // Who takes over is not known yet: the other one is to be asked.
  const heirs = assignSlots(cluster.config.nodes, [{ node: 'a', incarnation: 1 }, { node: 'b', incarnation: 2 }], () => true);
  const asked = heirs[ip(address) & 255] === 0 ? 'b' : 'a';
  cluster.renew(client, address, asked, 7);
  const took = cluster.until('an answer', 2000, () => cluster.isAcked(client, 7));
  assert.ok(took < 1000, `${took} ms`);
  assert.equal(cluster.members, 'a b');
  assert.notEqual(cluster.owner(address, 'a'), asked);
});

test('the owner is about to finish the view that gives it the address: it makes the change then', () => {
  const { cluster, client, address } = withLeaseOf('b');
  cluster.crash('b');
  cluster.until('a alone', 2000, () => cluster.settled('a'));
  cluster.start('b');
  const between = (): boolean => ['a', 'b'].every((id) => cluster.owner(address, id) === 'b') && cluster.isMember('b') && !cluster.owns('b', address);
  for (let i = 0; i < 20_000 && !between(); i++) cluster.run(1);
  assert.ok(between());
  cluster.renew(client, address, 'a', 7);
  const took = cluster.until('an answer', 2000, () => cluster.isAcked(client, 7));
  assert.ok(took < 500, `${took} ms`);
});

test('the answer is lost: the change is not made twice, and the client is answered', () => {
  const { cluster, client, address } = withLeaseOf('b');
  const before = cluster.changes('b');
  cluster.tamper = (_from, to, message): PeerMessage => (to === 'a' && message.body?.$case === 'proposeResult' ? { body: undefined } : message);
  cluster.renew(client, address, 'a', 7);
  cluster.run(300);
  assert.equal(cluster.changes('b'), before + 1);
  assert.equal(cluster.isAcked(client, 7), false);
  cluster.cutLink('a', 'b');
  cluster.until('an answer', 2000, () => cluster.isAcked(client, 7));
  assert.equal(cluster.changes('b'), before + 1);
});

test('the owner refuses: a copy of the request is not taken to be under way', () => {
  const { cluster, client, address } = withLeaseOf('b');
  let refused = 0;
  cluster.tamper = (from, to, message): PeerMessage => {
    if (from !== 'a' || to !== 'b' || message.body?.$case !== 'propose' || refused > 0) return message;
    refused++;
    return { body: { $case: 'propose', value: { ...message.body.value, expectedSeq: message.body.value.expectedSeq + 1 } } };
  };
  cluster.renew(client, address, 'a', 7);
  cluster.run(200);
  assert.equal(refused, 1);
  assert.equal(cluster.isAcked(client, 7), false);
  cluster.renew(client, address, 'a', 7);
  const took = cluster.until('an answer', 2000, () => cluster.isAcked(client, 7));
  assert.ok(took < 500, `${took} ms`);
});

test('a learner whose beat got no answer from etcd asks to be let in a moment later', () => {
  const { cluster } = withLeaseOf('b');
  cluster.crash('b');
  cluster.until('a alone', 2000, () => cluster.settled('a'));
  cluster.start('b');
  const before = cluster.told('recover.fetched', 'b').length;
  cluster.until('b to have fetched', 20_000, () => cluster.told('recover.fetched', 'b').length > before);
  cluster.etcdCut.add('b');
  // Longer than a request may take.
  cluster.run(2000);
  cluster.etcdCut.delete('b');
  const took = cluster.until('both in one view', 10_000, () => cluster.settled('a b'));
  assert.ok(took < 2500, `${took} ms`);
});
