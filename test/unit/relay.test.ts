import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { DhcpMessage } from '../../node/codec/message.ts';
import {
  echoedRelayInformation, echoedSubnetSelection, echoedVirtualSubnet, namesVirtualSubnet, relayPort, selectedLink, serverIdentifierOverride,
  storedServerIdentifierOverride,
} from '../../node/server/relay.ts';
import { END, packet, parsed, tlv } from './codec-packets.ts';

const TYPE = tlv(53, [1]);
const RELAY = 0x0a00_0001;

function relayed(information: Uint8Array, giaddr = RELAY): DhcpMessage {
  return parsed(packet({ giaddr, options: Buffer.concat([TYPE, tlv(82, information), END]) }));
}

/** Relay agent information in two pieces, cut at a byte. */
function inPieces(information: Buffer, cut: number): DhcpMessage {
  return parsed(packet({ giaddr: RELAY, options: Buffer.concat([TYPE, tlv(82, information.subarray(0, cut)), tlv(60, [1]), tlv(82, information.subarray(cut)), END]) }));
}

const FULL = Buffer.concat([
  tlv(1, [7, 7]), tlv(2, [8]), tlv(5, [192, 0, 2, 1]), tlv(11, [192, 0, 2, 2]), tlv(12, [9, 9, 9]), tlv(19, []), tlv(151, [255]), tlv(152, []),
]);

test('all that a relay says, in one piece or in two wherever it is cut', () => {
  for (const message of [relayed(FULL), ...Array.from({ length: FULL.length - 1 }, (_, at) => inPieces(FULL, at + 1))]) {
    assert.equal(selectedLink(message, false), 0xc000_0201);
    assert.equal(serverIdentifierOverride(message), 0xc000_0202);
    assert.equal(relayPort(message, 4011), 4011);
    assert.equal(namesVirtualSubnet(message), false);
    assert.deepEqual(echoedRelayInformation(message), FULL.subarray(0, -2));
  }
});

test('a relay that says nothing', () => {
  for (const message of [parsed(packet({ options: Buffer.concat([TYPE, END]) })), relayed(Buffer.of(9, 1, 1)), relayed(Buffer.of(1))]) {
    assert.equal(selectedLink(message, true), undefined);
    assert.deepEqual([serverIdentifierOverride(message), relayPort(message, 4011), namesVirtualSubnet(message)], [0, 67, false]);
    assert.deepEqual([echoedSubnetSelection(message, true), echoedVirtualSubnet(message)], [undefined, undefined]);
  }
});

test('an override that was kept with a binding', () => {
  assert.equal(storedServerIdentifierOverride(FULL), 0xc000_0202);
  for (const information of [Buffer.alloc(0), tlv(11, [1, 2, 3]), tlv(1, [11, 4, 1, 2, 3, 4]), Buffer.of(11, 4, 1, 2, 3)]) {
    assert.equal(storedServerIdentifierOverride(information), 0);
  }
});

test('without a giaddr nobody but the client itself can have said it: it steers nothing', () => {
  const message = relayed(FULL, 0);
  assert.equal(selectedLink(message, false), undefined);
  assert.equal(serverIdentifierOverride(message), 0);
  assert.equal(relayPort(message, 4011), 67);
});

test('addresses over 127.255.255.255 stay positive', () => {
  const message = relayed(Buffer.concat([tlv(5, [255, 255, 255, 255]), tlv(11, [192, 168, 0, 1])]));
  assert.equal(selectedLink(message, false), 0xffff_ffff);
  assert.equal(serverIdentifierOverride(message), 0xc0a8_0001);
});

test('every VSS-Control sub-option is taken out, and nothing else', () => {
  const echoed = (...parts: readonly Buffer[]): string | undefined => echoedRelayInformation(relayed(Buffer.concat(parts)))?.toString('hex');
  assert.equal(echoed(tlv(152, []), tlv(1, [152, 0]), tlv(152, [1, 2]), tlv(2, [3])), '01029800020103');
  assert.equal(echoed(tlv(152, [])), undefined);
  assert.equal(echoed(tlv(1, [1]), Buffer.of(152)), '01010198', 'what is no sub-option stays');
  assert.equal(echoed(tlv(1, [1]), Buffer.of(152, 3, 0)), '010101980300');
});

test('any bytes in options 82, 118 and 221 are read without an error', () => {
  const bytes = fc.uint8Array({ maxLength: 40 });
  const likely = fc.array(fc.tuple(fc.constantFrom(1, 5, 11, 12, 19, 151, 152), fc.uint8Array({ maxLength: 6 })), { maxLength: 5 })
    .map((parts) => Buffer.concat(parts.map(([code, value]) => tlv(code, value))));
  fc.assert(fc.property(fc.oneof(bytes, likely), bytes, bytes, fc.boolean(), fc.boolean(), (information, subnet, network, isRelayed, enabled) => {
    const message = parsed(packet({
      giaddr: isRelayed ? RELAY : 0, options: Buffer.concat([TYPE, tlv(82, information), tlv(118, subnet), tlv(221, network), END]),
    }));
    const link = selectedLink(message, enabled);
    assert.ok(link === undefined || link === 'bad-option' || (Number.isInteger(link) && link >= 0));
    assert.ok(serverIdentifierOverride(message) >= 0);
    assert.ok([67, 5000].includes(relayPort(message, 5000)));
    const rest = echoedRelayInformation(message);
    assert.ok(rest === undefined || (rest.length <= information.length && rest.length > 0) || information.length === 0);
    assert.equal(namesVirtualSubnet(parsed(packet({ giaddr: RELAY, options: Buffer.concat([TYPE, ...(rest === undefined ? [] : [tlv(82, rest)]), tlv(221, network), END]) }))),
      namesVirtualSubnet(message), 'the echo names the same network');
  }));
});
