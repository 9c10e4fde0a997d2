/**
 * A few production engines, a network, disks and an etcd that do what the test says, message by message: for
 * executions that are known, where the simulator's are drawn. Nothing goes wrong here by itself.
 */
import assert from 'node:assert/strict';
import type { Outputs } from '../../cluster/core/engine.ts';
import type { EtcdRequest, EtcdResult, LinkDownReason, PeerMessage } from '../../cluster/core/ports.ts';
import { decodeView } from '../../cluster/view/view.ts';
import type { View } from '../../cluster/view/view.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import { BINDING_STATE_NAMES, BindingState, encodeRecord, recordChaddr, recordStamp, recordState } from '../../node/lease/record.ts';
import type { DhcpMessage } from '../../node/codec/message.ts';
import { Agenda } from '../sim/agenda.ts';
import { SimEtcd } from '../sim/etcd.ts';
import { Random } from '../sim/random.ts';
import { chaddrOf, discover, ip, parseReply, request } from './client-packets.ts';
import { buildConfig, subnetConfig } from './configs.ts';
import type { SubnetSpec } from './configs.ts';
import { StoryHost } from './story-host.ts';
import type { HostWorld } from './story-host.ts';

const LINK_MS = 1;
const ETCD_MS = 1;
const CONNECT_EVERY_MS = 200;
const HEARD_MS = 2;

type MessageKind = NonNullable<PeerMessage['body']>['$case'];

/** What becomes of a request to etcd: `held` ones wait for `releaseEtcd`, before etcd has them or after. */
export type EtcdFate = 'done' | 'lost' | 'answer-lost' | 'held' | 'answer-held';

export interface StoryEvent {
  readonly at: number;
  readonly node: string;
  readonly id: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

interface Stream {
  readonly ends: readonly [StoryHost, StoryHost];
  readonly starts: readonly [number, number];
  open: boolean;
}

export interface StoryOptions {
  readonly nodes: readonly string[];
  readonly subnet?: Partial<SubnetSpec>;
  readonly config?: Partial<ClusterConfig>;
  /** Of the nodes' own chance. */
  readonly seed?: number;
}

export class Story implements HostWorld {
  readonly agenda = new Agenda();
  readonly random: Random;
  readonly etcd = new SimEtcd();
  readonly hosts: readonly StoryHost[];
  readonly config: ClusterConfig;
  readonly events: StoryEvent[] = [];
  /** What the nodes have sent so far, by kind. */
  readonly sent: { readonly from: string; readonly to: string; readonly kind: MessageKind; readonly message: PeerMessage }[] = [];
  /** Sees each message that arrives; false: it is lost. */
  arrives: (from: string, to: string, message: PeerMessage) => boolean = () => true;
  /** A process has ended by itself. */
  onExit: (host: StoryHost) => void = () => undefined;
  /** After each turn of a node. */
  after: () => void = () => undefined;
  etcdFate: (from: string, request: EtcdRequest) => EtcdFate = () => 'done';
  readonly etcdCut = new Set<string>();
  /** Nodes whose watch of etcd tells them nothing. */
  readonly hintless = new Set<string>();
  readonly #streams = new Map<string, Stream>();
  readonly #apart = new Set<string>();
  /** By way, "a>b": what waits there, in order. */
  readonly #held = new Map<string, PeerMessage[]>();
  #etcdHeld: { readonly from: string; readonly run: () => void }[] = [];
  readonly #answers = new Map<string, DhcpMessage[]>();
  #xid = 1;

  constructor({ nodes, subnet, config, seed = 1 }: StoryOptions) {
    this.random = new Random(seed);
    this.config = buildConfig({
      nodes, more: config ?? {}, subnets: [subnetConfig({
        name: '10.0.0.0/16', prefixLength: 16, pools: [{ first: ip('10.0.1.0'), last: ip('10.0.1.255') }], authoritative: true, ...subnet,
      })],
    });
    this.hosts = nodes.map((id, i) => new StoryHost(id, ip('10.0.0.11') + i, this));
    this.etcd.onChange(() => this.#hintAll());
    const expire = (): void => {
      this.etcd.expire(this.agenda.now);
      this.agenda.after(50, expire);
    };
    expire();
    for (const a of this.hosts) for (const b of this.hosts) if (a.id < b.id) this.#connect(a, b);
  }

  // ── what happens ─────────────────────────────────────────────────────────────────────────────

  host(id: string): StoryHost {
    const host = this.hosts.find((each) => each.id === id);
    assert(host !== undefined, `no host ${id}`);
    return host;
  }

  start(id: string): void {
    this.host(id).boot(this.config);
  }

  /** All of them, until they are in one view and have finished it. */
  startAll(): this {
    for (const { id } of this.hosts) this.start(id);
    this.settle();
    return this;
  }

  crash(id: string): void {
    this.host(id).crash();
    for (const other of this.hosts) if (other.id !== id) this.breakLink(id, other.id);
  }

  run(ms: number): void {
    this.agenda.run(this.agenda.now + ms);
  }

  until(what: string, holds: () => boolean, msMax = 10_000): void {
    const until = this.agenda.now + msMax;
    while (!holds()) {
      assert(this.agenda.now < until, `${what}: not within ${msMax} ms. ${this.describe()}`);
      this.run(1);
    }
  }

  /** Until these nodes (default: all) are the view and have finished it. */
  settle(ids: readonly string[] = this.hosts.map(({ id }) => id), msMax = 40_000): void {
    this.until(`${ids.join(' ')} settled`, () => this.members === ids.join(' ') && ids.every((id) => {
      const host = this.host(id);
      return host.alive && host.state.phase === 'member' && host.state.finished && host.state.view?.epoch === this.view?.epoch;
    }), msMax);
  }

  // ── the network ──────────────────────────────────────────────────────────────────────────────

  /** What `from` sends to `to` waits, in order, until it flows again; the stream stays. */
  hold(from: string, to: string): void {
    if (!this.#held.has(`${from}>${to}`)) this.#held.set(`${from}>${to}`, []);
  }

  flow(from: string, to: string): void {
    const held = this.#held.get(`${from}>${to}`) ?? [];
    this.#held.delete(`${from}>${to}`);
    for (const message of held) this.#deliver(this.host(from), this.host(to), message);
  }

  holdBoth(a: string, b: string): void {
    this.hold(a, b);
    this.hold(b, a);
  }

  flowBoth(a: string, b: string): void {
    this.flow(a, b);
    this.flow(b, a);
  }

  /** The stream ends with all that is under way, and another one begins soon. */
  breakLink(a: string, b: string): void {
    const stream = this.#streams.get(pair(a, b));
    if (stream === undefined) return;
    stream.open = false;
    this.#streams.delete(pair(a, b));
    for (const way of [`${a}>${b}`, `${b}>${a}`]) if (this.#held.has(way)) this.#held.set(way, []);
    const [first, second] = stream.ends;
    this.#tellDown(first, second.id, stream.starts[0], 'closed');
    this.#tellDown(second, first.id, stream.starts[1], 'closed');
    this.agenda.after(CONNECT_EVERY_MS, () => this.#connect(first, second));
  }

  /** No stream between them until they are together again. */
  apart(a: string, b: string): void {
    this.#apart.add(pair(a, b));
    this.breakLink(a, b);
  }

  together(a: string, b: string): void {
    this.#apart.delete(pair(a, b));
  }

  #tellDown(host: StoryHost, peer: string, start: number, reason: LinkDownReason): void {
    this.agenda.after(HEARD_MS, () => {
      if (host.start === start) host.input((engine, now) => engine.onLink({ kind: 'link-down', peer, reason }, now));
    });
  }

  #connect(a: StoryHost, b: StoryHost): void {
    const key = pair(a.id, b.id);
    if (this.#streams.has(key)) return;
    if (this.#apart.has(key) || !a.alive || !b.alive) {
      const reason = this.#apart.has(key) ? 'unreachable' : 'refused';
      for (const [host, peer] of [[a, b], [b, a]] as const) {
        if (host.alive && (reason === 'unreachable' || !peer.alive)) this.#tellDown(host, peer.id, host.start, reason);
      }
      this.agenda.after(CONNECT_EVERY_MS, () => this.#connect(a, b));
      return;
    }
    this.#streams.set(key, { ends: [a, b], starts: [a.start, b.start], open: true });
    for (const [host, peer] of [[a, b], [b, a]] as const) host.input((engine, now) => engine.onLink({ kind: 'link-up', peer: peer.id }, now));
  }

  #send(from: StoryHost, to: StoryHost, message: PeerMessage): void {
    this.sent.push({ from: from.id, to: to.id, kind: message.body!.$case, message });
    const stream = this.#streams.get(pair(from.id, to.id));
    if (stream === undefined) return;
    this.agenda.after(LINK_MS, () => {
      if (!stream.open) return;
      const held = this.#held.get(`${from.id}>${to.id}`);
      if (held !== undefined) held.push(message);
      else this.#deliver(from, to, message);
    });
  }

  #deliver(from: StoryHost, to: StoryHost, message: PeerMessage): void {
    if (!this.arrives(from.id, to.id, message)) return;
    to.input((engine, now) => engine.onLink({ kind: 'link-message', peer: from.id, message }, now));
  }

  // ── etcd ─────────────────────────────────────────────────────────────────────────────────────

  /** What was held of these nodes (default: of all) reaches etcd, or its sender, now. */
  releaseEtcd(ids: readonly string[] = this.hosts.map(({ id }) => id)): void {
    const held = this.#etcdHeld;
    this.#etcdHeld = held.filter(({ from }) => !ids.includes(from));
    for (const { from, run } of held) if (ids.includes(from)) run();
  }

  /** Something of this node may still reach etcd. */
  hasHeldEtcd(id: string): boolean {
    return this.#etcdHeld.some(({ from }) => from === id);
  }

  #ask(from: StoryHost, request: EtcdRequest): void {
    const { start } = from;
    let answered = false;
    const answer = (result: EtcdResult): void => {
      if (answered || start !== from.start) return;
      answered = true;
      from.input((engine, now) => engine.onEtcd(result, now));
    };
    this.agenda.after(request.deadlineMs, () => answer({ id: request.id, outcome: 'unknown', error: 'deadline' }));
    const fate = this.etcdCut.has(from.id) ? 'lost' : this.etcdFate(from.id, request);
    if (fate === 'lost') return;
    const apply = (): void => {
      const result = this.etcd.apply(request, this.agenda.now);
      if (fate === 'answer-held') this.#etcdHeld.push({ from: from.id, run: () => answer(result) });
      else if (fate !== 'answer-lost') this.agenda.after(ETCD_MS, () => answer(result));
    };
    if (fate === 'held') this.#etcdHeld.push({ from: from.id, run: apply });
    else this.agenda.after(ETCD_MS, apply);
  }

  #hintAll(): void {
    for (const host of this.hosts) {
      const { start } = host;
      if (this.etcdCut.has(host.id) || this.hintless.has(host.id)) continue;
      this.agenda.after(ETCD_MS, () => {
        if (host.start === start) host.input((engine, now) => engine.onHint(now));
      });
    }
  }

  /** etcd ends the node's session, early or because it heard nothing. */
  endSession(id: string): void {
    const shown = this.etcd.entries().find(({ key }) => key === `nodes/${id}`);
    if (shown !== undefined) this.etcd.apply({ kind: 'revoke', id: 0, lease: shown.lease, deadlineMs: 0 }, this.agenda.now);
  }

  keys(prefix: string): string[] {
    return this.etcd.entries().map(({ key }) => key).filter((key) => key.startsWith(prefix));
  }

  get view(): View | undefined {
    const read: EtcdRequest = { kind: 'txn', id: 0, compares: [], then: [{ op: 'get', key: 'view' }], otherwise: [], deadlineMs: 0 };
    const result = this.etcd.apply(read, this.agenda.now);
    const found = result.outcome === 'txn' ? result.reads[0]![0] : undefined;
    return found === undefined ? undefined : decodeView(found.value);
  }

  get members(): string {
    return this.view?.members.map(({ node }) => node).join(' ') ?? '';
  }

  /** Which of them leads. */
  get leader(): string {
    return this.hosts.find((host) => host.alive && host.engine.core.leader.leads)?.id ?? '';
  }

  // ── clients ──────────────────────────────────────────────────────────────────────────────────

  /** What a node has answered to this machine since it was asked last. */
  answers(client: number): DhcpMessage[] {
    return this.#answers.get(chaddrOf(client).toString('hex')) ?? [];
  }

  nextXid(): number {
    return this.#xid++;
  }

  /** Asks this node alone, for so long that it answers whosever share the machine is; then takes what it is offered. */
  requests(client: number, node: string): number {
    const xid = this.nextXid();
    const common = { chaddr: chaddrOf(client), xid, broadcast: true, secs: 60 };
    this.#answers.set(chaddrOf(client).toString('hex'), []);
    const host = this.host(node);
    host.receive(discover(common));
    this.until(`an offer for ${client} from ${node}`, () => this.answers(client).length > 0, 1000);
    const { yiaddr } = this.answers(client)[0]!;
    this.#answers.set(chaddrOf(client).toString('hex'), []);
    host.receive(request({ ...common, requestedAddress: yiaddr, serverIdentifier: host.address }));
    return yiaddr;
  }

  isAcknowledged(client: number): boolean {
    return this.answers(client).some(({ type }) => type === 5);
  }

  /** The address that it is given. */
  lease(client: number, node: string, msMax = 2000): number {
    const address = this.requests(client, node);
    this.until(`a DHCPACK for ${client} from ${node}`, () => this.isAcknowledged(client), msMax);
    return address;
  }

  /** Makes so many changes of its own on a node, as if it had granted leases, `from` that address on; returns the addresses. */
  grants(node: string, count: number, from = 0): number[] {
    const { engine } = this.host(node);
    const addresses: number[] = [];
    const [pool] = this.config.pools;
    for (let address = Math.max(from, pool!.ranges[0]!.first); addresses.length < count; address++) {
      assert(address <= pool!.ranges[0]!.last, 'the pool is too small');
      if (!engine.core.owns(address & 255) || this.host(node).table.read(address) !== undefined) continue;
      addresses.push(address);
    }
    const second = Math.floor(this.host(node).now().wall / 1000);
    this.host(node).input(() => {
      for (const address of addresses) {
        engine.core.replication.append(address, encodeRecord({
          state: BindingState.ACTIVE, hasClientIdentifier: false, reserved: false, htype: 1, chaddr: chaddrOf(address), clientKey: Buffer.concat([Buffer.of(1), chaddrOf(address)]),
          stateSince: second, lastTransaction: second, expires: second + 3600, leaseSeconds: 3600, xid: address, hostname: Buffer.alloc(0), relayAgentInformation: this.#padding,
        }));
      }
    });
    return addresses;
  }

  /** What the relay says of each client that `grants` makes: for records of a size. */
  #padding = Buffer.alloc(0);
  set padding(bytes: number) {
    this.#padding = Buffer.alloc(bytes, 1);
  }

  /** "ACTIVE 020000000100 3/1": of whom, and by whose change. */
  binding(node: string, address: number): string {
    const record = this.host(node).table.read(address);
    if (record === undefined) return 'FREE';
    const { epoch, seq } = recordStamp(record);
    return `${BINDING_STATE_NAMES[recordState(record)]} ${recordChaddr(record).toString('hex')} ${epoch}/${seq}`;
  }

  told(id: string, node?: string): StoryEvent[] {
    return this.events.filter((event) => event.id === id && (node === undefined || event.node === node));
  }

  describe(): string {
    const states = this.hosts.map((host) => `${host.id} ${host.alive ? `${host.engine.core.nodeState} ${host.state.view?.epoch}${host.state.finished ? '' : ' unfinished'}` : 'dead'}`);
    return `members ${this.members}; ${states.join(', ')}; last: ${this.events.slice(-10).map(({ at, node, id }) => `${at} ${node} ${id}`).join(', ')}`;
  }

  carryOut(host: StoryHost, outputs: Outputs): void {
    for (const { peer, message } of outputs.messages) this.#send(host, this.host(peer), message);
    for (const peer of outputs.resets) this.breakLink(host.id, peer);
    for (const request of outputs.etcd) this.#ask(host, request);
    for (const packet of outputs.packets) {
      const key = packet.bytes.toString('hex', 28, 34);
      const reply = parseReply(Buffer.from(packet.bytes));
      this.#answers.set(key, [...this.#answers.get(key) ?? [], reply]);
    }
    for (const { id, fields } of outputs.events) this.events.push({ at: this.agenda.now, node: host.id, id, fields });
    if (outputs.exit !== undefined) this.agenda.after(0, () => {
      this.crash(host.id);
      this.onExit(host);
    });
    this.after();
  }
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
