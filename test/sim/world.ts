/**
 * One simulated world: nodes, etcd, streams, a segment with clients, and a nemesis that breaks things
 * for a while and then stops. Everything follows from the seed.
 *
 * Two phases. Safety: whatever breaks, no address is held by two clients. Convergence: once nothing
 * breaks any more, all nodes are in one view within a bound, hold the same bindings, know every lease
 * that a client holds, and serve a newcomer.
 */
import type { Outputs } from '../../cluster/core/engine.ts';
import type { EtcdRequest, PeerMessage } from '../../cluster/core/ports.ts';
import { decodeView } from '../../cluster/view/view.ts';
import type { View } from '../../cluster/view/view.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import type { DnsJob } from '../../node/ddns/types.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import { ip } from '../support/client-packets.ts';
import { Agenda } from './agenda.ts';
import { Checker, PromiseBroken } from './checker.ts';
import type { Hold } from './checker.ts';
import type { SimClient } from './client.ts';
import type { ClientWorld } from './client.ts';
import { TenureWatch } from './checks/tenures.ts';
import { Watch } from './checks/watch.ts';
import { ClientPath } from './client-path.ts';
import { worldConfig } from './config.ts';
import { checkConverged, checkNewcomer, checkOwners, checkStores, isSurelyKnown, levelMembers } from './convergence.ts';
import { SimEtcd } from './etcd.ts';
import { EtcdPath } from './etcd-path.ts';
import { REQUESTOR } from './checks/questions.ts';
import { checkSpeaks } from './faults/upgrades.ts';
import { Incidents } from './incidents.ts';
import { SimLinks } from './links.ts';
import { SimNames } from './names.ts';
import { Nemesis } from './nemesis.ts';
import { SimNode } from './node.ts';
import type { NodeWorld } from './node-world.ts';
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
const LEVEL_TRIES_MAX = 500;
/** A second stream of chance for each seed. */
const ASKING = 2 ** 40;
/** Stores are compared this often while something happens, and otherwise. */
const COMPARE_MS = 1000;
const COMPARE_CALM_MS = 15_000;

export interface WorldResult {
  readonly seed: number;
  readonly nodes: number;
  readonly grants: number;
  readonly simulatedMs: number;
  /** The reason why a promise is broken; undefined: all were kept. */
  readonly failure: string | undefined;
  readonly counts: ReadonlyMap<string, number>;
}

export interface WorldOptions {
  /** The kinds of faults that may strike, where the seed is not to say. */
  readonly theme?: readonly string[];
  /** Names go into DNS in every world, and not in a quarter of them. */
  readonly names?: boolean;
  /** The same of operators who shut clients out. */
  readonly incidents?: boolean;
}

export class World implements NodeWorld, ClientWorld {
  readonly seed: number;
  readonly random: Random;
  /** Of those who ask nodes for what they know, and of what the configuration says of them: all else is the same without them. */
  readonly chance: Random;
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
  readonly nemesis: Nemesis;
  readonly #watch: Watch;
  readonly names: SimNames;
  readonly incidents: Incidents;
  readonly tenures = new TenureWatch(this);
  readonly #log: ((line: string) => void) | undefined;
  #failure: string | undefined;
  readonly etcdPath: EtcdPath;
  readonly clientPath: ClientPath;

  constructor(seed: number, log?: (line: string) => void, options: WorldOptions = {}) {
    this.seed = seed;
    this.#log = log;
    this.random = new Random(seed);
    this.chance = new Random(seed + ASKING);
    const { random } = this;
    this.plan = drawPlan(random);
    this.rhythm = new Rhythm();
    this.names = new SimNames(this, options.names === true);
    this.incidents = new Incidents(this, options.incidents === true);
    this.clustered = this.plan.clustered;
    this.etcd = new SimEtcd();
    this.operator = new Operator(random, this.etcd, this.clustered, () => this.names.configured(this.incidents.configured(worldConfig(random, this.plan, this.chance))), (what) => this.count(what));
    this.nodes = this.operator.first.nodes.map(({ id }, i) => new SimNode(id, ip('10.0.0.11') + i, this));
    for (const node of this.nodes) {
      node.clock.offsetMs = random.between(-4000, 4000);
      node.disk.visibleBeforeFlush = random.chance(0.5);
    }
    const count = (what: string, by?: number): void => this.count(what, by);
    this.links = new SimLinks(this.agenda, random, this.nodes, count);
    this.etcdPath = new EtcdPath({ agenda: this.agenda, random, etcd: this.etcd, nodes: this.nodes, count });
    this.clientPath = new ClientPath(this.agenda, random, count);
    this.#segment = new Segment(this.nodes, this.clientPath);
    this.population = new Population(this);
    this.nemesis = new Nemesis(this, options.theme);
    this.#watch = new Watch(this);
  }

  get now(): number {
    return this.agenda.now;
  }

  /** A fault is about to happen, or was mended. */
  struck(): void {
    this.rhythm.struck(this.now);
    this.population.hurry();
  }

  /** How long a node's timers may take: closely looked at only while something happens. */
  tickMs(node: SimNode): number {
    const lively = this.rhythm.isLively(this.now) || (this.rhythm.isMending(this.now) && node.engine?.core.nodeState !== 'NORMAL');
    return lively ? this.plan.tickMs : this.random.between(400, 700);
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  log(line: string): void {
    this.#log?.(`${(this.now / 1000).toFixed(3).padStart(9)} ${line}`);
  }

  // ── run ──────────────────────────────────────────────────────────────────────────────────────

  async run(): Promise<WorldResult> {
    try {
      await this.#run();
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

  async #run(): Promise<void> {
    for (const node of this.nodes) this.agenda.after(this.random.between(0, 3000), () => this.bootNode(node));
    this.population.begin();
    this.#compareStores();
    this.#watch.begin();
    this.incidents.begin();
    this.nemesis.begin(FAULTS_MS);
    this.names.begin(FAULTS_MS);
    this.agenda.run(FAULTS_MS);
    this.nemesis.end();
    this.incidents.end();
    this.log('--- faults stop');
    this.agenda.run(FAULTS_MS + CONVERGE_MS);
    checkConverged(this, CONVERGE_MS);
    this.agenda.run(FAULTS_MS + CONVERGE_MS + SETTLE_MS);
    this.population.quiet = true;
    this.agenda.run(FAULTS_MS + CONVERGE_MS + SETTLE_MS + 1000);
    this.#runUntilLevel();
    checkStores(this, this.nodes);
    this.#watch.atEnd();
    await this.names.atEnd();
    // Some of them may be in use by somebody else.
    checkNewcomer(this, this.#strangers.length);
  }

  /** It reads its configuration first, and waits for etcd as long as that takes. */
  bootNode(node: SimNode): void {
    if (node.alive || this.#starting.has(node)) return;
    this.#starting.add(node);
    const again = (): void => {
      this.#starting.delete(node);
      this.agenda.after(this.random.between(300, 1500), () => this.bootNode(node));
    };
    if (node.lockedOff || (this.clustered && this.etcdPath.loses(node))) return again();
    const found = this.operator.atStart(node.id);
    if (found === undefined) {
      this.count('fault:config-refused-at-start');
      return again();
    }
    // Reading and checking takes its time, and the view may change meanwhile.
    this.agenda.after(this.clustered ? this.random.delay(100, 5000) : 0, () => {
      this.#starting.delete(node);
      if (node.lockedOff) return this.bootNode(node);
      this.log(`${node.id} starts with configuration ${found.revision}`);
      // Whoever may go on by itself has a clock that was set; alone it has none to compare with.
      if (this.viewInEtcd()?.members.some((member) => member.node === node.id) === true) node.clock.set();
      node.boot(found.config, found.revision);
      this.links.started(node);
      return undefined;
    });
    return undefined;
  }

  readonly #starting = new Set<SimNode>();

  onPrepareConfig(node: SimNode, revision: number): void {
    const { start } = node;
    this.agenda.after(this.random.delay(100, 8000), () => {
      if (node.start !== start) return;
      const unread = this.etcdPath.loses(node);
      node.configPrepared(revision, unread ? { ok: false, error: 'etcd does not answer', retry: true } : this.operator.read(node.id, revision));
    });
  }

  onDnsJob(node: SimNode, job: DnsJob): void {
    this.names.start(node, job);
  }

  // ── clients ──────────────────────────────────────────────────────────────────────────────────

  onPlugged(client: SimClient, before: Buffer | undefined): void {
    this.#segment.plug(client, before);
  }

  nameOptions(client: SimClient, type: number): Readonly<Record<number, Buffer>> {
    return this.names.optionsOf(client, type);
  }

  wakeClients(share: number): void {
    this.population.wake(share);
  }

  sendFromClient(client: SimClient, bytes: Buffer, from: number, to: number): void {
    this.#segment.send(client, bytes, from, to);
  }

  onPacket(node: SimNode, packet: OutgoingPacket): void {
    this.#checkConfig(node);
    checkSpeaks(node);
    if (packet.address === REQUESTOR) this.#watch.onAnswer(node, packet);
    else {
      this.incidents.onPacket(node, packet);
      this.#segment.toClients(node, packet);
    }
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

  onGranted(client: SimClient, address: number, untilMs: number, server: number): void {
    this.log(`client ${client.id} has ${formatIpv4(address)} until ${(untilMs / 1000).toFixed(1)}`);
    const promised = !this.#isAloneWithWrongClock(server);
    this.checker.granted(client, address, untilMs, this.now, promised);
    this.tenures.granted(client, address, this.now, promised);
  }

  /** Nobody is there to compare it with: by its clock the lease may end earlier than by any other. That is not promised. */
  #isAloneWithWrongClock(server: number): boolean {
    const node = this.nodes.find(({ address }) => address === server);
    const wrong = node?.isOnlyMember === true && Math.abs(node.clock.errorMs) > this.operator.first.maxClockSkewMs / 2;
    if (wrong) this.count('granted-by-a-wrong-clock-alone');
    return wrong;
  }

  onGivenUp(client: SimClient, address: number, said: boolean): void {
    this.log(`client ${client.id} gives up ${formatIpv4(address)}`);
    this.checker.givenUp(client, address, said, this.now);
  }

  /** What an operator changes, and whom pools and addresses are kept for, may take a lease from its client. */
  onRefused(client: SimClient, address: number): void {
    const { classes, limits, reservations } = this.operator.first;
    const plain = !this.operator.hasChanged && classes.length === 0 && reservations.length === 0 && limits.leasesPerCircuit === 0;
    if (plain && !this.incidents.on && !this.population.isCloned(client)) this.checker.refused(client, address, this.now);
  }

  /**
   * Hosts with addresses of their own out of the first pool: they answer most of the time. And machines that
   * have the address now: what is lost of leases they tell themselves.
   */
  isInUse(address: number): boolean | Buffer {
    const user = this.population.userOf(address);
    this.checker.probed(address, user !== undefined);
    return user?.chaddr ?? (this.#strangers.includes(address - this.operator.first.pools[0]!.id) && this.random.chance(0.9));
  }

  /** Leases that are lost where a generation begins with what this node's store has. */
  unknownTo(node: SimNode): Hold[] {
    return this.checker.held(this.now).filter((hold) => !isSurelyKnown(node, hold));
  }

  /** By an operator's word. */
  lose(holds: readonly Hold[]): void {
    this.checker.lose(holds);
    this.incidents.forget();
    this.#watch.onLost();
  }

  readonly #strangers = [1, 4, 5];

  // ── nodes ────────────────────────────────────────────────────────────────────────────────────

  onTurn(node: SimNode, outputs: Outputs): void {
    this.#watch.onTurn(node, outputs);
    this.names.onTurn(node);
  }

  onMessage(from: SimNode, peer: string, message: PeerMessage): void {
    this.links.send(from, peer, message);
  }

  onReset(from: SimNode, peer: string): void {
    this.links.break(from, this.nodes.find((node) => node.id === peer)!);
  }

  onEvent(node: SimNode, id: string, fields: Readonly<Record<string, unknown>>): void {
    this.count(`event:${id}`);
    if (id === 'view.finished') checkOwners(this, this.viewInEtcd());
    if (id === 'address.in-use') {
      const isAsker = (client: SimClient): boolean => this.population.isMachineOf(client, String(fields['hardware']));
      this.checker.answeredFor(ip(String(fields['address'])), isAsker, (client) => this.population.isCloned(client));
    }
    if (this.#log !== undefined) this.log(`${node.id} ${id} ${Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`).join(' ')}`);
  }

  /** The process has drained and ends by itself; it is started again, as an upgrade would. */
  onExit(node: SimNode): void {
    this.count('fault:drained');
    this.collectNode(node);
    this.stopNode(node);
    this.agenda.after(this.random.between(500, 5000), () => this.bootNode(node));
  }

  /** `dark`: with its host. */
  stopNode(node: SimNode, dark = false): void {
    this.collectNode(node);
    node.dark = dark;
    node.crash();
    this.links.stopped(node);
  }

  /** All nodes are in one view and linked, and nothing is to be done. */
  isInOrder(): boolean {
    const [first] = this.nodes;
    return this.nodes.every((node) => !node.paused && node.engine?.core.nodeState === 'NORMAL' && node.engine.core.state.finished &&
      node.engine.core.state.wentBack === '' && node.engine.core.state.view?.epoch === first!.engine?.core.state.view?.epoch);
  }

  // ── etcd ─────────────────────────────────────────────────────────────────────────────────────

  onEtcdRequest(from: SimNode, request: EtcdRequest): void {
    this.etcdPath.request(from, request);
  }

  /** What no node can be sure of at any moment, and the nemesis must know. */
  viewInEtcd(): View | undefined {
    const view = this.etcd.entries().find(({ key }) => key === 'view');
    return view === undefined ? undefined : decodeView(view.value);
  }

  epochInEtcd(): number {
    return this.viewInEtcd()?.epoch ?? 0;
  }

  // ── checks ───────────────────────────────────────────────────────────────────────────────────

  /** A difference shows soon after it came about, or the next change of the binding hides it. */
  #compareStores(): void {
    checkOwners(this, this.viewInEtcd());
    const members = levelMembers(this);
    if (members !== undefined) {
      this.count('stores-compared');
      checkStores(this, members);
      this.#watch.onLevel(members);
    }
    this.agenda.after(this.rhythm.isLively(this.now) ? COMPARE_MS : COMPARE_CALM_MS, () => this.#compareStores());
  }

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
