/** What the node and its thread for LEASEQUERY over TCP say to each other. */
import type { TlsFiles } from '../../config/types.ts';
import type { SnapshotMark } from '../../io/store-snapshot.ts';
import type { ActiveRequestor, QueryCount } from '../query-counters.ts';
import type { QueryConfig } from '../stream-answers.ts';

export interface ThreadOptions {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsFiles | undefined;
  /** There are other nodes: what they changed may come late, and by other clocks. */
  readonly clustered: boolean;
}

export type ToThread =
  /** Buffers come as Uint8Arrays. Undefined: nobody may ask, or the node ends. */
  | { readonly kind: 'config'; readonly config: QueryConfig | undefined }
  /** A moment of the store that was asked for. `owned`: a byte for each slot, 1 where this node would give the address out. */
  | {
    readonly kind: 'snapshot'; readonly id: number; readonly mark: SnapshotMark; readonly owned: Uint8Array; readonly incarnation: number | undefined;
  }
  | { readonly kind: 'refused'; readonly id: number; readonly reason: string }
  /** Committed changes in order, encoded as a chunk of the history; the first one's number. */
  | { readonly kind: 'changes'; readonly first: number; readonly chunk: Uint8Array }
  /** Changes went past: who follows them has a hole. */
  | { readonly kind: 'lost' }
  /** Of the moment before which who follows has been told everything; undefined: the node is not in service. */
  | { readonly kind: 'base'; readonly second: number | undefined }
  | { readonly kind: 'end' };

export type FromThread =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly error: string }
  | { readonly kind: 'ask'; readonly id: number }
  /** Whether anybody follows changes. */
  | { readonly kind: 'follow'; readonly follow: boolean }
  | {
    readonly kind: 'counts'; readonly queries: readonly QueryCount[]; readonly records: number; readonly refusedConnections: number;
    readonly connections: number; readonly active: readonly ActiveRequestor[];
  }
  | { readonly kind: 'ended' };
