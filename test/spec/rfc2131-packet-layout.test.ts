import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BOOTREPLY, DhcpMessage } from '../../node/codec/message.ts';
import { encodeReply } from '../../node/codec/reply.ts';
import { packet, parsed, replyTo, tlv, udhcpcDiscover } from '../unit/codec-packets.ts';

/** A request with a different value in every field that a reply might copy. */
function distinctRequest(): Buffer {
  return packet({
    htype: 6, chaddr: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], hops: 3, xid: 0xa1b2c3d4, secs: 0x1122, flags: 0x8000,
    ciaddr: 0x01010101, yiaddr: 0x02020202, siaddr: 0x03030303, giaddr: 0x0a0b0c0d, sname: Buffer.alloc(64, 0xaa), file: Buffer.alloc(128, 0xbb),
    options: tlv(53, [1]),
  });
}

test('RFC 2131 §2: the fields of a message lie where Figure 1 has them', () => {
  const message = parsed(distinctRequest());
  assert.equal(message.op, 1);
  assert.equal(message.htype, 6);
  assert.equal(message.hlen, 16);
  assert.equal(message.hops, 3);
  assert.equal(message.xid, 0xa1b2c3d4);
  assert.equal(message.secs, 0x1122);
  assert.equal(message.flags, 0x8000);
  assert.equal(message.ciaddr, 0x01010101);
  assert.equal(message.yiaddr, 0x02020202);
  assert.equal(message.siaddr, 0x03030303);
  assert.equal(message.giaddr, 0x0a0b0c0d);
  assert.deepEqual([...message.chaddr()], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
});

test('RFC 2131 §2: the leftmost bit of the flags field is the BROADCAST flag; the other bits are ignored by servers', () => {
  assert.equal(parsed(packet({ flags: 0x8000, options: tlv(53, [1]) })).broadcast, true);
  assert.equal(parsed(packet({ flags: 0x7fff, options: tlv(53, [1]) })).broadcast, false);
});

test('RFC 2131 §3: the first four octets of the options field contain the decimal values 99, 130, 83 and 99', () => {
  const bytes = encodeReply(replyTo(udhcpcDiscover()));
  assert.deepEqual([...bytes.subarray(236, 240)], [99, 130, 83, 99]);
  for (let i = 236; i < 240; i++) {
    const wrong = udhcpcDiscover();
    wrong[i] = wrong[i]! ^ 1;
    assert.equal(new DhcpMessage().parse(wrong), 'bad-magic');
  }
});

test('RFC 2131 §4.3.1, Table 3: a reply has op BOOTREPLY, htype, hlen, xid, flags, giaddr and chaddr of the request, hops and secs zero', () => {
  const request = distinctRequest();
  const bytes = encodeReply(replyTo(request, { ciaddr: 0x04040404, yiaddr: 0x05050505, boot: { nextServer: 0x06060606, serverHostname: Buffer.alloc(0), bootFileName: Buffer.alloc(0) } }));
  const reply = parsed(bytes, BOOTREPLY);
  assert.equal(reply.htype, 6);
  assert.equal(reply.hlen, 16);
  assert.equal(reply.hops, 0);
  assert.equal(reply.xid, 0xa1b2c3d4);
  assert.equal(reply.secs, 0);
  assert.equal(reply.flags, 0x8000);
  assert.equal(reply.ciaddr, 0x04040404);
  assert.equal(reply.yiaddr, 0x05050505);
  assert.equal(reply.siaddr, 0x06060606);
  assert.equal(reply.giaddr, 0x0a0b0c0d);
  assert.deepEqual(reply.chaddr(), request.subarray(28, 44));
  assert.deepEqual(bytes.subarray(44, 236), Buffer.alloc(192), 'sname and file are not those of the request');
});

test('RFC 2131 §3: one particular option, the "DHCP message type" option, must be included in every DHCP message', () => {
  for (const type of [2, 5, 6]) assert.equal(parsed(encodeReply(replyTo(udhcpcDiscover(), { type, options: [] })), BOOTREPLY).type, type);
});

test('RFC 2131 §4.1: the last option must always be the "end" option', () => {
  const bytes = encodeReply(replyTo(udhcpcDiscover()));
  // 240 + type (3) + server identifier (6) + lease time (6)
  assert.equal(bytes[255], 255);
  assert.deepEqual(bytes.subarray(256), Buffer.alloc(bytes.length - 256), 'and pads follow');
});

test('RFC 1542 §2.1: a BOOTP message has at least 300 octets', () => {
  assert.equal(encodeReply(replyTo(udhcpcDiscover(), { options: [] })).length, 300);
});
