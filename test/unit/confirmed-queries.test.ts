/** LEASEQUERY in a cluster: any node in service answers, once it is confirmed that it knows what was acknowledged before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueryType } from '../../node/leasequery/messages.ts';
import { QUERIES_WAITING_MAX } from '../../node/limits.ts';
import { COMMIT_TIMEOUT_MS } from '../../cluster/core/waiting.ts';
import { chaddrOf, discover, ip, parseReply, release, request } from '../support/client-packets.ts';
import { byAddress, byHardware, CONCENTRATOR, REQUESTORS } from '../support/lease-queries.ts';
import { Scenario } from '../support/scenario.ts';

const { LEASEACTIVE, LEASEUNASSIGNED, LEASEUNKNOWN } = QueryType;
const ACK = 5;
const CLIENT = 1;
const FROM_CONCENTRATOR = { address: CONCENTRATOR, port: 67, unicast: true };

interface Answer {
  readonly at: number;
  readonly type: number;
  readonly ciaddr: number;
  readonly chaddr: string;
}

function started(): Scenario {
  const world = new Scenario(REQUESTORS);
  world.bootAll();
  world.run(2000);
  return world;
}

function send(world: Scenario, id: string, query: Buffer): void {
  world.node(id).receivePacket(query, FROM_CONCENTRATOR);
}

/** What the node has answered to queries since this was asked last. */
function answers(world: Scenario, id: string): Answer[] {
  return world.takeSent().filter(({ node, packet }) => node === id && packet.address === CONCENTRATOR).map(({ at, packet }) => {
    const message = parseReply(packet.bytes);
    return { at, type: message.type, ciaddr: message.ciaddr, chaddr: message.chaddr().toString('hex') };
  });
}

/** The one answer of the node, which comes within so many milliseconds. */
function query(world: Scenario, id: string, bytes: Buffer, withinMs: number): Answer {
  world.takeSent();
  send(world, id, bytes);
  world.run(withinMs);
  const found = answers(world, id);
  assert.equal(found.length, 1, world.describe());
  return found[0]!;
}

const other = (id: string): string => (id === 'a' ? 'b' : 'a');

/** The client asks for an address and has its DHCPACK at this very moment: which node sent it, and for what. */
function leaseJustNow(world: Scenario, client: number): { readonly server: string; readonly address: number } {
  const exchange = (bytes: Buffer, type: number): { readonly server: string; readonly bytes: Buffer } => {
    world.takeSent();
    for (const { id } of world.nodes) world.node(id).receivePacket(Buffer.from(bytes), { address: 0, port: 68, unicast: false });
    for (let waited = 0; waited < 2000; waited++) {
      world.run(1);
      const found = world.takeSent().find(({ packet }) => parseReply(packet.bytes).type === type);
      if (found !== undefined) return { server: found.node, bytes: found.packet.bytes };
    }
    throw new Error(`no answer of type ${type}; ${world.describe()}`);
  };
  const fields = { chaddr: chaddrOf(client), xid: 1000 + client, broadcast: true };
  const offer = parseReply(exchange(discover(fields), 2).bytes);
  const { server } = exchange(request({ ...fields, requestedAddress: offer.yiaddr, serverIdentifier: offer.optionU32(54)! }), ACK);
  return { server, address: offer.yiaddr };
}

test('every node in service answers about every address, whoever owns it, without waiting for the next word about what is committed', () => {
  const world = started();
  for (let client = 0; client < 20; client++) {
    const { address, server } = leaseJustNow(world, client);
    for (const id of [other(server), server]) {
      const asked = world.agenda.now;
      const { at, chaddr, ciaddr, type } = query(world, id, byAddress(address), 100);
      assert.deepEqual([type, ciaddr, chaddr], [LEASEACTIVE, address, chaddrOf(client).toString('hex')]);
      assert.ok(at - asked < 80, `${at - asked} ms on ${id}, leased by ${server}`);
      assert.equal(query(world, id, byHardware(chaddrOf(client)), 100).ciaddr, address);
    }
  }
});

test('a query is answered after a confirmation that began when it had come, and not before', () => {
  const world = started();
  const kinds: string[] = [];
  world.onSent = (from, _peer, message) => {
    if (from === 'b' && message.body !== undefined) kinds.push(message.body.$case);
  };
  world.takeSent();
  send(world, 'b', byAddress('10.0.0.150'));
  assert.deepEqual([answers(world, 'b').length, kinds.includes('confirmRequest')], [0, true], 'not in the turn in which it came');
  world.run(100);
  assert.equal(answers(world, 'b')[0]!.type, LEASEUNASSIGNED);
});

test('a node that cannot ask anybody whether it knows everything does not answer, and counts what it did not answer', () => {
  const world = started();
  const address = leaseJustNow(world, CLIENT).address;
  world.cutLink('a', 'b');
  world.etcdCut.add('b');
  world.takeSent();
  send(world, 'b', byAddress(address));
  send(world, 'b', byAddress('192.0.2.1'));
  assert.equal(world.node('b').engine!.waitingForCommit, 2);
  world.run(COMMIT_TIMEOUT_MS + 200);
  assert.deepEqual(answers(world, 'b'), []);
  assert.deepEqual([world.node('b').counters.drops['commit-timeout'], world.node('b').engine!.waitingForCommit], [2, 0]);
});

test('what another node acknowledged while the link was cut is told all the same: it is read where it was written', () => {
  const world = started();
  world.cutLink('a', 'b');
  world.until('both know of it', () => ['a', 'b'].every((id) => world.stateOf(id) === 'COMMUNICATIONS-INTERRUPTED'));
  const address = world.lease(CLIENT, ['a']);
  assert.notEqual(address, '');
  // Only with its next change does the other node say that this one is committed.
  assert.notEqual(world.lease(CLIENT + 1, ['a']), '');
  const { chaddr, type } = query(world, 'b', byAddress(address), 3000);
  assert.deepEqual([type, chaddr], [LEASEACTIVE, chaddrOf(CLIENT).toString('hex')]);
});

test('an answer about a change that is not committed yet waits for the commit: on the node that made it and on the other', () => {
  for (const asked of ['own', 'other'] as const) {
    const world = started();
    const { address, server } = leaseJustNow(world, CLIENT);
    world.run(2000);
    const id = asked === 'own' ? server : other(server);
    // The change is stored at once where it is made, and durable on both nodes only much later.
    world.node(other(server)).diskSlowUntil = world.agenda.now + 10_000;
    const bytes = release({ xid: 7, chaddr: chaddrOf(CLIENT), ciaddr: address });
    world.node(server).receivePacket(bytes, { address, port: 68, unicast: true });
    world.run(20);
    const { state } = world.node(server).engine!.core;
    assert.ok(state.log.last > state.committedSeq, 'the release is not committed');
    world.takeSent();
    send(world, id, byAddress(address));
    let committedAt = 0;
    let found: Answer[] = [];
    for (let waited = 0; waited < 3000 && found.length === 0; waited++) {
      world.run(1);
      found = answers(world, id);
      if (committedAt === 0 && state.log.last <= state.committedSeq) committedAt = world.agenda.now;
    }
    assert.equal(found[0]?.type, LEASEUNASSIGNED, asked);
    assert.ok(committedAt > 0 && found[0].at >= committedAt - 1, `${asked}: answered at ${found[0].at}, committed at ${committedAt}`);
  }
});

test('a node that knows that it is cut off is silent, and answers again once it is not', () => {
  const world = started();
  world.cutLink('a', 'b');
  world.etcdCut.add('b');
  world.until('b is cut off', () => world.stateOf('b') === 'ISOLATED');
  world.takeSent();
  send(world, 'b', byAddress('10.0.0.150'));
  assert.equal(world.node('b').engine!.waitingForCommit, 0);
  world.run(COMMIT_TIMEOUT_MS + 200);
  assert.deepEqual([answers(world, 'b').length, world.node('b').counters.drops['not-serving']], [0, 1]);
  world.etcdCut.clear();
  world.mendLink('a', 'b');
  world.until('both are back', () => ['a', 'b'].every((id) => world.stateOf(id) === 'NORMAL' && world.serves(id)));
  assert.equal(query(world, 'b', byAddress('10.0.0.150'), 200).type, LEASEUNASSIGNED);
});

test('a node that is put out of the view forgets the questions that wait', () => {
  const world = started();
  world.cutLink('a', 'b');
  world.etcdCut.add('b');
  world.takeSent();
  const asked = 3;
  for (let i = 0; i < asked; i++) send(world, 'b', byAddress('10.0.0.150'));
  assert.equal(world.node('b').engine!.waitingForCommit, asked);
  const view = world.viewInEtcd()!;
  world.putView({ ...view, epoch: view.epoch + 1, members: view.members.filter(({ node }) => node === 'a'), slots: view.slots.map(() => 0) });
  world.etcdCut.clear();
  world.until('b has read that it is out', () => world.stateOf('b') === 'RECOVER', COMMIT_TIMEOUT_MS - 500, 10);
  assert.deepEqual([world.node('b').counters.drops['not-serving'], world.node('b').engine!.waitingForCommit], [asked, 0]);
  world.run(COMMIT_TIMEOUT_MS);
  assert.deepEqual(answers(world, 'b'), []);
});

test('a node that comes back and does not know yet what it has missed is silent', () => {
  const world = started();
  world.crash('b');
  world.until('a is alone', () => world.membersOf('a') === 'a');
  const address = world.lease(CLIENT, ['a']);
  world.boot('b');
  const states = new Set<string>();
  let asked = 0;
  world.takeSent();
  while (!world.serves('b') && !world.node('b').engine!.core.serving()) {
    states.add(world.stateOf('b'));
    send(world, 'b', byAddress(address));
    asked++;
    world.run(10);
  }
  assert.deepEqual(answers(world, 'b'), []);
  assert.equal(world.node('b').counters.drops['not-serving'], asked);
  assert.ok(states.has('RECOVER'), [...states].join(' '));
  assert.equal(query(world, 'b', byAddress(address), 1000).type, LEASEACTIVE);
  assert.equal(query(world, 'b', byHardware(chaddrOf(99)), 1000).type, LEASEUNKNOWN);
});

test('no more questions wait than have a place', () => {
  const world = started();
  world.cutLink('a', 'b');
  world.etcdCut.add('b');
  for (let i = 0; i < QUERIES_WAITING_MAX + 5; i++) send(world, 'b', byAddress(ip('10.0.0.100') + (i % 100)));
  assert.deepEqual([world.node('b').counters.drops.overload, world.node('b').engine!.waitingForCommit], [5, QUERIES_WAITING_MAX]);
});
