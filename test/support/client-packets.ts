/**
 * What DHCP clients and relays send, as bytes, and what came back, as fields: for tests that look at
 * the server from the outside.
 */
import { DhcpMessage } from '../../node/codec/message.ts';

export interface ClientFields {
  /** Default: a locally administered Ethernet address. */
  readonly chaddr?: Buffer;
  readonly htype?: number;
  readonly hops?: number;
  readonly xid?: number;
  readonly secs?: number;
  readonly broadcast?: boolean;
  readonly ciaddr?: number;
  readonly giaddr?: number;
  /** Option 61's value. */
  readonly clientId?: Buffer;
  /** Option 55. */
  readonly parameters?: readonly number[];
  /** Option 50. */
  readonly requestedAddress?: number;
  /** Option 54. */
  readonly serverIdentifier?: number;
  /** Option 82's value; written last. */
  readonly relayAgentInformation?: Buffer;
  /** Any other option, by code. */
  readonly options?: Readonly<Record<number, Buffer>>;
}

export const CLIENT_CHADDR: Buffer = Buffer.from('525400123456', 'hex');
export const PARAMETERS: readonly number[] = [1, 3, 6, 15];

/** "10.0.0.1" as a number. */
export function ip(text: string): number {
  return text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

export function addressOption(address: number): Buffer {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(address);
  return value;
}

/** A hardware address of its own for each number. */
export function chaddrOf(n: number): Buffer {
  const chaddr = Buffer.from('020000000000', 'hex');
  chaddr.writeUInt32BE(n, 2);
  return chaddr;
}

export const discover = (fields: ClientFields = {}): Buffer => clientPacket(1, fields);
export const request = (fields: ClientFields = {}): Buffer => clientPacket(3, fields);
export const decline = (fields: ClientFields = {}): Buffer => clientPacket(4, fields);
export const release = (fields: ClientFields = {}): Buffer => clientPacket(7, fields);
export const inform = (fields: ClientFields = {}): Buffer => clientPacket(8, fields);

/** RFC 951 §3: no option 53. */
export const bootRequest = (fields: ClientFields = {}): Buffer => clientPacket(undefined, fields);

/** RFC 2131 §2, Figure 1. */
export function clientPacket(type: number | undefined, fields: ClientFields): Buffer {
  const header = Buffer.alloc(240);
  const chaddr = fields.chaddr ?? CLIENT_CHADDR;
  header[0] = 1;
  header[1] = fields.htype ?? 1;
  header[2] = chaddr.length;
  header[3] = fields.hops ?? 0;
  header.writeUInt32BE(fields.xid ?? 0x1234_5678, 4);
  header.writeUInt16BE(fields.secs ?? 0, 8);
  header[10] = fields.broadcast === true ? 0x80 : 0;
  header.writeUInt32BE(fields.ciaddr ?? 0, 12);
  header.writeUInt32BE(fields.giaddr ?? 0, 24);
  chaddr.copy(header, 28);
  header.writeUInt32BE(0x6382_5363, 236);

  const parts: Buffer[] = type === undefined ? [header] : [header, option(53, Buffer.of(type))];
  if (fields.clientId !== undefined) parts.push(option(61, fields.clientId));
  if (fields.requestedAddress !== undefined) parts.push(option(50, addressOption(fields.requestedAddress)));
  if (fields.serverIdentifier !== undefined) parts.push(option(54, addressOption(fields.serverIdentifier)));
  for (const [code, value] of Object.entries(fields.options ?? {})) parts.push(option(Number(code), value));
  if (fields.parameters !== undefined) parts.push(option(55, Buffer.from(fields.parameters)));
  if (fields.relayAgentInformation !== undefined) parts.push(option(82, fields.relayAgentInformation));
  parts.push(Buffer.of(255));
  const packet = Buffer.concat(parts);
  return packet.length >= 300 ? packet : Buffer.concat([packet, Buffer.alloc(300 - packet.length)]);
}

/** One option; a value over 255 bytes is split (RFC 3396). */
export function option(code: number, value: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  do {
    const piece = value.subarray(at, at + 255);
    parts.push(Buffer.of(code, piece.length), piece);
    at += 255;
  } while (at < value.length);
  return Buffer.concat(parts);
}

/** A server's answer, parsed. Throws if it is not one. */
export function parseReply(bytes: Buffer): DhcpMessage {
  const message = new DhcpMessage();
  const reason = message.parse(bytes, 2);
  if (reason !== undefined) throw new Error(`not a BOOTREPLY: ${reason}`);
  return message;
}
