/** What a simulated node sees of the world around it, and what it does to it. */
import type { Outputs } from '../../cluster/core/engine.ts';
import type { EtcdRequest, PeerMessage } from '../../cluster/core/ports.ts';
import type { DnsJob } from '../../node/ddns/types.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import type { Agenda } from './agenda.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

export interface NodeWorld {
  /** Whether nodes keep a history of leases; left out: they do not. */
  readonly tenures?: { readonly on: boolean };
  readonly agenda: Agenda;
  readonly random: Random;
  /** Whether somebody answers who is asked, and with which hardware address where that is known. */
  isInUse(address: number): boolean | Buffer;
  /** Until the next tick of this node. */
  tickMs(node: SimNode): number;
  readonly clustered: boolean;
  /** A turn is over, and nothing that it decided has been carried out. */
  onTurn?(node: SimNode, outputs: Outputs): void;
  onPacket(node: SimNode, packet: OutgoingPacket): void;
  onMessage(from: SimNode, peer: string, message: PeerMessage): void;
  onReset(from: SimNode, peer: string): void;
  onEtcdRequest(from: SimNode, request: EtcdRequest): void;
  onEvent(node: SimNode, id: string, fields: Readonly<Record<string, unknown>>): void;
  onExit(node: SimNode): void;
  onDnsJob?(node: SimNode, job: DnsJob): void;
  /** Read and check a revision of the configuration: the answer comes later. */
  onPrepareConfig(node: SimNode, revision: number): void;
  count(what: string, by?: number): void;
}

/** What a node does to the world, one thing at a time. */
export type Step =
  | { readonly kind: 'message'; readonly peer: string; readonly message: PeerMessage }
  | { readonly kind: 'etcd'; readonly request: EtcdRequest }
  | { readonly kind: 'packet' }
  /** Writes were taken from the store, and their flush begins. */
  | { readonly kind: 'flush' }
  /** They are durable, and nobody has heard of it. */
  | { readonly kind: 'flushed' };

/** Springs once, at the first step that it matches. */
export interface Trap {
  readonly matches: (step: Step) => boolean;
  /** Before the step is taken, or after it. */
  readonly before: boolean;
  readonly spring: (step: Step) => void;
}
