/**
 * One DHCPLEASEQUERY over UDP, repeated until an answer comes (RFC 4388 §6.6).
 *
 * Servers answer to port 67 of giaddr (RFC 4388 §6.4.3), so this takes that port for the time of the query,
 * and takes it from nobody: without SO_REUSEADDR, or the packets of a server on this host would end up here.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { formatIpv4, parseIpv4 } from '../codec/address.ts';
import { LEASEQUERY_PORT, QueryType } from '../leasequery/messages.ts';
import { Answer } from '../leasequery/requestor/answer.ts';
import { singleQuery, type QuerySubject } from '../leasequery/requestor/queries.ts';
import { newXid, QueryFailure, type QueryServer } from './leasequery-connection.ts';

export interface DatagramQuery {
  readonly server: QueryServer;
  readonly subject: QuerySubject;
  readonly options: readonly number[];
  /** An address of this host; undefined: the one from which the server is reached. */
  readonly giaddr?: number | undefined;
  /** Where the server answers by RFC 8357; undefined: to port 67, which every server does. */
  readonly sourcePort?: number | undefined;
  /** Until the first repetition; each one waits twice as long as the one before. */
  readonly timeoutMs: number;
  /** Repetitions. */
  readonly retries: number;
}

/** RFC 4388 §6.6: at least one query in 70 s. */
const WAIT_MS_MAX = 64_000;

const ANSWERS: ReadonlySet<number> = new Set([QueryType.LEASEACTIVE, QueryType.LEASEUNASSIGNED, QueryType.LEASEUNKNOWN]);

/** Rejects with a QueryFailure: `unreachable` where it cannot be asked from here, `timeout` where no answer comes. */
export async function askByDatagram(query: DatagramQuery): Promise<Answer> {
  const { server, options, subject, sourcePort } = query;
  const giaddr = query.giaddr ?? await sourceAddress(server);
  const socket = createSocket({ type: 'udp4' });
  try {
    await bind(socket, giaddr, sourcePort ?? LEASEQUERY_PORT);
    const xid = newXid();
    const message = singleQuery({ xid, giaddr, subject, options, answerToSourcePort: sourcePort !== undefined });
    for (let attempt = 0; attempt <= query.retries; attempt++) {
      // Of one operator's queries none can meet another, so that RFC 2131 §4.1's chance is not needed.
      const answer = await attemptOnce(socket, server, message, xid, Math.min(query.timeoutMs * 2 ** attempt, Math.max(query.timeoutMs, WAIT_MS_MAX)));
      if (answer !== undefined) return answer;
    }
    const times = query.retries === 0 ? 'the query' : `${query.retries + 1} queries`;
    const port = sourcePort === undefined ? '' : `, or not know RFC 8357 and answer to port ${LEASEQUERY_PORT}, not to --source-port`;
    throw new QueryFailure('timeout', `did not answer ${times}; it may not allow LEASEQUERY from ${formatIpv4(giaddr)}${port}`);
  } finally {
    socket.close();
  }
}

async function attemptOnce(socket: Socket, server: QueryServer, message: Buffer, xid: number, waitMs: number): Promise<Answer | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer | undefined>();
  const onMessage = (bytes: Buffer): void => {
    const answer = new Answer();
    // Port 67 also gets what belongs to relays and other queries.
    if (answer.parse(bytes) === undefined && answer.xid === xid && ANSWERS.has(answer.type)) resolve(answer);
  };
  const timer = setTimeout(() => resolve(undefined), waitMs);
  socket.on('message', onMessage);
  socket.once('error', reject);
  try {
    socket.send(message, server.port, server.host, (error) => {
      if (error !== null) reject(new QueryFailure('unreachable', `cannot be reached: ${error.message}`, { cause: error }));
    });
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.off('message', onMessage);
    socket.off('error', reject);
  }
}

/** Which of this host's addresses the way to the server begins with: the kernel knows, without a packet. */
async function sourceAddress(server: QueryServer): Promise<number> {
  const socket = createSocket('udp4');
  try {
    const connected = once(socket, 'connect');
    socket.connect(server.port, server.host);
    await connected;
    return parseIpv4(socket.address().address)!;
  } catch (cause) {
    throw new QueryFailure('unreachable', `cannot be reached: ${(cause as Error).message}`, { cause });
  } finally {
    socket.close();
  }
}

async function bind(socket: Socket, giaddr: number, port: number): Promise<void> {
  const address = formatIpv4(giaddr);
  try {
    const listening = once(socket, 'listening');
    socket.bind({ address, port, exclusive: true });
    await listening;
  } catch (cause) {
    throw new QueryFailure('unreachable', `cannot be asked from ${address}: ${bindProblem(cause as NodeJS.ErrnoException, port)}`, { cause });
  }
}

function bindProblem({ code, message }: NodeJS.ErrnoException, port: number): string {
  switch (code) {
    case 'EACCES':
      return `taking port ${port} needs privilege (root, or CAP_NET_BIND_SERVICE). ` +
        'Answers go to port 67 (RFC 4388 §6.4.3); servers that know RFC 8357 also answer to --source-port.';
    case 'EADDRINUSE':
      return `port ${port} is taken, by a DHCP server or relay on this host. ` +
        'Ask from another address of this host with --giaddr, or from another host; servers that know RFC 8357 also answer to --source-port.';
    case 'EADDRNOTAVAIL':
      return 'it is no address of this host, and the answer would go to it. Name one that is with --giaddr.';
    default:
      return message;
  }
}
