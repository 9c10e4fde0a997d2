/**
 * DNS in a simulated world: a quarter of them has it. Name servers behind a network that loses and delays, dead for an
 * hour, or refusing; machines that send names, some of them the same; and what the zones must hold in the end.
 *
 * Everything is drawn from a stream of chance of its own: worlds without DNS are what they are.
 */
import { formatIpv4 } from '../../node/codec/address.ts';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import { MessageType } from '../../node/codec/message.ts';
import type { ClusterConfig, Scope } from '../../node/config/types.ts';
import { currentEntry } from '../../node/ddns/entries.ts';
import { addressData, Procedure, reverseName } from '../../node/ddns/update.ts';
import type { DnsUpdate, ResponseCode } from '../../node/ddns/update.ts';
import type { DnsJob, DnsOutcome, DnsScope } from '../../node/ddns/types.ts';
import { BindingState, recordState } from '../../node/lease/record.ts';
import { ModelZone, textOf } from '../support/dns-zone.ts';
import type { ZoneRecord } from '../support/dns-zone.ts';
import { ip } from '../support/client-packets.ts';
import type { Agenda } from './agenda.ts';
import { PromiseBroken } from './checker.ts';
import type { SimClient } from './client.ts';
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
  /** Some node could not remember all that is to be taken out. */
  #givenUp = false;
  /** By name: the address at which something was done with it last. */
  readonly #lastAt = new Map<string, number>();
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
    this.#noteGivenUp(node);
    this.#world.log(`${node.id} ${job.action} ${textOf(job.name)} ${formatIpv4(job.address)}`);
    const tell = (outcome: DnsOutcome): void => {
      if (node.start !== start) return;
      this.#world.count(`names:${job.action}-${outcome.kind}`);
      this.#world.log(`${node.id} ${job.action} ${textOf(job.name)} ${formatIpv4(job.address)}: ${outcome.kind}`);
      node.dnsDone(job.id, outcome);
    };
    if (job.action === 'add-forward' || job.action === 'remove-forward') this.#lastAt.set(textOf(job.name), job.address);
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

  #noteGivenUp({ counters }: SimNode): void {
    if (counters.dns.givenUp === 0 || this.#givenUp) return;
    this.#givenUp = true;
    this.#world.count('names:given-up');
  }

  // ── what must hold ───────────────────────────────────────────────────────────────────────────

  /** No owner has anything to do any more. */
  isDone(nodes: readonly SimNode[]): boolean {
    for (const node of nodes) this.#noteGivenUp(node);
    return nodes.every(({ engine, table }) => engine!.dns.underWay === 0 && table!.dns.size === 0);
  }

  /** The zones hold the names of the leases, and nothing else of this cluster's; what is somebody else's is untouched. */
  check({ table }: SimNode): void {
    const forward = this.#servers.get(FORWARD)!.zone;
    const reverse = this.#servers.get(REVERSE)!.zone;
    for (const { name, data } of this.#static) {
      const [record, ...more] = forward.at(name);
      if (record?.data.equals(data) !== true || more.length > 0) throw new PromiseBroken(`${name}, which is the administrator's, is not in DNS as it was`);
    }
    const claimed = new Set<string>();
    const pointed = new Set<string>();
    for (const { address, record } of table!.records(0x00ff_ffff, 1_000_000)) {
      const entry = recordState(record) === BindingState.ACTIVE ? currentEntry(record) : undefined;
      if (entry === undefined) continue;
      // A name that its client has taken along leaves its pointer until the lease ends; of a subnet that an operator has taken away nothing is promised.
      if (entry.refusal === 'conflict' || table!.subnetOf(address) < 0) {
        claimed.add(`${textOf(entry.name)} ${formatIpv4(address)}`);
        pointed.add(textOf(reverseName(address)));
        continue;
      }
      if (entry.refusal !== 'none') throw new PromiseBroken(`${formatIpv4(address)} is refused its name (${entry.refusal}) by servers that refuse nobody for good`);
      const name = textOf(entry.name);
      this.#world.count('names-checked');
      // A client that goes to another address takes its name along, and gives it up there; the lease that it left behind lasts on.
      const isElsewhere = this.#lastAt.get(name) !== address;
      if (!isElsewhere && !hasRecord(forward.at(name), 'DHCID', entry.dhcid)) throw new PromiseBroken(`${formatIpv4(address)} is ${name}, of which DNS knows nothing`);
      claimed.add(`${name} ${formatIpv4(address)}`);
      if (!hasRecord(reverse.at(textOf(reverseName(address))), 'PTR', entry.name)) throw new PromiseBroken(`${formatIpv4(address)} is ${name}, and its PTR record is not there`);
      pointed.add(textOf(reverseName(address)));
    }
    // A binding had too many names for one record while a name server was dead: that is counted, and an operator looks for them.
    if (this.#givenUp) return;
    const marked = new Set(forward.records().filter(({ type }) => type === 'DHCID').map(({ name }) => name));
    for (const name of marked) {
      const addresses = forward.at(name).filter(({ type }) => type === 'A').map(({ data }) => formatIpv4(data.readUInt32BE(0)));
      if (addresses.length !== 1 || !claimed.has(`${name} ${addresses[0]}`)) throw new PromiseBroken(`DNS has ${name} at ${addresses.join(' and ') || 'no address'}, where no lease has that name`);
    }
    for (const { name, type } of reverse.records()) {
      if (type === 'PTR' && !pointed.has(name)) throw new PromiseBroken(`DNS has a PTR record at ${name}, where no lease has a name`);
    }
  }
}

function hasRecord(records: readonly ZoneRecord[], type: ZoneRecord['type'], data: Buffer): boolean {
  return records.some((record) => record.type === type && record.data.equals(data));
}
