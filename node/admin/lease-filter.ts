/** Which bindings somebody asks for: all conditions that are given hold at once. */
import type { AddressRange } from '../config/types.ts';
import { formatDomainName } from '../codec/domain-name.ts';
import { suboption } from '../codec/suboptions.ts';
import { readDnsEntries } from '../ddns/entries.ts';
import {
  type BindingState, BindingState as States, recordChaddr, recordClientKey, recordExpires, recordHtype, recordReserved, recordSection, recordState,
  recordStateSince, SectionKind,
} from '../lease/record.ts';
import { RangeFinder } from '../lease/range-finder.ts';
import { bytesTest, hexTest, textTest } from './text-pattern.ts';
import type { TextTest } from './text-pattern.ts';

// RFC 3046 §2.0.
const CIRCUIT_ID = 1;
const REMOTE_ID = 2;

/** Whether one condition holds for a binding. */
export type LeaseTest = (address: number, record: Buffer) => boolean;

export interface LeaseFilter {
  /** Inclusive: no other address matches. */
  readonly first: number;
  readonly last: number;
  readonly tests: readonly LeaseTest[];
}

export function matchesFilter({ first, last, tests }: LeaseFilter, address: number, record: Buffer): boolean {
  return address >= first && address <= last && tests.every((test) => test(address, record));
}

/** Any of the states. */
export function stateTest(states: ReadonlySet<BindingState>): LeaseTest {
  return (_address, record) => states.has(recordState(record));
}

/** In any of the ranges, which may overlap. */
export function rangesTest(ranges: readonly AddressRange[]): LeaseTest {
  const sorted = ranges.toSorted((a, b) => a.first - b.first);
  const joined: { first: number; last: number; index: number }[] = [];
  for (const { first, last } of sorted) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last);
    else joined.push({ first, last, index: 0 });
  }
  const finder = new RangeFinder(joined);
  return (address) => finder.find(address) >= 0;
}

/** UTC seconds, the bound itself left out; a lease for ever ends after every time. */
export function expiresTest(after: number, before: number): LeaseTest {
  return (_address, record) => {
    const expires = recordExpires(record);
    return expires > after && expires < before;
  };
}

/** A lease that its client was given then or later; renewals count for nothing. */
export function grantedTest(since: number): LeaseTest {
  return (_address, record) => recordState(record) === States.ACTIVE && recordStateSince(record) >= since;
}

export function reservedTest(wanted: boolean): LeaseTest {
  return (_address, record) => recordReserved(record) === wanted;
}

export function circuitTest(pattern: string): LeaseTest {
  return suboptionTest(CIRCUIT_ID, pattern);
}

export function remoteTest(pattern: string): LeaseTest {
  return suboptionTest(REMOTE_ID, pattern);
}

function suboptionTest(code: number, pattern: string): LeaseTest {
  const test = bytesTest(pattern);
  return (_address, record) => {
    const value = suboption(recordSection(record, SectionKind.relayAgentInformation), code);
    return value !== undefined && test(value);
  };
}

/** Somewhere in it. */
export function vendorClassTest(part: string): LeaseTest {
  const wanted = part.toLowerCase();
  return (_address, record) => {
    const section = recordSection(record, SectionKind.vendorClass);
    return section.length > 0 && section.toString('utf8').toLowerCase().includes(wanted);
  };
}

/** Any name that the address has in DNS, is to have, or is to lose. */
export function dnsNameTest(pattern: string): LeaseTest {
  const test = textTest(pattern.replace(/\.$/, ''));
  return (_address, record) => {
    const section = recordSection(record, SectionKind.dns);
    return section.length > 0 && readDnsEntries(section).some(({ name }) => test(formatDomainName(name)?.replace(/\.$/, '') ?? ''));
  };
}

/** Any of: a hardware address, a client key in hex, a host name. "*" in it stands for anything. */
export function clientTest(text: string): LeaseTest {
  const name = textTest(text);
  return text.includes('*') ? patternTest(text, name) : exactTest(text, name);
}

function hasName(record: Buffer, name: TextTest): boolean {
  const hostname = recordSection(record, SectionKind.hostname);
  return hostname.length > 0 && name(hostname.toString('utf8'));
}

function exactTest(text: string, name: TextTest): LeaseTest {
  const slash = /^([0-9]{1,3})\/(.+)$/.exec(text);
  const digits = (slash?.[2] ?? text).replaceAll(/[:.-]/g, '').toLowerCase();
  if (!/^(?:[0-9a-f]{2})+$/.test(digits)) return (_address, record) => hasName(record, name);
  const bytes = Buffer.from(digits, 'hex');
  const htype = slash === null ? undefined : Number(slash[1]);
  return (_address, record) => {
    if (recordChaddr(record).equals(bytes) && (htype === undefined || htype === recordHtype(record))) return true;
    return (htype === undefined && recordClientKey(record).equals(bytes)) || hasName(record, name);
  };
}

function patternTest(text: string, name: TextTest): LeaseTest {
  const hex = hexTest(text);
  return (_address, record) => (hex !== undefined && (hex(recordChaddr(record)) || hex(recordClientKey(record)))) || hasName(record, name);
}
