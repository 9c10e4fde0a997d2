/** Servers of LEASEQUERY that do what a test says, and what they send. */
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { TLSSocket } from 'node:tls';
import { DhcpMessage } from '../../node/codec/message.ts';
import { framed, FrameReader } from '../../node/leasequery/framing.ts';
import { QueryOption, QueryType } from '../../node/leasequery/messages.ts';
import { Authority } from '../support/certificates.ts';

export interface AnswerFields {
  readonly type: number;
  readonly xid: number;
  /** As in "10.0.0.5". */
  readonly address?: string;
  /** Ethernet, in hex. */
  readonly hardware?: string;
  readonly options?: Readonly<Record<number, Buffer>>;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A BOOTREPLY, byte by byte: nothing of what is tested writes it. */
export function answer({ type, xid, address = '0.0.0.0', hardware = '', options = {} }: AnswerFields): Buffer {
  const header = Buffer.alloc(240);
  header[0] = 2;
  header[1] = hardware === '' ? 0 : 1;
  header[2] = hardware.length / 2;
  header.writeUInt32BE(xid, 4);
  Buffer.from(address.split('.').map(Number)).copy(header, 12);
  Buffer.from(hardware, 'hex').copy(header, 28);
  header.writeUInt32BE(0x63825363, 236);
  const values = Object.entries({ 53: Buffer.of(type), ...options }).map(([code, value]) => Buffer.concat([Buffer.of(Number(code), value.length), value]));
  return Buffer.concat([header, ...values, Buffer.of(255)]);
}

export interface Change {
  readonly address: string;
  /** UTC seconds, all three. */
  readonly base: number;
  readonly since: number;
  readonly lastTransaction?: number;
  readonly state?: number;
  readonly leaseEnds?: number;
  readonly options?: Readonly<Record<number, Buffer>>;
}

/** A binding as servers send it to those who follow it. */
export function change(xid: number, { address, base, since, lastTransaction = since, state = 2, leaseEnds = since + 3600, options = {} }: Change): Buffer {
  return answer({
    type: state === 2 ? QueryType.LEASEACTIVE : QueryType.LEASEUNASSIGNED, xid, address, hardware: '525400123456',
    options: {
      ...(state === 2 ? { 51: u32(leaseEnds - base) } : {}), 91: u32(base - lastTransaction),
      [QueryOption.BASE_TIME]: u32(base), [QueryOption.START_TIME_OF_STATE]: u32(base - since), [QueryOption.DHCP_STATE]: Buffer.of(state), ...options,
    },
  });
}

export function status(xid: number, type: number, code: number, text = '', baseTime?: number): Buffer {
  return answer({
    type, xid,
    options: { [QueryOption.STATUS_CODE]: Buffer.concat([Buffer.of(code), Buffer.from(text)]), ...(baseTime === undefined ? {} : { [QueryOption.BASE_TIME]: u32(baseTime) }) },
  });
}

/** The server's side of one connection. */
export class Peer {
  #socket: Socket;
  #frames = new FrameReader(65_535);

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => undefined);
  }

  /** The next message of the requestor. */
  async query(): Promise<DhcpMessage> {
    for (;;) {
      const bytes = this.#frames.next();
      if (bytes !== undefined) {
        const message = new DhcpMessage();
        assert.equal(message.parse(bytes), undefined);
        return message;
      }
      const chunk = this.#socket.read() as Buffer | null;
      if (chunk !== null) this.#frames.push(chunk);
      else await Promise.race([once(this.#socket, 'readable'), once(this.#socket, 'close').then(() => Promise.reject(new Error('closed')))]);
    }
  }

  /** Answers a query; each message is made with its transaction id. */
  async send(...messages: readonly Buffer[]): Promise<void> {
    await this.raw(Buffer.concat(messages.map(framed)));
  }

  async raw(bytes: Buffer): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
  }

  end(): void {
    this.#socket.end();
  }

  /** As after a crash. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** Resolves when the requestor has closed the connection. */
  async closed(): Promise<void> {
    this.#socket.resume();
    // Also by an error: a reset is an end.
    if (!this.#socket.closed) await new Promise((resolve) => this.#socket.once('close', resolve));
  }

  /** From here on everything goes over TLS. */
  async startTls({ ca, cert, key }: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer }): Promise<void> {
    this.#socket.removeAllListeners('readable');
    const secure = new TLSSocket(this.#socket, { isServer: true, ca, cert, key, requestCert: true, rejectUnauthorized: true });
    secure.on('error', () => undefined);
    this.#socket = secure;
    this.#frames = new FrameReader(65_535);
    await once(secure, 'secure');
    // What node:tls's own server would do: who shows no certificate is let in no further.
    if (secure.getPeerCertificate().subject === undefined) secure.destroy();
  }
}

/** @returns "127.0.0.1:PORT"; `script` runs for each connection, the first is 0. `mayFail`: where the requestor breaks off. */
export async function startServer(
  context: TestContext, script: (peer: Peer, connection: number) => Promise<void>, { mayFail = false } = {},
): Promise<string> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const failures: unknown[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    script(new Peer(socket), connections++).catch((error: unknown) => {
      failures.push(error);
      // Nobody is to wait for what will not come.
      socket.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    if (!mayFail) assert.deepEqual(failures, []);
  });
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

export function jsonLines(out: string): Record<string, unknown>[] {
  return out.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);
}

export function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-leasequery-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority, and what it has signed: for a server called dhcp.test, and for a requestor. Files of PEM. */
export function makeCertificates(folder: string): { readonly ca: string; readonly server: Certificate; readonly requestor: Certificate } {
  const authority = new Authority('test authority', folder);
  const issue = (name: string): Certificate => {
    const { certificate, key } = authority.issue(name);
    return { cert: certificate, key };
  };
  return { ca: authority.own.certificate, server: issue('dhcp.test'), requestor: issue('requestor') };
}

export function readCertificate({ cert, key }: Certificate, ca: string): { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } {
  return { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
}
