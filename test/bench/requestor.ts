/**
 * A requestor for measurements, as a process of its own; one line of JSON at the end.
 *
 *   node requestor.ts bulk SERVER              one query for all configured addresses
 *   node requestor.ts single SELF SERVER RATE SECONDS FIRST COUNT
 *                                             so many LEASEQUERY a second by address, from FIRST on
 */
import dgram from 'node:dgram';
import { connect } from 'node:net';

const PORT = 67;
const TYPE_AT = 242;
const HEADER_BYTES = 240;
const MAGIC_COOKIE = 0x6382_5363;
const ANSWERS_MS = 500;
/** All that is of interest to a requestor, but for what takes long to work out. */
const PARAMETERS = [51, 61, 82, 91, 152, 153, 156, 157];

function query(type: number, xid: number, ciaddr: number, giaddr: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = 1;
  header.writeUInt32BE(xid, 4);
  header.writeUInt32BE(ciaddr, 12);
  header.writeUInt32BE(giaddr, 24);
  header.writeUInt32BE(MAGIC_COOKIE, 236);
  return Buffer.concat([header, Buffer.of(53, 1, type, 55, PARAMETERS.length, ...PARAMETERS, 255)]);
}

const addressOf = (text: string): number => Buffer.from(text.split('.').map(Number)).readUInt32BE(0);

/** Counts answers by type as they come; reads as fast as it can. */
async function bulk(server: string): Promise<unknown> {
  const socket = connect(PORT, server);
  const message = query(14, 1, 0, 0);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  const began = performance.now();
  socket.write(Buffer.concat([length, message]));
  const types: Record<number, number> = {};
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of socket) {
    const bytes = rest.length === 0 ? chunk as Buffer : Buffer.concat([rest, chunk as Buffer]);
    let at = 0;
    while (at + 2 <= bytes.length) {
      const end = at + 2 + bytes.readUInt16BE(at);
      if (end > bytes.length) break;
      const type = bytes[at + 2 + TYPE_AT]!;
      types[type] = (types[type] ?? 0) + 1;
      at = end;
    }
    rest = bytes.subarray(at);
    if ((types[15] ?? 0) > 0) break;
  }
  socket.destroy();
  return { types, seconds: (performance.now() - began) / 1000 };
}

async function single(self: string, server: string, rate: number, seconds: number, first: number, count: number): Promise<unknown> {
  const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 });
  await new Promise<void>((resolve) => socket.bind(PORT, self, resolve));
  await new Promise<void>((resolve) => socket.connect(PORT, server, resolve));
  const giaddr = addressOf(self);
  const types: Record<number, number> = {};
  socket.on('message', (bytes) => {
    types[bytes[TYPE_AT]!] = (types[bytes[TYPE_AT]!] ?? 0) + 1;
  });
  let sent = 0;
  const began = performance.now();
  while (performance.now() - began < seconds * 1000) {
    const due = (performance.now() - began) / 1000 * rate;
    for (; sent < due; sent++) socket.send(query(10, sent, first + sent % count, giaddr));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await new Promise((resolve) => setTimeout(resolve, ANSWERS_MS));
  socket.close();
  return { sent, types };
}

const [mode, ...rest] = process.argv.slice(2);
const numbers = rest.slice(2).map(Number);
const result = mode === 'bulk' ? bulk(rest[0]!) : single(rest[0]!, rest[1]!, numbers[0]!, numbers[1]!, numbers[2]!, numbers[3]!);
process.stdout.write(`${JSON.stringify(await result)}\n`);
