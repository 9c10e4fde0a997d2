/** A binding as people and scripts read it: what `/v1/leases` and `lessor leases` show. */
import { formatHardware, formatIpv4 } from '../codec/address.ts';
import { formatDomainName } from '../codec/domain-name.ts';
import { OptionCatalogue, readOptionValue } from '../codec/options.ts';
import type { OptionJson } from '../codec/options.ts';
import { readDnsEntries } from '../ddns/entries.ts';
import type { DnsEntry, DnsRefusal } from '../ddns/types.ts';
import {
  BINDING_STATE_NAMES, BindingState, type BindingStateName, recordChaddr, recordClientKey, recordExpires, recordHasClientIdentifier,
  recordHtype, recordLastTransaction, recordLeaseSeconds, recordReserved, recordSection, recordStamp, recordState,
  recordStateSince, SectionKind,
} from '../lease/record.ts';
import { INFINITE_SECONDS } from '../time.ts';

const RELAY_AGENT_INFORMATION = OptionCatalogue.standard.find(82)!;

export interface LeaseView {
  readonly address: string;
  readonly state: BindingStateName;
  /** Hex: option 61 as sent, else hardware type and address; "" for an address that was found in use by a host without a lease. */
  readonly client: string;
  /** Whether `client` is an option 61. */
  readonly clientIdentifier: boolean;
  /** "52:54:00:12:34:56"; another type than Ethernet goes before a slash. Of that host where it is known, else "". */
  readonly hardware: string;
  readonly hostname?: string;
  /** ISO 8601 UTC, or "never". */
  readonly expires: string;
  /** ISO 8601 UTC. */
  readonly stateSince: string;
  /** ISO 8601 UTC. */
  readonly lastTransaction: string;
  /** 4294967295 for ever. */
  readonly leaseSeconds: number;
  /** "10.0.0.0/8"; "" where the configuration has no subnet for the address any more. */
  readonly subnet: string;
  /** Option 82's value in hex. */
  readonly relayAgentInformation?: string;
  /** The same by the names of its sub-options, if it is well formed: { "circuit-id": "eth1" }. */
  readonly relay?: OptionJson;
  readonly reserved: boolean;
  /** What DNS has, gets or loses of it; left out where that is nothing. */
  readonly dns?: DnsView;
  /** Which change wrote the record; the incarnation as 12 hex digits. */
  readonly stamp: { readonly epoch: number; readonly incarnation: string; readonly seq: number };
  /** The member that owns the address's slot. */
  readonly owner?: string;
}

export interface DnsView {
  /** "printer.example.net": the lease's name, or where it has none the one that goes. */
  readonly name: string;
  /** Added, still to be added, or still to be taken out; else why the name is not there. */
  readonly state: 'added' | 'pending' | 'leaving' | Exclude<DnsRefusal, 'none'>;
}

/** `record` must satisfy `isRecord`. */
export function leaseView(address: number, record: Buffer, subnet: string, owner: string | undefined): LeaseView {
  const expires = recordExpires(record);
  const hostname = recordSection(record, SectionKind.hostname);
  const relay = recordSection(record, SectionKind.relayAgentInformation);
  const named = relay.length > 0 ? readOptionValue(RELAY_AGENT_INFORMATION, relay) : undefined;
  const { epoch, incarnation, seq } = recordStamp(record);
  const dns = dnsView(record);
  return {
    address: formatIpv4(address),
    state: BINDING_STATE_NAMES[recordState(record)],
    client: recordClientKey(record).toString('hex'),
    clientIdentifier: recordHasClientIdentifier(record),
    hardware: formatHardware({ htype: recordHtype(record), chaddr: recordChaddr(record) }),
    ...(hostname.length > 0 ? { hostname: hostname.toString('utf8') } : {}),
    expires: expires === INFINITE_SECONDS ? 'never' : isoSeconds(expires),
    stateSince: isoSeconds(recordStateSince(record)),
    lastTransaction: isoSeconds(recordLastTransaction(record)),
    leaseSeconds: recordLeaseSeconds(record),
    subnet,
    ...(relay.length > 0 ? { relayAgentInformation: relay.toString('hex') } : {}),
    ...(named === undefined ? {} : { relay: named }),
    reserved: recordReserved(record),
    ...(dns === undefined ? {} : { dns }),
    stamp: { epoch, incarnation: incarnationText(incarnation), seq },
    ...(owner === undefined ? {} : { owner }),
  };
}

function dnsView(record: Buffer): DnsView | undefined {
  const entries = readDnsEntries(recordSection(record, SectionKind.dns));
  const current = entries.find((entry) => entry.current);
  const shown = current ?? entries[0];
  if (shown === undefined) return undefined;
  const isWanted = current !== undefined && recordState(record) === BindingState.ACTIVE;
  return { name: formatDomainName(shown.name) ?? '', state: isWanted ? stateOf(current) : 'leaving' };
}

function stateOf({ forward, forwardSettled, refusal, reverse, reverseSettled }: DnsEntry): DnsView['state'] {
  if ((forward && !forwardSettled) || (reverse && !reverseSettled)) return 'pending';
  return refusal === 'none' ? 'added' : refusal;
}

/** 48 bits as 12 hex digits. */
export function incarnationText(incarnation: number): string {
  return incarnation.toString(16).padStart(12, '0');
}

/** Only writes a given time down: no clock is read. */
export function isoSeconds(seconds: number): string {
  return isoMs(seconds * 1000).replace('.000Z', 'Z');
}

/** With milliseconds. */
export function isoMs(ms: number): string {
  return new Date(ms).toISOString();
}
