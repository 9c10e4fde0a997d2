/**
 * What the DHCP server is given and what it gives back. It decides; others carry out.
 *
 * The types hold one promise: a DHCPACK that grants or renews a lease is a `GrantReply` and has no
 * way to be sent at once, only after the change that it tells of is committed.
 */
import type { Question } from '../leasequery/single.ts';
import type { MonotonicMs } from '../time.ts';
import type { Occurrence } from '../telemetry/events.ts';

/** A network interface of this host, as it was when the packet arrived. */
export interface InterfaceInfo {
  readonly name: string;
  readonly index: number;
  readonly mtu: number;
  /** Its IPv4 addresses with their prefix lengths; the first one is the server identifier. */
  readonly addresses: readonly { readonly address: number; readonly prefixLength: number }[];
}

export interface ReceivedPacket {
  /** Only valid during the step: the buffer is used again for the next packet. */
  readonly bytes: Buffer;
  readonly iface: InterfaceInfo;
  readonly sourceAddress: number;
  readonly sourcePort: number;
  /** Sent to an address of this host, not to a broadcast address. */
  readonly unicast: boolean;
  readonly receivedAt: MonotonicMs;
}

/** A packet to send, with where RFC 2131 §4.1 says it goes. */
export interface OutgoingPacket {
  readonly bytes: Buffer;
  readonly iface: InterfaceInfo;
  readonly address: number;
  readonly port: number;
  /**
   * Set where the client has no address yet and is reached by unicast: its hardware address is put
   * into the ARP table before the packet leaves.
   */
  readonly hardware?: { readonly htype: number; readonly chaddr: Buffer };
  /** When the packet that this answers was read: no reply leaves more than 5 s after it. */
  readonly receivedAt: MonotonicMs;
}

declare const replyKind: unique symbol;
/** An answer that promises nothing yet: DHCPOFFER, DHCPACK to a DHCPINFORM. May leave at once. */
export type ProvisionalReply = OutgoingPacket & { readonly [replyKind]: 'provisional' };
/** A DHCPACK that grants or renews a lease. Leaves once the binding that it tells of is committed. */
export type GrantReply = OutgoingPacket & { readonly [replyKind]: 'grant' };
/** An answer that rests on what this node knows: DHCPNAK. Leaves once that is confirmed. */
export type ConfirmedReply = OutgoingPacket & { readonly [replyKind]: 'confirmed' };

/** A change of a binding whose address this node owns. The log stamps the record and stores it. */
export interface OwnChange {
  readonly address: number;
  /** From `encodeRecord` or `withState`; its stamp is filled in by the log. */
  readonly record: Buffer;
}

/**
 * A change of a binding that another node owns: it is asked to make it, if nothing has changed. `owner`
 * is this node itself while it takes the slot over: the change is made, on the same terms, once it owns it.
 */
export interface ForwardedChange extends OwnChange {
  readonly owner: string;
}

/** Another owner is asked to hold a free address for the client; the answer comes as an input. */
export interface AllocationRequest {
  readonly id: number;
  readonly owner: string;
  /** The pools that the client may use, the preferred ones first, by `PoolConfig.id`. */
  readonly pools: readonly number[];
  readonly clientKey: Buffer;
  readonly clientSlot: number;
}

/**
 * The network is asked whether somebody uses the address already, before it is offered (RFC 2131 §2.2,
 * §3.1); the answer comes as an input, exactly once.
 */
export interface ProbeRequest {
  readonly id: number;
  readonly address: number;
  /** Where the client's packet came in. */
  readonly iface: InterfaceInfo;
  /** ARP reaches what is on the interface's own segment, if that is Ethernet; else ICMP is used instead. */
  readonly method: 'icmp' | 'arp';
  readonly timeoutMs: number;
  /** The client is on the interface's own segment, not behind a relay. */
  readonly targetLocal: boolean;
  /** The client's hardware address, a copy: what it still uses itself is no conflict. */
  readonly chaddr: Buffer;
}

/**
 * What one step decided. Lists are usually empty or of one entry; `NOTHING` is shared.
 * If `changes` or `forwarded` are set, the replies in `sendOnCommit` wait for exactly those.
 * A `sendOnCommit` without either belongs to a change made earlier: it names the address, and waits
 * for the record which that address has now. One that comes with `confirm: true` waits for a
 * confirmation as well (the change was made in an earlier step and may be long committed).
 */
export interface Decision {
  readonly changes: readonly OwnChange[];
  readonly forwarded: readonly ForwardedChange[];
  readonly allocations: readonly AllocationRequest[];
  readonly probes: readonly ProbeRequest[];
  readonly sendNow: readonly ProvisionalReply[];
  readonly sendOnCommit: readonly { readonly address: number; readonly reply: GrantReply; readonly confirm: boolean }[];
  /** Void if the record of the address is another one by the time of the confirmation. */
  readonly sendOnConfirm: readonly { readonly address: number; readonly reply: ConfirmedReply }[];
  /** LEASEQUERY that is answered, by `DhcpServer.answer`, once it is confirmed what this node knows. */
  readonly questions: readonly Question[];
  readonly events: readonly Occurrence[];
}

export const NOTHING: Decision = Object.freeze({
  changes: [], forwarded: [], allocations: [], probes: [], sendNow: [], sendOnCommit: [], sendOnConfirm: [], questions: [], events: [],
});

/** What the server may know of the cluster. A node without a cluster is a view of one. */
export interface ClusterView {
  /** This node's id. */
  readonly self: string;
  /** This start of this node, as its records name it; undefined where there are no other nodes. */
  incarnation(): number | undefined;
  /** The protocol version in force: what a record may say. */
  protocol(): number;
  /** May answer clients at all: a member, in sync, not isolated, not drained, wall clock trusted. */
  serving(): boolean;
  /** On its way out, as the others know: it answers only what is its own, and takes no new clients. */
  leaving(): boolean;
  /** This node owns the slot now (0 to 255) and may change its bindings. */
  owns(slot: number): boolean;
  /** The member that the view gives the slot to. */
  ownerOf(slot: number): string | undefined;
  /** The node that the slot goes back to when all nodes are in the view. */
  homeOf(slot: number): string;
  isMember(node: string): boolean;
  /** Its link is up, it has what the view gives it, and is not on its way out (for this node itself: true). */
  isReachable(node: string): boolean;
  /** The configured node whose server identifier this is, whether or not it is in the view. */
  nodeOfServerId(address: number): string | undefined;
  /** Every other member has said its server identifiers, and would say now if they changed: none is foreign by mistake. */
  knowsAllServerIds(): boolean;
  /**
   * Not 0: an operator has begun a generation without all that was known in the older one. Leases may be held
   * that no record tells of, and records of lower epochs than this one may be out of date.
   */
  probingSince(): number;
}
