/**
 * A DHCPDISCOVER with the headers below it, and the offers that come back: as bytes, since a host that serves port 67
 * can neither send from 0.0.0.0 nor hear what is meant for a client through its own sockets.
 */
import { internetChecksum } from '../codec/internet-checksum.ts';
import { DhcpMessage, MessageType, OptionCode } from '../codec/message.ts';

const CLIENT_PORT = 68;
const SERVER_PORT = 67;
const IP_BYTES = 20;
const UDP_BYTES = 8;
const PROTOCOL_UDP = 17;
const BROADCAST = 0xffff_ffff;
const BOOTP_BYTES = 240;
const MESSAGE_BYTES_MIN = 300;
const BROADCAST_FLAG = 0x8000;
/** Servers that divide clients among themselves all answer one that has asked for so long (RFC 3074 §6). */
const SECONDS = 10;
/** Option 61 of what asks here: no client's lease is touched by it (RFC 2132 §9.14, type 0: no hardware address). */
const CLIENT_IDENTIFIER = Buffer.from('\0lessor doctor', 'latin1');

/** RFC 2131 §4.4.1, broadcast, asking for broadcast answers. `hardware`: the interface's own, which switches let through. */
export function discoverPacket(hardware: Buffer, xid: number): Buffer {
  const message = Buffer.alloc(MESSAGE_BYTES_MIN);
  message[0] = 1;
  message[1] = 1;
  message[2] = hardware.length;
  message.writeUInt32BE(xid, 4);
  message.writeUInt16BE(SECONDS, 8);
  message.writeUInt16BE(BROADCAST_FLAG, 10);
  hardware.copy(message, 28);
  message.writeUInt32BE(0x6382_5363, BOOTP_BYTES - 4);
  const options = Buffer.concat([
    Buffer.of(53, 1, MessageType.DISCOVER), Buffer.of(61, CLIENT_IDENTIFIER.length), CLIENT_IDENTIFIER, Buffer.of(55, 3, 1, 3, 6), Buffer.of(255),
  ]);
  options.copy(message, BOOTP_BYTES);
  return ipv4Packet(message);
}

/** RFC 791 and RFC 768, from 0.0.0.0 port 68 to everybody's port 67. */
function ipv4Packet(message: Buffer): Buffer {
  const packet = Buffer.concat([Buffer.alloc(IP_BYTES + UDP_BYTES), message]);
  packet[0] = 0x45;
  packet.writeUInt16BE(packet.length, 2);
  packet[8] = 64;
  packet[9] = PROTOCOL_UDP;
  packet.writeUInt32BE(BROADCAST, 16);
  packet.writeUInt16BE(internetChecksum(packet.subarray(0, IP_BYTES)), 10);
  packet.writeUInt16BE(CLIENT_PORT, IP_BYTES);
  packet.writeUInt16BE(SERVER_PORT, IP_BYTES + 2);
  packet.writeUInt16BE(UDP_BYTES + message.length, IP_BYTES + 4);
  const pseudo = Buffer.alloc(12);
  packet.copy(pseudo, 0, 12, 20);
  pseudo[9] = PROTOCOL_UDP;
  pseudo.writeUInt16BE(UDP_BYTES + message.length, 10);
  // RFC 768: a sum of zero is sent as all ones, since zero says that there is none.
  packet.writeUInt16BE(internetChecksum(Buffer.concat([pseudo, packet.subarray(IP_BYTES)])) || 0xffff, IP_BYTES + 6);
  return packet;
}

/** What an IPv4 packet offers to whoever sent the DHCPDISCOVER with this xid; undefined: it is no such packet. */
export function offerIn(packet: Buffer, xid: number): { readonly server: number; readonly address: number } | undefined {
  if (packet.length < IP_BYTES || packet[0]! >> 4 !== 4 || packet[9] !== PROTOCOL_UDP) return undefined;
  // Without fragments: an offer that comes in pieces is none that a client could use either.
  if ((packet.readUInt16BE(6) & 0x3fff) !== 0) return undefined;
  const udpAt = (packet[0]! & 0x0f) * 4;
  if (packet.length < udpAt + UDP_BYTES || packet.readUInt16BE(udpAt + 2) !== CLIENT_PORT) return undefined;
  const message = new DhcpMessage();
  if (message.parse(packet.subarray(udpAt + UDP_BYTES), 2) !== undefined) return undefined;
  if (message.xid !== xid || message.type !== MessageType.OFFER) return undefined;
  const server = message.optionU32(OptionCode.SERVER_IDENTIFIER);
  return server === undefined ? undefined : { server, address: message.yiaddr };
}
