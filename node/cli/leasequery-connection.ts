/**
 * A requestor's connection to a server: DHCP messages over TCP (RFC 6926 §6.1), or over TLS that is begun
 * by DHCPTLS (RFC 7724 §7.2). Who does not ask for messages reads none: the pace is the caller's.
 */
import { randomBytes } from 'node:crypto';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { MESSAGE_BYTES_MAX } from '../codec/message.ts';
import { framed, FrameReader } from '../leasequery/framing.ts';
import { QueryStatus, QueryType } from '../leasequery/messages.ts';
import { Answer, statusName } from '../leasequery/requestor/answer.ts';
import { tlsRequest } from '../leasequery/requestor/queries.ts';

/** Until the connection, and TLS on it, must stand. */
export const CONNECT_MS_MAX = 10_000;
/** BULK_LQ_DATA_TIMEOUT (RFC 6926 §6.3). */
export const BULK_DATA_MS_MAX = 300_000;
/** ACTIVE_LQ_RCV_TIMEOUT (RFC 7724 §5.3). */
export const ACTIVE_RECEIVE_MS_MAX = 120_000;

export interface QueryServer {
  readonly host: string;
  readonly port: number;
}

/** "dhcp1.example:67". */
export function serverName({ host, port }: QueryServer): string {
  return `${host}:${port}`;
}

/** PEM, each. */
export interface TlsTerms {
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** Undefined: those that the system trusts. */
  readonly ca?: Buffer | undefined;
  /** Whom the certificate must name; undefined: the host. */
  readonly serverName?: string | undefined;
}

/**
 * - `unreachable`: no connection
 * - `tls`: no TLS on it
 * - `timeout`: nothing came for too long
 * - `closed`: the connection ended before the query did
 * - `protocol`: what came is no answer to the query
 * - `refused`: the server has ended the query with a status
 * - `stopped`: the caller has asked for the end
 */
export type QueryFailureCode = 'unreachable' | 'tls' | 'timeout' | 'closed' | 'protocol' | 'refused' | 'stopped';

/** The message goes on after the server's name. */
export class QueryFailure extends Error {
  readonly code: QueryFailureCode;

  constructor(code: QueryFailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'QueryFailure';
    this.code = code;
  }
}

export interface ConnectionOptions {
  /** Undefined: plain TCP. */
  readonly tls?: TlsTerms | undefined;
  readonly connectMs?: number;
  /** Ends the connection, and whatever waits for it. */
  readonly signal?: AbortSignal | undefined;
}

/** A transaction id that no other query has (RFC 6926 §7.1). */
export function newXid(): number {
  return randomBytes(4).readUInt32BE();
}

export class LeaseQueryConnection {
  #socket: Socket;
  readonly #frames = new FrameReader(MESSAGE_BYTES_MAX);
  readonly #signal: AbortSignal | undefined;
  #failure: Error | undefined;
  #isEnded = false;
  #wake: () => void = () => undefined;
  readonly #onAbort = (): void => this.#fail(new QueryFailure('stopped', 'was told to stop'));

  private constructor(socket: Socket, signal: AbortSignal | undefined) {
    this.#socket = socket;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort);
    this.#listen();
  }

  /** Rejects with a QueryFailure. */
  static async open(server: QueryServer, { tls, connectMs = CONNECT_MS_MAX, signal }: ConnectionOptions = {}): Promise<LeaseQueryConnection> {
    if (signal?.aborted) throw new QueryFailure('stopped', 'was told to stop');
    const socket = connect({ host: server.host, port: server.port, noDelay: true, keepAlive: true });
    const connection = new LeaseQueryConnection(socket, signal);
    try {
      await connection.#until('connect', connectMs, 'unreachable', `no connection within ${connectMs / 1000} s`);
      if (tls !== undefined) await connection.#startTls(server, tls, connectMs);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Resolves when the kernel has the message. */
  async send(message: Buffer, timeoutMs = BULK_DATA_MS_MAX): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // RFC 6926 §7.2: a server that does not read is given up.
    const timer = setTimeout(() => reject(new QueryFailure('timeout', `did not take the query within ${timeoutMs / 1000} s`)), timeoutMs);
    this.#socket.write(framed(message), (error) => (error ? reject(this.#failure ?? brokenOff(error)) : resolve()));
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * The whole messages that have come, one at least; undefined: the server has closed the connection in
   * good order. They stay as they are. Rejects with a QueryFailure, `timeout` where nothing at all comes for so long.
   */
  async receive(timeoutMs: number): Promise<readonly Buffer[] | undefined> {
    for (;;) {
      const chunk = this.#socket.read() as Buffer | null;
      if (chunk !== null) {
        const messages = this.#unframe(chunk);
        if (messages.length > 0) return messages;
      } else if (this.#failure !== undefined) {
        throw this.#failure;
      } else if (this.#isEnded) {
        if (this.#frames.isWithin) throw new QueryFailure('closed', 'closed the connection in the middle of a message');
        return undefined;
      } else {
        await this.#activity(timeoutMs);
      }
    }
  }

  /** In good order: what was sent arrives (RFC 6926 §7.8). */
  close(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#socket.destroySoon();
  }

  #unframe(chunk: Buffer): Buffer[] {
    this.#frames.push(chunk);
    const messages: Buffer[] = [];
    for (let message = this.#frames.next(); message !== undefined; message = this.#frames.next()) messages.push(message);
    return messages;
  }

  #listen(): void {
    this.#socket.on('readable', this.#onActivity);
    this.#socket.on('end', this.#onEnd);
    this.#socket.on('close', this.#onEnd);
    this.#socket.on('error', this.#onError);
  }

  readonly #onActivity = (): void => this.#wake();

  readonly #onEnd = (): void => {
    this.#isEnded = true;
    this.#wake();
  };

  readonly #onError = (error: Error): void => this.#fail(brokenOff(error));

  /** The first reason counts: what follows is its consequence. */
  #fail(failure: QueryFailure): void {
    this.#failure ??= failure;
    this.#socket.destroy();
    this.#wake();
  }

  /** Until something has happened on the socket. */
  async #activity(timeoutMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = (): void => reject(new QueryFailure('timeout', `sent nothing for ${timeoutMs / 1000} s`));
    // A process that stood still may find its timers over before it has looked at its sockets: it looks first.
    const timer = setTimeout(() => setImmediate(late), timeoutMs);
    this.#wake = resolve;
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#wake = () => undefined;
    }
  }

  /** `code` and `late`: how it fails other than by the caller's wish. */
  async #until(event: 'connect' | 'secureConnect', timeoutMs: number, code: QueryFailureCode, late: string): Promise<void> {
    const seen = { isThere: false };
    const onEvent = (): void => {
      seen.isThere = true;
      this.#wake();
    };
    this.#socket.once(event, onEvent);
    try {
      while (!seen.isThere) {
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#isEnded) throw new QueryFailure('closed', 'closed the connection');
        await this.#activity(timeoutMs);
      }
    } catch (error) {
      const { message, code: how } = error as QueryFailure;
      if (how === 'stopped') throw error;
      throw new QueryFailure(code, how === 'timeout' ? late : message, { cause: error });
    } finally {
      this.#socket.off(event, onEvent);
    }
  }

  /** RFC 7724 §7.2: TLS begins on this connection when the server agrees, and not otherwise. */
  async #startTls(server: QueryServer, terms: TlsTerms, timeoutMs: number): Promise<void> {
    await this.send(tlsRequest(newXid()), timeoutMs);
    const messages = await this.receive(timeoutMs).catch((error: unknown) => {
      const { code, message } = error as QueryFailure;
      throw code === 'stopped' ? error : new QueryFailure('tls', `offers no TLS (no answer to DHCPTLS: ${message})`, { cause: error });
    });
    if (messages === undefined) throw new QueryFailure('tls', 'offers no TLS (it closed the connection at DHCPTLS)');
    const problem = refusalOfTls(messages[0]!);
    if (problem !== undefined) throw new QueryFailure('tls', problem);
    // Whoever put it there, it would not be under TLS's protection.
    if (messages.length > 1 || this.#frames.isWithin) throw new QueryFailure('protocol', 'sent more than its DHCPTLS before TLS');

    const plain = this.#socket;
    // Its errors stay this connection's; what it brings is TLS's now.
    plain.off('readable', this.#onActivity).off('end', this.#onEnd).off('close', this.#onEnd);
    const name = terms.serverName ?? server.host;
    this.#socket = connectTls({
      // RFC 7525 §3.1.1.
      socket: plain, minVersion: 'TLSv1.2', host: name,
      // An address is no name to ask for (RFC 6066 §3); the certificate must name it all the same.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(terms.ca === undefined ? {} : { ca: terms.ca }),
      ...(terms.cert === undefined ? {} : { cert: terms.cert }),
      ...(terms.key === undefined ? {} : { key: terms.key }),
    });
    this.#isEnded = false;
    this.#listen();
    await this.#until('secureConnect', timeoutMs, 'tls', `TLS did not come about within ${timeoutMs / 1000} s`);
  }
}

/** Undefined: the server agrees. */
function refusalOfTls(message: Buffer): string | undefined {
  const answer = new Answer();
  const problem = answer.parse(message);
  if (problem !== undefined) return `offers no TLS (its answer to DHCPTLS is no DHCP message: ${problem})`;
  const { type, status, statusText } = answer;
  if (type === QueryType.TLS && status === QueryStatus.SUCCESS) return undefined;
  const words = status === QueryStatus.SUCCESS ? `message type ${type}` : [statusName(status), ...(statusText === '' ? [] : [statusText])].join(': ');
  return `refuses TLS (${words})`;
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was closed',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name could not be resolved',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'the connection timed out',
};

function brokenOff(error: NodeJS.ErrnoException & { readonly reason?: unknown }): QueryFailure {
  // OpenSSL's own message is for its developers; certificate errors have an array or a sentence there, and a good message.
  const tls = error.code?.startsWith('ERR_SSL_') && typeof error.reason === 'string' ? `TLS: ${error.reason}` : undefined;
  return new QueryFailure('closed', REASONS[error.code ?? ''] ?? tls ?? error.message, { cause: error });
}
