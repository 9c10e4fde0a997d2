/**
 * A few production nodes on simulated time, disks, streams and etcd, in which nothing breaks but what a test
 * breaks: for scenarios that are told step by step. Clients are packets, and what came back.
 */
import assert from 'node:assert/strict';
import type { EtcdRequest, EtcdResult, PeerMessage } from '../../cluster/core/ports.ts';
import { decodeView, encodeView } from '../../cluster/view/view.ts';
import type { View } from '../../cluster/view/view.ts';
import type { OperatorAnswer, OperatorCommand } from '../../node/admin/operator.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import type { Ipv4Prefix } from '../../node/codec/address.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import { Agenda } from '../sim/agenda.ts';
import { SimEtcd } from '../sim/etcd.ts';
import { SimLinks } from '../sim/links.ts';
import { SimNode } from '../sim/node.ts';
import type { NodeWorld } from '../sim/node-world.ts';
import { Random } from '../sim/random.ts';
import { chaddrOf, discover, ip, parseReply, request } from './client-packets.ts';
import type { ClientFields } from './client-packets.ts';
import { buildConfig, NOBODY_ASKS, subnetConfig } from './configs.ts';

const TICK_MS = 50;
const OFFER = 2;
const ACK = 5;
const NAK = 6;
const MESSAGE_TYPE = 53;
const SERVER_IDENTIFIER = 54;

export interface Told {
  readonly node: string;
  readonly id: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface ScenarioOptions {
  readonly nodes?: readonly string[];
  readonly leaseSeconds?: number;
  readonly authoritative?: boolean;
  readonly poolSize?: number;
  /** Who may send LEASEQUERY; default: nobody. */
  readonly requestors?: readonly Ipv4Prefix[];
}

/** A packet that a node sent to a client, a relay or a requestor. */
export interface Sent {
  readonly at: number;
  readonly node: string;
  readonly packet: OutgoingPacket;
}

export class Scenario implements NodeWorld {
  readonly agenda = new Agenda();
  readonly random = new Random(1);
  readonly clustered = true;
  readonly etcd = new SimEtcd();
  readonly config: ClusterConfig;
  readonly nodes: SimNode[];
  readonly links: SimLinks;
  readonly events: Told[] = [];
  /** All of etcd is gone, or out of the reach of some. */
  etcdDown = false;
  readonly etcdCut = new Set<string>();
  /** The next transaction of a node that this accepts is applied, and its answer lost. */
  loseAnswerTo: ((request: EtcdRequest) => boolean) | undefined;
  /** Told of each message that a node sends to another. */
  onSent: ((from: string, peer: string, message: PeerMessage) => void) | undefined;
  /** Addresses that somebody answers for. */
  readonly inUse = new Set<number>();
  #probed: number[] = [];
  #sent: Sent[] = [];
  #xid = 1;

  constructor({ authoritative = true, leaseSeconds = 600, nodes = ['a', 'b'], poolSize = 100, requestors = [] }: ScenarioOptions = {}) {
    const first = ip('10.0.0.100');
    this.config = buildConfig({
      nodes: [], more: { nodes: nodes.map((id) => ({ id, weight: 1 })), leaseQuery: { ...NOBODY_ASKS, requestors } },
      subnets: [subnetConfig({ name: '10.0.0.0/16', prefixLength: 16, leaseSeconds, authoritative, pools: [{ first, last: first + poolSize - 1 }] })],
    });
    this.nodes = nodes.map((id, i) => new SimNode(id, ip('10.0.0.11') + i, this));
    this.links = new SimLinks(this.agenda, this.random, this.nodes);
    this.etcd.onChange(() => {
      for (const node of this.nodes) if (this.#reachesEtcd(node)) this.agenda.after(1, () => node.hint());
    });
    this.putConfig();
    const expire = (): void => {
      this.etcd.expire(this.agenda.now);
      this.agenda.after(100, expire);
    };
    expire();
  }

  /** What an operator has put there, and a restored etcd may lack. */
  putConfig(): void {
    this.#put('config/revision', Buffer.from(JSON.stringify({ revision: 1 })));
  }

  /** Whatever the nodes think of it. */
  putView(view: View): void {
    this.#put('view', encodeView(view));
  }

  #put(key: string, value: Buffer): void {
    this.etcd.apply({ kind: 'txn', id: 0, compares: [], then: [{ op: 'put', key, value }], otherwise: [], deadlineMs: 1000 }, this.agenda.now);
  }

  // ── what a test does ─────────────────────────────────────────────────────────────────────────

  run(ms: number): void {
    this.agenda.run(this.agenda.now + ms);
  }

  /** Until it holds; fails after `ms`. */
  until(what: string, holds: () => boolean, ms = 60_000, stepMs = 50): void {
    const end = this.agenda.now + ms;
    while (!holds()) {
      assert.ok(this.agenda.now < end, `${what}: not within ${ms} ms; ${this.describe()}`);
      this.run(stepMs);
    }
  }

  node(id: string): SimNode {
    return this.nodes.find((node) => node.id === id)!;
  }

  boot(...ids: string[]): void {
    for (const id of ids) this.node(id).boot(this.config, 1);
  }

  /** All of them in one view, with etcd and links as they should be. */
  bootAll(): void {
    this.boot(...this.nodes.map(({ id }) => id));
    this.until('all are in service', () => this.nodes.every(({ id }) => this.stateOf(id) === 'NORMAL' && this.node(id).engine!.core.state.finished));
  }

  crash(id: string): void {
    this.node(id).crash();
    this.links.stopped(this.node(id));
  }

  /** Neither way; each side notices as it would. */
  cutLink(a: string, b: string): void {
    this.links.cut(this.node(a), this.node(b), true);
  }

  mendLink(a: string, b: string): void {
    this.links.join(this.node(a), this.node(b));
  }

  operate(id: string, command: OperatorCommand): OperatorAnswer {
    return this.node(id).operate(command)!;
  }

  // ── what a test sees ─────────────────────────────────────────────────────────────────────────

  stateOf(id: string): string {
    return this.node(id).engine?.core.nodeState ?? 'dead';
  }

  viewOf(id: string): View | undefined {
    return this.node(id).engine?.core.state.view;
  }

  membersOf(id: string): string {
    return this.viewOf(id)?.members.map(({ node }) => node).join(' ') ?? '';
  }

  viewInEtcd(): View | undefined {
    const pair = this.etcd.entries().find(({ key }) => key === 'view');
    return pair === undefined ? undefined : decodeView(pair.value);
  }

  /** Serves, and has taken over what the view gives it. */
  serves(id: string): boolean {
    const core = this.node(id).engine?.core;
    return core?.serving() === true && core.state.finished;
  }

  told(node: string, id: string): Told[] {
    return this.events.filter((event) => event.node === node && event.id === id);
  }

  describe(): string {
    return this.nodes.map(({ engine, id }) => {
      if (engine === undefined) return `${id} dead`;
      const { core } = engine;
      const { view, wentBack } = core.state;
      return `${id} ${core.nodeState} ${view?.generation ?? 0}/${view?.epoch ?? 0} [${this.membersOf(id)}] ${wentBack} ${core.adoption.waitingFor()} ${core.lastResort.progress?.text ?? ''}`;
    }).join('; ');
  }

  /** Everything that the store of a node has, as one text. */
  storeOf(id: string): string {
    return this.node(id).table!.records(-1, 100_000).map(({ address, record }) => `${address} ${record.toString('hex')}`).join('\n');
  }

  /** The address that the store of a node has for the client; "" if it has none. */
  addressOf(client: number, id: string): string {
    const address = this.node(id).table!.findByClient(Buffer.concat([Buffer.of(1), chaddrOf(client)]), 0);
    return address === 0 ? '' : formatIpv4(address);
  }

  numberOf(address: string): number {
    return ip(address);
  }

  /** Addresses that were probed since the last call. */
  takeProbed(): number[] {
    return this.#probed.splice(0);
  }

  // ── clients ──────────────────────────────────────────────────────────────────────────────────

  /** Four messages; the address, or "" where nobody answered in time. */
  lease(client: number, via: readonly string[] = this.nodes.map(({ id }) => id), wanted = ''): string {
    const wish = wanted === '' ? {} : { requestedAddress: ip(wanted) };
    const offer = this.ask(discover, { chaddr: chaddrOf(client), ...wish }, via, OFFER);
    if (offer === undefined) return '';
    const ack = this.ask(request, {
      chaddr: chaddrOf(client), requestedAddress: offer.yiaddr, serverIdentifier: offer.optionU32(SERVER_IDENTIFIER)!,
    }, via, ACK);
    return ack === undefined ? '' : formatIpv4(ack.yiaddr);
  }

  /** "ack", "nak" or "": what a client that has or had the address is told. */
  renew(client: number, address: string, state: 'renewing' | 'rebinding' | 'reboot', via: readonly string[] = this.nodes.map(({ id }) => id)): string {
    const fields: ClientFields = state === 'reboot' ? { requestedAddress: ip(address) } : { ciaddr: ip(address) };
    const reply = this.ask(request, { chaddr: chaddrOf(client), ...fields }, via, undefined, state === 'renewing');
    const type = reply?.option(MESSAGE_TYPE)?.[0];
    return type === ACK ? 'ack' : type === NAK ? 'nak' : '';
  }

  /** What the nodes have sent since the last call, and since a client asked. */
  takeSent(): Sent[] {
    return this.#sent.splice(0);
  }

  /** Asks up to three times, 4 s apart as clients do, and takes the first answer. */
  ask(
    make: (fields: ClientFields) => Buffer, fields: ClientFields, via: readonly string[], type: number | undefined, unicast = false,
  ): ReturnType<typeof parseReply> | undefined {
    const xid = this.#xid++;
    for (let secs = 0; secs <= 8; secs += 4) {
      this.#sent = [];
      const bytes = make({ xid, secs, broadcast: fields.ciaddr === undefined, ...fields });
      const from = { address: fields.ciaddr ?? 0, port: 68, unicast };
      for (const id of via) this.node(id).receivePacket(bytes, from);
      for (let waited = 0; waited < 4000; waited += 50) {
        this.run(50);
        const replies = this.#sent.map(({ packet }) => parseReply(packet.bytes)).filter((reply) => reply.xid === xid);
        const found = replies.find((reply) => type === undefined || reply.option(MESSAGE_TYPE)?.[0] === type);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  // ── the world of the nodes ───────────────────────────────────────────────────────────────────

  tickMs(): number {
    return TICK_MS;
  }

  isInUse(address: number): boolean {
    this.#probed.push(address);
    return this.inUse.has(address);
  }

  onPacket(node: SimNode, packet: OutgoingPacket): void {
    this.#sent.push({ at: this.agenda.now, node: node.id, packet });
  }

  onMessage(from: SimNode, peer: string, message: PeerMessage): void {
    this.onSent?.(from.id, peer, message);
    this.links.send(from, peer, message);
  }

  onReset(from: SimNode, peer: string): void {
    this.links.break(from, this.node(peer));
  }

  onEvent(node: SimNode, id: string, fields: Readonly<Record<string, unknown>>): void {
    this.events.push({ node: node.id, id, fields });
  }

  onExit(node: SimNode): void {
    this.crash(node.id);
  }

  onPrepareConfig(node: SimNode, revision: number): void {
    this.agenda.after(1, () => node.configPrepared(revision, { ok: true, config: this.config }));
  }

  count(): void {
    // Scenarios look at what happened, not at how often.
  }

  #reachesEtcd(node: SimNode): boolean {
    return !this.etcdDown && !this.etcdCut.has(node.id);
  }

  onEtcdRequest(from: SimNode, etcdRequest: EtcdRequest): void {
    const { start } = from;
    let answered = false;
    const answer = (result: EtcdResult): void => {
      if (!answered && start === from.start) from.etcdResult(result);
      answered = true;
    };
    this.agenda.after(etcdRequest.deadlineMs, () => answer({ id: etcdRequest.id, outcome: 'unknown', error: 'deadline' }));
    this.agenda.after(1, () => {
      if (!this.#reachesEtcd(from)) return;
      const result = this.etcd.apply(etcdRequest, this.agenda.now);
      if (this.loseAnswerTo?.(etcdRequest) === true) this.loseAnswerTo = undefined;
      else this.agenda.after(1, () => answer(result));
    });
  }
}
