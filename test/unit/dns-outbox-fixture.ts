/** An outbox alone: a table of bindings, a cluster that says yes, and a zone in memory behind a server that can be told to fail. */
import { formatIpv4 } from '../../node/codec/address.ts';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import { DnsCounters } from '../../node/ddns/counters.ts';
import { encodeDnsEntries, readDnsEntries } from '../../node/ddns/entries.ts';
import { DnsOutbox } from '../../node/ddns/outbox.ts';
import type { DnsEntry, DnsJob, DnsOutcome } from '../../node/ddns/types.ts';
import { Procedure } from '../../node/ddns/update.ts';
import { BindingState, encodeRecord, recordSection, SectionKind, withState, writeStamp } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import type { MonotonicMs } from '../../node/time.ts';
import { SimDisk } from '../sim/disk.ts';
import { ModelZone } from '../support/dns-zone.ts';
import { at, ip, subnet, tableConfig } from './lease-model.ts';

const FORWARD = 'example.test.';
const REVERSE = '10.in-addr.arpa.';
const ZONES = [FORWARD, REVERSE].map((name) => ({ name, servers: [{ host: '192.0.2.53', port: 53 }], key: undefined }));

export function entry(label: string, more: Partial<DnsEntry> = {}): DnsEntry {
  return {
    name: parseDomainName(`${label}.example.test`)!, dhcid: Buffer.alloc(35, label), current: true, forward: true, reverse: true,
    forwardSettled: false, reverseSettled: false, refusal: 'none', ...more,
  };
}

export class OutboxStage {
  readonly zones = new Map(ZONES.map(({ name }) => [name, new ModelZone(name)]));
  readonly table: LeaseTable;
  readonly config: ClusterConfig;
  readonly counters = new DnsCounters();
  readonly events: Occurrence[] = [];
  readonly outbox: DnsOutbox;
  /** By zone: what its server answers instead. */
  readonly fails = new Map<string, DnsOutcome>();
  /** Begun and not done. */
  jobs: DnsJob[] = [];
  /** Changes that the outbox made. */
  changes = 0;
  now = 1_000_000;
  works = true;
  committed = true;
  confirms = true;
  mayRewrite = true;
  owns: (slot: number) => boolean = () => true;
  #asked = 0;
  #confirmed = 0;
  #seq = 0;

  constructor() {
    const scope = { dns: {
      updates: { zones: ZONES, ttl: { part: 1 / 3, minSeconds: 60, maxSeconds: 86_400 }, conflicts: 'keep' as const },
      naming: {
        suffix: parseDomainName(FORWARD)!, apexes: [], clientUpdates: 'allow' as const, noUpdates: 'honour' as const, replaceName: 'never' as const,
        generated: 'host-{address}', invalidCharacters: 'replace' as const, forward: true, reverse: true,
      },
    } };
    const config = tableConfig([subnet('10.0.0.0/8', [['10.0.0.0', '10.0.255.255']], [], { scope })]);
    this.config = config;
    this.table = new LeaseTable(new BindingStore(new SimDisk()), config);
    this.outbox = new DnsOutbox({
      table: this.table, config, counters: this.counters, random: () => 0.5, report: (event) => this.events.push(event),
      cluster: {
        works: () => this.works, owns: (slot) => this.owns(slot), mayRewrite: () => this.mayRewrite, isCommitted: () => this.committed, ask: () => ++this.#asked, confirmed: () => this.#confirmed,
      },
      make: (address, record) => {
        this.changes++;
        this.put(address, record);
      },
    });
  }

  put(address: number, record: Buffer): void {
    writeStamp(record, { epoch: 1, incarnation: 7, seq: ++this.#seq });
    this.table.put(address, record, at(this.now / 1000));
  }

  /** A lease with these entries. */
  lease(address: string, entries: readonly DnsEntry[], more: { readonly client?: string; readonly lastTransaction?: number } = {}): number {
    const number = ip(address);
    this.put(number, encodeRecord({
      state: BindingState.ACTIVE, hasClientIdentifier: true, reserved: false, htype: 1, chaddr: Buffer.alloc(6), clientKey: Buffer.from(more.client ?? address),
      stateSince: 1000, lastTransaction: more.lastTransaction ?? 1000, expires: 10_000, leaseSeconds: 3600, xid: 1, relayAgentInformation: Buffer.alloc(0), hostname: Buffer.alloc(0),
      dns: encodeDnsEntries(entries),
    }));
    return number;
  }

  become(address: number, state: BindingState): void {
    this.put(address, withState(this.table.read(address)!, state, 2000));
  }

  entries(address: number): DnsEntry[] {
    return readDnsEntries(recordSection(this.table.read(address)!, SectionKind.dns));
  }

  /** One turn; `ms` later than the last. */
  turn(ms = 30): readonly DnsJob[] {
    this.now += ms;
    if (this.confirms) this.#confirmed = this.#asked;
    const begun = this.outbox.step(this.now as MonotonicMs);
    this.jobs.push(...begun);
    return begun;
  }

  /** Carries out what was begun. */
  carryOut(): void {
    for (const job of this.jobs.splice(0)) this.outbox.onDone(job.id, this.outcomeOf(job), this.now as MonotonicMs);
  }

  outcomeOf(job: DnsJob): DnsOutcome {
    const failure = this.fails.get(job.zone.name);
    if (failure !== undefined) return failure;
    for (const procedure = new Procedure(job); ;) {
      const outcome = procedure.onAnswer(this.zones.get(job.zone.name)!.apply(procedure.next()));
      if (outcome !== undefined) return outcome;
    }
  }

  run(turns = 10, ms = 30): void {
    for (let i = 0; i < turns; i++) {
      this.turn(ms);
      this.carryOut();
    }
  }

  /** "pc.example.test A 10.0.0.1" */
  held(): string[] {
    return [...this.zones.values()].flatMap((zone) => zone.records()).filter(({ type }) => type !== 'DHCID')
      .map(({ data, name, type }) => `${name} ${type}${type === 'A' ? ` ${formatIpv4(data.readUInt32BE(0))}` : ''}`);
  }
}
