/**
 * What is counted on the packet's path: plain integers that the metrics read at scrape time, since
 * an own integer costs a twentieth of a metrics library's counter.
 */

import { ApiCounters } from '../admin/api-counters.ts';
import { DnsCounters } from '../ddns/counters.ts';
import { QueryCounters } from '../leasequery/query-counters.ts';
import { DurationHistogram, HeldTimes } from './histogram.ts';

/** Why a packet got no answer. Each is a label value of `lessor_dhcp_dropped_total`. */
export const DROP_REASONS = {
  'too-short': 'Fewer bytes than a BOOTP header with the magic cookie',
  'too-long': 'More bytes than a packet may have here',
  'bad-op': 'Not a BOOTREQUEST',
  'bad-magic': 'The magic cookie of RFC 2131 §3 is missing',
  'bad-hlen': 'A hardware address length over 16',
  'option-truncated': 'An option reaches past the end of its field',
  'bad-message-type': 'Option 53 is malformed or names no client message',
  'bootp-refused': 'A BOOTP request (without option 53): no pool for this client has `bootp` on, and no address of its own is reserved',
  'bad-option': 'An option has a length that its type does not allow',
  'no-client': 'Neither a client identifier nor a hardware address',
  'bad-source-port': 'Sent from port 0',
  'hops-exceeded': 'More than 16 relay hops',
  'no-subnet': 'No configured subnet matches the link that was selected, ciaddr or the interface',
  'unknown-relay': 'The relay that sent it (giaddr) is in no configured subnet and selects no other link',
  'virtual-subnet': 'The relay or the client names a virtual private network; there is only the global one here',
  'not-serving': 'This node is not in service',
  'not-responsible': 'Another node answers this client',
  'other-server': 'The client chose a server outside this cluster',
  'unknown-server': 'The message names a server identifier that is not this node',
  'unknown-client': 'Nothing is known of this client and the server is not authoritative',
  'no-binding': 'A release or decline for a binding that the client does not have',
  'spoofed-release': 'A release whose source is not the released address',
  'replayed-release': 'A release with the xid of an earlier transaction',
  'not-authoritative': 'An answer that only an authoritative server gives',
  'pool-exhausted': 'No address is free for this client',
  'not-permitted': 'Its network has no pool, or none that the classes of the client let it into, and nothing is reserved for it',
  'circuit-full': 'As many leases as `limits.leasesPerCircuit` allows are at this port of the relay already',
  'class-dropped': 'A class of the client says that it gets no answer',
  'quarantined': 'The client is in quarantine and gets no address',
  'no-address': 'A request that names no address, or an inform from a client without one',
  'allocation-timeout': 'Another owner was asked for a free address and did not answer in time',
  'probe-timeout': 'Nobody said in time whether the address is in use',
  'addresses-in-use': 'Several addresses in a row were found in use by somebody without a lease',
  'duplicate': 'The same request is being answered already',
  'superseded': 'What the answer rested on changed while it waited to be confirmed',
  'commit-timeout': 'The change could not be committed within 3 s',
  'forward-refused': 'The owner of the address refused the change',
  'stale': 'The answer would have left more than 5 s after its packet was read',
  'stalled': 'Discarded unread after a stall or on entering a view',
  'client-rate': 'More packets from this client than it may send',
  'relay-rate': 'More packets through this relay than it may send',
  'decline-rate': 'More addresses declined by this client than it may decline',
  'query-refused': 'A LEASEQUERY from somebody outside `leasequery.requestors`',
  'query-malformed': 'A LEASEQUERY without giaddr, or by none or several of address, hardware address and client identifier',
  'query-rate': 'More LEASEQUERY from this requestor than `leasequery.queriesPerRequestor` allows',
  'overload': 'A bounded queue was full',
  'send-failed': 'The operating system refused to send the answer',
} as const;

export type DropReason = keyof typeof DROP_REASONS;

/** RFC 2132 §9.6, RFC 3203 §4 and RFC 4388 §6.1 message types; index 0 is anything else. */
export const MESSAGE_TYPE_NAMES = [
  'other', 'discover', 'offer', 'request', 'decline', 'ack', 'nak', 'release', 'inform', 'forcerenew',
  'leasequery', 'leaseunassigned', 'leaseunknown', 'leaseactive',
] as const;

/** How a probe of an address ended. Each is a label value of `lessor_conflict_probes_total`. */
export const PROBE_RESULTS = {
  'in-use': 'Somebody answered',
  'free': 'Nobody answered in time',
  'unable': 'Nobody could be asked; the address counts as free',
} as const;

export type ProbeResult = keyof typeof PROBE_RESULTS;

export class Counters {
  /** By message type (index: option 53, 0 for anything else). */
  readonly received = new Float64Array(MESSAGE_TYPE_NAMES.length);
  readonly sent = new Float64Array(MESSAGE_TYPE_NAMES.length);
  readonly drops: Record<DropReason, number>;
  /** From a packet's reading to its answer's sending, by the answer's message type. */
  readonly replyTime = MESSAGE_TYPE_NAMES.map(() => new DurationHistogram());
  /** From a change's making to its commit. */
  readonly commitTime = new DurationHistogram();
  readonly flushTime = new DurationHistogram();
  readonly etcdTime = new DurationHistogram();
  etcdFailures = 0;
  /** How long leases were held that this node has ended. */
  readonly held = new HeldTimes();
  /** Replies without relay agent information, since it did not fit (RFC 3046 §2.2). */
  relayAgentInformationOmitted = 0;
  /** Grants of a lease that another hardware address with the same client identifier held. */
  identifierConflicts = 0;
  readonly probes: Record<ProbeResult, number> = { 'in-use': 0, 'free': 0, 'unable': 0 };
  readonly queries = new QueryCounters();
  readonly dns = new DnsCounters();
  readonly api = new ApiCounters();
  takeovers = 0;
  /** Clients, addresses and ports in quarantine. */
  quarantines = 0;
  /** Links that came to nothing because one side does not want the other. */
  linksRefused = 0;
  /** Changes that two nodes made of one binding in one epoch. */
  conflicts = 0;

  constructor() {
    this.drops = Object.fromEntries(Object.keys(DROP_REASONS).map((reason) => [reason, 0])) as Record<DropReason, number>;
  }

  etcdRequest(seconds: number, answered: boolean): void {
    if (answered) this.etcdTime.observe(seconds);
    else this.etcdFailures++;
  }

  drop(reason: DropReason): void {
    this.drops[reason]++;
  }
}
