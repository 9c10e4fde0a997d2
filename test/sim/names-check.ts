/**
 * What the zones must hold in the end: the names of the leases, and nothing else of this cluster's. What the product
 * leaves to `lessor dns resync` (deploy/dynamic-dns.md) is excused where it has happened, until that has run.
 */
import { formatIpv4 } from '../../node/codec/address.ts';
import { currentEntry } from '../../node/ddns/entries.ts';
import type { DnsEntry } from '../../node/ddns/types.ts';
import { addressData, reverseName } from '../../node/ddns/update.ts';
import { BindingState, recordClientKey, recordLastTransaction, recordState } from '../../node/lease/record.ts';
import type { LeaseTable } from '../../node/lease/table.ts';
import { textOf } from '../support/dns-zone.ts';
import type { ModelZone, ZoneRecord } from '../support/dns-zone.ts';
import { PromiseBroken } from './checker.ts';
import { addressOf, claimOf, hasRecord } from './name-trail.ts';
import type { NameTrail } from './name-trail.ts';

export interface NamesChecked {
  readonly table: LeaseTable;
  readonly forward: ModelZone;
  readonly reverse: ModelZone;
  /** The administrator's own. */
  readonly others: readonly ZoneRecord[];
  readonly trail: NameTrail;
  /** Leases and zones were compared since the last fault. */
  readonly resynced: boolean;
  /** Of a binding from before leases were lost nothing is done until addresses are probed no more. */
  readonly isKept: (address: number) => boolean;
}

/** A lease with a name. */
interface Named {
  readonly address: number;
  readonly record: Buffer;
  readonly entry: DnsEntry;
  readonly claim: string;
  readonly name: string;
}

/** What may stand at an address without that a lease says so. */
interface Allowed {
  /** "name DHCID address" */
  readonly names: Set<string>;
  /** Addresses of which a pointer may be there. */
  readonly pointers: Set<number>;
}

/** Returns how many leases have their names. */
export function checkNamesInDns(checked: NamesChecked): number {
  const { forward, others, table } = checked;
  for (const { data, name } of others) {
    const [record, ...more] = forward.at(name);
    if (record?.data.equals(data) !== true || more.length > 0) throw new PromiseBroken(`${name}, which is the administrator's, is not in DNS as it was`);
  }
  const leases = table.records(0x00ff_ffff, 1_000_000).flatMap(({ address, record }): Named[] => {
    const entry = recordState(record) === BindingState.ACTIVE ? currentEntry(record) : undefined;
    return entry === undefined ? [] : [{ address, record, entry, claim: claimOf(entry), name: textOf(entry.name) }];
  });
  const allowed: Allowed = { names: new Set(), pointers: new Set() };
  let named = 0;
  for (const lease of leases) {
    // Nothing is promised of a lease in a subnet that an operator has taken away, but that its name goes with it.
    const isExcused = table.subnetOf(lease.address) < 0 || checked.isKept(lease.address) || (!checked.resynced && checked.trail.lost.has(lease.address));
    if (isExcused) allowed.pointers.add(lease.address);
    else checkLease(checked, lease, leases, allowed);
    allowed.names.add(`${lease.claim} ${lease.address}`);
    if (!isExcused && lease.entry.refusal === 'none') named++;
  }
  checkStrays(checked, allowed);
  return named;
}

function checkLease(checked: NamesChecked, lease: Named, leases: readonly Named[], allowed: Allowed): void {
  const { forward, resynced, reverse, trail } = checked;
  const { address, claim, entry, name } = lease;
  const at = formatIpv4(address);
  const records = forward.at(name);
  const pointers = reverse.at(textOf(reverseName(address)));
  const isMine = hasRecord(records, 'DHCID', entry.dhcid);
  const isHere = isMine && hasRecord(records, 'A', addressData(address));
  // One client has one name at one address; the lease that it left behind lasts on.
  const isTaken = leases.some((other) => other.claim === claim && other.address !== address && isLater(other, lease) && isMine && hasRecord(records, 'A', addressData(other.address)));
  switch (entry.refusal) {
    case 'none': {
      const isElsewhere = isTaken || (!resynced && trail.lastAt(claim) !== address);
      if (!isHere && !isElsewhere) throw new PromiseBroken(`${at} is ${name}, of which DNS knows nothing`);
      if (!hasRecord(pointers, 'PTR', entry.name)) throw new PromiseBroken(`${at} is ${name}, and its PTR record is not there`);
      allowed.pointers.add(address);
      return;
    }
    case 'conflict': {
      const isOthers = records.length > 0 && !isMine;
      // Who had it may have lost it since.
      const wasRefused = trail.hadConflict(claim, address) || (!resynced && trail.wasElsewhere(claim, address));
      if (!isOthers && !isTaken && !wasRefused) throw new PromiseBroken(`${at} is refused ${name}, which nobody else has`);
      // Its own pointer may have been there before the client took its name along.
      if (trail.wasElsewhere(claim, address)) allowed.pointers.add(address);
      return;
    }
    default: throw new PromiseBroken(`${at} is refused its name (${entry.refusal}) by servers that refuse nobody for good`);
  }
}

function isLater(one: Named, other: Named): boolean {
  return recordClientKey(one.record).equals(recordClientKey(other.record)) && recordLastTransaction(one.record) >= recordLastTransaction(other.record);
}

function checkStrays({ forward, isKept, others, resynced, reverse, table, trail }: NamesChecked, allowed: Allowed): void {
  // A binding that had too many names, or whose record was lost; nobody looks for names in a subnet that is not there any more.
  const wasForgotten = (address: number): boolean => trail.lost.has(address) || trail.full.has(address);
  const isForgotten = (address: number): boolean => isKept(address) || (wasForgotten(address) && (!resynced || table.subnetOf(address) < 0));
  for (const name of new Set(forward.records().map((record) => record.name))) {
    if (others.some((record) => record.name === name)) continue;
    const records = forward.at(name);
    const [mark, ...marks] = records.filter(({ type }) => type === 'DHCID');
    const addresses = records.filter(({ type }) => type === 'A').map(({ data }) => data.readUInt32BE(0));
    if (mark === undefined || marks.length > 0) throw new PromiseBroken(`DNS has ${name} with ${mark === undefined ? 'no' : 'several'} DHCID records`);
    if (addresses.length === 0 && trail.bare.has(name)) continue;
    const claim = `${name} ${mark.data.toString('base64')}`;
    if (addresses.length === 1 && (allowed.names.has(`${claim} ${addresses[0]}`) || isForgotten(addresses[0]!))) continue;
    throw new PromiseBroken(`DNS has ${name} at ${addresses.map((address) => formatIpv4(address)).join(' and ') || 'no address'}, where no lease has that name`);
  }
  for (const { data, name, type } of reverse.records()) {
    const address = addressOf(name);
    if (type !== 'PTR' || allowed.pointers.has(address) || isForgotten(address)) continue;
    // Outside of the pools it may be the administrator's.
    if (wasForgotten(address) && table.poolOf(address) < 0 && forward.at(textOf(data)).length === 0) continue;
    throw new PromiseBroken(`DNS has a PTR record at ${name}, where no lease has a name`);
  }
}
