/**
 * A node of a story: the production engine on a disk in memory, driven as node/main.ts drives it. The story
 * may stop its disk or its process, and crash it at any point between two messages.
 */
import assert from 'node:assert/strict';
import { optionsOf } from '../../cluster/core/context.ts';
import { Engine } from '../../cluster/core/engine.ts';
import type { Outputs } from '../../cluster/core/engine.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import { LeaseHistory } from '../../node/history/lease-history.ts';
import { ChangeHistory } from '../../node/leasequery/change-history.ts';
import type { HistoryLimits } from '../../node/leasequery/change-history.ts';
import type { InterfaceInfo, ReceivedPacket } from '../../node/server/ports.ts';
import { Counters } from '../../node/telemetry/counters.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import type { Agenda } from '../sim/agenda.ts';
import { SimDisk } from '../sim/disk.ts';
import type { Random } from '../sim/random.ts';

const TICK_MS = 50;
const FLUSH_MS = 1;
/** 2026-01-01. */
const WALL_EPOCH_MS = 1_767_225_600_000;

export interface HostWorld {
  readonly agenda: Agenda;
  readonly random: Random;
  carryOut(host: StoryHost, outputs: Outputs): void;
}

type Input = (engine: Engine, now: Now) => void;

export class StoryHost {
  readonly id: string;
  readonly address: number;
  readonly disk = new SimDisk();
  readonly #world: HostWorld;
  readonly #iface: InterfaceInfo;
  #engine: Engine | undefined;
  table!: LeaseTable;
  /** From its next start on; undefined: it keeps no history. */
  historyLimits: HistoryLimits | undefined;
  history: ChangeHistory | undefined;
  /** Of leases. */
  tenures!: LeaseHistory;
  counters = new Counters();
  start = 0;
  wallOffsetMs = 0;
  #held: Input[] | undefined;
  #pauseWhen: (() => boolean) | undefined;
  #turnLeft = false;
  #flushing = false;
  #diskStuck = false;

  constructor(id: string, address: number, world: HostWorld) {
    this.id = id;
    this.address = address;
    this.#world = world;
    this.#iface = { name: 'eth0', index: 2, mtu: 1500, addresses: [{ address, prefixLength: 16 }] };
  }

  get alive(): boolean {
    return this.#engine !== undefined;
  }

  get engine(): Engine {
    assert(this.#engine !== undefined, `${this.id} does not run`);
    return this.#engine;
  }

  get state(): Engine['core']['state'] {
    return this.engine.core.state;
  }

  now(): Now {
    const at = this.#world.agenda.now;
    return { mono: at as MonotonicMs, wall: (WALL_EPOCH_MS + at + this.wallOffsetMs) as WallMs };
  }

  boot(config: ClusterConfig): void {
    assert(!this.alive, `${this.id} runs already`);
    const start = ++this.start;
    const store = new BindingStore(this.disk);
    this.table = new LeaseTable(store, config, {});
    this.table.load(this.now());
    this.counters = new Counters();
    this.history = this.historyLimits === undefined ? undefined : new ChangeHistory(store, this.historyLimits, this.now());
    this.tenures = new LeaseHistory(store, config.history, this.now());
    this.#engine = new Engine({
      options: optionsOf({ self: this.id, clustered: true, clusterName: 'story', address: `${this.id}:7067`, sessionTtlSeconds: 3, software: 'story' }, config),
      config, configRevision: 1, store, table: this.table, history: this.history, tenures: this.tenures, counters: this.counters, random: this.#world.random.unit, logLeases: false, now: this.now(),
    });
    this.#flushing = false;
    this.engine.setInterfaces([this.#iface], this.now());
    this.#turn();
    const tick = (): void => {
      if (start !== this.start) return;
      this.input((engine, now) => engine.tick(now));
      this.#world.agenda.after(TICK_MS, tick);
    };
    this.#world.agenda.after(TICK_MS, tick);
  }

  /** Power is lost: what was not flushed is gone. */
  crash(): void {
    this.#engine = undefined;
    this.start++;
    this.#held = undefined;
    this.#pauseWhen = undefined;
    this.#turnLeft = false;
    this.disk.crash();
  }

  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    if (this.#turnLeft && this.alive) this.#turn();
    this.#turnLeft = false;
    for (const run of held) this.input(run);
  }

  /** Pauses once this holds after something has come in, before the turn that follows from it. */
  pauseOnce(holds: () => boolean): void {
    this.#pauseWhen = holds;
  }

  input(run: Input): void {
    if (!this.alive) return;
    if (this.#held !== undefined) {
      this.#held.push(run);
      return;
    }
    run(this.engine, this.now());
    if (this.#pauseWhen?.() === true) {
      this.#pauseWhen = undefined;
      this.#turnLeft = true;
      this.pause();
    } else this.#turn();
  }

  get paused(): boolean {
    return this.#held !== undefined;
  }

  receive(bytes: Buffer, from: { readonly address?: number; readonly unicast?: boolean } = {}): void {
    this.input((engine, now) => {
      const packet: ReceivedPacket = {
        bytes: Buffer.from(bytes), iface: this.#iface, sourceAddress: from.address ?? 0, sourcePort: 68, unicast: from.unicast ?? false, receivedAt: now.mono,
      };
      engine.onPacket(packet, now);
    });
  }

  // ── the turn, as node/main.ts does it ────────────────────────────────────────────────────────

  #turn(): void {
    const outputs = this.engine.takeOutputs(this.now());
    this.#world.carryOut(this, outputs);
    if (outputs.exit === undefined && this.alive) this.#flush();
  }

  #flush(): void {
    if (this.#flushing) return;
    const batch = this.engine.takeWrites();
    if (batch === undefined) return;
    this.#flushing = true;
    this.disk.begin(batch);
    this.#flushLater();
  }

  #flushLater(): void {
    const { start } = this;
    if (this.#diskStuck) return;
    this.#world.agenda.after(FLUSH_MS, () => {
      if (start !== this.start || this.#diskStuck) return;
      const completion = this.disk.complete();
      if (completion === undefined) return;
      const { batch } = completion;
      this.input((engine, now) => {
        this.#flushing = false;
        engine.onFlushed(batch.position, now);
      });
    });
  }

  /** Its DHCP interface goes, or comes back. */
  serves(yes: boolean): void {
    this.input((engine, now) => engine.setInterfaces(yes ? [this.#iface] : [], now));
  }

  /** Takes no writes any more, until it is mended. */
  set diskStuck(stuck: boolean) {
    this.#diskStuck = stuck;
    if (!stuck && this.#flushing) this.#flushLater();
  }
}
