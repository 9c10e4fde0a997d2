/** DHCP messages for tests, as common clients and relays lay them out. */
import { DhcpMessage } from '../../node/codec/message.ts';
import type { ReplyFields } from '../../node/codec/reply.ts';
import type { OptionValue } from '../../node/config/types.ts';

export const END = Buffer.from([255]);

export function tlv(code: number, value: Uint8Array | readonly number[]): Buffer {
  return Buffer.from([code, value.length, ...value]);
}

export interface PacketFields {
  readonly op?: number;
  readonly htype?: number;
  readonly chaddr?: readonly number[];
  readonly hops?: number;
  readonly xid?: number;
  readonly secs?: number;
  readonly flags?: number;
  readonly ciaddr?: number;
  readonly yiaddr?: number;
  readonly siaddr?: number;
  readonly giaddr?: number;
  readonly sname?: Uint8Array;
  readonly file?: Uint8Array;
  /** The options field after the magic cookie. */
  readonly options: Uint8Array;
}

export function packet(fields: PacketFields): Buffer {
  const chaddr = fields.chaddr ?? [0x52, 0x54, 0, 0x12, 0x34, 0x56];
  const bytes = Buffer.alloc(240 + fields.options.length);
  bytes[0] = fields.op ?? 1;
  bytes[1] = fields.htype ?? 1;
  bytes[2] = chaddr.length;
  bytes[3] = fields.hops ?? 0;
  bytes.writeUInt32BE(fields.xid ?? 0x3903f326, 4);
  bytes.writeUInt16BE(fields.secs ?? 0, 8);
  bytes.writeUInt16BE(fields.flags ?? 0, 10);
  bytes.writeUInt32BE(fields.ciaddr ?? 0, 12);
  bytes.writeUInt32BE(fields.yiaddr ?? 0, 16);
  bytes.writeUInt32BE(fields.siaddr ?? 0, 20);
  bytes.writeUInt32BE(fields.giaddr ?? 0, 24);
  bytes.set(chaddr, 28);
  bytes.set(fields.sname ?? [], 44);
  bytes.set(fields.file ?? [], 108);
  bytes.set([0x63, 0x82, 0x53, 0x63], 236);
  bytes.set(fields.options, 240);
  return bytes;
}

/** DISCOVER of busybox udhcpc: client identifier, vendor class, padded to 300 bytes. */
export function udhcpcDiscover(): Buffer {
  const options = Buffer.concat([
    tlv(53, [1]), tlv(61, [1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]), tlv(57, [2, 64]),
    tlv(55, [1, 3, 6, 12, 15, 28, 42]), tlv(60, Buffer.from('udhcp 1.35.0')), END,
  ]);
  return packet({ secs: 1, options: Buffer.concat([options, Buffer.alloc(60 - options.length)]) });
}

/** REQUEST of ISC dhclient in SELECTING, with a host name. */
export function dhclientRequest(): Buffer {
  const options = Buffer.concat([
    tlv(53, [3]), tlv(54, [10, 0, 0, 1]), tlv(50, [10, 1, 0, 7]), tlv(12, Buffer.from('workstation')),
    tlv(55, [1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42]), END,
  ]);
  return packet({ secs: 3, options: Buffer.concat([options, Buffer.alloc(Math.max(0, 60 - options.length))]) });
}

/** DISCOVER through a relay: giaddr, a hop, relay agent information last. */
export function relayedDiscover(): Buffer {
  return packet({
    hops: 1, giaddr: 0x0a000001, flags: 0x8000,
    options: Buffer.concat([
      tlv(53, [1]), tlv(61, [0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), tlv(51, [0, 0, 14, 16]), tlv(55, [1, 3, 6, 15]),
      tlv(80, []), tlv(82, [1, 4, 0x65, 0x74, 0x68, 0x30, 2, 6, 0, 1, 2, 3, 4, 5]), END,
    ]),
  });
}

/** A DISCOVER whose options go on in file and sname, one of them split over all three fields. */
export function overloadedDiscover(): Buffer {
  return packet({
    options: Buffer.concat([tlv(52, [3]), tlv(53, [1]), tlv(43, [1, 2]), END]),
    file: Buffer.concat([tlv(43, [3]), tlv(12, Buffer.from('in-file')), END]),
    sname: Buffer.concat([tlv(60, Buffer.from('in-sname')), tlv(43, [4, 5, 6]), END]),
  });
}

export const SAMPLES: readonly (() => Buffer)[] = [udhcpcDiscover, dhclientRequest, relayedDiscover, overloadedDiscover];

export function parsed(bytes: Buffer, op = 1): DhcpMessage {
  const message = new DhcpMessage();
  const reason = message.parse(bytes, op);
  if (reason !== undefined) throw new Error(`not parsed: ${reason}`);
  return message;
}

export const SERVER_ID: OptionValue = { code: 54, value: Buffer.from([10, 0, 0, 1]) };
export const LEASE_TIME: OptionValue = { code: 51, value: Buffer.from([0, 0, 14, 16]) };

export function replyTo(request: Buffer, fields: Partial<ReplyFields> = {}): ReplyFields {
  return {
    request: parsed(request), type: 2, ciaddr: 0, yiaddr: 0x0a010007, boot: undefined,
    options: [SERVER_ID, LEASE_TIME], relayAgentInformation: undefined, maxBytes: 548, ...fields,
  };
}
