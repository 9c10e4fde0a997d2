/**
 * A requestor for measurements, as a process of its own; one line of JSON at the end.
 *
 *   node requestor.ts bulk SERVER              one query for all configured addresses
 *   node requestor.ts single SELF SERVER RATE SECONDS FIRST COUNT
 *                                             so many LEASEQUERY a second by address, from FIRST on
 *   node requestor.ts abuse SERVER COUNT       so many connections in turn: silence, garbage, half messages, queries
 *                                             that nobody reads the answers of
 *   node requestor.ts stall SERVER SECONDS     asks for everything on one connection and reads nothing
 */
import { randomBytes, randomInt } from 'node:crypto';
import dgram from 'node:dgram';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { parseIpv4 } from '../../node/codec/address.ts';
import { framed } from '../../node/leasequery/framing.ts';
import { activeQuery, bulkQuery, singleQuery, tlsRequest } from '../../node/leasequery/requestor/queries.ts';

const PORT = 67;
const TYPE_AT = 242;
const HEADER_BYTES = 240;
const ANSWERS_MS = 500;
/** All that is of interest to a requestor, but for what takes long to work out. */
const PARAMETERS = [51, 61, 82, 91, 152, 153, 156, 157];

const everything = (xid: number): Buffer => bulkQuery({ xid, options: PARAMETERS });

/** Counts answers by type as they come; reads as fast as it can. */
async function bulk(server: string): Promise<unknown> {
  const socket = connect(PORT, server);
  const began = performance.now();
  socket.write(framed(everything(1)));
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
  const giaddr = parseIpv4(self)!;
  const types: Record<number, number> = {};
  socket.on('message', (bytes) => {
    types[bytes[TYPE_AT]!] = (types[bytes[TYPE_AT]!] ?? 0) + 1;
  });
  let sent = 0;
  const began = performance.now();
  while (performance.now() - began < seconds * 1000) {
    const due = (performance.now() - began) / 1000 * rate;
    for (; sent < due; sent++) socket.send(singleQuery({ xid: sent, giaddr, subject: { by: 'address', address: first + sent % count }, options: PARAMETERS }));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await new Promise((resolve) => setTimeout(resolve, ANSWERS_MS));
  socket.close();
  return { sent, types };
}

/** What is sent on a connection before it is dropped, in turn. */
const ABUSES: readonly ((socket: Socket) => void)[] = [
  () => undefined,
  (socket) => socket.write(randomBytes(1 + randomInt(600))),
  (socket) => socket.write(framed(everything(1)).subarray(0, 2 + randomInt(200))),
  (socket) => socket.write(Buffer.of(0xff, 0xff)),
  (socket) => socket.write(framed(Buffer.concat([everything(1).subarray(0, HEADER_BYTES), randomBytes(60)]))),
  (socket) => socket.write(Buffer.concat(Array.from({ length: 8 }, (_, i) => framed(everything(i))))),
  (socket) => socket.write(framed(tlsRequest(1))),
  (socket) => socket.write(framed(activeQuery({ xid: 1, options: PARAMETERS }))),
];

/** One after the other, each open for a moment, some ended by a reset. */
async function abuse(server: string, count: number): Promise<unknown> {
  let refused = 0;
  const began = performance.now();
  for (let n = 0; n < count; n++) {
    await new Promise<void>((resolve) => {
      const socket = connect(PORT, server);
      const end = (): void => {
        if (n % 3 === 0) socket.resetAndDestroy();
        else socket.destroy();
        resolve();
      };
      socket.on('connect', () => {
        ABUSES[n % ABUSES.length]!(socket);
        if (n % 16 === 5) setTimeout(end, 5);
        else setImmediate(end);
      });
      socket.on('error', () => {
        refused++;
        resolve();
      });
    });
  }
  return { connections: count, refused, seconds: (performance.now() - began) / 1000 };
}

async function stall(server: string, seconds: number): Promise<unknown> {
  const socket = connect(PORT, server);
  socket.pause();
  let closedAfter = 0;
  const began = performance.now();
  socket.on('close', () => {
    closedAfter = (performance.now() - began) / 1000;
  });
  socket.on('error', () => undefined);
  socket.write(framed(everything(1)));
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  socket.destroy();
  return { closedAfter };
}

const [mode, ...rest] = process.argv.slice(2);
const numbers = rest.slice(2).map(Number);
const MODES: Readonly<Record<string, () => Promise<unknown>>> = {
  bulk: () => bulk(rest[0]!),
  single: () => single(rest[0]!, rest[1]!, numbers[0]!, numbers[1]!, numbers[2]!, numbers[3]!),
  abuse: () => abuse(rest[0]!, Number(rest[1])),
  stall: () => stall(rest[0]!, Number(rest[1])),
};
process.stdout.write(`${JSON.stringify(await MODES[mode!]!())}\n`);
