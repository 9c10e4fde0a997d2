/**
 * The cluster's edge as data: what the core asks of etcd and of the links, and what they tell it.
 * The adapters in cluster/io carry this out; the simulator has twins that fail.
 */
import type { PeerMessage } from '../../proto/gen/replication.ts';

export type { PeerMessage };

// ── etcd ────────────────────────────────────────────────────────────────────────────────────────

/** Keys are relative to `/lessor/<cluster>/`; values are UTF-8 text or bytes. */
export type EtcdCompare =
  /** The key's revision of last change; 0: it does not exist. */
  | { readonly key: string; readonly modRevision: number }
  /** The key's revision of creation; 0: it does not exist. */
  | { readonly key: string; readonly createRevision: number };

export type EtcdOp =
  | { readonly op: 'get'; readonly key: string }
  /** All keys below, in order of key, at most `limit` (0: no limit); `keysOnly`: with empty values. */
  | { readonly op: 'get-prefix'; readonly prefix: string; readonly limit: number; readonly keysOnly?: true }
  /** `lease`: the id from a grant; without it the key outlives its writer. */
  | { readonly op: 'put'; readonly key: string; readonly value: Buffer; readonly lease?: string }
  | { readonly op: 'delete'; readonly key: string }
  | { readonly op: 'delete-prefix'; readonly prefix: string };

/**
 * One transaction; a read is one without compares. All are linearizable. `id` is chosen by the core
 * and comes back with the result. After `deadlineMs` the outcome is `unknown`.
 */
export type EtcdRequest =
  | {
      readonly kind: 'txn';
      readonly id: number;
      readonly compares: readonly EtcdCompare[];
      readonly then: readonly EtcdOp[];
      readonly otherwise: readonly EtcdOp[];
      readonly deadlineMs: number;
    }
  | { readonly kind: 'grant'; readonly id: number; readonly ttlSeconds: number; readonly deadlineMs: number }
  | { readonly kind: 'keepalive'; readonly id: number; readonly lease: string; readonly deadlineMs: number }
  | { readonly kind: 'revoke'; readonly id: number; readonly lease: string; readonly deadlineMs: number };

export interface EtcdKeyValue {
  readonly key: string;
  readonly value: Buffer;
  readonly createRevision: number;
  readonly modRevision: number;
  /** "0" when bound to no lease. */
  readonly lease: string;
}

/** One list of key-values for each op of the branch that ran; empty for puts and deletes. */
export type EtcdResult =
  | {
      readonly id: number;
      readonly outcome: 'txn';
      readonly succeeded: boolean;
      readonly reads: readonly (readonly EtcdKeyValue[])[];
      readonly revision: number;
      /** etcd's own cluster id, as decimal text. */
      readonly clusterId: string;
    }
  | { readonly id: number; readonly outcome: 'granted'; readonly lease: string; readonly ttlSeconds: number }
  /** `ttlSeconds` 0: the lease is gone. */
  | { readonly id: number; readonly outcome: 'alive'; readonly ttlSeconds: number }
  | { readonly id: number; readonly outcome: 'revoked' }
  /** Nobody knows whether it was applied, or when it still will be. */
  | { readonly id: number; readonly outcome: 'unknown'; readonly error: string };

// ── links ───────────────────────────────────────────────────────────────────────────────────────

/**
 * `refused`: nothing listens at the peer's address, its process is dead. `closed`: the stream ended.
 * `unreachable`: no connection could be made in time.
 */
export type LinkDownReason = 'refused' | 'closed' | 'unreachable';

export type LinkEvent =
  /** A new stream to the peer; messages sent on an earlier one may be lost. */
  | { readonly kind: 'link-up'; readonly peer: string }
  | { readonly kind: 'link-message'; readonly peer: string; readonly message: PeerMessage }
  /** Also after each failed attempt to connect, so that `refused` is noticed while there is no link. */
  | { readonly kind: 'link-down'; readonly peer: string; readonly reason: LinkDownReason };

/** Adapter of the links, for all peers. */
export interface LinkTransport {
  /** Queues on the present stream; without one the message is lost, as it would be on a dying one. */
  send(peer: string, message: PeerMessage): void;
  reset(peer: string): void;
  /** Bytes queued to the peer and not yet handed to the operating system. */
  backlogBytes(peer: string): number;
  close(): Promise<void>;
}

/** Adapter of etcd. */
export interface EtcdPort {
  request(request: EtcdRequest): void;
  close(): Promise<void>;
}
