/**
 * A few production engines on simulated time, network, disks and etcd, without faults of their own: for tests
 * of one thing at a time. What goes wrong, and when, the test says.
 */
import assert from 'node:assert/strict';
import type { EtcdRequest, EtcdResult, PeerMessage } from '../../cluster/core/ports.ts';
import { decodeView, encodeView } from '../../cluster/view/view.ts';
import type { View } from '../../cluster/view/view.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import type { ProtocolRange } from '../../node/protocol.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import { Agenda } from '../sim/agenda.ts';
import { SimEtcd } from '../sim/etcd.ts';
import { SimLinks } from '../sim/links.ts';
import { SimNode } from '../sim/node.ts';
import type { NodeWorld } from '../sim/node-world.ts';
import { Random } from '../sim/random.ts';
import { chaddrOf, discover, ip, parseReply, request } from './client-packets.ts';
import { buildConfig, subnetConfig } from './configs.ts';
import type { ConfigSpec } from './configs.ts';

const TICK_MS = 50;

export interface SmallEvent {
  readonly at: number;
  readonly node: string;
  readonly id: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export class SmallCluster implements NodeWorld {
  readonly agenda = new Agenda();
  readonly random: Random;
  readonly clustered = true;
  readonly etcd = new SimEtcd();
  readonly nodes: readonly SimNode[];
  readonly links: SimLinks;
  readonly config: ClusterConfig;
  readonly events: SmallEvent[] = [];
  /** Nodes that do not reach etcd. */
  readonly etcdCut = new Set<string>();
  /** Nodes whose process has ended by itself. */
  readonly exited: string[] = [];
  /** Streams that were made, both ends counted. */
  resets = 0;
  /** Sees each message that leaves, and may put another in its place. */
  tamper: (from: string, to: string, message: PeerMessage) => PeerMessage = (_from, _to, message) => message;
  readonly #answers = new Map<string, OutgoingPacket[]>();
  readonly #offers = new Map<number, { readonly xid: number; readonly yiaddr: number; readonly serverIdentifier: number }>();

  constructor(ids: readonly string[], seed = 1, spec: Partial<ConfigSpec> = {}) {
    this.random = new Random(seed);
    this.config = buildConfig({ nodes: ids, subnets: [subnetConfig({
      name: '10.0.0.0/16', prefixLength: 16, pools: [{ first: ip('10.0.1.0'), last: ip('10.0.4.255') }], authoritative: true,
    })], ...spec });
    this.nodes = ids.map((id, i) => new SimNode(id, ip('10.0.0.11') + i, this));
    this.links = new SimLinks(this.agenda, this.random, this.nodes);
    this.etcd.onChange(() => this.#hintAll());
    const expire = (): void => {
      this.etcd.expire(this.agenda.now);
      this.agenda.after(100, expire);
    };
    expire();
    this.put('config/revision', { revision: 1 });
  }

  // ── what a test does ─────────────────────────────────────────────────────────────────────────

  node(id: string): SimNode {
    const node = this.nodes.find((each) => each.id === id);
    assert(node !== undefined, `no node ${id}`);
    return node;
  }

  start(id: string, protocol?: ProtocolRange): void {
    const node = this.node(id);
    if (protocol !== undefined) node.protocol = protocol;
    node.boot(this.config, 1);
    this.links.started(node);
  }

  /** Power is lost, or the process killed. */
  crash(id: string): void {
    this.node(id).crash();
    this.links.stopped(this.node(id));
  }

  run(ms: number): void {
    this.agenda.run(this.agenda.now + ms);
  }

  /** Runs until it holds, in steps; fails after so many simulated milliseconds. Returns how many it took. */
  until(what: string, msMax: number, holds: () => boolean): number {
    const began = this.agenda.now;
    while (!holds()) {
      assert(this.agenda.now - began < msMax, `${what}: not within ${msMax} ms; ${this.describe()}`);
      this.run(10);
    }
    return this.agenda.now - began;
  }

  put(key: string, json: unknown): void {
    this.#apply([{ op: 'put', key, value: Buffer.from(JSON.stringify(json)) }]);
  }

  putView(view: View): void {
    this.#apply([{ op: 'put', key: 'view', value: encodeView(view) }]);
  }

  delete(key: string): void {
    this.#apply([{ op: 'delete', key }]);
  }

  #apply(then: Extract<EtcdRequest, { kind: 'txn' }>['then']): void {
    this.etcd.apply({ kind: 'txn', id: 0, compares: [], then, otherwise: [], deadlineMs: 1000 }, this.agenda.now);
  }

  /** Cut both ways until it is joined again. */
  cutLink(a: string, b: string): void {
    this.links.cut(this.node(a), this.node(b), true);
  }

  joinLink(a: string, b: string): void {
    this.links.join(this.node(a), this.node(b));
  }

  // ── what a test sees ─────────────────────────────────────────────────────────────────────────

  state(id: string): string {
    return this.node(id).engine?.core.nodeState ?? 'dead';
  }

  /** The view in etcd. */
  get view(): View {
    const found = this.etcd.entries().find(({ key }) => key === 'view');
    const view = found === undefined ? undefined : decodeView(found.value);
    assert(view !== undefined, 'no view');
    return view;
  }

  get members(): string {
    return this.etcd.entries().some(({ key }) => key === 'view') ? this.view.members.map(({ node }) => node).join(' ') : '';
  }

  /** All of them, and each has finished the view. */
  settled(members: string): boolean {
    return this.members === members && members.split(' ').every((id) => {
      const core = this.node(id).engine?.core;
      return core?.state.view?.epoch === this.view.epoch && core.state.finished && core.isMember(id) && core.state.phase === 'member';
    });
  }

  told(id: string, node?: string): SmallEvent[] {
    return this.events.filter((event) => event.id === id && (node === undefined || event.node === node));
  }

  describe(): string {
    const states = this.nodes.map(({ id }) => `${id} ${this.state(id)}`).join(', ');
    return `members ${this.members}; ${states}; last events: ${this.events.slice(-8).map(({ node, id }) => `${node} ${id}`).join(', ')}`;
  }

  /** A client broadcasts, takes the first offer, and says so. The address that it got within a second. From 3 `secs` on any node answers. */
  lease(client: number, secs = 0): string | undefined {
    return this.offer(client, secs) === undefined ? undefined : this.accept(client, secs);
  }

  /** The first half of it: the offer that came first. */
  offer(client: number, secs = 0): { readonly server: string } | undefined {
    const xid = this.random.u32();
    const offer = this.ask(client, discover({ chaddr: chaddrOf(client), xid, broadcast: true, secs }));
    if (offer === undefined) return undefined;
    const { serverIdentifier, yiaddr } = fieldsOf(offer);
    this.#offers.set(client, { xid, yiaddr, serverIdentifier });
    return { server: this.nodes.find(({ address }) => address === serverIdentifier)!.id };
  }

  /** The other half. */
  accept(client: number, secs = 0): string | undefined {
    const { serverIdentifier, xid, yiaddr } = this.#offers.get(client)!;
    const ack = this.ask(client, request({ chaddr: chaddrOf(client), xid, broadcast: true, secs, requestedAddress: yiaddr, serverIdentifier }));
    return ack === undefined || fieldsOf(ack).type !== 5 ? undefined : formatIpv4(fieldsOf(ack).yiaddr);
  }

  /** What a client sends, and the first answer to it within a second. `from`: by unicast, from its address to one node; else all nodes hear it. */
  ask(client: number, bytes: Buffer, from?: { readonly address: number; readonly to: string }): OutgoingPacket | undefined {
    const answers: OutgoingPacket[] = [];
    this.#answers.set(chaddrOf(client).toString('hex'), answers);
    for (const node of this.nodes) {
      if (node.alive && (from === undefined || from.to === node.id)) node.receivePacket(Buffer.from(bytes), { address: from?.address ?? 0, port: 68, unicast: from !== undefined });
    }
    const until = this.agenda.now + 1000;
    while (this.agenda.now < until && answers.length === 0) this.run(5);
    return answers[0];
  }

  // ── the world of the nodes ───────────────────────────────────────────────────────────────────

  isInUse(): boolean {
    return false;
  }

  tickMs(): number {
    return TICK_MS;
  }

  count(): void {}

  onPacket(_node: SimNode, packet: OutgoingPacket): void {
    const copy = { ...packet, bytes: Buffer.from(packet.bytes) };
    this.#answers.get(copy.bytes.toString('hex', 28, 34))?.push(copy);
  }

  onMessage(from: SimNode, peer: string, message: PeerMessage): void {
    this.links.send(from, peer, this.tamper(from.id, peer, message));
  }

  onReset(from: SimNode, peer: string): void {
    this.resets++;
    this.links.break(from, this.node(peer));
  }

  onEtcdRequest(from: SimNode, request: EtcdRequest): void {
    const { start } = from;
    let answered = false;
    const answer = (result: EtcdResult): void => {
      if (answered || start !== from.start) return;
      answered = true;
      from.etcdResult(result);
    };
    this.agenda.after(request.deadlineMs, () => answer({ id: request.id, outcome: 'unknown', error: 'deadline' }));
    if (this.etcdCut.has(from.id)) return;
    this.agenda.after(this.random.between(1, 5), () => {
      const result = this.etcd.apply(request, this.agenda.now);
      if (!this.etcdCut.has(from.id)) this.agenda.after(this.random.between(1, 5), () => answer(result));
    });
  }

  onEvent(node: SimNode, id: string, fields: Readonly<Record<string, unknown>>): void {
    this.events.push({ at: this.agenda.now, node: node.id, id, fields });
  }

  onExit(node: SimNode): void {
    this.exited.push(node.id);
    this.crash(node.id);
  }

  onPrepareConfig(node: SimNode, revision: number): void {
    node.configPrepared(revision, { ok: true, config: this.config });
  }

  #hintAll(): void {
    for (const node of this.nodes) {
      const { start } = node;
      if (!this.etcdCut.has(node.id)) this.agenda.after(2, () => {
        if (node.start === start) node.hint();
      });
    }
  }
}

function fieldsOf(packet: OutgoingPacket): { readonly type: number; readonly yiaddr: number; readonly serverIdentifier: number } {
  const { bytes } = packet;
  const reply = parseReply(Buffer.from(bytes));
  return { type: reply.type, yiaddr: bytes.readUInt32BE(16), serverIdentifier: reply.option(54)!.readUInt32BE(0) };
}
