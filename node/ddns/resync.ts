/**
 * `lessor dns resync`: compares what the leases say with what the zones hold. Names of leases that DNS lacks are put in
 * again, and names that this cluster has put there (RFC 4703 §4: they have a DHCID record) and that no lease has any more
 * are taken out. What others have put there is never touched. A PTR record has no DHCID record: it is this cluster's where
 * the name that it points to is, and where the address is in a pool and the name, in a zone that was read, does not exist.
 *
 * It is done for the addresses that the node owns, beside all else, one page of bindings at a time; what it finds goes
 * through the outbox and is confirmed there, so what changes meanwhile does no harm.
 */
import type { LeaseTable } from '../lease/table.ts';
import { BindingState, recordSection, recordState, SectionKind } from '../lease/record.ts';
import { currentEntry, DHCID_BYTES, readDnsEntries } from './entries.ts';
import { DNS_RESYNC_PAGE_RECORDS, DNS_RESYNC_RECORDS_MAX } from './limits.ts';
import type { DnsOutbox } from './outbox.ts';
import type { DnsResyncStatus } from './status.ts';
import { isListed } from './steps.ts';
import type { DnsStep } from './steps.ts';
import type { DnsEntry, DnsZone } from './types.ts';
import { addressData, reverseName } from './update.ts';
import type { DnsType } from './update.ts';
import { zoneOf } from './zone-of.ts';

/** A record of a zone. */
export interface ZoneEntry {
  readonly name: Buffer;
  /** Number of the type. */
  readonly type: number;
  readonly data: Buffer;
}

/** Who asks name servers. */
export interface ZoneReader {
  /** All records of the zone; rejects where it may not be read as a whole. */
  transfer(zone: DnsZone): AsyncIterable<ZoneEntry>;
  /** Undefined: nobody has answered. */
  query(zone: DnsZone, name: Buffer, type: DnsType): Promise<readonly Buffer[] | undefined>;
}

export interface ResyncParts {
  readonly table: LeaseTable;
  readonly outbox: DnsOutbox;
  readonly reader: ZoneReader;
  readonly zones: readonly DnsZone[];
  readonly owns: (slot: number) => boolean;
  /** False: the node leaves service, and this ends. */
  readonly works: () => boolean;
  /** Lets all else go first. */
  readonly pause: () => Promise<void>;
}

const A = 1;
const PTR = 12;
const DHCID = 49;
/** Any other type: all that matters is that the name exists. */
const OTHER = 0;
/** RRSIG, NSEC, NSEC3 and NSEC3PARAM: what signs a zone. */
const SIGNING: ReadonlySet<number> = new Set([46, 47, 50, 51]);
const NO_MARK: Buffer = Buffer.alloc(DHCID_BYTES);
const NO_DATA: Buffer = Buffer.alloc(0);
/** Records of bindings; notes lie below. */
const FIRST_ADDRESS = 0x0100_0000;

/** What a zone holds, as far as it matters here; by name in latin1. */
class Picture {
  readonly #kept = new Map<string, Buffer[]>();

  get size(): number {
    return this.#kept.size;
  }

  add({ data, name, type }: ZoneEntry): void {
    const key = keyOf(name, type);
    const known = this.#kept.get(key);
    if (known === undefined) this.#kept.set(key, [Buffer.from(data)]);
    else if (type !== OTHER) known.push(Buffer.from(data));
  }

  has(name: Buffer, type: number, data: Buffer): boolean {
    return this.of(name, type).some((one) => one.equals(data));
  }

  of(name: Buffer, type: number): readonly Buffer[] {
    return this.#kept.get(keyOf(name, type)) ?? [];
  }

  *names(type: number): IterableIterator<Buffer> {
    for (const key of this.#kept.keys()) if (key.charCodeAt(0) === type) yield Buffer.from(key.slice(1), 'latin1');
  }
}

function keyOf(name: Buffer, type: number): string {
  return String.fromCharCode(type) + name.toString('latin1');
}

interface Counts {
  records: number;
  bindings: number;
  missing: number;
  stray: number;
}

/** One comparison; its progress is in the outbox's status. */
export class DnsResync {
  readonly #parts: ResyncParts;
  /** Of zones that could be read as a whole. */
  readonly #pictures = new Map<DnsZone, Picture>();
  readonly #unread: string[] = [];
  readonly #silent = new Set<string>();
  readonly #counts: Counts = { records: 0, bindings: 0, missing: 0, stray: 0 };

  constructor(parts: ResyncParts) {
    this.#parts = parts;
  }

  /** Never rejects. */
  async run(): Promise<void> {
    try {
      for (const zone of this.#parts.zones) await this.#read(zone);
      await this.#compareBindings();
      await this.#findStrays();
      this.#tell(this.#silent.size === 0 ? 'done' : 'failed', this.#summary());
    } catch (error) {
      this.#tell('failed', (error as Error).message);
    }
  }

  #summary(): string {
    const parts = ['compared'];
    if (this.#unread.length > 0) parts.push(`names without a lease were not looked for in ${this.#unread.join(', ')}`);
    if (this.#silent.size > 0) parts.push(`no answer from ${[...this.#silent].join(', ')}: try again`);
    return parts.join('; ');
  }

  #tell(state: DnsResyncStatus['state'], step: string): void {
    this.#parts.outbox.resync = { state, step, ...this.#counts };
  }

  /** Between two pieces of work. */
  async #pause(step: string): Promise<void> {
    this.#tell('running', step);
    await this.#parts.pause();
    if (!this.#parts.works()) throw new Error('the node is not in service any more');
  }

  async #read(zone: DnsZone): Promise<void> {
    const picture = new Picture();
    await this.#pause(`reading ${zone.name}`);
    try {
      for await (const entry of this.#parts.reader.transfer(zone)) {
        if (++this.#counts.records % 1024 === 0) await this.#pause(`reading ${zone.name}`);
        if (SIGNING.has(entry.type)) continue;
        const isCompared = entry.type === A || entry.type === PTR || entry.type === DHCID;
        picture.add(isCompared ? entry : { name: entry.name, type: OTHER, data: NO_DATA });
        if (picture.size > DNS_RESYNC_RECORDS_MAX) throw new Error('too many records');
      }
      this.#pictures.set(zone, picture);
    } catch (error) {
      this.#unread.push(`${zone.name} (no transfer: ${(error as Error).message})`);
    }
  }

  // ── what DNS lacks ───────────────────────────────────────────────────────────────────────────

  async #compareBindings(): Promise<void> {
    const { owns, table } = this.#parts;
    for (let after = FIRST_ADDRESS - 1; ;) {
      const page = table.records(after, DNS_RESYNC_PAGE_RECORDS);
      if (page.length === 0) return;
      for (const { address, record } of page) {
        if (!owns(address & 255) || recordState(record) !== BindingState.ACTIVE) continue;
        this.#counts.bindings++;
        const entry = currentEntry(record);
        if (entry !== undefined) await this.#compare(address, entry);
      }
      after = page.at(-1)!.address;
      await this.#pause('comparing leases');
    }
  }

  /** A refusal is put to the test again. */
  async #compare(address: number, entry: DnsEntry): Promise<void> {
    const refused = entry.refusal !== 'none';
    const forward = entry.forward && entry.forwardSettled && (refused || !(await this.#hasForward(address, entry)));
    const reverse = entry.reverse && entry.reverseSettled && (refused || !(await this.#has(reverseName(address), 'PTR', PTR, entry.name)));
    if (!forward && !reverse) return;
    while (!this.#parts.outbox.askAnew(address, forward, reverse)) await this.#pause('comparing leases');
    this.#counts.missing++;
  }

  async #hasForward(address: number, { dhcid, name }: DnsEntry): Promise<boolean> {
    return await this.#has(name, 'A', A, addressData(address)) && await this.#has(name, 'DHCID', DHCID, dhcid);
  }

  /** Where nobody says, nothing is known to lack. */
  async #has(name: Buffer, type: DnsType, number: number, data: Buffer): Promise<boolean> {
    const zone = zoneOf(name, this.#parts.zones);
    if (zone === undefined || this.#silent.has(zone.name)) return true;
    const picture = this.#pictures.get(zone);
    if (picture !== undefined) return picture.has(name, number, data);
    const found = await this.#parts.reader.query(zone, name, type);
    if (found === undefined) this.#silent.add(zone.name);
    return found === undefined || found.some((one) => one.equals(data));
  }

  // ── what no lease has ────────────────────────────────────────────────────────────────────────

  async #findStrays(): Promise<void> {
    for (const picture of this.#pictures.values()) {
      await this.#pause('looking for names without a lease');
      let looked = 0;
      for (const name of picture.names(DHCID)) {
        if (++looked % 256 === 0) await this.#pause('looking for names without a lease');
        const [dhcid] = picture.of(name, DHCID);
        for (const data of picture.of(name, A)) {
          if (data.length === 4) await this.#mayBeStray(data.readUInt32BE(0), { action: 'remove-forward', name, dhcid: dhcid! });
        }
      }
      for (const name of picture.names(PTR)) {
        if (++looked % 256 === 0) await this.#pause('looking for names without a lease');
        const address = addressOf(name);
        for (const target of address === undefined ? [] : picture.of(name, PTR)) {
          const dhcid = this.#markOf(target) ?? (this.#pointsNowhere(address!, target) ? NO_MARK : undefined);
          if (dhcid !== undefined) await this.#mayBeStray(address!, { action: 'remove-reverse', name: target, dhcid });
        }
      }
    }
  }

  /** Of a name that this cluster, or one that shares the zone with it, has put there. */
  #markOf(name: Buffer): Buffer | undefined {
    const zone = zoneOf(name, this.#parts.zones);
    return zone === undefined ? undefined : this.#pictures.get(zone)?.of(name, DHCID)[0];
  }

  /** What the pointers of addresses in pools say is the DHCP server's, and nobody has written this name by hand either. */
  #pointsNowhere(address: number, name: Buffer): boolean {
    const zone = zoneOf(name, this.#parts.zones);
    const picture = zone === undefined ? undefined : this.#pictures.get(zone);
    return picture !== undefined && this.#parts.table.poolOf(address) >= 0 && [A, DHCID, OTHER].every((type) => picture.of(name, type).length === 0);
  }

  async #mayBeStray(address: number, step: DnsStep): Promise<void> {
    const { outbox, owns, table } = this.#parts;
    if (table.subnetOf(address) < 0 || !owns(address & 255)) return;
    const record = table.read(address);
    const isKnown = record !== undefined && isListed(readDnsEntries(recordSection(record, SectionKind.dns)), step);
    if (isKnown) return;
    while (!outbox.takeOut(address, step)) await this.#pause('taking out names without a lease');
    this.#counts.stray++;
  }
}

/** Of a name d.c.b.a.in-addr.arpa; undefined: it is another one. */
function addressOf(name: Buffer): number | undefined {
  let address = 0;
  let at = 0;
  for (let i = 0; i < 4; i++) {
    const length = name[at] ?? 0;
    const text = name.toString('latin1', at + 1, at + 1 + length);
    if (!/^\d{1,3}$/.test(text) || Number(text) > 255) return undefined;
    address += Number(text) * 256 ** i;
    at += 1 + length;
  }
  return reverseName(address).equals(name) ? address : undefined;
}
