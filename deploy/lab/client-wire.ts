/**
 * DHCP as the lab's scripted clients speak it: written and read by code of its own, so that a mistake in
 * the server's codec cannot hide from its checker. RFC 2131 §2 has the layout.
 */
const OPTIONS_AT = 240;
const MAGIC = 0x6382_5363;
const MESSAGE_BYTES = 300;

export const MessageType = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7 } as const;

export interface ClientMessage {
  readonly type: number;
  readonly xid: number;
  readonly chaddr: Buffer;
  readonly secs?: number;
  readonly broadcast?: boolean;
  /** Addresses as text, here and below. */
  readonly ciaddr?: string;
  /** Option 50. */
  readonly requested?: string;
  /** Option 51. */
  readonly leaseSeconds?: number;
  /** Option 54. */
  readonly serverId?: string;
  /** Option 61, whole. */
  readonly clientId?: Buffer;
  /** What a relay agent adds: its address, and the circuit that the client is on (RFC 3046 sub-option 1). */
  readonly relay?: { readonly giaddr: string; readonly circuitId: string };
}

export interface ServerMessage {
  readonly type: number;
  readonly xid: number;
  /** Hex. */
  readonly chaddr: string;
  readonly yiaddr: string;
  readonly serverId: string;
  readonly leaseSeconds: number;
}

function addressBytes(address: string): number[] {
  return address.split('.').map(Number);
}

function secondsBytes(seconds: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(seconds);
  return bytes;
}

function relayAgentInformation(circuitId: string): number[] {
  const circuit = Buffer.from(circuitId);
  return [82, circuit.length + 2, 1, circuit.length, ...circuit];
}

export function writeClientMessage(message: ClientMessage): Buffer {
  const bytes = Buffer.alloc(MESSAGE_BYTES);
  bytes.writeUInt8(1, 0);
  bytes.writeUInt8(1, 1);
  bytes.writeUInt8(6, 2);
  bytes.writeUInt32BE(message.xid, 4);
  bytes.writeUInt16BE(message.secs ?? 0, 8);
  bytes.writeUInt16BE(message.broadcast === true ? 0x8000 : 0, 10);
  bytes.set(addressBytes(message.ciaddr ?? '0.0.0.0'), 12);
  if (message.relay !== undefined) {
    bytes.writeUInt8(1, 3);
    bytes.set(addressBytes(message.relay.giaddr), 24);
  }
  message.chaddr.copy(bytes, 28);
  bytes.writeUInt32BE(MAGIC, 236);
  const options = [
    53, 1, message.type,
    ...(message.requested === undefined ? [] : [50, 4, ...addressBytes(message.requested)]),
    ...(message.leaseSeconds === undefined ? [] : [51, 4, ...secondsBytes(message.leaseSeconds)]),
    ...(message.serverId === undefined ? [] : [54, 4, ...addressBytes(message.serverId)]),
    ...(message.clientId === undefined ? [] : [61, message.clientId.length, ...message.clientId]),
    // What a host asks for: mask, router, name servers, domain name, lease time.
    ...(message.type === MessageType.release || message.type === MessageType.decline ? [] : [55, 5, 1, 3, 6, 15, 51]),
    ...(message.relay === undefined ? [] : relayAgentInformation(message.relay.circuitId)),
    255,
  ];
  bytes.set(options, OPTIONS_AT);
  return bytes;
}

/** Undefined for anything but a whole reply of a server. */
export function readServerMessage(bytes: Buffer): ServerMessage | undefined {
  if (bytes.length <= OPTIONS_AT || bytes[0] !== 2 || bytes.readUInt32BE(236) !== MAGIC) return undefined;
  const options = new Map<number, Buffer>();
  for (let at = OPTIONS_AT; at < bytes.length && bytes[at] !== 255;) {
    if (bytes[at] === 0) {
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? bytes.length;
    if (at + 2 + length > bytes.length) return undefined;
    options.set(bytes[at]!, bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  const type = options.get(53);
  const server = options.get(54);
  const leaseTime = options.get(51);
  if (type?.length !== 1 || server?.length !== 4) return undefined;
  return {
    type: type[0]!, xid: bytes.readUInt32BE(4), chaddr: bytes.toString('hex', 28, 34),
    yiaddr: bytes.subarray(16, 20).join('.'), serverId: server.join('.'),
    leaseSeconds: leaseTime?.length === 4 ? leaseTime.readUInt32BE() : 0,
  };
}
