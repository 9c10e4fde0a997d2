import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { buildArpProbe, parseArpSender } from '../../node/io/arp-probe.ts';
import { internetChecksum } from '../../node/codec/internet-checksum.ts';
import { buildEchoRequest, parseEchoReply } from '../../node/io/icmp-echo.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** What a host sends back, as a raw socket delivers it. */
function replyTo(request: Buffer, source: number, ipOptions: Buffer = Buffer.alloc(0)): Buffer {
  const message = Buffer.from(request);
  message[0] = 0;
  message.writeUInt16BE(0, 2);
  message.writeUInt16BE(internetChecksum(message), 2);
  const header = Buffer.concat([Buffer.alloc(20), ipOptions]);
  header[0] = 0x40 | (header.length / 4);
  header.writeUInt16BE(header.length + message.length, 2);
  header[8] = 64;
  header[9] = 1;
  header.writeUInt32BE(source, 12);
  return Buffer.concat([header, message]);
}

test('RFC 1071 §3: the checksum is the ones\' complement of the ones\' complement sum of the 16-bit words', () => {
  assert.equal(internetChecksum(hex('0001 f203 f4f5 f6f7')), ~0xddf2 & 0xffff);
  assert.equal(internetChecksum(hex('ffff ffff')), 0);
  assert.equal(internetChecksum(hex('01')), 0xfeff, 'an odd byte is the higher one');
  assert.equal(internetChecksum(Buffer.alloc(0)), 0xffff);
});

test('RFC 792: an echo request is type 8 and code 0, the checksum, the identifier, the sequence number and the data', () => {
  // The sum by hand: 0800 + 1234 + 0001 + 4 * 6c6c = 1cbe5, with its carry cbe6.
  assert.deepEqual(buildEchoRequest(0x1234, 1, hex('6c6c6c6c6c6c6c6c')), hex('0800 3419 1234 0001 6c6c6c6c6c6c6c6c'));
});

test('whatever is sent in an echo request has a checksum that comes out even', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 0xffff }), fc.uint8Array({ maxLength: 40 }), (identifier, sequence, data) => {
    assert.equal(internetChecksum(buildEchoRequest(identifier, sequence, Buffer.from(data))), 0);
  }));
});

test('an echo reply is read as it was asked for, with and without IP options', () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 0xffff }), fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 0xffff_ffff }),
    fc.integer({ min: 0, max: 10 }), fc.uint8Array({ maxLength: 8 }),
    (identifier, sequence, data, source, optionWords, padding) => {
      const packet = replyTo(buildEchoRequest(identifier, sequence, Buffer.from(data)), source, Buffer.alloc(optionWords * 4, 1));
      const reply = parseEchoReply(Buffer.concat([packet, padding]));
      assert.deepEqual(reply, { source, identifier, sequence, data: Buffer.from(data) });
    },
  ));
});

test('no echo reply: requests, errors, wrong checksums, other protocols, cut packets', () => {
  const good = replyTo(buildEchoRequest(7, 8, hex('0102030405060708')), 0x0a000001);
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(good);
    copy[at] = value;
    return copy;
  };
  assert.notEqual(parseEchoReply(good), undefined);
  const request = Buffer.concat([good.subarray(0, 20), buildEchoRequest(7, 8, hex('0102030405060708'))]);
  assert.equal(parseEchoReply(request), undefined, 'a request');
  const unreachable = replyTo(buildEchoRequest(7, 8, Buffer.alloc(8)), 1);
  unreachable[20] = 3;
  unreachable.writeUInt16BE(0, 22);
  unreachable.writeUInt16BE(internetChecksum(unreachable.subarray(20)), 22);
  assert.equal(parseEchoReply(unreachable), undefined, 'destination unreachable');
  assert.equal(parseEchoReply(changed(35, 9)), undefined, 'a wrong checksum');
  assert.equal(parseEchoReply(changed(9, 17)), undefined, 'UDP');
  assert.equal(parseEchoReply(changed(0, 0x65)), undefined, 'IPv6');
  assert.equal(parseEchoReply(changed(0, 0x44)), undefined, 'a header of 16 bytes');
  assert.equal(parseEchoReply(changed(0, 0x4f)), undefined, 'a header past the end');
  assert.equal(parseEchoReply(changed(3, 27)), undefined, 'a length that leaves no message');
  for (let length = 0; length < good.length; length++) assert.equal(parseEchoReply(good.subarray(0, length)), undefined);
});

test('RFC 5227 §2.1.1: an ARP Probe is a request whose sender IP address and target hardware address are all zeroes', () => {
  assert.deepEqual(
    buildArpProbe(hex('024c53000001'), 0x0a010063),
    hex('0001 0800 06 04 0001 024c53000001 00000000 000000000000 0a010063'),
  );
});

test('RFC 5227 §2.1.1: an ARP packet, request or reply, shows who uses its sender address', () => {
  for (const operation of ['0001', '0002']) {
    const packet = hex(`0001 0800 06 04 ${operation} 024c53000009 0a010063 024c53000001 00000000`);
    const sender = { address: 0x0a010063, hardwareAddress: hex('024c53000009') };
    assert.deepEqual(parseArpSender(packet), sender);
    assert.deepEqual(parseArpSender(Buffer.concat([packet, Buffer.alloc(18)])), sender, 'padded to the least length of a frame');
  }
});

test('no ARP of IPv4 over Ethernet: other hardware, protocols, lengths and operations, cut packets', () => {
  const good = hex('0001 0800 06 04 0002 024c53000009 0a010063 024c53000001 00000000');
  for (const [at, value] of [[1, 6], [2, 0x86], [3, 1], [4, 8], [5, 16], [7, 3], [7, 0], [6, 1]] as const) {
    const copy = Buffer.from(good);
    copy[at] = value;
    assert.equal(parseArpSender(copy), undefined, `byte ${at} is ${value}`);
  }
  for (let length = 0; length < good.length; length++) assert.equal(parseArpSender(good.subarray(0, length)), undefined);
});

test('whatever bytes come, reading them does not throw and gives nothing that is not in them', () => {
  const anything = fc.uint8Array({ maxLength: 120 });
  // Close to what is right, so that the later checks are reached.
  const nearlyEcho = fc.tuple(anything, fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 })).map(([data, changes]) => {
    const packet = replyTo(buildEchoRequest(1, 2, Buffer.from(data)), 3);
    for (const [at, value] of changes) packet[at % packet.length] = value;
    return packet;
  });
  const nearlyArp = fc.tuple(fc.uint8Array({ minLength: 20, maxLength: 60 }), fc.nat(3)).map(([rest, operation]) =>
    Buffer.concat([hex('0001 0800 06 04 00'), Buffer.of(operation), rest]));
  fc.assert(fc.property(fc.oneof(anything.map((bytes) => Buffer.from(bytes)), nearlyEcho, nearlyArp), (bytes) => {
    const reply = parseEchoReply(bytes);
    if (reply !== undefined) assert.ok(bytes.includes(reply.data) && reply.source === bytes.readUInt32BE(12));
    const sender = parseArpSender(bytes);
    if (sender !== undefined) assert.deepEqual([sender.hardwareAddress, sender.address], [bytes.subarray(8, 14), bytes.readUInt32BE(14)]);
  }), { numRuns: 2000 });
});
