/**
 * One connection of a requestor: messages in, the answers of its queries out. First DHCPTLS where it wants TLS, then
 * queries, several at a time; or one that follows changes, alone (RFC 7724 §8.3).
 *
 * What it sends is read only as far as it may be answered; whatever else happens on it ends it, and nothing more.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { BOOTREQUEST, DhcpMessage } from '../../codec/message.ts';
import { addressFromText } from '../../io/interfaces.ts';
import { QUERY_BYTES_MAX } from '../../limits.ts';
import { FrameReader } from '../framing.ts';
import { goesBackSeconds } from '../goes-back.ts';
import { QueryStatus, QueryType } from '../messages.ts';
import { headerOf, isRefusal, readActiveQuery, readBulkQuery } from '../query.ts';
import type { ActiveQuery, BulkQuery, QueryHeader, Refusal } from '../query.ts';
import type { QueryKind, QueryOutcome, QueryProtocol } from '../query-counters.ts';
import { statusMessage } from '../stream-answers.ts';
import type { QueryPlan } from '../stream-answers.ts';
import { runBulk } from './bulk-run.ts';
import type { Moment } from './bulk-run.ts';
import { Follower, terminated } from './follower.ts';
import type { FollowedChanges } from './followed-changes.ts';
import { Outgoing } from './outgoing.ts';
import type { QueryLimits } from './query-limits.ts';
import { offersTls, secured } from './tls.ts';
import type { TlsFiles } from '../../config/types.ts';

/** What a connection may ask of the thread. */
export interface QueryServices {
  readonly tls: TlsFiles | undefined;
  readonly changes: FollowedChanges;
  readonly clustered: boolean;
  readonly limits: QueryLimits;
  plan(): QueryPlan;
  /** A moment of the store that may be told as a whole, or why there is none. */
  moment(): Promise<Moment | string>;
  mayAsk(requestor: number): boolean;
  setFollowing(follower: Follower, connection: Connection, follows: boolean): void;
  count(protocol: QueryProtocol, kind: QueryKind, outcome: QueryOutcome): void;
  countRecords(by: number): void;
}

interface Running {
  readonly query: BulkQuery;
  /** Answers that were written. */
  told: number;
}

export class Connection {
  readonly name: string;
  readonly #socket: Socket;
  #stream: Duplex;
  readonly #services: QueryServices;
  /** Its address. */
  readonly requestor: number;
  readonly #serverIdentifier: number;
  readonly #reader = new FrameReader(QUERY_BYTES_MAX);
  readonly #message = new DhcpMessage();
  readonly #out: Outgoing;
  /** By xid. */
  readonly #running = new Map<number, Running>();
  #follower: Follower | undefined;
  #isFirst = true;
  #isSecure = false;
  #isHandshaking = false;
  /** The other side has no more to say. */
  #hasEnded = false;
  #activeAt = performance.now();

  constructor(socket: Socket, services: QueryServices) {
    this.#socket = socket;
    this.#stream = socket;
    this.#services = services;
    this.name = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
    this.requestor = addressFromText(socket.remoteAddress ?? '');
    this.#serverIdentifier = addressFromText(socket.localAddress ?? '');
    this.#out = new Outgoing(socket);
    socket.on('error', () => this.destroy());
    socket.on('close', () => this.#closed());
    this.#read(socket);
  }

  #read(stream: Duplex): void {
    stream.on('data', (bytes: Buffer) => {
      // Nothing that comes after this side's last word counts.
      if (this.#out.isClosed) return;
      this.#reader.push(bytes);
      this.#takeMessages();
    });
    stream.on('end', () => this.#ended());
  }

  /** RFC 6926 §8.5, RFC 7724 §8.4: this side closes too, when what was asked before is answered: the other side may still listen. */
  #ended(): void {
    this.#hasEnded = true;
    if (this.#running.size === 0) this.terminate('the other side has ended the connection');
  }

  /** RFC 7724 §8.1: what is not secured is closed, unless that is switched on by itself. */
  get mayFollow(): boolean {
    const { active } = this.#services.plan().config.leaseQuery;
    return active !== undefined && (this.#isSecure || active.insecure);
  }

  /** Once a second: ends what has been idle, or is not being read. */
  tick(base: number): void {
    const idleMs = this.#services.plan().config.leaseQuery.idleSeconds * 1000;
    if (this.#follower !== undefined) {
      const ended = this.#follower.tick(base);
      if (ended !== undefined) this.#endFollowing(ended);
    } else if (this.#out.blockedMs() > idleMs) this.destroy();
    else if (this.#running.size === 0 && performance.now() - this.#activeAt > idleMs) this.close();
  }

  /** Something has come that followers are told of. */
  pump(): void {
    const ended = this.#follower?.pump();
    if (ended !== undefined) this.#endFollowing(ended);
  }

  /** Everything on it ends, with a word where there is room for it (RFC 6926 §8.5, RFC 7724 §8.4). */
  terminate(text: string): void {
    if (this.#follower !== undefined) this.#endFollowing(terminated(text));
    else {
      for (const { query, told } of this.#running.values()) this.#done(query, { status: QueryStatus.QUERY_TERMINATED, text }, told);
      this.close();
    }
  }

  close(): void {
    if (this.#out.isClosed) return;
    if (this.#isHandshaking) return this.destroy();
    this.#out.end();
    // What comes still is passed over, up to the other side's end.
    this.#stream.resume();
    // Whoever does not close its side has had its time.
    setTimeout(() => this.destroy(), this.#services.limits.closeMs).unref();
  }

  destroy(): void {
    this.#out.close();
    this.#stream.destroy();
    this.#socket.destroy();
  }

  #closed(): void {
    this.#out.close();
    if (this.#follower !== undefined) this.#services.setFollowing(this.#follower, this, false);
    this.#follower = undefined;
  }

  // ── messages ─────────────────────────────────────────────────────────────────────────────────

  #takeMessages(): void {
    const { queriesPerConnection } = this.#services.plan().config.leaseQuery;
    while (!this.#out.isClosed) {
      if (this.#isHandshaking) return;
      // RFC 6926 §8.4: no more are read than are answered at a time.
      if (this.#running.size >= queriesPerConnection) {
        this.#stream.pause();
        return;
      }
      let bytes: Buffer | undefined;
      try {
        bytes = this.#reader.next();
      } catch {
        this.destroy();
        return;
      }
      if (bytes === undefined) break;
      this.#onMessage(bytes);
    }
    this.#stream.resume();
  }

  #onMessage(bytes: Buffer): void {
    const message = this.#message;
    // RFC 7724 §8.1.1: what is no query over TCP ends the connection.
    if (message.parse(bytes, BOOTREQUEST) !== undefined) return this.destroy();
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    this.#activeAt = performance.now();
    switch (message.type) {
      case QueryType.TLS:
        return isFirst ? this.#secure(headerOf(message)) : this.destroy();
      case QueryType.BULKLEASEQUERY:
        return this.#onBulk(headerOf(message), readBulkQuery(message));
      case QueryType.ACTIVELEASEQUERY:
        return this.#onActive(headerOf(message), readActiveQuery(message));
      default:
        return this.destroy();
    }
  }

  /** RFC 7724 §8.1: an answer without a status, and then the handshake; anything else ends the connection. */
  #secure(query: QueryHeader): void {
    const { tls } = this.#services;
    if (tls === undefined || !offersTls(tls)) {
      this.#out.write(statusMessage(query, { type: QueryType.TLS, status: QueryStatus.TLS_CONNECTION_REFUSED, text: 'no TLS here' }));
      return this.close();
    }
    this.#isHandshaking = true;
    this.#out.write(statusMessage(query, { type: QueryType.TLS }));
    const socket = this.#socket;
    socket.removeAllListeners('data');
    socket.removeAllListeners('end');
    const rest = this.#reader.takeRest();
    if (rest.length > 0) socket.unshift(rest);
    const names = this.#services.plan().config.leaseQuery.active?.names ?? [];
    secured(socket, tls, names, this.#services.limits.handshakeMs).then((stream) => {
      this.#isHandshaking = false;
      this.#isSecure = true;
      this.#stream = stream;
      this.#out.switchTo(stream);
      stream.on('error', () => this.destroy());
      this.#read(stream);
    }, () => this.destroy());
    return undefined;
  }

  // ── bulk queries ─────────────────────────────────────────────────────────────────────────────

  #onBulk(header: QueryHeader, query: BulkQuery | Refusal): void {
    const refusal = isRefusal(query) ? query : this.#refusalOf(header);
    if (refusal !== undefined) {
      this.#services.count('bulk', isRefusal(query) ? 'all' : query.primary.by, outcomeOf(refusal.status));
      this.#done(header, refusal);
      return;
    }
    const running = { query: query as BulkQuery, told: 0 };
    this.#running.set(header.xid, running);
    void this.#answer(running);
  }

  #refusalOf({ xid }: QueryHeader): Refusal | undefined {
    if (this.#follower !== undefined) return { status: QueryStatus.NOT_ALLOWED, text: 'changes are followed on this connection' };
    if (this.#running.has(xid)) return { status: QueryStatus.NOT_ALLOWED, text: 'another query with this xid is under way' };
    return this.#services.mayAsk(this.requestor) ? undefined : { status: QueryStatus.NOT_ALLOWED, text: 'too many queries from this address' };
  }

  async #answer(running: Running): Promise<void> {
    const services = this.#services;
    const { query } = running;
    const onRecords = (by: number): void => {
      running.told += by;
      services.countRecords(by);
    };
    let end: Refusal;
    let isAborted = false;
    try {
      const moment = await services.moment();
      if (typeof moment === 'string') end = terminated(moment);
      else {
        end = await runBulk(query, moment, {
          plan: services.plan(), out: this.#out, serverIdentifier: this.#serverIdentifier, onRecords, snapshotMs: services.limits.snapshotMs,
        });
        isAborted = end.status !== QueryStatus.SUCCESS;
      }
    } catch (error) {
      // A store that cannot be read: the node itself finds out, and says so.
      end = { status: QueryStatus.UNSPEC_FAIL, text: (error as Error).message };
      isAborted = true;
    }
    this.#running.delete(query.xid);
    this.#activeAt = performance.now();
    services.count('bulk', query.primary.by, outcomeOf(end.status));
    this.#done(query, end, running.told);
    // RFC 6926 §8.5: with what had to be aborted the connection ends.
    if (isAborted) return this.terminate('another query on this connection had to be aborted');
    this.#takeMessages();
    if (this.#hasEnded && this.#running.size === 0) this.close();
    return undefined;
  }

  /** The last message of a query; with the server identifier where it is the first one as well (RFC 6926 §8.3). */
  #done(query: QueryHeader, { status, text }: Refusal, told = 0): void {
    const serverIdentifier = told === 0 ? this.#serverIdentifier : 0;
    this.#out.write(statusMessage(query, { type: QueryType.LEASEQUERYDONE, status, text, serverIdentifier }));
  }

  // ── following ────────────────────────────────────────────────────────────────────────────────

  #onActive(header: QueryHeader, query: ActiveQuery | Refusal): void {
    const refusal = isRefusal(query) ? query : this.#activeRefusal(header);
    if (refusal !== undefined) {
      this.#services.count('active', 'all', outcomeOf(refusal.status));
      const { status, text } = refusal;
      this.#out.write(statusMessage(header, { type: QueryType.LEASEQUERYSTATUS, status, text, serverIdentifier: this.#serverIdentifier }));
      // RFC 7724 §8.2: the connection ends, and what is under way on it with it.
      return this.terminate('a query for changes on this connection was refused');
    }
    const services = this.#services;
    const { changes, clustered, limits } = services;
    const follower = new Follower({
      query: query as ActiveQuery, plan: () => services.plan(), out: this.#out, changes, serverIdentifier: this.#serverIdentifier,
      marginSeconds: clustered ? goesBackSeconds(services.plan().config) : 0, onRecord: () => services.countRecords(1), limits,
    });
    this.#follower = follower;
    this.#services.setFollowing(follower, this, true);
    void this.#beginFollowing(follower);
    return undefined;
  }

  #activeRefusal(header: QueryHeader): Refusal | undefined {
    const { active } = this.#services.plan().config.leaseQuery;
    const notAllowed = (text: string): Refusal => ({ status: QueryStatus.NOT_ALLOWED, text });
    if (active === undefined) return notAllowed('following changes is not switched on here');
    if (!this.mayFollow) return notAllowed('changes are told over TLS only');
    if (this.#running.size > 0) return notAllowed('another query is under way on this connection');
    return this.#refusalOf(header);
  }

  async #beginFollowing(follower: Follower): Promise<void> {
    let ended: Refusal | undefined;
    try {
      const moment = await this.#services.moment();
      ended = typeof moment === 'string' ? terminated(moment) : await follower.begin(moment);
    } catch (error) {
      ended = { status: QueryStatus.UNSPEC_FAIL, text: (error as Error).message };
    }
    if (ended !== undefined) return this.#endFollowing(ended);
    void this.#pumpOn(follower);
    return undefined;
  }

  /** Goes on when what was written has left. */
  async #pumpOn(follower: Follower): Promise<void> {
    while (this.#follower === follower && !this.#out.isClosed) {
      await this.#out.drained();
      this.pump();
    }
  }

  #endFollowing(ended: Refusal): void {
    const follower = this.#follower;
    if (follower === undefined) return;
    this.#follower = undefined;
    this.#services.setFollowing(follower, this, false);
    this.#services.count('active', 'all', outcomeOf(ended.status));
    follower.end(ended);
    this.close();
  }
}

function outcomeOf(status: QueryStatus): QueryOutcome {
  switch (status) {
    case QueryStatus.SUCCESS: return 'done';
    case QueryStatus.MALFORMED_QUERY: return 'malformed';
    case QueryStatus.NOT_ALLOWED: return 'not-allowed';
    default: return 'terminated';
  }
}
