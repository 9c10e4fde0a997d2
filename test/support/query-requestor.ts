/** A requestor of RFC 6926 and RFC 7724, as its own end of the connection sees it. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { QueryOption, QueryType } from '../../node/leasequery/messages.ts';
import { clientPacket, parseReply } from './client-packets.ts';
import type { ClientFields } from './client-packets.ts';
import { optionCodes } from './dhcp-server.ts';

const WAIT_MS = 20_000;
const NOTHING = Buffer.alloc(0);
const { BASE_TIME, CLIENT_LAST_TRANSACTION_TIME, DATA_SOURCE, DHCP_STATE, QUERY_END_TIME, QUERY_START_TIME, START_TIME_OF_STATE, STATUS_CODE } = QueryOption;

/** What RFC 6926 §7.2 wants a requestor to ask for, and more. */
export const ALL_TIMES: readonly number[] = [51, CLIENT_LAST_TRANSACTION_TIME, BASE_TIME, START_TIME_OF_STATE, DHCP_STATE, DATA_SOURCE];

export interface QueryFields extends ClientFields {
  readonly startTime?: number;
  readonly endTime?: number;
  readonly yiaddr?: number;
  readonly siaddr?: number;
}

/** Of no client in particular unless the fields name one; by default asks for all times. */
export function query(type: number, { endTime, siaddr = 0, startTime, yiaddr = 0, ...fields }: QueryFields = {}): Buffer {
  const times = { ...(startTime === undefined ? {} : { [QUERY_START_TIME]: u32(startTime) }), ...(endTime === undefined ? {} : { [QUERY_END_TIME]: u32(endTime) }) };
  const packet = clientPacket(type, { htype: fields.chaddr === undefined ? 0 : 1, chaddr: NOTHING, parameters: ALL_TIMES, ...fields, options: { ...times, ...fields.options } });
  packet.writeUInt32BE(yiaddr, 16);
  packet.writeUInt32BE(siaddr, 20);
  return packet;
}

export const bulk = (fields?: QueryFields): Buffer => query(QueryType.BULKLEASEQUERY, fields);
export const active = (fields?: QueryFields): Buffer => query(QueryType.ACTIVELEASEQUERY, fields);
export const startTls = (fields?: QueryFields): Buffer => clientPacket(QueryType.TLS, { htype: 0, chaddr: NOTHING, ...fields });

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** RFC 6926 §6.1. */
export function frame(message: Buffer): Buffer {
  return Buffer.concat([Buffer.of(message.length >> 8, message.length & 255), message]);
}

/** One message of the server. */
export class Told {
  readonly bytes: Buffer;
  readonly type: number;
  readonly xid: number;
  readonly address: number;
  readonly chaddr: Buffer;
  /** In the order in which they stand there. */
  readonly codes: readonly number[];
  readonly #message;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#message = parseReply(bytes);
    this.type = this.#message.type;
    this.xid = this.#message.xid;
    this.address = this.#message.ciaddr;
    this.chaddr = this.#message.chaddr();
    this.codes = optionCodes(bytes);
  }

  option(code: number): Buffer | undefined {
    return this.#message.option(code);
  }

  u32(code: number): number | undefined {
    return this.#message.optionU32(code);
  }

  /** Undefined: none is said, which is success. */
  get status(): number | undefined {
    return this.option(STATUS_CODE)?.[0];
  }

  get text(): string {
    return this.option(STATUS_CODE)?.subarray(1).toString() ?? '';
  }

  get baseTime(): number | undefined {
    return this.u32(BASE_TIME);
  }

  get state(): number | undefined {
    return this.option(DHCP_STATE)?.[0];
  }
}

export class Requestor {
  readonly socket: Socket;
  #stream: Duplex;
  readonly messages: Told[] = [];
  /** The server has ended its side, or all of it. */
  isEnded = false;
  /** Of the certificate that the server has shown. */
  serverSerial: string | undefined;
  #bytes = NOTHING;
  #next = 0;
  #wake: (() => void) | undefined;

  static async connect(port: number): Promise<Requestor> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const requestor = new Requestor(socket);
    await requestor.#until(() => !socket.connecting, 'a connection');
    return requestor;
  }

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#stream = socket;
    socket.on('connect', () => this.#wake?.());
    this.#listen(socket);
  }

  #listen(stream: Duplex): void {
    const ended = (): void => {
      this.isEnded = true;
      this.#wake?.();
    };
    stream.on('error', ended);
    stream.on('end', ended);
    stream.on('close', ended);
    stream.on('data', (bytes: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      while (this.#bytes.length >= 2 && this.#bytes.length >= 2 + this.#bytes.readUInt16BE(0)) {
        const end = 2 + this.#bytes.readUInt16BE(0);
        this.messages.push(new Told(this.#bytes.subarray(2, end)));
        this.#bytes = this.#bytes.subarray(end);
      }
      this.#wake?.();
    });
  }

  /** Messages, each behind its length, in one piece. */
  send(...messages: readonly Buffer[]): void {
    this.sendBytes(Buffer.concat(messages.map(frame)));
  }

  sendBytes(bytes: Buffer): void {
    this.#stream.write(bytes);
  }

  /** Resolves when the kernel has them. */
  async sendPiece(bytes: Buffer): Promise<void> {
    await new Promise<void>((resolve) => this.#stream.write(bytes, () => resolve()));
  }

  /** The next message that has not been taken. */
  async next(): Promise<Told> {
    await this.#until(() => this.messages.length > this.#next || this.isEnded, 'a message');
    const message = this.messages[this.#next++];
    assert.ok(message !== undefined, 'the connection has ended without a message');
    return message;
  }

  /** The next `count` messages. */
  async take(count: number): Promise<Told[]> {
    const taken: Told[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }

  /** All messages up to the DONE of this xid. */
  async untilDone(xid = 0x1234_5678): Promise<Told[]> {
    const taken: Told[] = [];
    for (;;) {
      const message = await this.next();
      taken.push(message);
      if (message.type === QueryType.LEASEQUERYDONE && message.xid === xid) return taken;
    }
  }

  async ask(fields: QueryFields = {}): Promise<Told[]> {
    this.send(bulk(fields));
    return this.untilDone(fields.xid);
  }

  /** All that comes up to the end of the connection. */
  async untilEnd(): Promise<Told[]> {
    await this.#until(() => this.isEnded, 'the end of the connection');
    assert.equal(this.#bytes.length, 0, 'no half of a message');
    const rest = this.messages.slice(this.#next);
    this.#next = this.messages.length;
    return rest;
  }

  /** RFC 7724 §7.2. Rejects where the handshake fails on this side. */
  async secure(options: tls.ConnectionOptions, request: Buffer = startTls()): Promise<Told> {
    this.send(request);
    const answer = await this.next();
    if (answer.status !== undefined) return answer;
    await this.handshake(options);
    return answer;
  }

  async handshake(options: tls.ConnectionOptions): Promise<void> {
    this.socket.removeAllListeners('data');
    const stream = tls.connect({ socket: this.socket, ...options });
    stream.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      stream.once('secureConnect', resolve);
      stream.once('error', reject);
      stream.once('close', () => reject(new Error('the connection was closed during the handshake')));
    });
    this.serverSerial = stream.getPeerCertificate().serialNumber;
    this.#stream = stream;
    this.#listen(stream);
  }

  /** Nothing more is said; what is told is read still. */
  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
    this.socket.destroy();
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const end = performance.now() + WAIT_MS;
    while (!condition()) {
      const left = end - performance.now();
      assert.ok(left > 0, `in vain: ${what}`);
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }
}

/** Addresses of the messages about bindings, with their types. */
export function bindings(messages: readonly Told[]): (readonly [address: number, type: number])[] {
  return messages.filter(({ type }) => type === QueryType.LEASEACTIVE || type === QueryType.LEASEUNASSIGNED).map(({ address, type }) => [address, type] as const);
}

export function addresses(messages: readonly Told[]): number[] {
  return bindings(messages).map(([address]) => address);
}
