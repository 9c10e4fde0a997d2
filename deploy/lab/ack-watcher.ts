/**
 * Runs on perfdhcp's host and reads along what arrives there: perfdhcp does not tell which addresses its
 * clients got. Prints `ready`, then for each DHCPACK with an address a line `AT CHADDR ADDRESS SECONDS`,
 * AT in ms of wall time.
 *
 * A packet socket sees copies of what the host receives and takes nothing away from perfdhcp.
 */
import koffi from 'koffi';
import { BatchReceiver } from '../../node/io/libc.ts';
import { MessageType, readServerMessage } from './client-wire.ts';

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const setsockopt = libc.func('int setsockopt(int fd, int level, int name, void *value, uint32_t length)');

const AF_PACKET = 17;
/** The frame's header is cut off. */
const SOCK_DGRAM = 2;
const ETH_P_IP_BIG_ENDIAN = 0x0008;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const RECEIVE_BUFFER_BYTES = 8 << 20;
const POLL_MS = 20;
const BATCH = 64;
const FRAME_BYTES_MAX = 2048;
const UDP = 17;
const UDP_HEADER_BYTES = 8;
const SERVER_PORT = 67;

const fd = socket(AF_PACKET, SOCK_DGRAM, ETH_P_IP_BIG_ENDIAN) as number;
if (fd < 0) throw new Error(`no packet socket: errno ${koffi.errno()}`);
const size = Buffer.alloc(4);
size.writeInt32LE(RECEIVE_BUFFER_BYTES);
setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
const receiver = new BatchReceiver(BATCH, FRAME_BYTES_MAX);

/** The UDP payload of a reply to a relay agent, which is what perfdhcp plays. */
function dhcpOf(packet: Buffer): Buffer | undefined {
  const headerBytes = (packet[0]! & 0x0f) * 4;
  if (packet.length < headerBytes + UDP_HEADER_BYTES || packet[9] !== UDP) return undefined;
  if (packet.readUInt16BE(headerBytes) !== SERVER_PORT || packet.readUInt16BE(headerBytes + 2) !== SERVER_PORT) return undefined;
  return packet.subarray(headerBytes + UDP_HEADER_BYTES);
}

setInterval(() => {
  const lines: string[] = [];
  for (let count = BATCH; count === BATCH;) {
    count = receiver.receive(fd);
    const at = performance.timeOrigin + performance.now();
    for (let i = 0; i < count; i++) {
      const payload = dhcpOf(receiver.bytes(i));
      const reply = payload === undefined ? undefined : readServerMessage(payload);
      if (reply?.type !== MessageType.ack || reply.leaseSeconds === 0) continue;
      lines.push(`${at.toFixed(0)} ${reply.chaddr} ${reply.yiaddr} ${reply.leaseSeconds}\n`);
    }
  }
  if (lines.length > 0) process.stdout.write(lines.join(''));
}, POLL_MS);
process.stdout.write('ready\n');
