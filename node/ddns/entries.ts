/**
 * The section `dns` of a binding's record: which names its address has in DNS, is to have, or is to lose. It is the
 * only list of what there is to do in DNS, and travels with the binding.
 *
 * Layout, big-endian:
 *
 *     0  u8  version, 1
 *     1      entries, one after the other:
 *            u8   flags: bit 0 current; 1 forward; 2 reverse; 3 forward settled; 4 reverse settled;
 *                 bits 5 and 6 the refusal (0 none, 1 conflict, 2 refused, 3 no zone); bit 7 zero
 *            u8   bytes of the name, 1 to 255
 *                 the name, in wire form, lower case, with the root's byte
 *            35   RDATA of the DHCID record
 *
 * The current entry comes first, then the earlier ones, the latest first. An entry that is to be taken out says by
 * `forward` and `reverse` what may be there of it; its settled bits are clear.
 *
 * Invariants: at most DNS_ENTRIES_PER_BINDING_MAX entries, at most one current, no two of one name and DHCID unless
 * one of them is current.
 */
import assert from 'node:assert/strict';
import { BindingState, recordSection, recordState, SectionKind, sectionStart } from '../lease/record.ts';
import { DNS_ENTRIES_PER_BINDING_MAX } from '../limits.ts';
import type { DnsEntry, DnsRefusal } from './types.ts';

export const DHCID_BYTES = 35;
const SECTION_VERSION = 1;
/** Flags, length, the root's name and the DHCID. */
const ENTRY_BYTES_MIN = 3 + DHCID_BYTES;
const NAME_BYTES_MAX = 255;

const CURRENT = 1;
const FORWARD = 2;
const REVERSE = 4;
const FORWARD_SETTLED = 8;
const REVERSE_SETTLED = 16;
const REFUSAL_SHIFT = 5;
const REFUSALS: readonly DnsRefusal[] = ['none', 'conflict', 'refused', 'no-zone'];

const EMPTY: Buffer = Buffer.alloc(0);

/** The entries of a section's bytes, in their order; of damaged bytes those before the damage. Names and DHCIDs are in place. */
export function readDnsEntries(section: Buffer): DnsEntry[] {
  const entries: DnsEntry[] = [];
  if (section[0] !== SECTION_VERSION) return entries;
  for (let at = 1; at + ENTRY_BYTES_MIN <= section.length;) {
    const flags = section[at]!;
    const nameEnd = at + 2 + section[at + 1]!;
    const end = nameEnd + DHCID_BYTES;
    if (nameEnd === at + 2 || end > section.length) break;
    entries.push({
      name: section.subarray(at + 2, nameEnd),
      dhcid: section.subarray(nameEnd, end),
      current: (flags & CURRENT) !== 0,
      forward: (flags & FORWARD) !== 0,
      reverse: (flags & REVERSE) !== 0,
      forwardSettled: (flags & FORWARD_SETTLED) !== 0,
      reverseSettled: (flags & REVERSE_SETTLED) !== 0,
      refusal: REFUSALS[(flags >> REFUSAL_SHIFT) & 3]!,
    });
    at = end;
  }
  return entries;
}

/** The section's bytes; empty where there is no entry, and so no section. */
export function encodeDnsEntries(entries: readonly DnsEntry[]): Buffer {
  if (entries.length === 0) return EMPTY;
  let length = 1;
  for (const { name } of entries) length += 2 + name.length + DHCID_BYTES;
  const section = Buffer.allocUnsafe(length);
  section[0] = SECTION_VERSION;
  let at = 1;
  for (const entry of entries) {
    const { name, dhcid } = entry;
    assert(name.length > 0 && name.length <= NAME_BYTES_MAX, 'a name has 1 to 255 bytes');
    assert(dhcid.length === DHCID_BYTES, 'a DHCID has 35 bytes');
    section[at] = flagsOf(entry);
    section[at + 1] = name.length;
    section.set(name, at + 2);
    section.set(dhcid, at + 2 + name.length);
    at += 2 + name.length + DHCID_BYTES;
  }
  return section;
}

function flagsOf(entry: DnsEntry): number {
  return (entry.current ? CURRENT : 0) | (entry.forward ? FORWARD : 0) | (entry.reverse ? REVERSE : 0) |
    (entry.forwardSettled ? FORWARD_SETTLED : 0) | (entry.reverseSettled ? REVERSE_SETTLED : 0) |
    (REFUSALS.indexOf(entry.refusal) << REFUSAL_SHIFT);
}

/**
 * Whether there is something to do in DNS for the binding: an entry of a lease that is not settled, or one to be taken
 * out. Asked of every record that is stored, so it makes no objects. Of damaged bytes: what can be read of them.
 */
export function dnsWork(record: Buffer): boolean {
  const start = sectionStart(record, SectionKind.dns);
  if (start < 0) return false;
  const end = Math.min(start + record.readUInt16BE(start - 2), record.length);
  if (record[start] !== SECTION_VERSION) return false;
  const active = recordState(record) === BindingState.ACTIVE;
  for (let at = start + 1; at + ENTRY_BYTES_MIN <= end;) {
    const next = at + 2 + record[at + 1]! + DHCID_BYTES;
    if (record[at + 1] === 0 || next > end) break;
    if (!active || isUnsettled(record[at]!)) return true;
    at = next;
  }
  return false;
}

function isUnsettled(flags: number): boolean {
  if ((flags & CURRENT) === 0) return true;
  return (flags & (FORWARD | FORWARD_SETTLED)) === FORWARD || (flags & (REVERSE | REVERSE_SETTLED)) === REVERSE;
}

/** The entry of the lease at hand, whatever the record's state; undefined where its client has no name in DNS. */
export function currentEntry(record: Buffer): DnsEntry | undefined {
  const section = recordSection(record, SectionKind.dns);
  return section.length === 0 ? undefined : readDnsEntries(section).find(({ current }) => current);
}

export interface MovedOn {
  readonly entries: readonly DnsEntry[];
  /** What had to be forgotten although it may be in DNS: to be counted. */
  readonly givenUp: readonly DnsEntry[];
}

/**
 * The entries after the lease's entry became `next`, or the lease has none any more. What was there of others, and of
 * the same name what `next` has no more, is to be taken out.
 */
export function moveOn(entries: readonly DnsEntry[], next: DnsEntry | undefined): MovedOn {
  const moved: DnsEntry[] = next === undefined ? [] : [next];
  const first = moved.length;
  for (const entry of entries) {
    const kept = next !== undefined && isSameName(entry, next);
    const forward = entry.forward && !(kept && next.forward);
    const reverse = entry.reverse && !(kept && next.reverse);
    if (!forward && !reverse) continue;
    const twin = moved.findIndex((other, index) => index >= first && isSameName(other, entry));
    if (twin < 0) moved.push(toBeTakenOut(entry, forward, reverse));
    else moved[twin] = toBeTakenOut(entry, forward || moved[twin]!.forward, reverse || moved[twin]!.reverse);
  }
  return { entries: moved.slice(0, DNS_ENTRIES_PER_BINDING_MAX), givenUp: moved.slice(DNS_ENTRIES_PER_BINDING_MAX) };
}

function toBeTakenOut({ name, dhcid, refusal }: DnsEntry, forward: boolean, reverse: boolean): DnsEntry {
  return { name, dhcid, current: false, forward, reverse, forwardSettled: false, reverseSettled: false, refusal };
}

/** Whether the two are one client's claim to one name. */
export function isSameName(one: DnsEntry, other: DnsEntry): boolean {
  return one.name.equals(other.name) && one.dhcid.equals(other.dhcid);
}
