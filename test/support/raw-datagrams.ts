/**
 * A process that sends datagrams from any source port, 0 included, which no ordinary socket can: it
 * writes the UDP header itself. Slowly enough for the receiver to read them all. Needs root.
 *
 * Argument: a file with a JSON array of `RawDatagram`. Prints `sent N` at the end.
 */
import { readFileSync } from 'node:fs';
import koffi from 'koffi';

export interface RawDatagram {
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly hex: string;
}

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_RAW = 255;
const IPPROTO_UDP = 17;
const SOL_SOCKET = 1;
const SO_BROADCAST = 6;
const SO_BINDTODEVICE = 25;
const SERVER_PORT = 67;
/** A multiple of 8, below the MTU. */
const FRAGMENT_BYTES = 1480;
const MORE_FRAGMENTS = 0x2000;
const BURST = 20;
const PAUSE_MS = 5;

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const setsockopt = libc.func('int setsockopt(int fd, int level, int name, void *value, uint32_t length)');
const sendto = libc.func('intptr_t sendto(int fd, void *bytes, size_t length, int flags, void *address, uint32_t addressLength)');

function addressBytes(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

/** RFC 768; a sum of 0 means none. */
function udpOf({ fromPort, hex }: RawDatagram): Buffer {
  const payload = Buffer.from(hex, 'hex');
  const header = Buffer.alloc(8);
  header.writeUInt16BE(fromPort, 0);
  header.writeUInt16BE(SERVER_PORT, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** RFC 791 §3.1, in fragments where it must be; the kernel fills in the sum and the length. */
function packetsOf(datagram: RawDatagram, identification: number): Buffer[] {
  const udp = udpOf(datagram);
  const packets: Buffer[] = [];
  for (let at = 0; at < udp.length; at += FRAGMENT_BYTES) {
    const header = Buffer.alloc(20);
    header.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, IPPROTO_UDP]);
    header.writeUInt16BE(identification, 4);
    header.writeUInt16BE((at + FRAGMENT_BYTES < udp.length ? MORE_FRAGMENTS : 0) | (at / 8), 6);
    addressBytes(datagram.from).copy(header, 12);
    addressBytes(datagram.to).copy(header, 16);
    packets.push(Buffer.concat([header, udp.subarray(at, at + FRAGMENT_BYTES)]));
  }
  return packets;
}

const fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW) as number;
if (fd < 0) throw new Error(`no raw socket: errno ${koffi.errno()}`);
const on = Buffer.alloc(4);
on.writeInt32LE(1);
const device = Buffer.from('eth0\0');
setsockopt(fd, SOL_SOCKET, SO_BROADCAST, on, on.length);
setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, device.length);

const datagrams = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as RawDatagram[];
for (const [i, datagram] of datagrams.entries()) {
  const address = Buffer.alloc(16);
  address.writeUInt16LE(AF_INET, 0);
  addressBytes(datagram.to).copy(address, 4);
  for (const packet of packetsOf(datagram, (i + 1) & 0xffff)) {
    if (Number(sendto(fd, packet, packet.length, 0, address, address.length)) < 0) throw new Error(`datagram ${i}: errno ${koffi.errno()}`);
  }
  if (i % BURST === BURST - 1) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
process.stdout.write(`sent ${datagrams.length}\n`);
