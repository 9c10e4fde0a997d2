/**
 * ARP packets for IPv4 over Ethernet (RFC 826): building a probe, reading what says who uses an address.
 * Whatever bytes come, nothing throws.
 *
 * Layout: hardware type u16, protocol u16, their address lengths u8 u8, operation u16, sender hardware 6,
 * sender protocol 4, target hardware 6, target protocol 4; an Ethernet frame may pad it.
 */

/** Who sent an ARP packet, as it says itself. */
export interface ArpSender {
  readonly address: number;
  /** Part of the bytes given. */
  readonly hardwareAddress: Buffer;
}

const HARDWARE_ETHERNET = 1;
const PROTOCOL_IPV4 = 0x0800;
const REQUEST = 1;
const REPLY = 2;
const PACKET_BYTES = 28;

/**
 * Asks who uses `address`. RFC 5227 §2.1.1: a probe has no sender address, so that it changes nobody's ARP
 * table; here also because the server only asks on behalf of its client.
 */
export function buildArpProbe(hardwareAddress: Buffer, address: number): Buffer {
  const packet = Buffer.alloc(PACKET_BYTES);
  packet.writeUInt16BE(HARDWARE_ETHERNET, 0);
  packet.writeUInt16BE(PROTOCOL_IPV4, 2);
  packet[4] = 6;
  packet[5] = 4;
  packet.writeUInt16BE(REQUEST, 6);
  hardwareAddress.copy(packet, 8, 0, 6);
  packet.writeUInt32BE(address, 24);
  return packet;
}

/**
 * The sender of an ARP packet, request or reply: either shows that it uses the address it sends from
 * (RFC 5227 §2.1.1). Undefined for anything else.
 */
export function parseArpSender(packet: Buffer): ArpSender | undefined {
  if (packet.length < PACKET_BYTES || packet.readUInt16BE(0) !== HARDWARE_ETHERNET || packet.readUInt16BE(2) !== PROTOCOL_IPV4) return undefined;
  if (packet[4] !== 6 || packet[5] !== 4) return undefined;
  const operation = packet.readUInt16BE(6);
  if (operation !== REQUEST && operation !== REPLY) return undefined;
  return { address: packet.readUInt32BE(14), hardwareAddress: packet.subarray(8, 14) };
}
