/**
 * Operators who shut clients and ports out and let them in again, release the leases of machines that were thrown away
 * and free abandoned addresses, in a fifth of the worlds and mostly while something is broken. And what must come of
 * it: once a quarantine is committed everywhere, and for as long as it lasts, nobody in it is given an address, but one
 * of the class that it may have. (That an address taken from a client goes to nobody else while the client goes by
 * its lease, the checker sees as for any lease.)
 *
 * Everything is drawn from a stream of chance of its own: worlds without incidents are what they are.
 */
import { abandonedAt, freedAddress } from '../../node/admin/operations/abandoned.ts';
import { decideAdded, decideCleared } from '../../node/admin/operations/quarantine.ts';
import type { QuarantineHost } from '../../node/admin/operations/quarantine.ts';
import { namedSubject } from '../../node/admin/quarantine-view.ts';
import type { NamedSubject } from '../../node/admin/quarantine-view.ts';
import { formatHardware, formatIpv4, HTYPE_ETHERNET } from '../../node/codec/address.ts';
import { BOOTREPLY, DhcpMessage, MessageType } from '../../node/codec/message.ts';
import type { ClusterConfig, PoolConfig } from '../../node/config/types.ts';
import { BindingState, givenUpLease, recordClientKey, recordState } from '../../node/lease/record.ts';
import { QuarantineIndex } from '../../node/notes/quarantine-index.ts';
import { subjectText } from '../../node/notes/quarantine.ts';
import type { Quarantine } from '../../node/notes/quarantine.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import { wallSeconds } from '../../node/time.ts';
import { addressOption, ip } from '../support/client-packets.ts';
import { leaseTimes, NO_GUARD } from '../support/configs.ts';
import type { Agenda } from './agenda.ts';
import { PromiseBroken } from './checker.ts';
import type { SimClient } from './client.ts';
import type { SimNode } from './node.ts';
import type { Population } from './population.ts';
import { Random } from './random.ts';
import type { Rhythm } from './rhythm.ts';

const CHANCE = 0.2;
/** Kept seeds of planted bugs that have nothing to do with incidents lie below. */
const FIRST_SEED = 100;
/** A fourth stream of chance for each seed. */
const STREAM = 2 ** 43;
const LIVELY_MS = [300, 15_000] as const;
const CALM_MS = [20_000, 200_000] as const;
/** An answer that was decided before leaves so long after at most, and a member whose link is down hears of it by etcd. */
const GRACE_MS = 20_000;
/** The clocks of nodes in service. */
const CLOCKS_MS = 30_000;
const CLASS = 'shut-out';
const CLASS_POOL = { first: ip('10.0.200.0'), last: ip('10.0.200.9') };
const CLIENT_IDENTIFIER = 61;
const RELAY_AGENT_INFORMATION = 82;
const GIADDR_AT = 24;
const CIADDR_AT = 12;

export interface IncidentsWorld {
  readonly agenda: Agenda;
  readonly seed: number;
  readonly clustered: boolean;
  readonly rhythm: Rhythm;
  readonly nodes: readonly SimNode[];
  readonly population: Population;
  onGivenUp(client: SimClient, address: number, said: boolean): void;
  count(what: string, by?: number): void;
  log(line: string): void;
}

/** A quarantine that is committed. */
interface Known {
  readonly quarantine: Quarantine;
  /** True times between which nobody in it may be given an address. */
  readonly from: number;
  readonly to: number;
}

export class Incidents {
  readonly on: boolean;
  readonly #world: IncidentsWorld;
  readonly #random: Random;
  /** By key of the note. */
  readonly #known = new Map<number, Known>();
  readonly #index = new QuarantineIndex();
  /** Of each lease that was told through a relay: what the relay said. */
  readonly #relays = new Map<string, Buffer>();
  readonly #message = new DhcpMessage();
  #over = false;

  /** `always`: whatever the seed says. */
  constructor(world: IncidentsWorld, always: boolean) {
    this.#world = world;
    this.#random = new Random(world.seed + STREAM);
    this.on = (this.#random.chance(CHANCE) && world.seed >= FIRST_SEED) || always;
  }

  /** With a class for clients in quarantine, and a pool that lets in nobody else. */
  configured(config: ClusterConfig): ClusterConfig {
    if (!this.on) return config;
    const random = this.#random;
    const classIndex = config.classes.length;
    const [first, ...others] = config.subnets;
    const pool: PoolConfig = {
      index: config.pools.length, subnetIndex: first!.index, id: CLASS_POOL.first, ranges: [CLASS_POOL], guard: { ...NO_GUARD, allow: [classIndex] },
      allocation: 'iterative', scope: { ...first!.scope, lease: leaseTimes(20) },
    };
    const changed = { ...first!, pools: [...first!.pools, pool] };
    return {
      ...config, pools: [...config.pools, pool], subnets: [changed, ...others],
      networks: config.networks.map((network) => ({ ...network, subnets: network.subnets.map((each) => (each.index === changed.index ? changed : each)) })),
      classes: [...config.classes, { index: classIndex, name: CLASS, condition: { kind: 'any', of: [] }, overlay: { options: [] }, drop: false }],
      quarantine: { answer: random.chance(0.7) ? 'nak' : 'silence', classIndex },
    };
  }

  begin(): void {
    if (!this.on) return;
    const { agenda, rhythm } = this.#world;
    const [shortest, longest] = rhythm.isLively(agenda.now) ? LIVELY_MS : CALM_MS;
    agenda.after(this.#random.between(shortest, longest), () => {
      if (this.#over) return;
      this.#act();
      this.begin();
    });
  }

  /** Nothing new from now on. */
  end(): void {
    this.#over = true;
  }

  /** By an operator's word: what was committed may be lost. */
  forget(): void {
    this.#known.clear();
    this.#index.clear();
    this.#relays.clear();
  }

  // ── what operators do ────────────────────────────────────────────────────────────────────────

  #act(): void {
    const { nodes } = this.#world;
    const random = this.#random;
    const node = random.pick(nodes);
    if (!node.alive || node.paused) return undefined;
    switch (random.pick(['add', 'add', 'add', 'clear', 'release', 'free'] as const)) {
      case 'add': return this.#add(node);
      case 'clear': return this.#clear(node);
      case 'release': return this.#release(node);
      default: return this.#free(node);
    }
  }

  #hostOf(node: SimNode): QuarantineHost {
    const engine = node.engine!;
    return {
      table: node.table!, notes: engine.notes, quarantines: engine.quarantines, owns: (slot) => engine.core.owns(slot), protocol: () => engine.protocol,
      config: () => engine.config,
    };
  }

  #named(client: SimClient): NamedSubject {
    const random = this.#random;
    const { chaddr, clientId } = client;
    if (client.place.relays.length > 0 && random.chance(0.4)) return { circuitId: `0x${addressOption(client.id).toString('hex')}` };
    if (client.address !== 0 && random.chance(0.4)) return { address: formatIpv4(client.address) };
    return { client: clientId !== undefined && random.chance(0.5) ? clientId.toString('hex') : formatHardware({ htype: HTYPE_ETHERNET, chaddr }) };
  }

  #add(node: SimNode): void {
    const { agenda, population, clustered } = this.#world;
    const random = this.#random;
    const named = this.#named(random.pick(population.clients));
    const [mode, lasting] = [random.chance(0.3) ? 'class' as const : 'refuse' as const, random.chance(0.5) ? random.int(30, 300) : undefined];
    let key = 0;
    node.change((now) => {
      const until = lasting === undefined ? {} : { until: `${lasting}s` };
      const decided = decideAdded(this.#hostOf(node), { subject: namedSubject(named), mode, reason: 'simulated', by: 'sim', ...until }, now);
      if (typeof decided === 'string') return decided;
      ({ id: key } = decided.result.quarantine);
      // Until it is known what became of it, what is known of an earlier one does not count.
      this.#drop(key);
      return decided.changes;
    }, ({ kind }) => {
      this.#world.count(`quarantine:${kind}`);
      const quarantine = kind === 'done' ? node.engine?.quarantines.index.get(key) : undefined;
      // Alone, a node with a wrong clock may end it at any time.
      if (quarantine === undefined || (lasting !== undefined && !clustered)) return;
      this.#world.log(`${node.id} has in quarantine: ${subjectText(quarantine.subject)} (${quarantine.mode})`);
      this.#known.set(key, { quarantine, from: agenda.now + GRACE_MS, to: lasting === undefined ? Infinity : agenda.now + lasting * 1000 - CLOCKS_MS });
      this.#index.add(quarantine);
    });
  }

  #drop(key: number): void {
    this.#known.delete(key);
    this.#index.delete(key);
  }

  #clear(node: SimNode): void {
    const keys = [...node.engine!.quarantines.index.all()].map((each) => each.key);
    if (keys.length === 0) return;
    const key = this.#random.pick(keys);
    node.change((now) => {
      const decided = decideCleared(this.#hostOf(node), key, now);
      if (typeof decided === 'string') return decided;
      this.#drop(key);
      return decided.changes;
    }, ({ kind }) => this.#world.count(`quarantine-cleared:${kind}`));
  }

  /** A machine goes to the scrap heap, and somebody releases its lease. */
  #release(node: SimNode): void {
    const { population } = this.#world;
    const client = this.#random.pick(population.clients);
    const { address } = client;
    if (address === 0 || client.traits.bootp || population.isCloned(client)) return;
    const { keys } = client;
    this.#world.onGivenUp(client, address, true);
    for (const elsewhere of client.addressesElsewhere) this.#world.onGivenUp(client, elsewhere, false);
    population.scrap(client);
    node.change((now) => {
      const record = node.table!.read(address);
      const isIts = record !== undefined && recordState(record) === BindingState.ACTIVE && keys.some((key) => recordClientKey(record).equals(key));
      return isIts ? [{ address, record: givenUpLease(record, wallSeconds(now.wall)) }] : 'no lease';
    }, ({ kind }) => this.#world.count(`lease-released:${kind}`));
  }

  #free(node: SimNode): void {
    const found = node.table!.records(ip('10.0.0.0'), 10_000).filter(({ record }) => recordState(record) === BindingState.ABANDONED);
    if (found.length === 0) return;
    const { address } = this.#random.pick(found);
    node.change((now) => {
      const records = abandonedAt({ table: node.table! }, address);
      return records.length === 0 ? 'not abandoned' : records.map(({ record }) => freedAddress(address, record, now));
    }, ({ kind }) => this.#world.count(`abandoned-freed:${kind}`));
  }

  // ── what must come of it ─────────────────────────────────────────────────────────────────────

  /** A packet leaves for a client. */
  onPacket(node: SimNode, { bytes }: OutgoingPacket): void {
    if (!this.on || this.#message.parse(bytes, BOOTREPLY) !== undefined) return;
    const message = this.#message;
    if ((message.type !== MessageType.ACK && message.type !== 0) || message.yiaddr === 0) return;
    const relayAgentInformation = this.#relayOf(message, bytes);
    if (this.#index.size === 0) return;
    const shown = { clientId: message.option(CLIENT_IDENTIFIER), htype: message.htype, chaddr: message.chaddr(), relayAgentInformation };
    const { now } = this.#world.agenda;
    const isInClass = message.yiaddr >= CLASS_POOL.first && message.yiaddr <= CLASS_POOL.last;
    for (const { from, quarantine, to } of this.#known.values()) {
      if (now < from || now > to || (quarantine.mode === 'class' && isInClass)) continue;
      this.#world.count('quarantine-checked');
      const one = new QuarantineIndex();
      one.add(quarantine);
      if (quarantine.subject.address !== message.yiaddr && one.find(shown) === undefined) continue;
      throw new PromiseBroken(`${node.id} gives ${formatIpv4(message.yiaddr)} to ${message.chaddr().toString('hex')} at ${Math.round(now)} ms, ` +
        `though ${subjectText(quarantine.subject)} is in quarantine (${quarantine.mode}) since ${Math.round(from - GRACE_MS)} ms`);
    }
  }

  /** A renewal that goes past the relay is of a client where it was. */
  #relayOf(message: DhcpMessage, bytes: Buffer): Buffer | undefined {
    const lease = `${message.chaddr().toString('hex')} ${message.yiaddr}`;
    const said = message.option(RELAY_AGENT_INFORMATION);
    if (said !== undefined) this.#relays.set(lease, Buffer.from(said));
    else if (bytes.readUInt32BE(GIADDR_AT) === 0 && bytes.readUInt32BE(CIADDR_AT) === 0) this.#relays.delete(lease);
    return this.#relays.get(lease);
  }
}
