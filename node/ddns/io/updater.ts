/**
 * Carries out jobs in DNS: asks the servers of a job's zone one after the other, and tells what came of it.
 *
 * Invariants: one job at a time for a name and for an address, in the order in which they came; at most DNS_UPDATES_MAX
 * under way. A server that does not answer costs each job at most one wait, and nothing that grows.
 */
import { parseDomainName } from '../../codec/domain-name.ts';
import { DNS_UPDATES_MAX, DNS_UPDATES_WAITING_MAX } from '../limits.ts';
import { DurationHistogram } from '../../telemetry/histogram.ts';
import type { Now } from '../../time.ts';
import { ServerHealth, serverText } from '../server-health.ts';
import type { TsigKey } from '../tsig.ts';
import type { DnsJob, DnsOutcome, DnsServer, DnsZone } from '../types.ts';
import { Procedure } from '../update.ts';
import type { DnsUpdate, ResponseCode } from '../update.ts';
import { encodeQuery, encodeUpdate, TYPE_NUMBERS } from '../wire.ts';
import type { QueryType, WireRecord } from '../wire.ts';
import { DnsClient, DnsTransferError } from './client.ts';
import type { ClientCounts, DnsRequest, ServerAnswer } from './client.ts';

export interface DnsUpdaterOptions {
  /** The key of this name, as it is now. */
  readonly keys: { find(name: string): TsigKey | undefined };
  /** Never from within `start`. */
  readonly onDone: (id: number, outcome: DnsOutcome) => void;
  readonly now: () => Now;
  /** Asked before each message of a job leaves; where it says no, the job ends as `unavailable`. */
  readonly mayGoOn?: (id: number) => boolean;
}

/** Plain counts, for metrics. */
export interface DnsUpdaterStats extends Readonly<ClientCounts> {
  readonly underWay: number;
  readonly waiting: number;
  /** From the first request of a job to its end; not of jobs that no server answered. */
  readonly seconds: DurationHistogram;
}

export type DnsQueryAnswer =
  | { readonly kind: 'answer'; readonly code: ResponseCode; readonly records: readonly WireRecord[] }
  | { readonly kind: 'failure'; readonly reason: string };

export interface DnsUpdater {
  /** Its outcome comes later, always. */
  start(job: DnsJob): void;
  /** The records of a name in wire form, as the zone's servers have them. */
  query(zone: DnsZone, name: Buffer, type: QueryType): Promise<DnsQueryAnswer>;
  /** All records of a zone, from the first of its servers that answers. Rejects with a DnsTransferError where none does, or it breaks off. */
  transfer(zone: DnsZone): AsyncGenerator<WireRecord, void>;
  readonly stats: DnsUpdaterStats;
  /** Jobs that are not done get no outcome any more. */
  close(): Promise<void>;
}

/** Nothing is opened before the first job. */
export function openDnsUpdater(options: DnsUpdaterOptions): DnsUpdater {
  return new Updater(options);
}

interface Waiting {
  readonly job: DnsJob;
  /** Whom it must have for itself. */
  readonly claims: readonly string[];
  /** Claims that an earlier job still has. */
  blockers: number;
}

class Updater implements DnsUpdater {
  readonly #options: DnsUpdaterOptions;
  readonly #client: DnsClient;
  readonly #health = new ServerHealth();
  readonly #seconds = new DurationHistogram();
  /** By claim: who has it, and then who waits for it. */
  readonly #claims = new Map<string, Waiting[]>();
  /** Those that wait only for a place among the ones under way. */
  readonly #ready: Waiting[] = [];
  readonly #running = new Set<Promise<void>>();
  #underWay = 0;
  #waiting = 0;
  #isClosed = false;

  constructor(options: DnsUpdaterOptions) {
    this.#options = options;
    this.#client = new DnsClient(options.now);
  }

  get stats(): DnsUpdaterStats {
    return { ...this.#client.counts, underWay: this.#underWay, waiting: this.#waiting, seconds: this.#seconds };
  }

  start(job: DnsJob): void {
    if (this.#isClosed) return;
    if (this.#waiting >= DNS_UPDATES_WAITING_MAX) {
      setImmediate(() => this.#tell(job.id, { kind: 'unavailable', reason: 'too many updates are waiting' }));
      return;
    }
    const waiting: Waiting = { job, claims: claimsOf(job), blockers: 0 };
    for (const claim of waiting.claims) {
      const line = this.#claims.get(claim);
      if (line === undefined) this.#claims.set(claim, [waiting]);
      else {
        line.push(waiting);
        waiting.blockers++;
      }
    }
    this.#waiting++;
    if (waiting.blockers === 0) this.#ready.push(waiting);
    this.#startReady();
  }

  async query(zone: DnsZone, name: Buffer, type: QueryType): Promise<DnsQueryAnswer> {
    const request = { question: { name, type: TYPE_NUMBERS[type] }, encode: (id: number) => encodeQuery(id, name, type) };
    const key = this.#keyOf(zone);
    if (key === 'missing') return { kind: 'failure', reason: missingKey(zone) };
    const reasons: string[] = [];
    for (const server of zone.servers) {
      const answer = await this.#askServer(server, request, key);
      if (answer.kind === 'answer' && ['NOERROR', 'NXDOMAIN'].includes(answer.message.code)) {
        return { kind: 'answer', code: answer.message.code, records: answer.message.records.filter(({ section }) => section === 'answer') };
      }
      reasons.push(`${serverText(server)}: ${reasonText(answer)}`);
    }
    return { kind: 'failure', reason: reasons.join('; ') };
  }

  async* transfer(zone: DnsZone): AsyncGenerator<WireRecord, void> {
    const key = this.#keyOf(zone);
    if (key === 'missing') throw new DnsTransferError(zone.servers[0]!, missingKey(zone));
    const now = this.#options.now().mono;
    const answering = zone.servers.filter((server) => this.#health.mayAsk(server, now));
    const asked = answering.length === 0 ? zone.servers : answering;
    for (const [i, server] of asked.entries()) {
      let hasBegun = false;
      try {
        for await (const record of this.#client.transfer(server, zoneName(zone), key)) {
          hasBegun = true;
          yield record;
        }
        this.#health.onAnswer(server);
        return;
      } catch (error) {
        // Half of one server's records and all of another's would be neither's zone.
        if (hasBegun || i === asked.length - 1) throw error;
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#client.close();
    await Promise.all(this.#running);
  }

  #startReady(): void {
    while (!this.#isClosed && this.#underWay < DNS_UPDATES_MAX) {
      const next = this.#ready.shift();
      if (next === undefined) return;
      this.#waiting--;
      this.#underWay++;
      const running = this.#carryOut(next).finally(() => this.#running.delete(running));
      this.#running.add(running);
    }
  }

  async #carryOut(waiting: Waiting): Promise<void> {
    const { job } = waiting;
    const start = this.#options.now().mono;
    const outcome = await this.#outcome(job);
    if (outcome.kind !== 'unavailable') this.#seconds.observe((this.#options.now().mono - start) / 1000);
    this.#underWay--;
    this.#release(waiting);
    this.#tell(job.id, outcome);
    this.#startReady();
  }

  #release({ claims }: Waiting): void {
    for (const claim of claims) {
      const line = this.#claims.get(claim)!;
      line.shift();
      const next = line[0];
      if (next === undefined) this.#claims.delete(claim);
      else if (--next.blockers === 0) this.#ready.push(next);
    }
  }

  #tell(id: number, outcome: DnsOutcome): void {
    if (!this.#isClosed) this.#options.onDone(id, outcome);
  }

  async #outcome(job: DnsJob): Promise<DnsOutcome> {
    const key = this.#keyOf(job.zone);
    // Its file may come, or be mended.
    if (key === 'missing') return { kind: 'unavailable', reason: missingKey(job.zone) };
    const procedure = new Procedure(job);
    for (;;) {
      const code = await this.#sendUpdate(job, procedure.next(), key);
      if (typeof code !== 'string') return code;
      const outcome = procedure.onAnswer(code);
      if (outcome !== undefined) return outcome;
    }
  }

  /** RFC 2136 §4: one server after the other until one answers. */
  async #sendUpdate({ id: job, zone }: DnsJob, update: DnsUpdate, key: TsigKey | undefined): Promise<ResponseCode | DnsOutcome> {
    const request: DnsRequest = {
      question: { name: zoneName(zone), type: TYPE_NUMBERS.SOA }, encode: (id) => encodeUpdate(id, update),
      mayLeave: () => this.#options.mayGoOn?.(job) ?? true,
    };
    const reasons: string[] = [];
    let refusal: ResponseCode | undefined;
    // One that may take it has not said anything about it.
    let mayBeTaken = false;
    for (const server of zone.servers) {
      const answer = await this.#askServer(server, request, key);
      if (answer.kind === 'withdrawn') return { kind: 'unavailable', reason: reasonText(answer) };
      const code = answer.kind === 'answer' ? answer.message.code : answer.kind === 'rejected' ? answer.code : undefined;
      reasons.push(`${serverText(server)}: ${reasonText(answer)}`);
      if (code === undefined || code === 'SERVFAIL' || code === 'BADTIME') mayBeTaken = true;
      // RFC 2136 §4.6; who has not got the zone is none of its servers. A secondary that does not pass updates on refuses them.
      else if (answer.kind === 'rejected' || code === 'NOTIMP' || code === 'NOTAUTH' || (code === 'REFUSED' && mayBeTaken)) refusal ??= code;
      else return code;
    }
    return refusal === undefined || mayBeTaken ? { kind: 'unavailable', reason: reasons.join('; ') } : { kind: 'refused', code: refusal };
  }

  async #askServer(server: DnsServer, request: DnsRequest, key: TsigKey | undefined): Promise<ServerAnswer> {
    if (!this.#health.mayAsk(server, this.#options.now().mono)) return { kind: 'silent', reason: 'has not answered lately' };
    const answer = await this.#client.ask(server, request, key);
    if (answer.kind === 'silent') this.#health.onSilence(server, this.#options.now().mono);
    else if (answer.kind !== 'withdrawn') this.#health.onAnswer(server);
    return answer;
  }

  #keyOf({ key }: DnsZone): TsigKey | undefined | 'missing' {
    return key === undefined ? undefined : this.#options.keys.find(key) ?? 'missing';
  }
}

/** A name's A record has to do with its address too; a pointer has its address for itself. */
function claimsOf({ action, address, name }: DnsJob): string[] {
  const claim = `address ${address}`;
  return action === 'add-forward' || action === 'remove-forward' ? [claim, `name ${name.toString('latin1')}`] : [claim];
}

/** Zones are few and updates many. */
const ZONE_NAMES = new WeakMap<DnsZone, Buffer>();

function zoneName(zone: DnsZone): Buffer {
  let name = ZONE_NAMES.get(zone);
  if (name === undefined) {
    name = parseDomainName(zone.name.toLowerCase())!;
    ZONE_NAMES.set(zone, name);
  }
  return name;
}

function reasonText(answer: ServerAnswer): string {
  switch (answer.kind) {
    case 'answer': return answer.message.code;
    case 'rejected': return answer.detail;
    case 'withdrawn': return 'this node does not know whether it may still change it';
    default: return answer.reason;
  }
}

function missingKey({ key }: DnsZone): string {
  return `no key ${key} on this node`;
}
