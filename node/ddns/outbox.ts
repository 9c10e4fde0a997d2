/**
 * Carries what the bindings' records say of DNS to the name servers. The records are the only list of what there is to
 * do: a job that was begun and forgotten (a crash, another owner) is found there again, and doing it twice does no harm.
 *
 * Invariants
 * - Only the owner of an address begins anything for it, on a record that is committed, and after a confirmation that
 *   was asked for less than a second ago: a node that was evicted while it was paused changes no zone.
 * - One job at a time an address. What came of it is written into the record as it is then, in one change, once nothing
 *   more can be done for the address now.
 * - Memory is bounded by what is under way; a zone that is dead holds up nothing but what goes into it.
 */
import type { ClusterConfig, Scope } from '../config/types.ts';
import {
  BindingState, recordClientKey, recordIncarnation, recordLeaseSeconds, recordSection, recordSeq, recordState, SectionKind, withSection,
} from '../lease/record.ts';
import type { LeaseTable } from '../lease/table.ts';
import type { Occurrence } from '../telemetry/events.ts';
import type { MonotonicMs } from '../time.ts';
import { formatIpv4 } from '../codec/address.ts';
import { formatDomainName } from '../codec/domain-name.ts';
import { encodeDnsEntries, readDnsEntries } from './entries.ts';
import {
  DNS_BEGIN_MS, DNS_CONFIRMATION_MS, DNS_CONFIRMED_MS, DNS_JOB_MS, DNS_LOOKS_PER_TURN_MAX, DNS_REFUSED_MAX, DNS_REFUSED_RETRY_MS, DNS_REFUSED_TRIES, DNS_STRAYS_MAX, DNS_TOLD_MAX,
  DNS_UNDER_WAY_MAX,
} from './limits.ts';
import type { DnsCounters } from './counters.ts';
import type { DnsResyncStatus, DnsStatus } from './status.ts';
import { isElsewhere, latestOf, othersOfName } from './same-client.ts';
import { entriesAfter, isListed, stepsOf } from './steps.ts';
import type { DnsStep } from './steps.ts';
import type { DnsEntry, DnsJob, DnsOutcome, DnsRefusal, DnsUpdates, DnsZone } from './types.ts';
import { reverseName } from './update.ts';
import { newVisit } from './visit.ts';
import type { Visit } from './visit.ts';
import { allZones, ttlSecondsOf, zoneOf } from './zone-of.ts';
import { ZoneStandings } from './zone-standing.ts';

/** What the outbox needs of the node's standing in the cluster. */
export interface DnsCluster {
  /** In service, and not on its way out. */
  readonly works: () => boolean;
  readonly owns: (slot: number) => boolean;
  /**
   * False: the record is from before leases were lost, and its age tells that its address must be probed before anybody
   * gets it, this client too. What is written down of DNS would make it a new one.
   */
  readonly mayRewrite: (record: Buffer) => boolean;
  readonly isCommitted: (incarnation: number, seq: number) => boolean;
  /** A ticket; it is confirmed once `confirmed` has reached it. */
  readonly ask: () => number;
  readonly confirmed: () => number;
}

export interface DnsOutboxParts {
  readonly table: LeaseTable;
  readonly config: ClusterConfig;
  readonly cluster: DnsCluster;
  readonly counters: DnsCounters;
  /** Makes a change of the own log. */
  readonly make: (address: number, record: Buffer) => void;
  readonly report: (event: Occurrence) => void;
  readonly random: () => number;
}

interface Refused {
  tries: number;
  readonly since: MonotonicMs;
  retryAt: MonotonicMs;
}

export class DnsOutbox {
  readonly zones: ZoneStandings;
  /** Told by whoever compares the leases with the zones. */
  resync: DnsResyncStatus | null = null;
  readonly #parts: DnsOutboxParts;
  readonly #visits = new Map<number, Visit>();
  /** By the number of its job. */
  readonly #jobs = new Map<number, Visit>();
  /** By address, the oldest first. */
  readonly #refused = new Map<number, Refused>();
  #config: ClusterConfig;
  #zones: readonly DnsZone[];
  #nextId = 1;
  #begun: DnsJob[] = [];
  #strays: { readonly address: number; readonly step: DnsStep }[] = [];
  #anew: { readonly address: number; readonly forward: boolean; readonly reverse: boolean }[] = [];
  #lookedAt = -Infinity;
  readonly #owned = (slot: number): boolean => this.#parts.cluster.owns(slot);

  constructor(parts: DnsOutboxParts) {
    this.#parts = parts;
    this.zones = new ZoneStandings(parts.random, parts.report);
    this.#config = parts.config;
    this.#zones = allZones(parts.config);
  }

  /** Another configuration: what is under way goes on as it began. */
  configure(config: ClusterConfig): void {
    this.#config = config;
    this.#zones = allZones(config);
    this.zones.clear();
    this.#refused.clear();
  }

  get underWay(): number {
    return this.#jobs.size;
  }

  /** Nothing is being seen to, or was found by a comparison and waits. */
  get isIdle(): boolean {
    return this.#visits.size === 0 && this.#strays.length === 0 && this.#anew.length === 0;
  }

  /** The node is out of the view. What comes of what is under way is the next owner's to find out. */
  forget(): void {
    this.#visits.clear();
    for (const [id, { job }] of this.#jobs) {
      if (job !== undefined) this.zones.forgotten(job.zone);
      this.#jobs.delete(id);
    }
    this.#refused.clear();
    this.#begun = [];
    this.#strays = [];
    this.#anew = [];
  }

  /** DNS was found to lack what the lease's entry says is there, or a refusal is to be put to the test. False: too many wait. */
  askAnew(address: number, forward: boolean, reverse: boolean): boolean {
    if (this.#anew.length >= DNS_STRAYS_MAX) return false;
    this.#anew.push({ address, forward, reverse });
    return true;
  }

  #doAnew(address: number, forward: boolean, reverse: boolean): void {
    const { cluster, make, table } = this.#parts;
    const record = table.read(address);
    if (record === undefined || !isActive(record) || !cluster.works() || !cluster.owns(address & 255) || !cluster.mayRewrite(record)) return;
    if (this.#visits.has(address)) {
      this.askAnew(address, forward, reverse);
      return;
    }
    const before = readEntries(record);
    // With a refusal nobody knows which part of it is there.
    const after = before.map((entry): DnsEntry => (!entry.current ? entry : {
      ...entry, refusal: 'none',
      forwardSettled: entry.forwardSettled && !forward && entry.refusal === 'none', reverseSettled: entry.reverseSettled && !reverse && entry.refusal === 'none',
    }));
    const section = encodeDnsEntries(after);
    if (!section.equals(recordSection(record, SectionKind.dns))) make(address, withSection(record, SectionKind.dns, section));
  }

  /** Found in a zone, and no lease has it: is taken out if that is so still once it is confirmed. False: too many wait. */
  takeOut(address: number, step: DnsStep): boolean {
    if (this.#strays.length >= DNS_STRAYS_MAX) return false;
    this.#strays.push({ address, step });
    return true;
  }

  /** For operators. Costs up to DNS_TOLD_MAX records. */
  describe(now: MonotonicMs): DnsStatus {
    const { table } = this.#parts;
    const pending = table.dns.size === 0 ? 0 : table.dns.count(this.#owned);
    const some = pending === 0 ? [] : table.dns.some(DNS_TOLD_MAX, this.#owned);
    const byZone = new Map<string, number>();
    for (const address of some) {
      const record = table.read(address)!;
      for (const step of stepsOf(readEntries(record), isActive(record))) {
        const zone = this.#zoneOf(address, step)?.name ?? '';
        byZone.set(zone, (byZone.get(zone) ?? 0) + 1);
      }
    }
    const failing = new Map(this.zones.failing().map((zone) => [zone.zone, zone]));
    const names = [...new Set([...byZone.keys(), ...failing.keys()])].toSorted();
    return {
      pending, underWay: this.#jobs.size, estimated: pending > some.length,
      zones: names.map((zone) => {
        const fails = failing.get(zone);
        return {
          zone, pending: some.length === 0 ? 0 : Math.round((byZone.get(zone) ?? 0) * pending / some.length), failing: fails?.reason ?? '',
          failingSeconds: fails === undefined ? 0 : Math.round((now - fails.since) / 1000),
          retrySeconds: fails === undefined ? 0 : Math.max(0, Math.round((fails.retryAt - now) / 1000)),
        };
      }),
      resync: this.resync,
    };
  }

  /** Once a turn: what is to begin now. Costs nothing where no record has any work. */
  step(now: MonotonicMs): readonly DnsJob[] {
    const { cluster, table } = this.#parts;
    if (this.#visits.size === 0 && table.dns.size === 0 && this.#strays.length === 0 && this.#anew.length === 0) return NO_JOBS;
    if (!cluster.works()) {
      if (this.#visits.size > 0) this.forget();
      return NO_JOBS;
    }
    for (const { address, forward, reverse } of this.#anew.splice(0)) this.#doAnew(address, forward, reverse);
    for (const visit of this.#visits.values()) {
      if (visit.job === undefined) this.#goOn(visit, now);
      else if (now - visit.since > DNS_JOB_MS) this.onDone(visit.job.id, { kind: 'unavailable', reason: 'nothing came of it' }, now);
      else this.#refresh(visit, now);
    }
    this.#takeUp(now);
    const begun = this.#begun;
    this.#begun = [];
    return begun;
  }

  /** A job that takes its time is confirmed again and again. */
  #refresh(visit: Visit, now: MonotonicMs): void {
    const { cluster } = this.#parts;
    if (visit.ticket > cluster.confirmed()) return;
    visit.freshAt = visit.askedAt;
    if (now - visit.askedAt < DNS_CONFIRMATION_MS / 2) return;
    visit.ticket = cluster.ask();
    visit.askedAt = now;
  }

  /**
   * Whether a message of the job may leave now: asked before each. A node that stood still finds that it may not, until
   * it is confirmed that it still is who sees to the address; a job that may not go on ends as `unavailable`.
   */
  mayGoOn(id: number, now: MonotonicMs): boolean {
    const visit = this.#jobs.get(id);
    return visit !== undefined && now - visit.freshAt <= DNS_CONFIRMED_MS && this.#parts.cluster.works() && this.#parts.cluster.owns(visit.address & 255);
  }

  /** Lately marked addresses at once; the others in turn, several times a second. */
  #takeUp(now: MonotonicMs): void {
    const { table } = this.#parts;
    let room = DNS_UNDER_WAY_MAX - this.#visits.size;
    if (this.#strays.length > 0) {
      const waiting = this.#strays;
      this.#strays = waiting.filter((stray, i) => i >= room || !this.#visitStray(stray, now));
      room -= waiting.length - this.#strays.length;
    }
    if (room <= 0) return;
    for (const address of table.dns.takeFresh(Math.min(room, DNS_LOOKS_PER_TURN_MAX))) if (this.#visit(address, now)) room--;
    if (now - this.#lookedAt < LOOK_MS || room <= 0) return;
    this.#lookedAt = now;
    for (const address of table.dns.look(DNS_LOOKS_PER_TURN_MAX, this.#owned)) {
      if (room > 0 && this.#visit(address, now)) room--;
    }
  }

  /** True: it is being seen to from now on. */
  #visit(address: number, now: MonotonicMs): boolean {
    const { cluster, table } = this.#parts;
    if (!cluster.owns(address & 255) || this.#visits.has(address)) return false;
    const refused = this.#refused.get(address);
    if (refused !== undefined && refused.retryAt > now) return false;
    const record = table.read(address);
    if (record === undefined || !cluster.mayRewrite(record) || this.#next(address, stepsOf(readEntries(record), isActive(record)), now) === undefined) return false;
    this.#visits.set(address, newVisit(address, cluster.ask(), [], now));
    return true;
  }

  /** False: the address is being seen to, and this one comes after. */
  #visitStray({ address, step }: { readonly address: number; readonly step: DnsStep }, now: MonotonicMs): boolean {
    const { cluster } = this.#parts;
    if (this.#visits.has(address)) return false;
    if (cluster.owns(address & 255)) this.#visits.set(address, newVisit(address, cluster.ask(), [step], now));
    return true;
  }

  /** Steps of the record, and strays of whose names it still says nothing. */
  #stepsOf({ results, strays }: Pick<Visit, 'results' | 'strays'>, record: Buffer | undefined): DnsStep[] {
    const entries = record === undefined ? [] : readEntries(record);
    const active = record !== undefined && isActive(record);
    const steps = stepsOf(entriesAfter(entries, active, results), active);
    for (const stray of strays) {
      const isDone = results.some(({ step }) => step === stray);
      if (!isDone && !isListed(entries, stray)) steps.push(stray);
    }
    return steps;
  }

  /** Of what may be done now, the first that is in no zone that waits. */
  #next(address: number, steps: readonly DnsStep[], now: MonotonicMs): { step: DnsStep; zone: DnsZone | undefined } | undefined {
    for (const step of steps) {
      const zone = this.#zoneOf(address, step);
      if (zone === undefined || !this.zones.isWaiting(zone.name, now)) return { step, zone };
    }
    return undefined;
  }

  #updatesAt(address: number): DnsUpdates | undefined {
    const { table } = this.#parts;
    const pool = table.poolOf(address);
    const scope: Scope | undefined = pool >= 0 ? this.#config.pools[pool]?.scope : this.#config.subnets[table.subnetOf(address)]?.scope;
    return scope?.dns?.updates;
  }

  #zoneOf(address: number, { action, name }: DnsStep): DnsZone | undefined {
    const target = action === 'add-forward' || action === 'remove-forward' ? name : reverseName(address);
    const own = zoneOf(target, this.#updatesAt(address)?.zones ?? []);
    const removes = action === 'remove-forward' || action === 'remove-reverse';
    return own ?? (removes ? zoneOf(target, this.#zones) : undefined);
  }

  /** No job of it is under way: begins the next one, or ends the visit. */
  #goOn(visit: Visit, now: MonotonicMs): void {
    const { cluster, table } = this.#parts;
    const { address } = visit;
    if (!cluster.owns(address & 255)) return this.#drop(visit);
    const record = table.read(address);
    if (record === undefined && visit.strays.length === 0) return this.#drop(visit);
    const seq = record === undefined ? 0 : recordSeq(record);
    const incarnation = record === undefined ? 0 : recordIncarnation(record);
    if (visit.begun && (seq !== visit.seq || incarnation !== visit.incarnation)) return this.#end(visit, record);
    const next = this.#next(address, this.#stepsOf(visit, record), now);
    if (next === undefined || this.#refused.get(address)?.retryAt as number > now) return this.#end(visit, record);
    if (visit.ticket > cluster.confirmed() || (record !== undefined && !cluster.isCommitted(incarnation, seq))) {
      if (now - visit.since > DNS_BEGIN_MS) this.#end(visit, record);
      return undefined;
    }
    if (now - visit.askedAt > DNS_CONFIRMATION_MS) {
      visit.ticket = cluster.ask();
      visit.askedAt = now;
      return undefined;
    }
    visit.freshAt = visit.askedAt;
    visit.begun = true;
    visit.incarnation = incarnation;
    visit.seq = seq;
    if (next.zone === undefined) {
      this.#settle(visit, next.step, 'no-zone');
      return this.#goOn(visit, now);
    }
    if (next.step.action === 'add-forward' && record !== undefined && isElsewhere(table, address, record, recordClientKey(record), next.step)) {
      this.#settle(visit, next.step, 'conflict');
      return this.#goOn(visit, now);
    }
    return this.#begin(visit, record, next.step, next.zone, now);
  }

  #begin(visit: Visit, record: Buffer | undefined, step: DnsStep, zone: DnsZone, now: MonotonicMs): void {
    const { address } = visit;
    const updates = this.#updatesAt(address);
    const id = this.#nextId++;
    visit.job = { id, zone: zone.name, step };
    visit.since = now;
    this.#jobs.set(id, visit);
    this.zones.begun(zone.name);
    this.#begun.push({
      id, action: step.action, zone, name: step.name, dhcid: step.dhcid, address,
      ttlSeconds: updates === undefined || record === undefined ? 0 : ttlSecondsOf(updates, recordLeaseSeconds(record)), conflicts: updates?.conflicts ?? 'keep',
    });
  }

  /** What came of a job. */
  onDone(id: number, outcome: DnsOutcome, now: MonotonicMs): void {
    const visit = this.#jobs.get(id);
    if (visit?.job === undefined) return;
    const { step, zone } = visit.job;
    this.#jobs.delete(id);
    delete visit.job;
    visit.since = now;
    this.#parts.counters.count(step.action, outcome.kind);
    switch (outcome.kind) {
      case 'done':
        this.zones.taken(zone, now);
        return this.#settle(visit, step, 'none');
      case 'conflict':
        this.zones.taken(zone, now);
        if (step.action === 'add-forward') this.#tell('dns.conflict', visit, step, zone, {});
        return this.#settle(visit, step, 'conflict');
      case 'unavailable':
        // Nobody may be told anything by a node that does not know whether it still is who sees to it.
        if (now - visit.freshAt > DNS_CONFIRMED_MS) return this.zones.forgotten(zone);
        return this.zones.unavailable(zone, outcome.reason, now);
      case 'refused':
        return this.#onRefused(visit, step, zone, outcome.code, now);
      default: return outcome satisfies never;
    }
  }

  /** A name is refused for good only while its zone takes others. */
  #onRefused(visit: Visit, step: DnsStep, zone: string, code: string, now: MonotonicMs): void {
    const { address } = visit;
    if (ZONE_WIDE.has(code)) return this.zones.unavailable(zone, code, now);
    if (this.zones.refused(zone, code, now)) return;
    const refused = this.#refused.get(address) ?? { tries: 0, since: now, retryAt: now };
    refused.tries++;
    refused.retryAt = (now + DNS_REFUSED_RETRY_MS * refused.tries) as MonotonicMs;
    const isFull = this.#refused.size >= DNS_REFUSED_MAX && !this.#refused.has(address);
    if ((isFull || refused.tries >= DNS_REFUSED_TRIES) && this.zones.tookSince(zone, refused.since)) {
      this.#refused.delete(address);
      this.#tell('dns.refused', visit, step, zone, { code });
      return this.#settle(visit, step, 'refused');
    }
    if (!isFull) this.#refused.set(address, refused);
    return undefined;
  }

  #settle(visit: Visit, step: DnsStep, refusal: DnsRefusal): void {
    const removes = step.action === 'remove-forward' || step.action === 'remove-reverse';
    if (removes && (refusal === 'refused' || refusal === 'no-zone')) this.#parts.counters.givenUp++;
    if (refusal !== 'refused') this.#refused.delete(visit.address);
    visit.results.push({ step, refusal });
  }

  /** What came of it goes into the record as it is now, whoever has changed it meanwhile. */
  #end(visit: Visit, record: Buffer | undefined): void {
    this.#visits.delete(visit.address);
    if (visit.results.length === 0 || record === undefined || !this.#parts.cluster.mayRewrite(record)) return;
    const before = recordSection(record, SectionKind.dns);
    const after = encodeDnsEntries(entriesAfter(readDnsEntries(before), isActive(record), visit.results));
    if (!after.equals(before)) this.#parts.make(visit.address, withSection(record, SectionKind.dns, after));
    // A client that has the name at another address too had taken it from there: there it is again, also where it cannot be here.
    for (const { refusal, step } of visit.results) {
      const leaves = step.action === 'remove-forward' || (step.action === 'add-forward' && refusal === 'no-zone');
      const others = leaves ? othersOfName(this.#parts.table, visit.address, recordClientKey(record), step) : [];
      if (others.length > 0) this.#doAnew(latestOf(this.#parts.table, others), true, false);
    }
  }

  #drop(visit: Visit): void {
    this.#visits.delete(visit.address);
  }

  #tell(id: 'dns.conflict' | 'dns.refused', { address }: Visit, { action, name }: DnsStep, zone: string, more: Readonly<Record<string, string>>): void {
    this.#parts.report({ id, fields: { address: formatIpv4(address), name: formatDomainName(name) ?? '', zone, action, ...more } });
  }
}

/** Refusals that are about the zone or the key, whatever the name. */
const ZONE_WIDE: ReadonlySet<string> = new Set(['NOTAUTH', 'BADKEY', 'BADSIG', 'BADTRUNC']);
const NO_JOBS: readonly DnsJob[] = [];

/** So often the addresses with work are gone round. */
const LOOK_MS = 25;

function isActive(record: Buffer): boolean {
  return recordState(record) === BindingState.ACTIVE;
}

function readEntries(record: Buffer): DnsEntry[] {
  return readDnsEntries(recordSection(record, SectionKind.dns));
}
