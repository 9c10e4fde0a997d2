/** Who answers whom, as a table: each row is a message, a state of the cluster, and what node a does. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { BindingState, recordClientKey, recordState } from '../../node/lease/record.ts';
import { decline, discover, inform, ip, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { chaddrHomedAt, packetsOf, replyOf, subnetConfig, TestServer, twoNodes } from '../support/dhcp-server.ts';
import type { FakeView, PacketFields } from '../support/dhcp-server.ts';

const NODE_A = ip('10.0.0.2');
const NODE_B = ip('10.0.0.3');
const RELAY = ip('10.0.0.1');
const OVERRIDE: ClientFields = { giaddr: RELAY, relayAgentInformation: Buffer.of(11, 4, 10, 0, 0, 1), serverIdentifier: RELAY };

type Make = (fields: ClientFields, address: number) => Buffer;
const DISCOVER: Make = (fields) => discover(fields);
const SELECTING: Make = (fields, address) => request({ ...fields, requestedAddress: address });
const INIT_REBOOT: Make = (fields, address) => request({ ...fields, requestedAddress: address });
const CIADDR: Make = (fields, address) => request({ ...fields, ciaddr: address });
const INFORM: Make = (fields, address) => inform({ ...fields, ciaddr: address });

interface Row {
  readonly what: string;
  readonly make: Make;
  readonly client: 'a' | 'b';
  readonly fields?: ClientFields;
  readonly packet?: PacketFields;
  readonly view?: (view: FakeView) => void;
  /** 'answers', or the drop reason. */
  readonly outcome: string;
}

const unicast: PacketFields = { unicast: true };
const linkDown = (view: FakeView): void => { view.down.add('b'); };
const partnerDown = (view: FakeView): void => { view.members = ['a']; };
/** This node is on its way out. */
const leaving = (view: FakeView): void => { view.isLeaving = true; };
/** Node c is configured and not in the view. */
const thirdDown = (view: FakeView): void => { view.serverIds.set(ip('10.0.0.4'), 'c'); };

const ROWS: readonly Row[] = [
  { what: 'DISCOVER, own client', make: DISCOVER, client: 'a', outcome: 'answers' },
  { what: "DISCOVER, the other's client", make: DISCOVER, client: 'b', outcome: 'not-responsible' },
  { what: "DISCOVER, the other's client, secs 2", make: DISCOVER, client: 'b', fields: { secs: 2 }, outcome: 'not-responsible' },
  { what: "DISCOVER, the other's client, secs 3", make: DISCOVER, client: 'b', fields: { secs: 3 }, outcome: 'answers' },
  { what: "DISCOVER, secs 2 in the wrong byte order", make: DISCOVER, client: 'b', fields: { secs: 0x200 }, outcome: 'not-responsible' },
  { what: "DISCOVER, secs 4 in the wrong byte order", make: DISCOVER, client: 'b', fields: { secs: 0x400 }, outcome: 'answers' },
  { what: "DISCOVER, the other's client, its link is down", make: DISCOVER, client: 'b', view: linkDown, outcome: 'answers' },
  { what: "DISCOVER, the other's client, it has left the view", make: DISCOVER, client: 'b', view: partnerDown, outcome: 'answers' },
  { what: 'DISCOVER, own client, on its way out', make: DISCOVER, client: 'a', view: leaving, outcome: 'not-responsible' },
  { what: 'SELECTING, this node named, on its way out', make: SELECTING, client: 'b', fields: { serverIdentifier: NODE_A }, view: leaving, outcome: 'answers' },
  { what: 'unicast RENEWING, on its way out', make: CIADDR, client: 'a', packet: unicast, view: leaving, outcome: 'answers' },
  { what: 'REBINDING, own client, on its way out', make: CIADDR, client: 'a', view: leaving, outcome: 'not-responsible' },
  { what: 'SELECTING, this node named', make: SELECTING, client: 'b', fields: { serverIdentifier: NODE_A }, outcome: 'answers' },
  { what: 'SELECTING, a member named', make: SELECTING, client: 'a', fields: { serverIdentifier: NODE_B }, outcome: 'not-responsible' },
  { what: 'SELECTING, a member named, its link is down', make: SELECTING, client: 'a', fields: { serverIdentifier: NODE_B, secs: 9 }, view: linkDown, outcome: 'not-responsible' },
  { what: 'SELECTING, a node outside the view named', make: SELECTING, client: 'a', fields: { serverIdentifier: NODE_B }, view: partnerDown, outcome: 'answers' },
  { what: 'SELECTING, a node outside the view named, own client', make: SELECTING, client: 'a', fields: { serverIdentifier: ip('10.0.0.4') }, view: thirdDown, outcome: 'answers' },
  { what: "SELECTING, a node outside the view named, the other's client", make: SELECTING, client: 'b', fields: { serverIdentifier: ip('10.0.0.4') }, view: thirdDown, outcome: 'not-responsible' },
  { what: 'SELECTING, no node of the cluster named', make: SELECTING, client: 'a', fields: { serverIdentifier: ip('10.0.0.250'), secs: 9 }, outcome: 'other-server' },
  { what: 'SELECTING under an override, own client', make: SELECTING, client: 'a', fields: OVERRIDE, outcome: 'answers' },
  { what: "SELECTING under an override, the other's client", make: SELECTING, client: 'b', fields: OVERRIDE, outcome: 'not-responsible' },
  { what: 'INIT-REBOOT, own client', make: INIT_REBOOT, client: 'a', outcome: 'answers' },
  { what: "INIT-REBOOT, the other's client", make: INIT_REBOOT, client: 'b', outcome: 'not-responsible' },
  { what: "INIT-REBOOT, the other's client, its link is down", make: INIT_REBOOT, client: 'b', view: linkDown, outcome: 'answers' },
  { what: 'unicast RENEWING, own client', make: CIADDR, client: 'a', packet: unicast, outcome: 'answers' },
  { what: "unicast RENEWING, the other's client", make: CIADDR, client: 'b', packet: unicast, outcome: 'answers' },
  { what: "relayed RENEWING, the other's client", make: CIADDR, client: 'b', fields: { giaddr: RELAY }, packet: unicast, outcome: 'not-responsible' },
  { what: 'relayed RENEWING, own client', make: CIADDR, client: 'a', fields: { giaddr: RELAY }, packet: unicast, outcome: 'answers' },
  { what: 'REBINDING, own client', make: CIADDR, client: 'a', outcome: 'answers' },
  { what: "REBINDING, the other's client", make: CIADDR, client: 'b', outcome: 'not-responsible' },
  { what: "REBINDING, the other's client, secs 3", make: CIADDR, client: 'b', fields: { secs: 3 }, outcome: 'answers' },
  { what: 'broadcast INFORM, own client', make: INFORM, client: 'a', outcome: 'answers' },
  { what: "broadcast INFORM, the other's client", make: INFORM, client: 'b', outcome: 'not-responsible' },
  { what: "unicast INFORM, the other's client", make: INFORM, client: 'b', packet: unicast, outcome: 'answers' },
  { what: "relayed INFORM, the other's client", make: INFORM, client: 'b', fields: { giaddr: RELAY }, packet: unicast, outcome: 'not-responsible' },
];

for (const { what, make, client, fields, packet, view: turn, outcome } of ROWS) {
  test(`${what}: ${outcome}`, () => {
    const view = twoNodes();
    const server = new TestServer({ view, subnets: [subnetConfig({ authoritative: true })] });
    const chaddr = chaddrHomedAt(view, client);
    turn?.(view);
    const decision = server.receive(make({ chaddr, ...fields }, ip('10.0.0.150')), { sourceAddress: RELAY, ...packet });
    assert.equal(packetsOf(decision).length, outcome === 'answers' ? 1 : 0);
    assert.deepEqual(server.drops(), outcome === 'answers' ? {} : { [outcome]: 1 });
  });
}

test('a client that asks for maxSeconds without an answer is answered, whatever it writes into secs', () => {
  const view = twoNodes();
  const server = new TestServer({ view });
  const chaddr = chaddrHomedAt(view, 'b');
  assert.equal(packetsOf(server.receive(discover({ chaddr, xid: 1 }))).length, 0);
  server.advance(2900);
  assert.equal(packetsOf(server.receive(discover({ chaddr, xid: 2 }))).length, 0);
  server.advance(100);
  assert.equal(packetsOf(server.receive(discover({ chaddr, xid: 3 }))).length, 1);
});

test('a client that was answered, or was silent for long, waits anew', () => {
  const view = twoNodes();
  const server = new TestServer({ view });
  const chaddr = chaddrHomedAt(view, 'b');
  server.receive(discover({ chaddr }));
  server.receive(request({ chaddr, requestedAddress: ip('10.0.0.151'), serverIdentifier: NODE_B }));
  server.advance(4000);
  assert.equal(packetsOf(server.receive(discover({ chaddr }))).length, 0);
  server.advance(20_001);
  assert.equal(packetsOf(server.receive(discover({ chaddr }))).length, 0);
  server.advance(4000);
  assert.equal(packetsOf(server.receive(discover({ chaddr }))).length, 1);
});

test('a node that sees the client choose another member drops its own offer', () => {
  const view = twoNodes();
  const server = new TestServer({ view });
  const chaddr = chaddrHomedAt(view, 'a');
  const address = replyOf(server.receive(discover({ chaddr }))).yiaddr;
  server.receive(request({ chaddr, requestedAddress: address, serverIdentifier: NODE_B }));
  assert.equal(server.table.offers.size, 0);
});

test("an offer stays while another node answers for one that is outside the view", () => {
  const view = twoNodes();
  view.serverIds.set(ip('10.0.0.4'), 'c');
  const server = new TestServer({ view });
  const chaddr = chaddrHomedAt(view, 'b');
  server.receive(discover({ chaddr, secs: 9 }));
  server.receive(request({ chaddr, requestedAddress: ip('10.0.0.150'), serverIdentifier: ip('10.0.0.4') }));
  assert.equal(server.table.offers.size, 1);
});

// ── changes of another owner's addresses ─────────────────────────────────────────────────────────

test("a lease on another owner's address is forwarded to it, and the DHCPACK waits for that", () => {
  const server = new TestServer({ view: twoNodes() });
  const decision = server.receive(request({ requestedAddress: ip('10.0.0.151'), serverIdentifier: NODE_A }));
  assert.deepEqual([decision.changes.length, decision.forwarded.map(({ owner, address }) => [owner, address])], [0, [['b', ip('10.0.0.151')]]]);
  assert.deepEqual(decision.sendOnCommit.map(({ address, confirm }) => [address, confirm]), [[ip('10.0.0.151'), false]]);
});

test('a copy of a request whose change is on its way to its owner is dropped; once it is there it is answered', () => {
  const server = new TestServer({ view: twoNodes() });
  const packet = request({ requestedAddress: ip('10.0.0.151'), serverIdentifier: NODE_A });
  const { forwarded } = server.receive(packet);
  assert.deepEqual(packetsOf(server.receive(packet)), []);
  assert.deepEqual(server.drops(), { duplicate: 1 });
  server.store(ip('10.0.0.151'), forwarded[0]!.record);
  const copy = server.receive(packet);
  assert.deepEqual([copy.changes, copy.forwarded, copy.sendOnCommit.map(({ confirm }) => confirm)], [[], [], [true]]);
});

test('a forwarded change that was lost is asked for again by the client', () => {
  const server = new TestServer({ view: twoNodes() });
  const packet = request({ requestedAddress: ip('10.0.0.151'), serverIdentifier: NODE_A });
  server.receive(packet);
  server.advance(4000);
  assert.equal(server.receive(packet).forwarded.length, 1);
});

test('a release and a decline are forwarded as well', () => {
  for (const kind of ['release', 'decline'] as const) {
    const server = new TestServer({ view: twoNodes() });
    const address = ip('10.0.0.151');
    server.store(address, server.receive(request({ requestedAddress: address, serverIdentifier: NODE_A })).forwarded[0]!.record);
    server.advance(60_000);
    const bytes = kind === 'release' ? release({ ciaddr: address, xid: 9 }) : decline({ requestedAddress: address, xid: 9 });
    const decision = server.receive(bytes, kind === 'release' ? { unicast: true, sourceAddress: address } : {});
    assert.equal(decision.changes.length, 0);
    assert.deepEqual(decision.forwarded.map(({ owner }) => owner), ['b']);
    assert.equal(recordState(decision.forwarded[0]!.record), kind === 'release' ? BindingState.RELEASED : BindingState.ABANDONED);
    assert.deepEqual(recordClientKey(decision.forwarded[0]!.record), Buffer.from('01525400123456', 'hex'));
  }
});

test('a change of a slot that is still being taken over waits for this node itself to own it', () => {
  const view = twoNodes();
  const server = new TestServer({ view });
  view.pending.add(150);
  const packet = request({ requestedAddress: ip('10.0.0.150'), serverIdentifier: NODE_A });
  const decision = server.receive(packet);
  assert.deepEqual([decision.changes, decision.forwarded.map(({ owner }) => owner)], [[], ['a']]);
  assert.equal(server.server.mayApply(ip('10.0.0.150'), decision.forwarded[0]!.record, server.now), false);
  view.pending.clear();
  assert.equal(server.server.mayApply(ip('10.0.0.150'), decision.forwarded[0]!.record, server.now), true);
});

test('an address of a slot that the view gives to nobody is changed by nobody', () => {
  const view = twoNodes();
  const server = new TestServer({ view });
  view.members = [];
  const decision = server.receive(request({ requestedAddress: ip('10.0.0.150'), serverIdentifier: NODE_A }));
  assert.deepEqual([decision.changes, decision.forwarded, packetsOf(decision)], [[], [], []]);
  assert.deepEqual(server.drops(), { 'not-serving': 1 });
});
