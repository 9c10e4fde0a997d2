/** What cannot be answered is counted by its reason, once, and is never an exception. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { clientPacket, discover, ip, release, request } from '../support/client-packets.ts';
import { IFACE, packetsOf, TestServer } from '../support/dhcp-server.ts';
import type { PacketFields } from '../support/dhcp-server.ts';
import type { DropReason } from '../../node/telemetry/counters.ts';

const patched = (at: number, value: number): Buffer => {
  const bytes = discover();
  bytes[at] = value;
  return bytes;
};

const ELSEWHERE = { ...IFACE, addresses: [{ address: ip('192.0.2.1'), prefixLength: 24 }] };

const ROWS: readonly { readonly what: string; readonly bytes: Buffer; readonly packet?: PacketFields; readonly reason: DropReason }[] = [
  { what: 'nothing', bytes: Buffer.alloc(0), reason: 'too-short' },
  { what: 'a truncated header', bytes: discover().subarray(0, 239), reason: 'too-short' },
  { what: 'more than the interface carries', bytes: Buffer.concat([discover(), Buffer.alloc(1300)]), reason: 'too-long' },
  { what: 'a reply', bytes: patched(0, 2), reason: 'bad-op' },
  { what: 'another magic cookie', bytes: patched(236, 0), reason: 'bad-magic' },
  { what: 'hlen 17', bytes: patched(2, 17), reason: 'bad-hlen' },
  { what: 'hlen 255', bytes: patched(2, 255), reason: 'bad-hlen' },
  { what: 'an option past the end', bytes: Buffer.concat([discover().subarray(0, 243), Buffer.of(12, 200, 1)]), reason: 'option-truncated' },
  { what: 'a message type of length 0', bytes: Buffer.concat([discover().subarray(0, 240), Buffer.of(53, 0, 255)]), reason: 'bad-message-type' },
  { what: 'BOOTP', bytes: Buffer.concat([discover().subarray(0, 240), Buffer.of(255)]), reason: 'bootp-refused' },
  { what: 'a DHCPOFFER from a client', bytes: clientPacket(2, {}), reason: 'bad-message-type' },
  { what: 'message type 255', bytes: clientPacket(255, {}), reason: 'bad-message-type' },
  { what: 'a requested address of 3 bytes', bytes: request({ options: { 50: Buffer.alloc(3) } }), reason: 'bad-option' },
  { what: 'port 0', bytes: discover(), packet: { sourcePort: 0 }, reason: 'bad-source-port' },
  { what: '17 hops', bytes: discover({ hops: 17, giaddr: ip('10.0.0.1') }), reason: 'hops-exceeded' },
  { what: 'a client without a name', bytes: discover({ chaddr: Buffer.alloc(0) }), reason: 'no-client' },
  { what: 'a relay in no subnet', bytes: discover({ giaddr: ip('192.0.2.1') }), reason: 'unknown-relay' },
  { what: 'an interface that has lost its addresses', bytes: discover(), packet: { iface: { ...IFACE, addresses: [] } }, reason: 'no-subnet' },
  { what: 'an interface in no subnet', bytes: discover(), packet: { iface: ELSEWHERE }, reason: 'no-subnet' },
  { what: 'a release of an address in no subnet', bytes: release({ ciaddr: ip('192.0.2.1') }), reason: 'no-subnet' },
];

for (const { what, bytes, packet, reason } of ROWS) {
  test(`${what}: ${reason}`, () => {
    const server = new TestServer();
    const decision = server.receive(bytes, packet);
    assert.deepEqual([packetsOf(decision), decision.changes, server.drops()], [[], [], { [reason]: 1 }]);
  });
}

test('what comes in is counted by its message type', () => {
  const server = new TestServer();
  for (const bytes of [discover(), discover({ xid: 2 }), request(), clientPacket(200, {}), Buffer.alloc(9)]) server.receive(bytes);
  assert.deepEqual([server.counters.received[0], server.counters.received[1], server.counters.received[3]], [2, 2, 1]);
});
