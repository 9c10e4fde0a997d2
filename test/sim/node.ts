/**
 * A simulated host with a node on it: the production engine, driven as node/main.ts drives it, on a
 * disk that can lose power, with clocks of its own. It can crash, restart, be paused and be drained.
 *
 * Everything that a turn does to the world is a step, and the node can be stopped before or after any
 * of them: what came before has happened, and what was to follow happens late or never.
 */
import assert from 'node:assert/strict';
import { optionsOf } from '../../cluster/core/context.ts';
import { Engine } from '../../cluster/core/engine.ts';
import type { Outputs } from '../../cluster/core/engine.ts';
import type { LinkEvent } from '../../cluster/core/ports.ts';
import type { PreparedConfig } from '../../cluster/view/configuration.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import type { DnsOutcome } from '../../node/ddns/types.ts';
import { BindingStore } from '../../node/lease/store.ts';
import type { WriteBatch } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import { LeaseHistory } from '../../node/history/lease-history.ts';
import { ChangeHistory, historyLimits } from '../../node/leasequery/change-history.ts';
import { DRAIN_MS_MAX, REPLY_AGE_MS_MAX } from '../../node/limits.ts';
import type { InterfaceInfo, OutgoingPacket, ProbeRequest, ReceivedPacket } from '../../node/server/ports.ts';
import { Counters } from '../../node/telemetry/counters.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import type { EtcdResult } from '../../cluster/core/ports.ts';
import type { ChangeOutcome, Decide } from '../../node/admin/changes.ts';
import type { OperatorAnswer, OperatorCommand } from '../../node/admin/operator.ts';
import { PROTOCOL } from '../../node/protocol.ts';
import type { ProtocolRange } from '../../node/protocol.ts';
import { WALL_EPOCH_MS } from './config.ts';
import { SimDisk } from './disk.ts';
import type { NodeWorld, Step, Trap } from './node-world.ts';
import type { DiskMoment } from './disk.ts';
import { inSomeOrder } from './held-inputs.ts';
import type { Input, Source } from './held-inputs.ts';
import { WallClock } from './wall-clock.ts';

/** As node/main.ts: a commit that failed is tried again. */
const STORE_RETRY_MS = 1000;
/** A member whose disk takes no writes leaves after 3 s of it. */
const DISK_TROUBLE_MS = 6000;
/** What a socket's receive buffer holds of small packets; what comes while it is full is lost. */
const PACKETS_HELD_MAX = 500;

interface Effect {
  readonly step: Step | undefined;
  readonly run: () => void;
}

export class SimNode {
  readonly id: string;
  readonly address: number;
  readonly disk = new SimDisk();
  readonly #world: NodeWorld;
  readonly #iface: InterfaceInfo;
  engine: Engine | undefined;
  table: LeaseTable | undefined;
  history: ChangeHistory | undefined;
  tenures: LeaseHistory | undefined;
  counters = new Counters();
  /** Of this start; what was meant for an earlier one is void. */
  start = 0;
  readonly clock: WallClock;
  diskSlowUntil = 0;
  diskFullUntil = 0;
  /** The node may leave because of it until then. */
  diskTroubledUntil = 0;
  /** The host is off, not only its process: nothing refuses, nothing answers. */
  dark = false;
  #paused = false;
  #trap: Trap | undefined;
  /** What the build that is started next speaks, and the one that runs. */
  protocol: ProtocolRange = PROTOCOL;
  speaks: ProtocolRange = PROTOCOL;
  /** Somebody has switched it off, and will switch it on again. */
  lockedOff = false;
  #held: Input[] = [];
  #packetsHeld = 0;
  #tickHeld = false;
  #hintHeld = false;
  /** Of the turn under way, and how far it has come. */
  #effects: Effect[] = [];
  #done = 0;
  #committing = false;
  #unheard = false;

  constructor(id: string, address: number, world: NodeWorld) {
    this.id = id;
    this.address = address;
    this.#world = world;
    this.clock = new WallClock(world.agenda);
    this.#iface = { name: 'eth0', index: 2, mtu: 1500, addresses: [{ address, prefixLength: 16 }] };
  }

  get alive(): boolean {
    return this.engine !== undefined;
  }

  get paused(): boolean {
    return this.#paused;
  }

  get trueTime(): number {
    return this.#world.agenda.now;
  }

  // ── clocks ───────────────────────────────────────────────────────────────────────────────────

  /** Nobody is in service beside it, by the view that it has. */
  get isOnlyMember(): boolean {
    return this.engine?.core.state.view?.members.length === 1;
  }

  now(): Now {
    const at = this.#world.agenda.now;
    return { mono: at as MonotonicMs, wall: (WALL_EPOCH_MS + at + this.clock.errorMs) as WallMs };
  }

  // ── life ─────────────────────────────────────────────────────────────────────────────────────

  /** With the configuration that it read before. */
  boot(config: ClusterConfig, configRevision: number): void {
    assert(!this.alive, 'a running node is not started');
    const { random, clustered } = this.#world;
    const start = ++this.start;
    this.dark = false;
    this.speaks = this.protocol;
    const store = new BindingStore(this.disk);
    const table = new LeaseTable(store, config, {});
    table.load(this.now());
    this.table = table;
    const history = new ChangeHistory(store, historyLimits(config.leaseQuery), this.now());
    this.history = history;
    this.tenures = this.#world.tenures?.on === true ? new LeaseHistory(store, config.history, this.now()) : undefined;
    this.counters = new Counters();
    this.engine = new Engine({
      options: optionsOf({
        self: this.id, clustered, clusterName: 'sim', address: `${this.id}:7067`, sessionTtlSeconds: 3, software: 'sim', protocol: this.protocol,
      }, config),
      config, configRevision, store, table, history, tenures: this.tenures, counters: this.counters, random: random.unit, logLeases: false, now: this.now(),
    });
    this.#committing = false;
    this.#unheard = false;
    this.engine.setInterfaces([this.#iface], this.now());
    this.#turn();
    this.#tickLater(start);
  }

  #tickLater(start: number): void {
    this.#world.agenda.after(this.#world.tickMs(this), () => {
      if (start !== this.start || !this.alive) return;
      if (!this.#tickHeld) {
        this.#tickHeld = this.paused;
        this.#input('timers', (engine, now) => engine.tick(now));
      }
      this.#tickLater(start);
    });
  }

  /**
   * Power is lost, or the process is killed: what was not flushed is gone with the host's memory. A
   * flush under way may have come through all the same, and nobody will ever have heard of it.
   */
  crash(): void {
    this.engine = undefined;
    this.table = undefined;
    this.history = undefined;
    this.start++;
    this.#forgetHeld();
    this.#effects = [];
    this.#done = 0;
    this.#paused = false;
    this.#trap = undefined;
    if (this.disk.pending > 0 && this.#world.agenda.now >= this.diskFullUntil && this.#world.random.chance(0.5)) {
      if (this.disk.complete()!.error === undefined) this.#world.count('fault:flushed-unheard');
    }
    this.disk.crash();
  }

  #forgetHeld(): Input[] {
    const held = this.#held;
    this.#held = [];
    this.#packetsHeld = 0;
    this.#tickHeld = false;
    this.#hintHeld = false;
    return held;
  }

  /** Stands still, wherever it is. */
  pause(): void {
    if (this.alive) this.#paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.#paused = false;
    const held = inSomeOrder(this.#forgetHeld(), this.#world.random);
    // What was left of the turn in which it stood still.
    this.#carryOn();
    let discard = false;
    for (const [i, input] of held.entries()) {
      if (!this.alive) return;
      if (this.paused) {
        this.#held.push(...held.slice(i));
        return;
      }
      if (discard && input.source === 'packets') continue;
      input.run(this.engine!, this.now());
      discard = this.#turn() || discard;
    }
  }

  /** To be stopped at a step; there is one trap at a time. */
  set(trap: Trap): void {
    this.#trap = trap;
  }

  unset(trap: Trap): void {
    if (this.#trap === trap) this.#trap = undefined;
  }

  // ── inputs ───────────────────────────────────────────────────────────────────────────────────

  #input(source: Source, run: Input['run']): void {
    if (this.engine === undefined) return;
    if (this.paused) {
      this.#held.push({ source, run });
      return;
    }
    run(this.engine, this.now());
    this.#turn();
  }

  receivePacket(bytes: Buffer, from: { readonly address: number; readonly port: number; readonly unicast: boolean }): void {
    if (this.paused) {
      if (this.#packetsHeld === PACKETS_HELD_MAX) {
        this.#world.count('fault:socket-full');
        return;
      }
      this.#packetsHeld++;
    }
    this.#input('packets', (engine, now) => {
      const packet: ReceivedPacket = {
        bytes, iface: this.#iface, sourceAddress: from.address, sourcePort: from.port, unicast: from.unicast, receivedAt: now.mono,
      };
      engine.onPacket(packet, now);
    });
  }

  link(event: LinkEvent): void {
    this.#input(`link ${event.peer}`, (engine, now) => engine.onLink(event, now));
  }

  etcdResult(result: EtcdResult): void {
    this.#input('etcd', (engine, now) => engine.onEtcd(result, now));
  }

  hint(): void {
    if (this.#hintHeld) return;
    this.#hintHeld = this.paused;
    this.#input('etcd', (engine, now) => engine.onHint(now));
  }

  configPrepared(revision: number, result: PreparedConfig): void {
    this.#input('timers', (engine, now) => engine.onConfigPrepared(revision, result, now));
  }

  /** An operator's command; undefined while the process does not run, or stands still. */
  operate(command: OperatorCommand): OperatorAnswer | undefined {
    let answer: OperatorAnswer | undefined;
    if (!this.#paused) {
      this.#input('timers', (engine, now) => {
        answer = engine.operate(command, now);
      });
    }
    return answer;
  }

  /** What an operator asks to be changed; where the process ends before, `done` is never called. */
  change(decide: Decide, done: (outcome: ChangeOutcome) => void): void {
    this.#input('timers', (engine, now) => engine.change(decide, done, now));
  }

  dnsDone(id: number, outcome: DnsOutcome): void {
    this.#input('timers', (engine, now) => engine.onDnsDone(id, outcome, now));
  }

  /** Whether a message of the job may leave now. */
  mayUpdate(id: number): boolean {
    return this.engine?.dns.mayGoOn(id, this.now().mono) === true;
  }

  askSnapshot(id: number): void {
    this.#input('timers', (engine, now) => engine.askSnapshot(id, now));
  }

  /** The disk as the process knows it: undefined where a flush has ended of which it has not heard yet. */
  markDisk(): DiskMoment | undefined {
    return this.#unheard ? undefined : this.disk.moment();
  }

  /** SIGTERM. */
  drain(): void {
    this.#input('timers', (engine, now) => engine.drain(now));
    const { start } = this;
    const giveUp = (): void => {
      if (start !== this.start || !this.alive) return undefined;
      if (this.paused) return this.#world.agenda.after(1000, giveUp);
      this.#world.count('drain-given-up');
      return this.#world.onExit(this);
    };
    this.#world.agenda.after(DRAIN_MS_MAX, giveUp);
  }

  // ── the turn, as node/main.ts does it ────────────────────────────────────────────────────────

  /** True: what waits in the sockets is to be discarded. */
  #turn(): boolean {
    const outputs = this.engine!.takeOutputs(this.now());
    this.#world.onTurn?.(this, outputs);
    if (this.#trap === undefined) this.#carryOut(outputs, (_step, run) => run());
    else {
      // Somebody may stop it in the middle.
      const effects: Effect[] = [];
      this.#carryOut(outputs, (step, run) => effects.push({ step, run }));
      this.#effects = effects;
      this.#done = 0;
      this.#carryOn();
    }
    return outputs.discardPackets;
  }

  #carryOut(outputs: Outputs, each: (step: Step | undefined, run: () => void) => void): void {
    const world = this.#world;
    const { start } = this;
    for (const { peer, message } of outputs.messages) each({ kind: 'message', peer, message }, () => world.onMessage(this, peer, message));
    for (const peer of outputs.resets) each(undefined, () => world.onReset(this, peer));
    for (const request of outputs.etcd) each({ kind: 'etcd', request }, () => world.onEtcdRequest(this, request));
    for (const request of outputs.probes) each(undefined, () => this.#probe(request));
    for (const packet of outputs.packets) each({ kind: 'packet' }, () => this.#send(packet));
    for (const job of outputs.dns) each(undefined, () => world.onDnsJob?.(this, job));
    for (const { id, fields } of outputs.events) each(undefined, () => world.onEvent(this, id, fields));
    const { exit, prepareConfig } = outputs;
    if (prepareConfig !== undefined) each(undefined, () => world.onPrepareConfig(this, prepareConfig));
    if (exit !== undefined) each(undefined, () => world.onExit(this));
    else if (!this.#committing) each(undefined, () => this.#flush(start));
  }

  /** Up to the end of the turn, or to where the node is stopped. */
  #carryOn(): void {
    while (this.#done < this.#effects.length && !this.paused) {
      const { step, run } = this.#effects[this.#done]!;
      if (this.#springs(step, true)) continue;
      this.#done++;
      run();
      this.#springs(step, false);
    }
  }

  /** True: a trap has sprung, and the node is stopped here or goes on all the same. */
  #springs(step: Step | undefined, before: boolean): boolean {
    const trap = this.#trap;
    if (trap === undefined || step === undefined || trap.before !== before || !this.alive || !trap.matches(step)) return false;
    this.#trap = undefined;
    trap.spring(step);
    return true;
  }

  /** No reply leaves later than its age allows, also after a pause between the decision and the system call. */
  #send(packet: OutgoingPacket): void {
    if (this.#world.agenda.now - packet.receivedAt > REPLY_AGE_MS_MAX) this.#world.count('fault:reply-too-old');
    else this.#world.onPacket(this, packet);
  }

  #probe({ address, id, timeoutMs }: ProbeRequest): void {
    const { start } = this;
    const answer = this.#world.isInUse(address);
    const inUse = answer !== false;
    const answeredBy = typeof answer === 'boolean' ? undefined : answer;
    this.#world.agenda.after(inUse ? this.#world.random.delay(5, timeoutMs) : timeoutMs, () => {
      if (start === this.start) this.#input('timers', (engine, now) => engine.onProbed(id, inUse, answeredBy, now));
    });
  }

  // ── the disk ─────────────────────────────────────────────────────────────────────────────────

  #flush(start: number): void {
    if (start !== this.start) return;
    const batch = this.engine!.takeWrites();
    if (batch === undefined) return;
    this.#committing = true;
    // Behind the turn's other effects, so that a trap finds it like any of them.
    if (this.#trap === undefined) this.#commit(batch);
    else this.#effects.push({ step: { kind: 'flush' }, run: () => this.#commit(batch) });
  }

  #commit(batch: WriteBatch): void {
    const { random, agenda } = this.#world;
    const { start } = this;
    this.disk.begin(batch);
    const slow = agenda.now < this.diskSlowUntil;
    const flushMs = slow ? random.between(200, 3000) : random.delay(1.5, 60);
    agenda.after(flushMs, () => {
      if (start === this.start) this.#flushEnds(batch);
    });
  }

  /** A pause stops the process, not what its disk was told to write. */
  #flushEnds(batch: WriteBatch): void {
    const { agenda } = this.#world;
    if (agenda.now < this.diskFullUntil) this.disk.failNext(new Error('no space left on device'));
    const { error } = this.disk.complete()!;
    const { start } = this;
    if (error !== undefined) {
      this.#world.count('fault:commit-failed');
      this.diskTroubledUntil = agenda.now + DISK_TROUBLE_MS;
      agenda.after(STORE_RETRY_MS, () => {
        if (start === this.start) this.#input('timers', () => this.#commit(batch));
      });
      return;
    }
    this.#unheard = true;
    if (this.#springs({ kind: 'flushed' }, true) && !this.alive) return;
    this.#input('disk', (engine, now) => {
      this.#committing = false;
      this.#unheard = false;
      engine.onFlushed(batch.position, now);
    });
  }
}
