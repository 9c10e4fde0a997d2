/**
 * One simulated world: nodes, etcd, streams, a segment with clients, and a nemesis that breaks things
 * for a while and then stops. Everything follows from the seed.
 *
 * Two phases. Safety: whatever breaks, no address is held by two clients. Convergence: once nothing
 * breaks any more, all nodes are in one view within a bound, hold the same bindings, know every lease
 * that a client holds, and serve a newcomer.
 */
import type { EtcdRequest, EtcdResult, PeerMessage } from '../../cluster/core/ports.ts';
import { decodeView } from '../../cluster/view/view.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import { ip } from '../support/client-packets.ts';
import { Agenda } from './agenda.ts';
import { Checker, PromiseBroken } from './checker.ts';
import type { SimClient } from './client.ts';
import type { ClientWorld } from './client.ts';
import { worldConfig } from './config.ts';
import { checkConverged, checkStores } from './convergence.ts';
import { SimEtcd } from './etcd.ts';
import { SimLinks } from './links.ts';
import { Nemesis } from './nemesis.ts';
import { SimNode } from './node.ts';
import type { NodeWorld } from './node.ts';
import { Operator } from './operator.ts';
import { drawPlan } from './plan.ts';
import type { Plan } from './plan.ts';
import { Population } from './population.ts';
import { Random } from './random.ts';
import { Rhythm } from './rhythm.ts';
import { Segment } from './segment.ts';

/** An hour in all. */
const FAULTS_MS = 3_450_000;
/** After the last fault: sessions end, nodes come back and join, one after the other. */
const CONVERGE_MS = 90_000;
const SETTLE_MS = 10_000;
const NEWCOMER_MS = 30_000;
const LEVEL_TRIES_MAX = 500;

export interface WorldResult {
  readonly seed: number;
  readonly nodes: number;
  readonly grants: number;
  readonly simulatedMs: number;
  /** The reason why a promise is broken; undefined: all were kept. */
  readonly failure: string | undefined;
  readonly counts: ReadonlyMap<string, number>;
}

export class World implements NodeWorld, ClientWorld {
  readonly seed: number;
  readonly random: Random;
  readonly agenda = new Agenda();
  readonly plan: Plan;
  readonly rhythm: Rhythm;
  readonly operator: Operator;
  readonly clustered: boolean;
  readonly population: Population;
  readonly #segment: Segment;
  readonly etcd: SimEtcd;
  readonly nodes: SimNode[];
  readonly links: SimLinks;
  readonly checker = new Checker();
  readonly counts = new Map<string, number>();
  readonly #nemesis: Nemesis;
  readonly #log: ((line: string) => void) | undefined;
  #failure: string | undefined;
  /** Nodes that do not reach etcd, and what may go wrong with an answer. */
  readonly etcdCut = new Set<string>();
  etcdDown = false;
  etcdLossy = 0;
  etcdSlow = false;
  clientLoss = 0.01;
  clientLate = 0;
  readonly clientCut = new Set<string>();

  constructor(seed: number, log?: (line: string) => void) {
    this.seed = seed;
    this.#log = log;
    this.random = new Random(seed);
    const { random } = this;
    this.plan = drawPlan(random);
    this.rhythm = new Rhythm(random);
    this.clustered = this.plan.clustered;
    this.etcd = new SimEtcd();
    this.operator = new Operator(random, this.etcd, this.clustered, () => worldConfig(random, this.plan), (what) => this.count(what));
    this.nodes = this.operator.first.nodes.map(({ id }, i) => new SimNode(id, ip('10.0.0.11') + i, this));
    for (const node of this.nodes) {
      node.wallOffsetMs = random.between(-4000, 4000);
      node.disk.visibleBeforeFlush = random.chance(0.5);
    }
    this.links = new SimLinks(this.agenda, random, this.nodes);
    this.etcd.onChange((keys) => this.#hintAll(keys));
    this.#segment = new Segment(this);
    this.population = new Population(this);
    this.#nemesis = new Nemesis(this);
  }

  get now(): number {
    return this.agenda.now;
  }

  /** A fault is about to happen. */
  struck(): void {
    this.rhythm.struck(this.now);
    this.population.hurry();
  }

  /** How long a node's timers may take: closely looked at only while something happens. */
  tickMs(node: SimNode): number {
    const lively = this.rhythm.isLively(this.now) || (this.rhythm.isMending(this.now) && node.engine?.core.nodeState !== 'NORMAL');
    return lively ? this.plan.tickMs : this.random.between(150, 300);
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  log(line: string): void {
    this.#log?.(`${(this.now / 1000).toFixed(3).padStart(9)} ${line}`);
  }

  // ── run ──────────────────────────────────────────────────────────────────────────────────────

  run(): WorldResult {
    try {
      this.#run();
    } catch (error) {
      // A broken promise, or an assertion of the code under test: both are failures of this seed.
      this.#failure = error instanceof PromiseBroken ? error.message : String((error as Error).stack);
    }
    this.#collect();
    return {
      seed: this.seed, nodes: this.nodes.length, grants: this.checker.grants, simulatedMs: this.now,
      failure: this.#failure, counts: this.counts,
    };
  }

  #run(): void {
    this.#expireLeases();
    for (const node of this.nodes) this.agenda.after(this.random.between(0, 3000), () => this.bootNode(node));
    this.population.begin();
    this.#nemesis.begin(FAULTS_MS);
    this.agenda.run(FAULTS_MS);
    this.#nemesis.end();
    this.log('--- faults stop');
    this.agenda.run(FAULTS_MS + CONVERGE_MS);
    checkConverged(this, CONVERGE_MS);
    this.agenda.run(FAULTS_MS + CONVERGE_MS + SETTLE_MS);
    this.population.quiet = true;
    this.agenda.run(FAULTS_MS + CONVERGE_MS + SETTLE_MS + 1000);
    this.#runUntilLevel();
    checkStores(this);
    this.#checkNewcomer();
  }

  #expireLeases(): void {
    this.etcd.expire(this.now);
    this.agenda.after(100, () => this.#expireLeases());
  }

  /** It reads its configuration first, and waits for etcd as long as that takes. */
  bootNode(node: SimNode): void {
    if (node.alive || this.#starting.has(node)) return;
    this.#starting.add(node);
    const again = (): void => {
      this.#starting.delete(node);
      this.agenda.after(this.random.between(300, 1500), () => this.bootNode(node));
    };
    if (this.clustered && this.#etcdLoses(node)) return again();
    const found = this.operator.atStart(node.id);
    if (found === undefined) {
      this.count('fault:config-refused-at-start');
      return again();
    }
    // Reading and checking takes its time, and the view may change meanwhile.
    this.agenda.after(this.clustered ? this.random.delay(100, 5000) : 0, () => {
      this.#starting.delete(node);
      this.log(`${node.id} starts with configuration ${found.revision}`);
      node.boot(found.config, found.revision);
    });
    return undefined;
  }

  readonly #starting = new Set<SimNode>();

  onPrepareConfig(node: SimNode, revision: number): void {
    const { start } = node;
    this.agenda.after(this.random.delay(100, 8000), () => {
      if (node.start !== start) return;
      const unread = this.#etcdLoses(node);
      node.configPrepared(revision, unread ? { ok: false, error: 'etcd does not answer', retry: true } : this.operator.read(node.id, revision));
    });
  }

  // ── clients ──────────────────────────────────────────────────────────────────────────────────

  onPlugged(client: SimClient, before: Buffer | undefined): void {
    this.#segment.plug(client, before);
  }

  wakeClients(share: number): void {
    this.population.wake(share);
  }

  sendFromClient(client: SimClient, bytes: Buffer, from: number, to: number): void {
    this.#segment.send(client, bytes, from, to);
  }

  onPacket(node: SimNode, packet: OutgoingPacket): void {
    this.#checkConfig(node);
    this.#segment.toClients(node, packet);
  }

  /** In one epoch all who answer do so by the same configuration. */
  #checkConfig(node: SimNode): void {
    const { config, core } = node.engine!;
    const { view, context } = core.state;
    if (view === undefined || !this.clustered) return;
    const known = this.#configOf.get(view.epoch);
    this.#configOf.set(view.epoch, config);
    if (known !== undefined && known !== config && core.isMember(context.options.self)) {
      throw new PromiseBroken(`${node.id} answers by configuration ${this.operator.revisionOf(config)} in epoch ${view.epoch}, another node by ${this.operator.revisionOf(known)}`);
    }
  }

  readonly #configOf = new Map<number, ClusterConfig>();

  onGranted(client: SimClient, address: number, untilMs: number): void {
    this.log(`client ${client.id} has ${formatIpv4(address)} until ${(untilMs / 1000).toFixed(1)}`);
    this.checker.granted(client, address, untilMs, this.now);
  }

  onGivenUp(client: SimClient, address: number, said: boolean): void {
    this.log(`client ${client.id} gives up ${formatIpv4(address)}`);
    this.checker.givenUp(client, address, said);
  }

  /** Hosts with addresses of their own out of the first pool: they answer most of the time. */
  isInUse(address: number): boolean {
    return this.#strangers.includes(address - this.operator.first.pools[0]!.id) && this.random.chance(0.9);
  }

  readonly #strangers = [1, 4, 5];

  // ── nodes ────────────────────────────────────────────────────────────────────────────────────

  onMessage(from: SimNode, peer: string, message: PeerMessage): void {
    this.links.send(from, peer, message);
  }

  onReset(from: SimNode, peer: string): void {
    this.links.break(from, this.nodes.find((node) => node.id === peer)!);
  }

  onEvent(node: SimNode, id: string, fields: Readonly<Record<string, unknown>>): void {
    this.count(`event:${id}`);
    if (id === 'config.applied') this.links.dropUnknown(node);
    this.log(`${node.id} ${id} ${Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`).join(' ')}`);
  }

  /** The process has drained and ends by itself; it is started again, as an upgrade would. */
  onExit(node: SimNode): void {
    this.count('drained');
    this.collectNode(node);
    this.stopNode(node);
    this.agenda.after(this.random.between(500, 5000), () => this.bootNode(node));
  }

  stopNode(node: SimNode): void {
    this.collectNode(node);
    node.crash();
    this.links.breakAllOf(node);
  }

  // ── etcd ─────────────────────────────────────────────────────────────────────────────────────

  onEtcdRequest(from: SimNode, request: EtcdRequest): void {
    const { random } = this;
    const { start } = from;
    let answered = false;
    const answer = (result: EtcdResult): void => {
      if (answered || start !== from.start) return;
      answered = true;
      from.etcdResult(result);
    };
    this.agenda.after(request.deadlineMs, () => answer({ id: request.id, outcome: 'unknown', error: 'deadline' }));
    if (this.#etcdLoses(from)) return;
    const late = random.chance(this.etcdLossy * 0.3);
    if (late) this.count('fault:etcd-late');
    const there = late ? random.between(500, 8000) : this.etcdSlow ? random.between(20, 1800) : random.delay(1, 40);
    this.agenda.after(there, () => {
      if (this.etcdDown) return;
      const result = this.etcd.apply(request, this.now);
      if (this.#etcdLoses(from)) {
        this.count('fault:etcd-answer-lost');
        return;
      }
      this.agenda.after(random.delay(0.5, 20), () => answer(result));
    });
  }

  #etcdLoses(from: SimNode): boolean {
    return this.etcdDown || this.etcdCut.has(from.id) || this.random.chance(this.etcdLossy);
  }

  /** What no node can be sure of at any moment, and the nemesis must know. */
  epochInEtcd(): number {
    const view = this.etcd.entries().find(({ key }) => key === 'view');
    return view === undefined ? 0 : decodeView(view.value)?.epoch ?? 0;
  }

  /** As production watches: `watchPrefixes` in node/main.ts. */
  #hintAll(keys: readonly string[]): void {
    for (const node of this.nodes) {
      const watched = ['view', 'leader', 'nodes/', 'config/revision', `inbox/${node.id}/`];
      if (!keys.some((key) => watched.some((prefix) => key.startsWith(prefix)))) continue;
      const { start } = node;
      if (this.etcdCut.has(node.id) || this.random.chance(0.05)) continue;
      this.agenda.after(this.random.delay(1, 300), () => {
        if (node.start === start) node.hint();
      });
    }
  }

  // ── checks ───────────────────────────────────────────────────────────────────────────────────

  /** Renewals and ends of leases go on: stores are compared at a moment when none of them is under way. */
  #runUntilLevel(): void {
    const level = (): boolean => this.nodes.every((node) => this.nodes.every((other) => {
      const { log, context } = other.engine!.core.state;
      return node.engine!.core.state.cursors.seq(context.incarnation) === log.last;
    }));
    for (let tries = 0; !level(); tries++) {
      if (tries === LEVEL_TRIES_MAX) throw new PromiseBroken('the logs are not level long after the last fault');
      this.agenda.run(this.now + 7);
    }
  }

  /** Somebody new gets an address, if one can be free: every other machine is switched off for it. */
  #checkNewcomer(): void {
    const { table } = this.nodes[0]!;
    // Some of them may be in use by somebody else.
    const { pools: all, subnets } = this.nodes[0]!.engine!.config;
    const pools = all.filter(({ guard, subnetIndex }) => guard.allow === undefined && subnets[subnetIndex]!.networkIndex === subnets[0]!.networkIndex);
    const free = pools.reduce((sum, { index }) => sum + table!.poolCounts(index).free, 0) - this.#strangers.length;
    for (const client of this.population.clients) client.off();
    const newcomer = this.population.newcomer();
    newcomer.boot();
    this.agenda.run(this.now + NEWCOMER_MS);
    if (newcomer.granted === 0 && free > 0) throw new PromiseBroken(`a new client is not served within ${NEWCOMER_MS} ms with ${free} addresses free`);
  }

  /** What a node's life showed, before its memory goes. */
  collectNode(node: SimNode): void {
    const { engine } = node;
    if (engine === undefined) return;
    for (const [cell, times] of engine.core.transitions) this.count(`node:${cell}`, times);
    for (const [cell, times] of engine.core.replication.transitions) this.count(`binding:${cell}`, times);
    if (engine.core.replication.conflicts > 0) this.#failure ??= `${node.id} saw an address changed by two owners in one epoch`;
    this.count('inbox-items', engine.core.inbox.itemsWritten);
    this.count('records-fetched', engine.core.learner.recordsFetched);
    for (const [reason, times] of Object.entries(node.counters.drops)) if (times > 0) this.count(`drop:${reason}`, times);
  }

  #collect(): void {
    for (const node of this.nodes) this.collectNode(node);
  }
}
