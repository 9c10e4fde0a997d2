/** Other DHCP servers that clients choose: which are reported, how often, and which never. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { knowsAllServerIds } from '../../cluster/core/state.ts';
import { ROGUE_RELAYS_MAX, ROGUE_REPORT_AGAIN_MS, ROGUE_SERVERS_MAX, ROGUE_SUSPECTED_MS_MAX, ROGUE_SUSPECTED_MS_MIN } from '../../node/limits.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import { chaddrOf, ip, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { TestServer, twoNodes } from '../support/dhcp-server.ts';
import type { PacketFields } from '../support/dhcp-server.ts';
import { SmallCluster } from '../support/small-cluster.ts';

const ROGUE = ip('10.0.0.66');
const NODE_B = ip('10.0.0.3');
let exchanges = 0;

/** A client answers the offer of a server; what is reported of it. */
function chooses(server: TestServer, serverIdentifier: number, fields: ClientFields = {}, packet: PacketFields = {}): Occurrence | undefined {
  const xid = ++exchanges;
  const bytes = request({ xid, chaddr: chaddrOf(xid), requestedAddress: ip('192.168.1.50'), serverIdentifier, ...fields });
  const { events } = server.receive(bytes, packet);
  assert.ok(events.length <= 1 && events.every(({ id }) => id === 'rogue-server'), JSON.stringify(events));
  return events[0];
}

/** Two clients choose it, so far apart that this would be reported. */
function reported(server: TestServer, serverIdentifier: number, fields: ClientFields = {}, packet: PacketFields = {}): Occurrence | undefined {
  assert.equal(chooses(server, serverIdentifier, fields, packet), undefined, 'not for one client');
  server.advance(ROGUE_SUSPECTED_MS_MIN);
  return chooses(server, serverIdentifier, fields, packet);
}

test('a server that two clients choose is reported, with where they are', () => {
  const server = new TestServer();
  assert.deepEqual(reported(server, ROGUE, { chaddr: chaddrOf(7) }), {
    id: 'rogue-server', fields: { server: '10.0.0.66', interface: 'eth0', subnet: '10.0.0.0/24', hardware: '02:00:00:00:00:07', address: '192.168.1.50' },
  });
  assert.deepEqual(server.drops(), { 'other-server': 2 });
  const relayed = reported(server, ip('10.0.0.67'), { giaddr: ip('10.0.0.1') }, { unicast: true, sourceAddress: ip('10.0.0.1') });
  assert.equal(relayed?.fields['relay'], '10.0.0.1');
});

test('a client that moved between its offer and its request, and repeats it, is no second client', () => {
  const server = new TestServer();
  for (let i = 0; i < 20; i++) {
    assert.equal(chooses(server, ROGUE, { xid: 0x77, chaddr: chaddrOf(1) }), undefined);
    server.advance(ROGUE_SUSPECTED_MS_MIN);
  }
});

test('what was named long ago counts for nothing', () => {
  const server = new TestServer();
  chooses(server, ROGUE);
  server.advance(ROGUE_SUSPECTED_MS_MAX + 1);
  assert.notEqual(reported(server, ROGUE), undefined);
});

test('two clients of one moment are not enough: an address of a node may be new', () => {
  const server = new TestServer();
  chooses(server, ROGUE);
  server.advance(ROGUE_SUSPECTED_MS_MIN - 1);
  assert.equal(chooses(server, ROGUE), undefined);
});

test('it is reported once in an interval, for as long as clients choose it', () => {
  const server = new TestServer();
  assert.notEqual(reported(server, ROGUE), undefined);
  let again = 0;
  for (let ms = 0; ms < 3 * ROGUE_REPORT_AGAIN_MS; ms += 1000) {
    if (chooses(server, ROGUE) !== undefined) again++;
    server.advance(1000);
  }
  assert.equal(again, 2);
});

test('no node of the cluster is reported, in the view or not, nor anybody while a member has not said who it is', () => {
  const view = twoNodes();
  const server = new TestServer({ view });
  for (const members of [['a', 'b'], ['a']]) {
    view.members = members;
    const xid = ++exchanges;
    for (const id of [NODE_B, ip('10.0.0.2')]) {
      for (let i = 0; i < 3; i++) {
        const { events } = server.receive(request({ xid: xid + i, requestedAddress: ip('10.0.0.150'), serverIdentifier: id }));
        assert.ok(events.every((event) => event.id !== 'rogue-server'));
        server.advance(ROGUE_SUSPECTED_MS_MIN);
      }
    }
  }
  view.knowsServerIds = false;
  assert.equal(reported(server, ROGUE), undefined);
  view.knowsServerIds = true;
  // What was seen before counts for nothing either.
  assert.notEqual(reported(server, ROGUE), undefined);
});

test('RFC 5107 §4: a relay that stands in for a server is none, also where the request comes through another relay', () => {
  const server = new TestServer();
  const [one, other] = [ip('10.0.0.1'), ip('10.0.0.4')];
  const override = Buffer.of(11, 4, 10, 0, 0, 5);
  const through = (giaddr: number, relayAgentInformation?: Buffer): void => {
    for (let i = 0; i < 2; i++) {
      const xid = ++exchanges;
      const fields = { xid, chaddr: chaddrOf(xid), giaddr, requestedAddress: ip('10.0.0.150'), serverIdentifier: ip('10.0.0.5'), ...(relayAgentInformation === undefined ? {} : { relayAgentInformation }) };
      const { events } = server.receive(request(fields), { unicast: true, sourceAddress: giaddr });
      assert.ok(events.every(({ id }) => id !== 'rogue-server'), JSON.stringify(events));
      server.advance(ROGUE_SUSPECTED_MS_MIN);
    }
  };
  through(one, override);
  through(other);
  assert.equal(reported(server, one, { giaddr: other }, { unicast: true, sourceAddress: other }), undefined, 'an address that a relay has shown');
  const source = ip('10.9.9.9');
  assert.equal(reported(server, source, { giaddr: other }, { unicast: true, sourceAddress: source }), undefined, 'where the packet came from');
});

test('known servers are none to report, as soon as the configuration says so', () => {
  const server = new TestServer({ knownServers: [{ network: ip('10.0.0.64'), prefixLength: 30 }] });
  assert.equal(reported(server, ROGUE), undefined);
  assert.notEqual(reported(server, ip('10.0.0.68')), undefined);
  server.configure({});
  assert.notEqual(reported(server, ROGUE), undefined);
});

test('a client that has an address and names the server of its lease says nothing of who answers now', () => {
  const server = new TestServer();
  assert.equal(reported(server, ROGUE, { ciaddr: ip('10.0.0.150') }), undefined);
});

test('a request that was sent to this node alone says nothing of the link', () => {
  const server = new TestServer();
  assert.equal(reported(server, ROGUE, {}, { unicast: true, sourceAddress: ip('10.0.0.150') }), undefined);
});

test('forged requests in many names neither grow what is remembered nor are reported without end', () => {
  const server = new TestServer();
  let told = 0;
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < ROGUE_SERVERS_MAX; i++) if (chooses(server, ip('172.16.0.0') + round * ROGUE_SERVERS_MAX + i) !== undefined) told++;
    server.advance(ROGUE_SUSPECTED_MS_MIN);
    for (let i = 0; i < ROGUE_SERVERS_MAX; i++) if (chooses(server, ip('172.16.0.0') + round * ROGUE_SERVERS_MAX + i) !== undefined) told++;
  }
  assert.equal(told, ROGUE_SERVERS_MAX, 'within one interval');
  for (let i = 0; i < ROGUE_RELAYS_MAX + 5; i++) {
    server.receive(request({ giaddr: ip('10.0.0.1'), requestedAddress: ip('10.0.0.150'), serverIdentifier: NODE_B, relayAgentInformation: Buffer.of(11, 4, 10, 1, i >> 8, i & 255) }), { unicast: true });
  }
  server.advance(ROGUE_REPORT_AGAIN_MS);
  assert.notEqual(reported(server, ip('10.1.0.0')), undefined, 'the relay that came first is forgotten');
});

test('a node knows the identifiers of all members once it has heard them, and not while a link is down', () => {
  const cluster = new SmallCluster(['a', 'b']);
  const knows = (): boolean => knowsAllServerIds(cluster.node('a').engine!.core.state);
  cluster.start('a');
  cluster.start('b');
  cluster.until('both serve', 20_000, () => cluster.settled('a b'));
  cluster.until('a knows them', 2000, knows);
  cluster.cutLink('a', 'b');
  cluster.until('a knows them no more', 2000, () => !knows());
  cluster.joinLink('a', 'b');
  cluster.until('a knows them again', 5000, knows);
  cluster.crash('b');
  cluster.until('b is out', 10_000, () => cluster.members === 'a' && cluster.settled('a'));
  assert.ok(knows(), 'who is out answers nobody');
});
