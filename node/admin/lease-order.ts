/** The orders in which bindings are listed, and the places in them where a page ends and the next one begins. */
import { parseIpv4 } from '../codec/address.ts';
import { until } from '../config/time-kinds.ts';
import { recordClientKey, recordExpires, recordSection, recordStateSince, SectionKind } from '../lease/record.ts';
import { INFINITE_SECONDS } from '../time.ts';
import type { LeaseView } from './lease-view.ts';

export const SORT_FIELDS = ['address', 'expires', 'granted', 'client', 'hostname'] as const;
export type SortField = (typeof SORT_FIELDS)[number];

export interface LeaseOrder {
  readonly field: SortField;
  readonly isReverse: boolean;
}

/** What a binding is sorted by; of equal ones the address decides, so that no two are in one place. */
export interface LeasePlace {
  /** All of one type in one order. */
  readonly key: number | string;
  readonly address: number;
}

/** Behind every name. */
const NAMELESS = '\uffff';
const NEVER = 'never';

export function placeOf({ field }: LeaseOrder, address: number, record: Buffer): LeasePlace {
  switch (field) {
    case 'address': return { key: 0, address };
    case 'expires': return { key: recordExpires(record), address };
    case 'granted': return { key: recordStateSince(record), address };
    case 'client': return { key: recordClientKey(record).toString('hex'), address };
    case 'hostname':
    default: return { key: nameKey(recordSection(record, SectionKind.hostname).toString('utf8')), address };
  }
}

function nameKey(name: string): string {
  return name === '' ? NAMELESS : name.toLowerCase();
}

/** Below 0: `one` comes first. */
export function comparePlaces({ isReverse }: LeaseOrder, one: LeasePlace, other: LeasePlace): number {
  const difference = one.key < other.key ? -1 : one.key > other.key ? 1 : one.address - other.address;
  return isReverse ? -difference : difference;
}

/** Where the list goes on behind this binding; a host name in it is URI-encoded. */
export function leaseCursor({ field }: Pick<LeaseOrder, 'field'>, lease: LeaseView): string {
  switch (field) {
    case 'address': return lease.address;
    case 'expires': return `${lease.expires},${lease.address}`;
    case 'granted': return `${lease.stateSince},${lease.address}`;
    case 'client': return `${lease.client},${lease.address}`;
    case 'hostname':
    default: return `${encodeURIComponent(lease.hostname ?? '').replaceAll("'", '%27')},${lease.address}`;
  }
}

/** Undefined: it is none of this order. */
export function parseLeaseCursor(text: string, { field }: LeaseOrder): LeasePlace | undefined {
  const comma = text.lastIndexOf(',');
  const address = parseIpv4(text.slice(comma + 1));
  if (address === undefined || (comma < 0) !== (field === 'address')) return undefined;
  const key = keyOf(field, text.slice(0, Math.max(0, comma)));
  return key === undefined ? undefined : { key, address };
}

function keyOf(field: SortField, text: string): number | string | undefined {
  switch (field) {
    case 'address': return 0;
    case 'expires': return text === NEVER ? INFINITE_SECONDS : secondsOf(text);
    case 'granted': return secondsOf(text);
    case 'client': return /^(?:[0-9a-f]{2})*$/i.test(text) ? text.toLowerCase() : undefined;
    case 'hostname':
    default: return decoded(text);
  }
}

/** Of a record without any time too: 1970 began with 0. */
function secondsOf(text: string): number | undefined {
  return text === '1970-01-01T00:00:00Z' ? 0 : until.read(text);
}

function decoded(text: string): string | undefined {
  try {
    return nameKey(decodeURIComponent(text));
  } catch {
    return undefined;
  }
}
