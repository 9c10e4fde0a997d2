/**
 * What an operator, or a tool in an operator's place, can ask of a running node: declared once each, in `operations/`,
 * and served alike on the control socket and the HTTP port (`io/operations.ts`); the command line calls them there, and
 * the OpenAPI description is made from the same schemas.
 */
import type * as z from 'zod';
import type { ClusterConfig } from '../config/types.ts';
import type { LeaseHistory } from '../history/lease-history.ts';
import type { LeaseTable } from '../lease/table.ts';
import type { NoteBook } from '../notes/book.ts';
import type { QuarantineList } from '../notes/quarantine-list.ts';
import type { OwnChange } from '../server/ports.ts';
import type { Now } from '../time.ts';
import type { PoolTrends } from './pool-trends.ts';
import type { Role } from './roles.ts';
import type { NodeStatus } from './status.ts';

export { mayAct, ROLES, type Role } from './roles.ts';

/** Who asks, as the audit log names them. */
export interface Caller {
  readonly name: string;
  readonly role: Role;
  /** How it is known who it is; 'loopback': it is not, but it is on this host. */
  readonly via: 'socket' | 'loopback' | 'certificate' | 'token';
  /** Address of the other end; empty: this host. */
  readonly from: string;
}

/** What the audit log tells of a change beside who, when and why. */
export interface Audited {
  /** What it is about: an address, a client, a number. */
  readonly target: string;
  /** As people read it; empty: nothing was there. */
  readonly before: string;
  readonly after: string;
}

/** Why an operation was not carried out. */
export class OperationError extends Error {
  readonly code: 'bad-request' | 'not-found' | 'refused' | 'unavailable' | 'unknown';

  constructor(code: OperationError['code'], message: string) {
    super(message);
    this.name = 'OperationError';
    this.code = code;
  }
}

/** By OperationError's code. */
export const HTTP_STATUS: Readonly<Record<OperationError['code'], number>> = {
  'bad-request': 400, 'not-found': 404, refused: 409, unavailable: 503, unknown: 504,
};

/** What the node lets an operation see and do. */
export interface OperationHost {
  readonly node: string;
  readonly table: LeaseTable;
  readonly notes: NoteBook;
  readonly quarantines: QuarantineList;
  /** The history of leases. */
  readonly tenures?: LeaseHistory | undefined;
  readonly trends: PoolTrends;
  now(): Now;
  config(): ClusterConfig;
  status(): NodeStatus;
  /** The protocol version in force. */
  protocol(): number;
  /** Of the members: who the view gives a slot to. */
  ownerOf(slot: number): string | undefined;
  owns(slot: number): boolean;
  /** Names in DNS: begins to compare them with the leases. Left out where there is nobody who could. */
  readonly names?: { resync(): void };
  /** Lets packets go first; between two pages of whatever may be long. */
  pause(): Promise<void>;
}

/** The host in the hands of an operation that changes something. */
export interface ChangingHost extends OperationHost {
  /**
   * Resolves once all of it is committed, on every member; together with it the audit log has what `decide` says of it.
   * `decide` is called once it is confirmed what this node knows; a text is why nothing is changed. @throws OperationError
   */
  change(decide: (now: Now) => { readonly changes: readonly OwnChange[]; readonly audited: Audited } | string): Promise<void>;
}

interface OperationBase<P, R> {
  /** As the API's description and the audit log name it. */
  readonly id: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly role: Role;
  readonly summary: string;
  /** Of GET what follows the question mark, each a string; of POST the body. */
  readonly parameters: z.ZodType<P>;
  /** Of a list: one entry, which is a line of JSON in the answer. */
  readonly result: z.ZodType<R>;
}

export interface AnswerOperation<P, R> extends OperationBase<P, R> {
  readonly kind: 'answer';
  run(host: OperationHost, parameters: P, caller: Caller): Promise<R>;
}

export interface ListOperation<P, R> extends OperationBase<P, R> {
  readonly kind: 'list';
  run(host: OperationHost, parameters: P, caller: Caller): AsyncIterable<R>;
}

/** In the audit log, whatever becomes of it. */
export interface ChangeOperation<P, R> extends OperationBase<P, R> {
  readonly kind: 'change';
  run(host: ChangingHost, parameters: P, caller: Caller): Promise<R>;
}

export type Operation<P, R> = AnswerOperation<P, R> | ListOperation<P, R> | ChangeOperation<P, R>;

/** What the command line gets of an operation: of a list, one entry. */
export type ResultOf<O> = O extends OperationBase<infer _P, infer R> ? R : never;

/** For lists of operations of all kinds. What `parameters` has read is what `run` gets. */
export type AnyOperation = Operation<unknown, unknown>;
