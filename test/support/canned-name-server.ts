/** A name server for tests that answers as the test says: to each request over UDP or TCP with the messages that it is given. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { decodeMessage } from '../../node/ddns/wire.ts';
import type { DnsMessage } from '../../node/ddns/wire.ts';
import type { DnsServer } from '../../node/ddns/types.ts';
import { framed, FrameReader } from '../../node/leasequery/framing.ts';

export interface CannedRequest {
  readonly bytes: Buffer;
  readonly message: DnsMessage;
  readonly over: 'udp' | 'tcp';
  /** Where it came from. */
  readonly port: number;
  /** Counted from 1. */
  readonly number: number;
}

/** What is sent back, one after the other; none: silence. */
export type Canned = (request: CannedRequest) => readonly Buffer[] | Promise<readonly Buffer[]>;

export interface CannedNameServer {
  readonly server: DnsServer;
  readonly requests: readonly CannedRequest[];
  close(): void;
}

/** A header that answers `request` with this code, and nothing else: as RFC 2136 §3.8 allows. */
export function cannedAnswer({ bytes }: Pick<CannedRequest, 'bytes'>, code: number, flags = 0): Buffer {
  const answer = Buffer.alloc(12);
  bytes.copy(answer, 0, 0, 2);
  answer.writeUInt16BE(0x8000 | flags | (bytes.readUInt16BE(2) & 0x7800) | code, 2);
  return answer;
}

/** On `::1` with `version` 6. */
export async function startCannedNameServer(answer: Canned, version: 4 | 6 = 4): Promise<CannedNameServer> {
  const host = version === 4 ? '127.0.0.1' : '::1';
  const requests: CannedRequest[] = [];
  const take = (bytes: Buffer, over: 'udp' | 'tcp', port: number): CannedRequest => {
    const request = { bytes, message: decodeMessage(bytes)!, over, port, number: requests.length + 1 };
    requests.push(request);
    return request;
  };
  const tcp = createServer((socket) => {
    const frames = new FrameReader(65_535);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      frames.push(bytes);
      for (let message = frames.next(); message !== undefined; message = frames.next()) {
        void Promise.resolve(answer(take(message, 'tcp', socket.remotePort ?? 0))).then((answers) => {
          for (const one of answers) socket.write(framed(one));
        });
      }
    });
  }).listen(0, host);
  await once(tcp, 'listening');
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket(version === 4 ? 'udp4' : 'udp6');
  udp.on('message', (bytes, from) => {
    void Promise.resolve(answer(take(bytes, 'udp', from.port))).then((answers) => {
      for (const one of answers) udp.send(one, from.port, from.address);
    });
  });
  udp.bind(port, host);
  await once(udp, 'listening');
  return {
    server: { host, port }, requests,
    close: () => {
      udp.close();
      tcp.close();
    },
  };
}
