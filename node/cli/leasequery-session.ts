/**
 * One query on one connection, until it ends: what comes is checked and handed over, in the pace of who
 * takes it. For the commands, tests and tools that load a server.
 */
import { QueryStatus, QueryType } from '../leasequery/messages.ts';
import { Answer, statusName } from '../leasequery/requestor/answer.ts';
import type { KeptTime } from '../leasequery/requestor/kept-time.ts';
import { activeQuery, bulkQuery, type BulkQuery, STREAM_OPTIONS } from '../leasequery/requestor/queries.ts';
import { ACTIVE_RECEIVE_MS_MAX, BULK_DATA_MS_MAX, type LeaseQueryConnection, newXid, QueryFailure } from './leasequery-connection.ts';

export interface BindingSink {
  /** A DHCPLEASEACTIVE or DHCPLEASEUNASSIGNED; `answer` is valid only during the call. `server`: its identifier, once it has told it. */
  onBinding(answer: Answer, server: number | undefined): void;
  /** After all that came together; nothing more is read until it resolves. */
  onPause(): Promise<void>;
}

export interface BulkEnd {
  readonly bindings: number;
  /** Option 54 of the first answer (RFC 6926 §7.3). */
  readonly server: number | undefined;
  /** Of DHCPLEASEQUERYDONE; `QueryStatus.SUCCESS` where all went well. */
  readonly status: number;
  readonly statusText: string;
}

/** Reads what belongs to one transaction. Rejects with a QueryFailure. */
class Transaction {
  readonly answer = new Answer();
  server: number | undefined;
  bindings = 0;
  readonly #connection: LeaseQueryConnection;
  readonly #xid: number;
  #isFirst = true;

  constructor(connection: LeaseQueryConnection, xid: number) {
    this.#connection = connection;
    this.#xid = xid;
  }

  async receive(timeoutMs: number): Promise<readonly Buffer[]> {
    const messages = await this.#connection.receive(timeoutMs);
    if (messages === undefined) throw new QueryFailure('closed', 'closed the connection before the query was done');
    return messages;
  }

  /** Puts the message into `answer`. */
  read(message: Buffer): void {
    const problem = this.answer.parse(message);
    if (problem !== undefined) throw new QueryFailure('protocol', `sent what is no DHCP message (${problem})`);
    // RFC 6926 §7.3: then the requestor must close the connection.
    if (this.answer.xid !== this.#xid) throw new QueryFailure('protocol', `answered a query that was not made (xid ${hexXid(this.answer.xid)})`);
    // RFC 6926 §7.3: from the first answer, for all that follow.
    if (this.#isFirst) this.server = this.answer.server;
    this.#isFirst = false;
  }

  unexpected(): QueryFailure {
    return new QueryFailure('protocol', `sent a message of type ${this.answer.type}, which answers no such query`);
  }
}

function hexXid(xid: number): string {
  return `0x${xid.toString(16).padStart(8, '0')}`;
}

/** Rejects with a QueryFailure where the connection ends before DHCPLEASEQUERYDONE; what came until then was handed over. */
export async function runBulkQuery(
  connection: LeaseQueryConnection, query: Omit<BulkQuery, 'xid' | 'options'> & { readonly options?: readonly number[] }, sink: BindingSink,
  { timeoutMs = BULK_DATA_MS_MAX }: { readonly timeoutMs?: number } = {},
): Promise<BulkEnd> {
  const xid = newXid();
  const transaction = new Transaction(connection, xid);
  const { answer } = transaction;
  await connection.send(bulkQuery({ options: STREAM_OPTIONS, ...query, xid }), timeoutMs);
  for (;;) {
    const messages = await transaction.receive(timeoutMs);
    try {
      for (const message of messages) {
        transaction.read(message);
        if (answer.isBinding) {
          transaction.bindings++;
          sink.onBinding(answer, transaction.server);
        } else if (answer.type === QueryType.LEASEQUERYDONE) {
          const { bindings, server } = transaction;
          return { bindings, server, status: answer.status, statusText: answer.statusText };
        } else {
          throw transaction.unexpected();
        }
      }
    } finally {
      // RFC 6926 §7.8: what came before an error counts.
      await sink.onPause();
    }
  }
}

export interface ActiveSink extends BindingSink {
  /** CatchUpComplete, or DataMissing, with its base time; in its place between the bindings. */
  onStatus(status: number, baseTime: number | undefined): void;
}

export interface ActiveOptions {
  readonly options?: readonly number[];
  readonly timeoutMs?: number;
  /** What could not be caught up will be got in another way; `KeptTime.onFilled` is called then. */
  readonly isFilled?: boolean;
}

/**
 * Runs until the connection ends, and so always rejects with a QueryFailure; `refused` where the server
 * told why. `kept` says from when on, and is kept up to date: after `onPause` it may be stored.
 */
export async function runActiveQuery(
  connection: LeaseQueryConnection, kept: KeptTime, sink: ActiveSink,
  { options = STREAM_OPTIONS, timeoutMs = ACTIVE_RECEIVE_MS_MAX, isFilled = false }: ActiveOptions = {},
): Promise<never> {
  const xid = newXid();
  const transaction = new Transaction(connection, xid);
  const { answer } = transaction;
  await connection.send(activeQuery({ xid, options, startTime: kept.begin() }), timeoutMs);
  for (;;) {
    const messages = await transaction.receive(timeoutMs);
    try {
      for (const message of messages) {
        transaction.read(message);
        if (answer.isBinding) {
          sink.onBinding(answer, transaction.server);
          kept.onBaseTime(answer.baseTime);
        } else {
          onStatus(transaction, kept, sink, isFilled);
        }
      }
    } finally {
      await sink.onPause();
    }
  }
}

function onStatus(transaction: Transaction, kept: KeptTime, sink: ActiveSink, isFilled: boolean): void {
  const { type, status, statusText, baseTime } = transaction.answer;
  if (type !== QueryType.LEASEQUERYSTATUS && type !== QueryType.LEASEQUERYDONE) throw transaction.unexpected();
  if (type === QueryType.LEASEQUERYSTATUS) {
    switch (status) {
      // What a server has to say that is well.
      case QueryStatus.SUCCESS:
      case QueryStatus.CONNECTION_ACTIVE:
        kept.onBaseTime(baseTime);
        return;
      case QueryStatus.CATCH_UP_COMPLETE:
        kept.onCaughtUp(baseTime);
        sink.onStatus(status, baseTime);
        return;
      case QueryStatus.DATA_MISSING:
        kept.onDataMissing(baseTime, isFilled);
        sink.onStatus(status, baseTime);
        return;
    }
  }
  // RFC 7724 §7.4: nothing was missed until this base time either.
  if (status === QueryStatus.QUERY_TERMINATED) kept.onBaseTime(baseTime);
  throw new QueryFailure('refused', describeRefusal(status, statusText));
}

/** "ended the query: NOT_ALLOWED: not from this address". */
export function describeRefusal(status: number, statusText: string): string {
  return `ended the query: ${[statusName(status), ...(statusText === '' ? [] : [statusText])].join(': ')}`;
}
