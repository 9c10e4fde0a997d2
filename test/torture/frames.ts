/** Ethernet, ARP, IPv4 and UDP as the torture's clients speak them: written and read by code of its own. */
const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const UDP_BYTES = 8;
const ARP_BYTES = 28;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const PROTOCOL_UDP = 17;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const TTL = 64;

export const EVERYONE: Buffer = Buffer.alloc(6, 0xff);

/** Addresses are text, hardware addresses 6 bytes. */
export interface UdpFrame {
  readonly fromHardware: Buffer;
  readonly toHardware: Buffer;
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly payload: Buffer;
}

/** Somebody asks who has `asked`. */
export interface ArpQuestion {
  readonly fromHardware: Buffer;
  readonly from: string;
  readonly asked: string;
}

function putAddress(into: Buffer, address: string, at: number): void {
  into.set(address.split('.').map(Number), at);
}

function getAddress(from: Buffer, at: number): string {
  return from.subarray(at, at + 4).join('.');
}

/** RFC 1071 over the 20 bytes of a header whose checksum field is zero. */
function headerChecksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < IPV4_BYTES; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Without a UDP checksum, which IPv4 allows. */
export function writeUdpFrame(frame: UdpFrame): Buffer {
  const bytes = Buffer.alloc(ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES + frame.payload.length);
  frame.toHardware.copy(bytes, 0);
  frame.fromHardware.copy(bytes, 6);
  bytes.writeUInt16BE(ETHERTYPE_IPV4, 12);
  const ip = bytes.subarray(ETHERNET_BYTES);
  ip[0] = 0x45;
  ip.writeUInt16BE(bytes.length - ETHERNET_BYTES, 2);
  ip[8] = TTL;
  ip[9] = PROTOCOL_UDP;
  putAddress(ip, frame.from, 12);
  putAddress(ip, frame.to, 16);
  ip.writeUInt16BE(headerChecksum(ip), 10);
  ip.writeUInt16BE(frame.fromPort, IPV4_BYTES);
  ip.writeUInt16BE(frame.toPort, IPV4_BYTES + 2);
  ip.writeUInt16BE(UDP_BYTES + frame.payload.length, IPV4_BYTES + 4);
  frame.payload.copy(ip, IPV4_BYTES + UDP_BYTES);
  return bytes;
}

/** Undefined for anything but a whole UDP datagram; the payload shares the frame's memory. */
export function readUdpFrame(bytes: Buffer): UdpFrame | undefined {
  if (bytes.length < ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES || bytes.readUInt16BE(12) !== ETHERTYPE_IPV4) return undefined;
  const ip = bytes.subarray(ETHERNET_BYTES);
  const headerBytes = (ip[0]! & 0x0f) * 4;
  if (ip[9] !== PROTOCOL_UDP || ip.length < headerBytes + UDP_BYTES) return undefined;
  const length = ip.readUInt16BE(headerBytes + 4);
  if (length < UDP_BYTES || ip.length < headerBytes + length) return undefined;
  return {
    fromHardware: bytes.subarray(6, 12), toHardware: bytes.subarray(0, 6), from: getAddress(ip, 12), to: getAddress(ip, 16),
    fromPort: ip.readUInt16BE(headerBytes), toPort: ip.readUInt16BE(headerBytes + 2),
    payload: ip.subarray(headerBytes + UDP_BYTES, headerBytes + length),
  };
}

export function readArpQuestion(bytes: Buffer): ArpQuestion | undefined {
  if (bytes.length < ETHERNET_BYTES + ARP_BYTES || bytes.readUInt16BE(12) !== ETHERTYPE_ARP) return undefined;
  const arp = bytes.subarray(ETHERNET_BYTES);
  if (arp.readUInt16BE(6) !== ARP_REQUEST) return undefined;
  return { fromHardware: bytes.subarray(6, 12), from: getAddress(arp, 14), asked: getAddress(arp, 24) };
}

/** "I, `hardware`, have what you asked for." */
export function writeArpAnswer(question: ArpQuestion, hardware: Buffer): Buffer {
  const bytes = Buffer.alloc(ETHERNET_BYTES + ARP_BYTES);
  question.fromHardware.copy(bytes, 0);
  hardware.copy(bytes, 6);
  bytes.writeUInt16BE(ETHERTYPE_ARP, 12);
  const arp = bytes.subarray(ETHERNET_BYTES);
  arp.writeUInt16BE(1, 0);
  arp.writeUInt16BE(ETHERTYPE_IPV4, 2);
  arp.set([6, 4], 4);
  arp.writeUInt16BE(ARP_REPLY, 6);
  hardware.copy(arp, 8);
  putAddress(arp, question.asked, 14);
  question.fromHardware.copy(arp, 18);
  putAddress(arp, question.from, 24);
  return bytes;
}
