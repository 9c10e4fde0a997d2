/**
 * ICMP echo messages (RFC 792): building a request, reading a reply. Whatever bytes come, nothing throws.
 *
 * Layout: type u8, code u8, checksum u16, identifier u16, sequence u16, then data that a reply returns as it
 * came. A raw socket delivers the IPv4 header (RFC 791 §3.1) before it.
 */
import { internetChecksum } from '../codec/internet-checksum.ts';

/** A reply as it came: who sent it is only what its header says. */
export interface EchoReply {
  readonly source: number;
  readonly identifier: number;
  readonly sequence: number;
  /** Part of the bytes given. */
  readonly data: Buffer;
}

const ECHO_REPLY = 0;
const ECHO_REQUEST = 8;
const PROTOCOL_ICMP = 1;
const ICMP_HEADER_BYTES = 8;
const IPV4_HEADER_BYTES_MIN = 20;

export function buildEchoRequest(identifier: number, sequence: number, data: Buffer): Buffer {
  const message = Buffer.alloc(ICMP_HEADER_BYTES + data.length);
  message[0] = ECHO_REQUEST;
  message.writeUInt16BE(identifier, 4);
  message.writeUInt16BE(sequence, 6);
  data.copy(message, ICMP_HEADER_BYTES);
  message.writeUInt16BE(internetChecksum(message), 2);
  return message;
}

/** Undefined for anything but a whole and correct echo reply. */
export function parseEchoReply(packet: Buffer): EchoReply | undefined {
  if (packet.length < IPV4_HEADER_BYTES_MIN || packet[0]! >> 4 !== 4 || packet[9] !== PROTOCOL_ICMP) return undefined;
  const headerBytes = (packet[0]! & 15) * 4;
  const end = packet.readUInt16BE(2);
  if (headerBytes < IPV4_HEADER_BYTES_MIN || end > packet.length || end < headerBytes + ICMP_HEADER_BYTES) return undefined;
  const message = packet.subarray(headerBytes, end);
  // A raw socket is given messages before the kernel has looked at their checksum.
  if (message[0] !== ECHO_REPLY || message[1] !== 0 || internetChecksum(message) !== 0) return undefined;
  return {
    source: packet.readUInt32BE(12), identifier: message.readUInt16BE(4), sequence: message.readUInt16BE(6),
    data: message.subarray(ICMP_HEADER_BYTES),
  };
}
