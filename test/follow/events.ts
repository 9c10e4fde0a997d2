/** What is written down while the changes are followed: by the clients, by the requestor, and of the nodes' stores. */
import type { AnswerView } from '../../node/cli/leasequery-view.ts';
import type { LeaseView } from '../../node/admin/lease-view.ts';

/** Milliseconds since 1970; all processes of a run are on one machine. */
export type AtMs = number;

/** What a client sent or got. A transaction is one hardware address with one xid. */
export type ClientEvent =
  | { readonly event: 'request' | 'ack'; readonly at: AtMs; readonly address: string; readonly hardware: string; readonly xid: number }
  | { readonly event: 'release'; readonly at: AtMs; readonly address: string; readonly hardware: string; readonly xid: number }
  | { readonly event: 'nak'; readonly at: AtMs; readonly hardware: string; readonly xid: number };

/** A change as the requestor printed it. */
export interface ToldChange {
  readonly event: 'change';
  readonly at: AtMs;
  readonly address: string;
  readonly type: AnswerView['type'];
  readonly state: string;
  readonly hardware: string;
  /** UTC seconds, as the next one. */
  readonly lastTransaction: number;
  readonly stateSince: number;
}

export type RequestorEvent =
  | ToldChange
  /** `baseSecond`: where the server was when it said so. */
  | { readonly event: 'data-missing' | 'catch-up-complete' | 'bulk-fill-complete'; readonly at: AtMs; readonly baseSecond: number }
  /** `sinceSecond`: from when on it asked for changes; undefined: from now on. */
  | { readonly event: 'connected'; readonly at: AtMs; readonly server: string; readonly sinceSecond: number | undefined }
  | { readonly event: 'ended'; readonly at: AtMs; readonly why: string };

export interface StoredLease {
  readonly address: string;
  readonly state: string;
  readonly hardware: string;
  readonly lastTransaction: number;
  readonly stateSince: number;
}

/** All that a node has on record, read between two moments. */
export interface StoreRead {
  readonly node: string;
  readonly from: AtMs;
  readonly leases: readonly StoredLease[];
}

export function nowMs(): AtMs {
  return performance.timeOrigin + performance.now();
}

function secondOf(time: string | undefined): number {
  return time === undefined ? Number.NaN : Date.parse(time) / 1000;
}

const CONNECTED = /^(\S+): connected; changes (?:from now on|since (\S+))\.$/;

/** A line of the requestor's output or errors; undefined: nothing that is judged. */
export function readRequestorLine(line: string, at: AtMs): RequestorEvent | undefined {
  if (!line.startsWith('{')) {
    const [, server, since] = CONNECTED.exec(line) ?? [];
    if (server !== undefined) return { event: 'connected', at, server, sinceSecond: since === undefined ? undefined : secondOf(since) };
    return line === '' ? undefined : { event: 'ended', at, why: line };
  }
  const view = JSON.parse(line) as AnswerView & { readonly status?: 'data-missing' | 'catch-up-complete' | 'bulk-fill-complete' };
  if (view.status !== undefined) return { event: view.status, at, baseSecond: secondOf(view.baseTime) };
  const { address = '', hardware = '', lastTransaction, state = '', stateSince, type } = view;
  return { event: 'change', at, address, type, state, hardware, lastTransaction: secondOf(lastTransaction), stateSince: secondOf(stateSince) };
}

export function storedLease({ address, state, hardware, lastTransaction, stateSince }: LeaseView): StoredLease {
  return { address, state, hardware, lastTransaction: secondOf(lastTransaction), stateSince: secondOf(stateSince) };
}
