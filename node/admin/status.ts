/**
 * What one node knows about itself and the cluster, as a plain snapshot: the answer of `/v1/status`,
 * the source of the metrics, and what `lessor status` and the live view show. Fields are only added.
 */
import type { ProtocolRange } from '../protocol.ts';
import type { WallMs } from '../time.ts';
import type { DnsStatus } from '../ddns/status.ts';
import type { OperatorProgress } from './operator.ts';

/** Every node state; the metric `lessor_node_state` has a series for each. */
export const NODE_STATES = [
  'STARTUP', 'RECOVER', 'NORMAL', 'COMMUNICATIONS-INTERRUPTED', 'PARTNER-DOWN', 'ISOLATED', 'DRAINING', 'SHUTDOWN',
] as const;

/** Every role; the metric `lessor_node_role` has a series for each. */
export const NODE_ROLES = ['leader', 'member', 'learner', 'outside'] as const;

export interface PeerStatus {
  readonly node: string;
  /** As it says of itself, over its link or in etcd; "" when nothing is known. */
  readonly software: string;
  /** The protocol versions that it speaks; null when nothing is known. */
  readonly protocol: ProtocolRange | null;
  readonly link: 'up' | 'down';
  readonly inView: boolean;
  /** As the peer last announced it; "" when nothing is known. */
  readonly state: string;
  /** Changes of this node's log that the peer has not acknowledged. */
  readonly lagChanges: number;
  /** Age of the oldest of them, 0 when there is none. */
  readonly lagSeconds: number;
  /** Changes that wait for the peer in etcd's inbox. */
  readonly inboxChanges: number;
  /** Its wall clock less this node's, when it last said; null while it is not connected. */
  readonly clockDifferenceSeconds: number | null;
}

/** Bindings of one subnet by state; `size` counts the addresses of its pools. */
export interface SubnetLeases {
  readonly subnet: string;
  readonly active: number;
  readonly expired: number;
  readonly released: number;
  readonly abandoned: number;
  readonly free: number;
  readonly size: number;
  readonly freeByOwner: Readonly<Record<string, number>>;
}

export interface RecentEvent {
  readonly time: WallMs;
  readonly id: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

/** A node that an operator wants out of service. */
export interface DrainStatus {
  readonly node: string;
  readonly by: string;
  /** ISO 8601, as it was written; "" where it was not. */
  readonly at: string;
  readonly reason: string;
  readonly force: boolean;
  /** `kept`: it stays in service, since no other node would. */
  readonly standing: 'leaving' | 'out' | 'kept';
}

export interface NodeStatus {
  readonly node: string;
  readonly version: string;
  /** One of NODE_STATES. */
  readonly state: string;
  readonly role: (typeof NODE_ROLES)[number];
  /** Whether it serves clients, as `/readyz` says. */
  readonly ready: boolean;
  /** The protocol versions that the node speaks. `inForce`: named by the view that it has adopted; 0 without one. */
  readonly protocol: ProtocolRange & {
    readonly inForce: number;
    /** Why the node is not let in beside the members; "" where nothing of the kind speaks against it. */
    readonly refused: string;
  };
  /** 12 hex digits. */
  readonly incarnation: string;
  readonly startedAt: WallMs;
  readonly uptimeSeconds: number;
  readonly view: {
    readonly epoch: number;
    readonly generation: number;
    readonly members: readonly { readonly node: string; readonly slots: number }[];
    readonly leader?: string;
    /** Until then, UTC seconds, every address is probed before it is given out; 0: as the configuration says. */
    readonly probeUntil: number;
    /** False: an operator's word made it, and it lies on the disks of its members only. */
    readonly inEtcd: boolean;
  } | null;
  /** How the operator's last resort goes on that could not be done at once; null: none was asked for since the start. */
  readonly operator: OperatorProgress | null;
  /** Revisions of the cluster's configuration; 0: none. Without a cluster `loaded` counts how often the file was read. */
  readonly config: {
    /** In force here. */
    readonly loaded: number;
    readonly view: number;
    /** The highest that is in force here or ready to be. */
    readonly prepared: number;
    readonly newest: number;
    /** Why a newer one cannot be used here; "" where there is none such. */
    readonly error: string;
    /** Members of the view that have not said that they have the newest ready, and what keeps them. */
    readonly waitingFor: readonly { readonly node: string; readonly error: string }[];
  };
  readonly slotsOwned: number;
  /** Slots whose home is this node. */
  readonly homeSlots: number;
  readonly peers: readonly PeerStatus[];
  /** `maxClockSkew`. */
  readonly clockDifferenceMaxSeconds: number;
  readonly drains: readonly DrainStatus[];
  /** Numbers of this incarnation's own log. */
  readonly log: { readonly last: number; readonly committed: number; readonly flushed: number };
  readonly etcd: {
    readonly configured: boolean;
    readonly reachable: boolean;
    readonly lastSuccessSecondsAgo: number | null;
    /** Why what it shows counts for nothing: it was restored, emptied or replaced; "": it counts. */
    readonly wentBack: string;
  };
  readonly leases: readonly SubnetLeases[];
  /** The history of leases, where one is kept. `since`: it goes back to that UTC second; `gap`: but for what is still to be copied. */
  readonly history?: { readonly since: number; readonly bytes: number; readonly gap: { readonly from: number; readonly to: number } | null };
  /** Names in DNS, of the addresses that this node owns. */
  readonly dns: DnsStatus;
  /** DHCPACKs over the last seconds. */
  readonly exchangesPerSecond: number;
  readonly interfaces: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  /** Those that the node shows. `serial`: hexadecimal, as in the certificate; `expires`: UTC seconds. */
  readonly certificates: readonly { readonly use: string; readonly serial: string; readonly expires: number }[];
  /** The last 50, oldest first. */
  readonly recentEvents: readonly RecentEvent[];
  readonly backlog: {
    readonly offers: number;
    readonly waitingForCommit: number;
    readonly waitingForConfirm: number;
  };
}
