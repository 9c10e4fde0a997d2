/**
 * A zone in memory that takes updates as RFC 2136 §3 has a primary server do it, for tests and for the simulator: what
 * holds with it holds with a real server as far as both pass test/unit/dns-zone-compliance.test.ts.
 */
import { parseIpv4 } from '../../node/codec/address.ts';
import { formatDomainName, parseDomainName } from '../../node/codec/domain-name.ts';
import type { DnsJob, DnsOutcome } from '../../node/ddns/types.ts';
import { addressData, Procedure } from '../../node/ddns/update.ts';
import type { Change, DnsType, DnsUpdate, Prerequisite, ResponseCode } from '../../node/ddns/update.ts';

export interface ZoneRecord {
  /** As text, lower case, without a dot at its end. */
  readonly name: string;
  readonly type: DnsType | 'NS' | 'SOA' | 'TXT';
  readonly ttlSeconds: number;
  /** RDATA. */
  readonly data: Buffer;
}

export class ModelZone {
  /** As text, with the dot at its end. */
  readonly name: string;
  readonly #apex: string;
  /** By name; of no name an empty list. */
  readonly #names = new Map<string, ZoneRecord[]>();

  /** `name` with the dot at its end. What it has from the start is somebody else's. */
  constructor(name: string, records: readonly ZoneRecord[] = []) {
    this.name = name;
    this.#apex = textOf(parseDomainName(name)!);
    for (const record of records) this.put(record);
  }

  /** One update: what a server would answer. Nothing is changed unless it is NOERROR. */
  apply(update: DnsUpdate): ResponseCode {
    if (update.zone.toLowerCase() !== this.name) return 'NOTAUTH';
    return this.#missing(update.prerequisites) ?? this.#change(update.changes);
  }

  /** As an administrator does it, past all rules. */
  put(record: ZoneRecord): void {
    const there = this.at(record.name);
    this.#set(record.name, [...there.filter((one) => one.type !== record.type || !one.data.equals(record.data)), record]);
  }

  /** As an administrator does it: all records of the name, or those of the type. */
  take(name: string, type?: ZoneRecord['type']): void {
    this.#set(name, type === undefined ? [] : this.at(name).filter((one) => one.type !== type));
  }

  /** The records of a name. */
  at(name: string): readonly ZoneRecord[] {
    return this.#names.get(name) ?? [];
  }

  /** Of all names, by name, type and data. */
  records(): ZoneRecord[] {
    return [...this.#names.values()].flat().toSorted((a, b) => compare(a.name, b.name) || compare(a.type, b.type) || a.data.compare(b.data));
  }

  /** RFC 2136 §3.2 */
  #missing(prerequisites: readonly Prerequisite[]): ResponseCode | undefined {
    const sets = new Map<string, { readonly name: string; readonly type: DnsType; readonly data: Buffer[] }>();
    for (const wanted of prerequisites) {
      const name = textOf(wanted.name);
      if (!this.#holds(name)) return 'NOTZONE';
      const there = this.at(name);
      switch (wanted.kind) {
        case 'name-in-use': if (there.length === 0) return 'NXDOMAIN'; break;
        case 'name-not-in-use': if (there.length > 0) return 'YXDOMAIN'; break;
        case 'rrset-exists': if (!there.some(({ type }) => type === wanted.type)) return 'NXRRSET'; break;
        case 'rrset-absent': if (there.some(({ type }) => type === wanted.type)) return 'YXRRSET'; break;
        case 'rrset-is': {
          const key = `${name} ${wanted.type}`;
          const set = sets.get(key) ?? { name, type: wanted.type, data: [] };
          set.data.push(wanted.data);
          sets.set(key, set);
        }
      }
    }
    for (const { data, name, type } of sets.values()) {
      const there = this.at(name).filter((one) => one.type === type);
      if (there.length !== data.length || !there.every((one) => data.some((wanted) => wanted.equals(one.data)))) return 'NXRRSET';
    }
    return undefined;
  }

  /** RFC 2136 §3.4 */
  #change(changes: readonly Change[]): ResponseCode {
    if (!changes.every(({ name }) => this.#holds(textOf(name)))) return 'NOTZONE';
    for (const change of changes) {
      const name = textOf(change.name);
      const there = this.at(name);
      const isApex = name === this.#apex;
      switch (change.kind) {
        case 'add': this.#add({ name, type: change.type, ttlSeconds: change.ttlSeconds, data: change.data }); break;
        case 'delete-record': this.#set(name, there.filter(({ data, type }) => type !== change.type || !data.equals(change.data))); break;
        case 'delete-rrset': this.#set(name, there.filter(({ type }) => type !== change.type)); break;
        case 'delete-name': this.#set(name, isApex ? there.filter(({ type }) => type === 'SOA' || type === 'NS') : []);
      }
    }
    return 'NOERROR';
  }

  /** RFC 2136 §3.4.2.2 */
  #add(record: ZoneRecord): void {
    const there = this.at(record.name);
    const isAlias = record.type === 'CNAME';
    if (there.some(({ type }) => (type === 'CNAME') !== isAlias)) return;
    if (isAlias) this.#set(record.name, [record]);
    else this.put(record);
  }

  #set(name: string, records: readonly ZoneRecord[]): void {
    if (records.length === 0) this.#names.delete(name);
    else this.#names.set(name, [...records]);
  }

  #holds(name: string): boolean {
    return name === this.#apex || name.endsWith(`.${this.#apex}`);
  }
}

/** As `ZoneRecord.name`. */
export function textOf(name: Buffer): string {
  return formatDomainName(name)!.toLowerCase();
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** One job with a zone that answers each update at once: how it ended, and what was sent. */
export function carryOut(job: DnsJob, zone: ModelZone): { readonly outcome: DnsOutcome; readonly updates: readonly DnsUpdate[] } {
  const procedure = new Procedure(job);
  const updates: DnsUpdate[] = [];
  for (;;) {
    const update = procedure.next();
    updates.push(update);
    const outcome = procedure.onAnswer(zone.apply(update));
    if (outcome !== undefined) return { outcome, updates };
  }
}

/** A job for tests: a client, told by a number, at 10.0.0.5 with the name laptop.example.test. */
export function dnsJob(fields: { readonly action: DnsJob['action'] } & { readonly name?: string; readonly client?: number; readonly address?: string } & Partial<Pick<DnsJob, 'conflicts' | 'id' | 'ttlSeconds' | 'zone'>>): DnsJob {
  const { action, address = '10.0.0.5', client = 1, conflicts = 'keep', id = 1, name = 'laptop.example.test', ttlSeconds = 600 } = fields;
  const zone = fields.zone ?? { name: action.endsWith('forward') ? 'example.test.' : '0.0.10.in-addr.arpa.', servers: [{ host: '127.0.0.1', port: 53 }], key: undefined };
  return { id, action, zone, name: parseDomainName(name)!, dhcid: dhcidOf(client), address: parseIpv4(address)!, ttlSeconds, conflicts };
}

/** RDATA of a DHCID record, another one for each client. */
export function dhcidOf(client: number): Buffer {
  return Buffer.concat([Buffer.of(0, 1, 1), Buffer.alloc(32, client)]);
}

/** "laptop.example.test A 10.0.0.5"; of a DHCID record its client's number. */
export function recordText({ data, name, type }: ZoneRecord): string {
  if (type === 'A') return `${name} A ${data.join('.')}`;
  if (type === 'DHCID') return `${name} DHCID ${data.at(-1)}`;
  return `${name} ${type} ${type === 'PTR' || type === 'CNAME' ? textOf(data) : data.toString('hex')}`;
}

/** What a zone holds, as `recordText` has it. */
export function textsOf(zone: ModelZone): string[] {
  return zone.records().map(recordText);
}

/** A record as `put` takes it. */
export function zoneRecord(name: string, type: ZoneRecord['type'], data: string, ttlSeconds = 3600): ZoneRecord {
  const bytes = type === 'A' ? addressData(parseIpv4(data)!)
    : type === 'PTR' || type === 'CNAME' ? parseDomainName(data)!
      : type === 'DHCID' ? dhcidOf(Number(data)) : Buffer.concat([Buffer.of(data.length), Buffer.from(data)]);
  return { name, type, ttlSeconds, data: bytes };
}
