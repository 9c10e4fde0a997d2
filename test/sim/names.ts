/**
 * DNS in a simulated world: a quarter of them has it. Name servers behind a network that loses and delays, dead for an
 * hour, or refusing; machines that send names, some of them the same; and what the zones must hold in the end.
 *
 * Everything is drawn from a stream of chance of its own: worlds without DNS are what they are.
 */
import { setImmediate } from 'node:timers/promises';
import { probingSince } from '../../cluster/core/state.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import { MessageType } from '../../node/codec/message.ts';
import type { ClusterConfig, Scope } from '../../node/config/types.ts';
import { DnsResync } from '../../node/ddns/resync.ts';
import type { ZoneReader } from '../../node/ddns/resync.ts';
import { addressData, Procedure } from '../../node/ddns/update.ts';
import type { DnsType, DnsUpdate, ResponseCode } from '../../node/ddns/update.ts';
import type { DnsJob, DnsOutcome, DnsScope, DnsZone } from '../../node/ddns/types.ts';
import { recordEpoch } from '../../node/lease/record.ts';
import { TYPE_NUMBERS } from '../../node/ddns/wire.ts';
import { allZones } from '../../node/ddns/zone-of.ts';
import { ModelZone, textOf } from '../support/dns-zone.ts';
import type { ZoneRecord } from '../support/dns-zone.ts';
import { ip } from '../support/client-packets.ts';
import type { Agenda } from './agenda.ts';
import { PromiseBroken } from './checker.ts';
import type { SimClient } from './client.ts';
import { NameTrail } from './name-trail.ts';
import { checkNamesInDns } from './names-check.ts';
import type { SimNode } from './node.ts';
import { Random } from './random.ts';

const FORWARD = 'sim.test.';
const REVERSE = '10.in-addr.arpa.';
const ZONES = [FORWARD, REVERSE].map((name) => ({ name, servers: [{ host: '10.0.0.53', port: 53 }], key: undefined }));
/** Names of the administrator's own; machines have some of them too. */
const STATIC = ['www', 'mail', 'laptop-1'];
const SHARED = ['laptop-0', 'laptop-1', 'laptop-2'];
const HOST_NAME = 12;
const CLIENT_FQDN = 81;
const CHANCE = 0.25;
/** A third stream of chance for each seed. */
const NAMING = 2 ** 42;

const DONE_TRIES_MAX = 6000;
const WAITING_MAX = 100_000;
const RESYNCS = 2;
const RESYNC_PAUSE_MS = 25;
const TRIES = 3;
const TRY_MS = 1500;

/** How a name server is at the moment. */
type Mood = 'well' | 'lossy' | 'dead' | 'refusing';

interface SimServer {
  readonly zone: ModelZone;
  mood: Mood;
}

export interface NamesWorld {
  readonly agenda: Agenda;
  readonly seed: number;
  readonly nodes: readonly SimNode[];
  count(what: string, by?: number): void;
  log(line: string): void;
}

export class SimNames {
  readonly on: boolean;
  readonly #world: NamesWorld;
  readonly #random: Random;
  readonly #servers: ReadonlyMap<string, SimServer>;
  readonly #scope: DnsScope;
  readonly #static: readonly ZoneRecord[];
  readonly #trail = new NameTrail();
  /** By who a machine is. */
  readonly #names = new Map<number, { text: string; fqdn: boolean }>();

  /** `always`: whatever the seed says. */
  constructor(world: NamesWorld, always: boolean) {
    this.#world = world;
    this.#random = new Random(world.seed + NAMING);
    const random = this.#random;
    this.on = random.chance(CHANCE) || always;
    this.#static = STATIC.map((label, i) => ({ name: `${label}.sim.test`, type: 'A', ttlSeconds: 3600, data: addressData(ip('192.0.2.1') + i) }));
    this.#servers = new Map(ZONES.map(({ name }) => [name, { zone: new ModelZone(name, name === FORWARD ? this.#static : []), mood: 'well' }]));
    const apexes = [parseDomainName(FORWARD)!, parseDomainName(REVERSE)!];
    this.#scope = {
      updates: { zones: ZONES, ttl: { part: 1 / 3, minSeconds: 10, maxSeconds: 3600 }, conflicts: 'keep' },
      naming: {
        suffix: parseDomainName(FORWARD)!, apexes, clientUpdates: 'override', noUpdates: 'override', generated: 'host-{address}', invalidCharacters: 'replace',
        replaceName: random.chance(0.7) ? 'never' : 'when-missing', forward: true, reverse: true,
      },
    };
  }

  /** With names in DNS in every scope, where the world has them. */
  configured(config: ClusterConfig): ClusterConfig {
    if (!this.on) return config;
    const named = (scope: Scope): Scope => ({ ...scope, dns: this.#scope });
    const pools = config.pools.map((pool) => ({ ...pool, scope: named(pool.scope) }));
    return {
      ...config, pools,
      subnets: config.subnets.map((subnet) => ({ ...subnet, scope: named(subnet.scope), pools: subnet.pools.map(({ index }) => pools[index]!) })),
    };
  }

  // ── what machines say ────────────────────────────────────────────────────────────────────────

  /** Options 12 or 81 of a client's message. */
  optionsOf(client: SimClient, type: number): Readonly<Record<number, Buffer>> {
    if (!this.on || (type !== MessageType.DISCOVER && type !== MessageType.REQUEST)) return {};
    const { fqdn, text } = this.#nameOf(client, type);
    if (text === '') return {};
    if (!fqdn) return { [HOST_NAME]: Buffer.from(text) };
    // Flags E and S: the server is to add the A record of a name in wire form.
    return { [CLIENT_FQDN]: Buffer.concat([Buffer.of(0x05, 0, 0), Buffer.of(text.length), Buffer.from(text)]) };
  }

  #nameOf({ identity }: SimClient, type: number): { text: string; fqdn: boolean } {
    const random = this.#random;
    let name = this.#names.get(identity);
    if (name === undefined || (type === MessageType.DISCOVER && random.chance(0.05))) {
      if (name !== undefined) this.#world.count('client-renamed');
      const own = `${random.pick(['pc', 'Phone'])}-${identity}${random.chance(0.2) ? `-${random.int(0, 9)}` : ''}`;
      name = { text: random.chance(0.1) ? '' : random.chance(0.15) ? random.pick(SHARED) : own, fqdn: random.chance(0.4) };
      this.#names.set(identity, name);
    }
    return name;
  }

  // ── name servers ─────────────────────────────────────────────────────────────────────────────

  begin(untilMs: number): void {
    if (!this.on) return;
    for (const [name, server] of this.#servers) this.#change(name, server, untilMs);
  }

  #change(name: string, server: SimServer, untilMs: number): void {
    const { agenda } = this.#world;
    const random = this.#random;
    agenda.after(random.between(20_000, 500_000), () => {
      if (agenda.now > untilMs) return;
      server.mood = random.pick(['lossy', 'lossy', 'dead', 'refusing'] as const);
      this.#world.count(`names:${server.mood}`);
      this.#world.log(`the name server of ${name} is ${server.mood}`);
      const forMs = server.mood === 'dead' && random.chance(0.2) ? 3_600_000 : random.between(2000, 200_000);
      agenda.at(Math.min(agenda.now + forMs, untilMs), () => {
        server.mood = 'well';
        this.#world.log(`the name server of ${name} is well`);
        this.#change(name, server, untilMs);
      });
    });
  }

  /** As node/ddns/io/updater.ts does it: update after update, each again where no answer comes. */
  start(node: SimNode, job: DnsJob): void {
    const { start } = node;
    this.#trail.onJob(job);
    this.#trail.lookForFull(this.#world.nodes);
    this.#world.log(`${node.id} ${job.action} ${textOf(job.name)} ${formatIpv4(job.address)}`);
    const tell = (outcome: DnsOutcome): void => {
      if (node.start !== start) return;
      if (outcome.kind === 'conflict') this.#trail.onConflict(job);
      this.#world.count(`names:${job.action}-${outcome.kind}`);
      this.#world.log(`${node.id} ${job.action} ${textOf(job.name)} ${formatIpv4(job.address)}: ${outcome.kind}`);
      node.dnsDone(job.id, outcome);
    };
    const procedure = new Procedure(job);
    const next = (): void => {
      if (node.start !== start) return;
      // The process stands still, and goes on from here.
      if (node.paused) return this.#world.agenda.after(50, next);
      this.#send(node, job, procedure.next(), TRIES, (code) => {
        if (code === undefined) return tell({ kind: 'unavailable', reason: 'no answer' });
        const outcome = procedure.onAnswer(code);
        return outcome === undefined ? next() : tell(outcome);
      });
      return undefined;
    };
    next();
  }

  #send(node: SimNode, job: DnsJob, update: DnsUpdate, tries: number, answered: (code: ResponseCode | undefined) => void): void {
    const { agenda } = this.#world;
    const random = this.#random;
    const { start } = node;
    const server = this.#servers.get(update.zone)!;
    if (!node.mayUpdate(job.id)) return answered(undefined);
    let over = false;
    const heard = (run: () => void): void => {
      if (over || node.start !== start) return undefined;
      if (node.paused) return agenda.after(50, () => heard(run));
      over = true;
      return run();
    };
    const lost = (): boolean => random.chance(server.mood === 'lossy' ? 0.4 : 0.002);
    if (server.mood !== 'dead' && !lost()) {
      agenda.after(random.delay(2, 400), () => {
        if (server.mood === 'dead') return;
        const code = server.mood === 'refusing' ? 'REFUSED' : server.zone.apply(update);
        if (lost()) this.#world.count('names:answer-lost');
        else agenda.after(random.delay(2, 400), () => heard(() => answered(code)));
      });
    }
    agenda.after(TRY_MS, () => heard(() => (tries > 1 ? this.#send(node, job, update, tries - 1, answered) : answered(undefined))));
    return undefined;
  }

  onTurn(node: SimNode): void {
    if (this.on && this.#trail.onTurn(node, this.#world.nodes)) this.#world.count('names:given-up');
  }

  // ── what must hold ───────────────────────────────────────────────────────────────────────────

  /** Nothing has been broken for long. */
  async atEnd(): Promise<void> {
    if (!this.on) return;
    this.#check(false);
    for (let i = 0; i < RESYNCS; i++) {
      await this.#resync();
      this.#check(i === RESYNCS - 1);
    }
  }

  /**
   * The zones hold the names of the leases, and nothing else of this cluster's; what is somebody else's is untouched. At
   * a moment when no name is on its way.
   */
  #check(resynced: boolean): void {
    const { agenda, nodes } = this.#world;
    const isDone = (): boolean => nodes.every((node) => node.engine!.dns.isIdle && this.#waiting(node).every((address) => isKept(node, address)));
    for (let tries = 0; !isDone(); tries++) {
      if (tries === DONE_TRIES_MAX) throw new PromiseBroken('names wait for DNS long after the last fault');
      agenda.run(agenda.now + 11);
    }
    const [forward, reverse] = this.#zones();
    const named = checkNamesInDns({ table: nodes[0]!.table!, forward, reverse, others: this.#static, trail: this.#trail, resynced, isKept: (address) => isKept(nodes[0]!, address) });
    this.#world.count(resynced ? 'names-checked-after-resync' : 'names-checked', named);
  }

  /**
   * `lessor dns resync` on all nodes. The first comparison finds names that no lease has, the second one gives them to
   * those who have been refused them.
   */
  async #resync(): Promise<void> {
    const { agenda, nodes } = this.#world;
    this.#trail.onResync();
    const zones = this.#zones();
    const paused: (() => void)[] = [];
    const running = new Set(nodes);
    for (const node of nodes) {
      const engine = node.engine!;
      void new DnsResync({
        table: node.table!, outbox: engine.dns, zones: allZones(engine.config), owns: (slot) => engine.core.owns(slot), works: () => engine.core.serving(),
        reader: readerOf(zones),
        pause: () => new Promise((resolve) => {
          paused.push(resolve);
        }),
      }).run().then(() => running.delete(node));
    }
    while (running.size > 0) {
      for (const goOn of paused.splice(0)) goOn();
      // What follows from it has followed when this comes.
      await setImmediate();
      agenda.run(agenda.now + RESYNC_PAUSE_MS);
    }
    for (const { engine, id } of nodes) {
      const { missing, state, step, stray } = engine!.dns.resync!;
      if (state !== 'done') throw new PromiseBroken(`leases and zones are not compared on ${id}: ${step}`);
      this.#world.log(`${id} has compared leases and zones: ${missing} missing, ${stray} without a lease`);
      this.#world.count('names:resync-missing', missing);
      this.#world.count('names:resync-stray', stray);
    }
  }

  /** By an operator's word this node's store is the truth from now on. */
  onLost(node: SimNode): void {
    if (this.on) this.#trail.onLost(node, ...this.#zones());
  }

  #waiting({ table }: SimNode): readonly number[] {
    return table!.dns.size === 0 ? [] : table!.dns.some(WAITING_MAX, () => true);
  }

  #zones(): [forward: ModelZone, reverse: ModelZone] {
    return [this.#servers.get(FORWARD)!.zone, this.#servers.get(REVERSE)!.zone];
  }
}

/** From before leases were lost: its age is needed, and nothing is written down of it as long as addresses are probed. */
function isKept({ engine, table }: SimNode, address: number): boolean {
  const record = table!.read(address);
  return record !== undefined && recordEpoch(record) < probingSince(engine!.core.state);
}

/** Name servers that answer at once. */
function readerOf(zones: readonly ModelZone[]): ZoneReader {
  const of = ({ name }: DnsZone): ModelZone => zones.find((zone) => zone.name === name)!;
  return {
    async* transfer(zone) {
      for (const { data, name, type } of of(zone).records()) yield { name: parseDomainName(name)!, type: TYPE_NUMBERS[type as DnsType], data };
    },
    query: (zone, name, type) => Promise.resolve(of(zone).at(textOf(name)).filter((record) => record.type === type).map(({ data }) => data)),
  };
}
