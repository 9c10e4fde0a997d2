/**
 * A simulated host with a node on it: the production engine, driven as node/main.ts drives it, on a
 * disk that can lose power, with clocks of its own. It can crash, restart, be paused and be drained.
 */
import assert from 'node:assert/strict';
import { optionsOf } from '../../cluster/core/context.ts';
import { Engine } from '../../cluster/core/engine.ts';
import type { LinkEvent } from '../../cluster/core/ports.ts';
import type { PreparedConfig } from '../../cluster/view/configuration.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import type { InterfaceInfo, OutgoingPacket, ProbeRequest, ReceivedPacket } from '../../node/server/ports.ts';
import { Counters } from '../../node/telemetry/counters.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import type { EtcdRequest, EtcdResult, PeerMessage } from '../../cluster/core/ports.ts';
import { PROTOCOL } from '../../node/protocol.ts';
import type { ProtocolRange } from '../../node/protocol.ts';
import type { Agenda } from './agenda.ts';
import { WALL_EPOCH_MS } from './config.ts';
import { SimDisk } from './disk.ts';
import type { Random } from './random.ts';

const TICK_MS = 50;

export interface NodeWorld {
  readonly agenda: Agenda;
  readonly random: Random;
  isInUse(address: number): boolean;
  readonly clustered: boolean;
  onPacket(node: SimNode, packet: OutgoingPacket): void;
  onMessage(from: SimNode, peer: string, message: PeerMessage): void;
  onReset(from: SimNode, peer: string): void;
  onEtcdRequest(from: SimNode, request: EtcdRequest): void;
  onEvent(node: SimNode, id: string, fields: Readonly<Record<string, unknown>>): void;
  onExit(node: SimNode): void;
  /** Read and check a revision of the configuration: the answer comes later. */
  onPrepareConfig(node: SimNode, revision: number): void;
  count(what: string, by?: number): void;
}

interface Input {
  readonly packet: boolean;
  readonly run: (engine: Engine, now: Now) => void;
}

export class SimNode {
  readonly id: string;
  readonly address: number;
  readonly disk = new SimDisk();
  readonly #world: NodeWorld;
  readonly #iface: InterfaceInfo;
  engine: Engine | undefined;
  table: LeaseTable | undefined;
  counters = new Counters();
  /** Of this start; what was meant for an earlier one is void. */
  start = 0;
  /** The host's wall clock less the true time, milliseconds. */
  wallOffsetMs = 0;
  /** A step of that clock, which lasts until the time service mends it; a host that boots has been mended. */
  clockStepMs = 0;
  diskSlowUntil = 0;
  /** What the build that is started next speaks. */
  protocol: ProtocolRange = PROTOCOL;
  #pausedUntil: number | undefined;
  #held: Input[] = [];
  #committing = false;

  constructor(id: string, address: number, world: NodeWorld) {
    this.id = id;
    this.address = address;
    this.#world = world;
    this.#iface = { name: 'eth0', index: 2, mtu: 1500, addresses: [{ address, prefixLength: 16 }] };
  }

  get alive(): boolean {
    return this.engine !== undefined;
  }

  get paused(): boolean {
    return this.#pausedUntil !== undefined;
  }

  now(): Now {
    const at = this.#world.agenda.now;
    return { mono: at as MonotonicMs, wall: (WALL_EPOCH_MS + at + this.wallOffsetMs + this.clockStepMs) as WallMs };
  }

  // ── life ─────────────────────────────────────────────────────────────────────────────────────

  /** With the configuration that it read before. */
  boot(config: ClusterConfig, configRevision: number): void {
    assert(!this.alive, 'a running node is not started');
    const { random, clustered } = this.#world;
    const start = ++this.start;
    this.clockStepMs = 0;
    const store = new BindingStore(this.disk);
    const table = new LeaseTable(store, config, {});
    table.load(this.now());
    this.table = table;
    this.counters = new Counters();
    this.engine = new Engine({
      options: optionsOf({
        self: this.id, clustered, clusterName: 'sim', address: `${this.id}:7067`, sessionTtlSeconds: 3, software: 'sim', protocol: this.protocol,
      }, config),
      config, configRevision, store, table, counters: this.counters, random: random.unit, logLeases: false, now: this.now(),
    });
    this.#committing = false;
    this.engine.setInterfaces([this.#iface], this.now());
    this.#turn();
    this.#tickLater(start);
  }

  #tickLater(start: number): void {
    this.#world.agenda.after(TICK_MS, () => {
      if (start !== this.start || !this.alive) return;
      this.input({ packet: false, run: (engine, now) => engine.tick(now) });
      this.#tickLater(start);
    });
  }

  /** Power is lost, or the process is killed: what was not flushed is gone with the host's memory. */
  crash(): void {
    this.engine = undefined;
    this.table = undefined;
    this.start++;
    this.#held = [];
    this.#pausedUntil = undefined;
    this.disk.crash();
  }

  pause(ms: number): void {
    if (!this.alive || this.paused) return;
    const { start } = this;
    this.#pausedUntil = this.#world.agenda.now + ms;
    this.#world.agenda.after(ms, () => {
      if (start === this.start) this.#resume();
    });
  }

  #resume(): void {
    this.#pausedUntil = undefined;
    const held = this.#held;
    this.#held = [];
    // Timers and streams may be looked at before the sockets or after them.
    if (this.#world.random.chance(0.5)) held.sort((a, b) => Number(a.packet) - Number(b.packet));
    let discard = false;
    for (const input of held) {
      if (discard && input.packet) continue;
      if (!this.alive) return;
      input.run(this.engine!, this.now());
      discard = this.#turn() || discard;
    }
  }

  // ── inputs ───────────────────────────────────────────────────────────────────────────────────

  input(input: Input): void {
    if (this.engine === undefined) return;
    if (this.paused) {
      if (this.#held.length < 50_000) this.#held.push(input);
      return;
    }
    input.run(this.engine, this.now());
    this.#turn();
  }

  receivePacket(bytes: Buffer, from: { readonly address: number; readonly port: number; readonly unicast: boolean }): void {
    this.input({ packet: true, run: (engine, now) => {
      const packet: ReceivedPacket = {
        bytes, iface: this.#iface, sourceAddress: from.address, sourcePort: from.port, unicast: from.unicast, receivedAt: now.mono,
      };
      engine.onPacket(packet, now);
    } });
  }

  link(event: LinkEvent): void {
    this.input({ packet: false, run: (engine, now) => engine.onLink(event, now) });
  }

  etcdResult(result: EtcdResult): void {
    this.input({ packet: false, run: (engine, now) => engine.onEtcd(result, now) });
  }

  hint(): void {
    this.input({ packet: false, run: (engine, now) => engine.onHint(now) });
  }

  configPrepared(revision: number, result: PreparedConfig): void {
    this.input({ packet: false, run: (engine, now) => engine.onConfigPrepared(revision, result, now) });
  }

  drain(): void {
    this.input({ packet: false, run: (engine, now) => engine.drain(now) });
  }

  // ── the turn, as node/main.ts does it ────────────────────────────────────────────────────────

  #turn(): boolean {
    const engine = this.engine!;
    const outputs = engine.takeOutputs(this.now());
    const world = this.#world;
    for (const { peer, message } of outputs.messages) world.onMessage(this, peer, message);
    for (const peer of outputs.resets) world.onReset(this, peer);
    for (const request of outputs.etcd) world.onEtcdRequest(this, request);
    for (const request of outputs.probes) this.#probe(request);
    for (const packet of outputs.packets) world.onPacket(this, packet);
    for (const { id, fields } of outputs.events) world.onEvent(this, id, fields);
    if (outputs.prepareConfig !== undefined) world.onPrepareConfig(this, outputs.prepareConfig);
    if (outputs.exit !== undefined) {
      world.onExit(this);
      return outputs.discardPackets;
    }
    this.#flush();
    return outputs.discardPackets;
  }

  #probe({ address, id, timeoutMs }: ProbeRequest): void {
    const { start } = this;
    const inUse = this.#world.isInUse(address);
    this.#world.agenda.after(inUse ? this.#world.random.delay(5, timeoutMs) : timeoutMs, () => {
      if (start === this.start) this.input({ packet: false, run: (engine, now) => engine.onProbed(id, inUse, undefined, now) });
    });
  }

  #flush(): void {
    if (this.#committing) return;
    const batch = this.engine!.takeWrites();
    if (batch === undefined) return;
    this.#committing = true;
    const { random, agenda } = this.#world;
    const { start } = this;
    this.disk.begin(batch);
    const slow = agenda.now < this.diskSlowUntil;
    const flushMs = slow ? random.between(200, 3000) : random.delay(1.5, 60);
    agenda.after(flushMs, () => {
      if (start !== this.start) return;
      this.#flushEnds();
    });
  }

  #flushEnds(): void {
    const completion = this.disk.complete()!;
    this.input({ packet: false, run: (engine, now) => {
      this.#committing = false;
      engine.onFlushed(completion.batch.position, now);
    } });
  }
}
