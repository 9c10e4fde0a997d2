/** What was done with names in a simulated world, as far as it excuses what DNS holds in the end. */
import { readDnsEntries } from '../../node/ddns/entries.ts';
import type { DnsJob } from '../../node/ddns/types.ts';
import { addressData, reverseName } from '../../node/ddns/update.ts';
import { BindingState, recordSection, recordState, SectionKind } from '../../node/lease/record.ts';
import { DNS_ENTRIES_PER_BINDING_MAX } from '../../node/limits.ts';
import { textOf } from '../support/dns-zone.ts';
import type { ModelZone, ZoneRecord } from '../support/dns-zone.ts';
import type { SimNode } from './node.ts';

/** One client's claim to one name, as text. */
export function claimOf({ dhcid, name }: { readonly dhcid: Buffer; readonly name: Buffer }): string {
  return `${textOf(name)} ${dhcid.toString('base64')}`;
}

export class NameTrail {
  /** Addresses of which the cluster has forgotten by an operator's word what is in DNS for them: `lessor dns resync` finds it. */
  readonly lost = new Set<number>();
  /** Names that were left without an address by nodes whose records were then lost in the middle of taking them out. */
  readonly bare = new Set<string>();
  /** Addresses whose bindings had too many names for one record: that is counted, and `lessor dns resync` finds them. */
  readonly full = new Set<number>();
  /** By claim: the addresses at which something was done with it. */
  readonly #places = new Map<string, Set<number>>();
  /** By claim: the one where that was last. */
  readonly #last = new Map<string, number>();
  /** Claims at an address that DNS has refused. */
  readonly #conflicts = new Set<string>();
  /** By the counters of one start of a node. */
  readonly #givenUp = new Map<object, number>();

  onJob(job: DnsJob): void {
    if (job.action !== 'add-forward' && job.action !== 'remove-forward') return;
    const claim = claimOf(job);
    const places = this.#places.get(claim);
    if (places === undefined) this.#places.set(claim, new Set([job.address]));
    else places.add(job.address);
    this.#last.set(claim, job.address);
  }

  onConflict(job: DnsJob): void {
    this.#conflicts.add(`${claimOf(job)} ${job.address}`);
  }

  /** Refusals are put to the test again. */
  onResync(): void {
    this.#conflicts.clear();
  }

  hadConflict(claim: string, address: number): boolean {
    return this.#conflicts.has(`${claim} ${address}`);
  }

  lastAt(claim: string): number | undefined {
    return this.#last.get(claim);
  }

  /** Whether its client had the name at another address too. */
  wasElsewhere(claim: string, address: number): boolean {
    const places = this.#places.get(claim);
    return places !== undefined && places.size > (places.has(address) ? 1 : 0);
  }

  /** After each turn. True: names were given up. */
  onTurn({ counters }: SimNode, nodes: readonly SimNode[]): boolean {
    const { givenUp } = counters.dns;
    if (givenUp === (this.#givenUp.get(counters) ?? 0)) return false;
    this.#givenUp.set(counters, givenUp);
    this.lookForFull(nodes);
    return true;
  }

  /** A change that another node makes has its record later. */
  lookForFull(nodes: readonly SimNode[]): void {
    if (this.#givenUp.size === 0) return;
    for (const { table } of nodes) {
      for (const { address, record } of table?.records(0x00ff_ffff, 1_000_000) ?? []) {
        if (readDnsEntries(recordSection(record, SectionKind.dns)).length === DNS_ENTRIES_PER_BINDING_MAX) this.full.add(address);
      }
    }
  }

  /** This node's store is the truth from now on: what DNS has otherwise is nobody's to put right, but an operator's. */
  onLost({ table }: SimNode, forward: ModelZone, reverse: ModelZone): void {
    const known = new Map<number, Set<string>>();
    for (const { address, record } of table!.records(0x00ff_ffff, 1_000_000)) {
      const entries = readDnsEntries(recordSection(record, SectionKind.dns));
      known.set(address, new Set(entries.flatMap(({ forward: a, name, reverse: ptr }) => [...(a ? [`A ${textOf(name)}`] : []), ...(ptr ? [`PTR ${textOf(name)}`] : [])])));
      const current = recordState(record) === BindingState.ACTIVE ? entries.find((entry) => entry.current) : undefined;
      if (current === undefined) continue;
      const { dhcid, forwardSettled, name, refusal, reverseSettled } = current;
      const at = forward.at(textOf(name));
      const isThere = hasRecord(at, 'A', addressData(address)) && hasRecord(at, 'DHCID', dhcid);
      const isPointed = hasRecord(reverse.at(textOf(reverseName(address))), 'PTR', name);
      if (refusal !== 'none' || (forwardSettled && !isThere) || (reverseSettled && !isPointed)) this.lost.add(address);
    }
    for (const { data, name, type } of forward.records()) {
      if (type === 'A' && known.get(data.readUInt32BE(0))?.has(`A ${name}`) !== true) this.lost.add(data.readUInt32BE(0));
      if (type === 'DHCID' && !forward.at(name).some((record) => record.type === 'A')) this.bare.add(name);
    }
    for (const { data, name, type } of reverse.records()) {
      const address = addressOf(name);
      if (type === 'PTR' && known.get(address)?.has(`PTR ${textOf(data)}`) !== true) this.lost.add(address);
    }
  }
}

export function hasRecord(records: readonly ZoneRecord[], type: ZoneRecord['type'], data: Buffer): boolean {
  return records.some((record) => record.type === type && record.data.equals(data));
}

/** Of a name d.c.b.a.in-addr.arpa as text. */
export function addressOf(name: string): number {
  return name.split('.').slice(0, 4).reduce((address, octet, i) => address + Number(octet) * 256 ** i, 0);
}
