/**
 * A DHCP server on a table in memory, with a cluster view that tests turn as they like. Decisions are
 * carried out as the node does it: changes are stamped and stored before the next packet.
 */
import { rfc3074Hash } from '../../node/allocation/rfc3074.ts';
import type { DhcpMessage } from '../../node/codec/message.ts';
import type { ClusterConfig, LeaseQueryConfig } from '../../node/config/types.ts';
import { writeStamp } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import type { DiskReader } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import type { ClusterView, Decision, InterfaceInfo, OutgoingPacket, ReceivedPacket } from '../../node/server/ports.ts';
import { DhcpServer } from '../../node/server/server.ts';
import { Counters } from '../../node/telemetry/counters.ts';
import { PROTOCOL } from '../../node/protocol.ts';
import type { DropReason } from '../../node/telemetry/counters.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import { ip, parseReply } from './client-packets.ts';
import { buildConfig, NOBODY_ASKS, subnetConfig } from './configs.ts';
import type { ConfigSpec, SubnetSpec } from './configs.ts';

const EMPTY_DISK: DiskReader = { read: () => undefined, readMeta: () => undefined, scan: () => [], metaRange: () => [] };

/** Even slots at home with a, odd ones with b; both in the view and reachable unless a test says otherwise. */
export class FakeView implements ClusterView {
  readonly self: string;
  readonly nodes: readonly string[];
  isServing = true;
  /** Not 0: an operator has begun a generation with this epoch. */
  sinceEpoch = 0;
  members: string[];
  readonly down = new Set<string>();
  isLeaving = false;
  /** Slots given by the view and not owned yet. */
  readonly pending = new Set<number>();
  readonly serverIds = new Map<number, string>([[ip('10.0.0.2'), 'a'], [ip('10.0.0.3'), 'b']]);

  constructor(self = 'a', nodes: readonly string[] = ['a']) {
    this.self = self;
    this.nodes = nodes;
    this.members = [...nodes];
  }

  /** Undefined: as of a node that is alone. */
  ownIncarnation: number | undefined;
  incarnation(): number | undefined { return this.ownIncarnation; }
  /** The version in force. */
  speaks = PROTOCOL.max;
  protocol(): number { return this.speaks; }
  serving(): boolean { return this.isServing; }
  owns(slot: number): boolean { return this.ownerOf(slot) === this.self && !this.pending.has(slot); }
  ownerOf(slot: number): string | undefined {
    const home = this.homeOf(slot);
    return this.members.includes(home) ? home : this.members[0];
  }
  homeOf(slot: number): string { return this.nodes[slot % this.nodes.length]!; }
  isMember(node: string): boolean { return this.members.includes(node); }
  leaving(): boolean { return this.isLeaving; }
  isReachable(node: string): boolean { return node === this.self || !this.down.has(node); }
  nodeOfServerId(address: number): string | undefined { return this.serverIds.get(address); }
  knowsServerIds = true;
  knowsAllServerIds(): boolean { return this.knowsServerIds; }
  probingSince(): number { return this.sinceEpoch; }
}

export const twoNodes = (self: 'a' | 'b' = 'a'): FakeView => new FakeView(self, ['a', 'b']);

/** The interface of node a: server identifier 10.0.0.2. */
export const IFACE: InterfaceInfo = { name: 'eth0', index: 2, mtu: 1500, addresses: [{ address: ip('10.0.0.2'), prefixLength: 24 }] };

export { subnetConfig } from './configs.ts';

export interface TestServerOptions extends Partial<Pick<ConfigSpec, 'classes' | 'reservations' | 'limits'>>, Partial<Pick<ClusterConfig, 'knownServers'>> {
  /** A whole configuration, as it is read from a file; what follows counts for nothing then. */
  readonly config?: ClusterConfig;
  readonly subnets?: readonly SubnetSpec[];
  readonly view?: FakeView;
  readonly loadBalanceMaxSeconds?: number;
  readonly maxClockSkewMs?: number;
  readonly logLeases?: boolean;
  readonly subnetSelection?: boolean;
  readonly leaseQuery?: Partial<LeaseQueryConfig>;
}

export type PacketFields = Partial<Omit<ReceivedPacket, 'bytes' | 'receivedAt'>>;

export class TestServer {
  readonly view: FakeView;
  readonly table: LeaseTable;
  readonly counters = new Counters();
  readonly server: DhcpServer;
  #mono = 1_000_000;
  #wall = 1_700_000_000_000;
  #seq = 0;

  constructor(options: TestServerOptions = {}) {
    this.view = options.view ?? new FakeView();
    const config = configFor(this.view, options);
    this.table = new LeaseTable(new BindingStore(EMPTY_DISK), config, {});
    const { view: cluster, table, counters } = this;
    this.server = new DhcpServer({ config, table, cluster, counters, logLeases: false, hashSeed: 1 });
  }

  /** Goes on with another configuration, as a running node does. */
  configure(options: Omit<TestServerOptions, 'view'>): void {
    const config = configFor(this.view, options);
    this.table.reconfigure(config, this.now);
    this.server.configure(config);
  }

  get now(): Now {
    return { mono: this.#mono as MonotonicMs, wall: this.#wall as WallMs };
  }

  advance(milliseconds: number): void {
    this.#mono += milliseconds;
    this.#wall += milliseconds;
  }

  /** Hands a packet in, as broadcast from 0.0.0.0 port 68 unless told otherwise, and stores own changes. */
  receive(bytes: Buffer, fields: PacketFields = {}): Decision {
    const { now } = this;
    const packet = { iface: IFACE, sourceAddress: 0, sourcePort: 68, unicast: false, ...fields, bytes, receivedAt: now.mono };
    return this.carryOut(this.server.onPacket(packet, now));
  }

  /** A LEASEQUERY, confirmed at once; undefined where it gets no answer. From its giaddr unless told otherwise. */
  ask(bytes: Buffer, fields: PacketFields = {}): OutgoingPacket | undefined {
    const decision = this.receive(bytes, { sourceAddress: bytes.readUInt32BE(24), sourcePort: 67, unicast: true, ...fields });
    const [question] = decision.questions;
    return question && this.server.answer(question, this.now).reply;
  }

  carryOut(decision: Decision): Decision {
    for (const { address, record } of decision.changes) this.store(address, record);
    return decision;
  }

  /** A change that this node made, or one that came from another. */
  store(address: number, record: Buffer): void {
    writeStamp(record, { epoch: Math.max(1, this.view.sinceEpoch), incarnation: 1, seq: ++this.#seq });
    this.table.put(address, record, this.now);
  }

  /** A turn in which nothing came in. */
  tick(): Decision {
    return this.carryOut(this.server.tick(this.now));
  }

  drops(): Partial<Record<DropReason, number>> {
    return Object.fromEntries(Object.entries(this.counters.drops).filter(([, count]) => count > 0));
  }
}

function configFor(view: FakeView, options: Omit<TestServerOptions, 'view'>): ClusterConfig {
  if (options.config !== undefined) return options.config;
  const {
    classes = [], knownServers = [], limits = {}, loadBalanceMaxSeconds = 3, logLeases = false, maxClockSkewMs = 10_000, reservations = [], subnetSelection = false, leaseQuery,
    subnets = [subnetConfig()],
  } = options;
  const more = { knownServers, loadBalanceMaxSeconds, logLeases, maxClockSkewMs, subnetSelection, leaseQuery: { ...NOBODY_ASKS, ...leaseQuery } };
  return buildConfig({ nodes: view.nodes, subnets, classes, limits, reservations, more });
}

/** Every packet that a decision sends, whatever it waits for. */
export function packetsOf(decision: Decision): OutgoingPacket[] {
  return [...decision.sendNow, ...decision.sendOnCommit.map(({ reply }) => reply), ...decision.sendOnConfirm.map(({ reply }) => reply)];
}

/** The one packet that a decision sends, parsed. */
export function replyOf(decision: Decision): DhcpMessage {
  const packets = packetsOf(decision);
  if (packets.length !== 1) throw new Error(`${packets.length} replies instead of one`);
  return parseReply(packets[0]!.bytes);
}

/** The codes of a reply's options in the order in which they stand in the options field. */
export function optionCodes(bytes: Buffer): number[] {
  const codes: number[] = [];
  for (let at = 240; at < bytes.length && bytes[at] !== 255;) {
    codes.push(bytes[at]!);
    at += 2 + bytes[at + 1]!;
  }
  return codes;
}

/** A hardware address whose slot is the node's: its clients are answered by it. */
export function chaddrHomedAt(view: FakeView, node: string, skip = 0): Buffer {
  for (let n = 0; ; n++) {
    const chaddr = Buffer.from('0200000000000000', 'hex').subarray(0, 6);
    chaddr.writeUInt16BE(n, 4);
    if (view.homeOf(rfc3074Hash(chaddr)) === node && skip-- === 0) return Buffer.from(chaddr);
  }
}
