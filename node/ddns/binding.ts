/** What the record of a lease that is given or extended says of DNS: the wish, and what was there before. */
import { recordHasClientIdentifier, recordSection, SectionKind } from '../lease/record.ts';
import { dhcidOf } from './dhcid.ts';
import { encodeDnsEntries, moveOn, readDnsEntries } from './entries.ts';
import type { NameWish } from './names.ts';
import type { DnsEntry } from './types.ts';

/** The lease that the record is of. */
export interface LeaseClaim {
  /** The record that it replaces, whoever's it is; undefined: there is none. */
  readonly replaced: Buffer | undefined;
  /** That record is this client's, and ACTIVE: what is known to be in DNS for it is there still. */
  readonly goesOn: boolean;
  /** The client begins anew: what DNS has refused it is tried again. */
  readonly begins: boolean;
  readonly clientKey: Buffer;
  readonly byClientIdentifier: boolean;
}

export interface DnsSection {
  /** Empty: none. */
  readonly section: Buffer;
  /** Entries that had to be forgotten although they may be in DNS. */
  readonly givenUp: number;
}

/** `wish` undefined: DNS is off, and what is there of earlier is taken out. */
export function dnsSection(wish: NameWish | undefined, claim: LeaseClaim): DnsSection {
  const { replaced } = claim;
  const before = replaced === undefined ? [] : readDnsEntries(recordSection(replaced, SectionKind.dns));
  const { entries, givenUp } = moveOn(before, nextEntry(wish, before.find(({ current }) => current), claim));
  return { section: encodeDnsEntries(entries), givenUp: givenUp.length };
}

function nextEntry(wish: NameWish | undefined, last: DnsEntry | undefined, claim: LeaseClaim): DnsEntry | undefined {
  if (wish?.name === undefined) return undefined;
  const { name, reverse } = wish;
  const forward = wish.forward && (!wish.isEarlier || last?.forward !== false);
  if (!forward && !reverse) return undefined;
  const { begins, byClientIdentifier, clientKey, goesOn, replaced } = claim;
  // The hardware address as option 61 is the same key, and another DHCID.
  const isSame = goesOn && last !== undefined && recordHasClientIdentifier(replaced!) === byClientIdentifier && last.name.equals(name);
  const dhcid = isSame ? last.dhcid : dhcidOf(clientKey, byClientIdentifier, name);
  // With a refusal nobody knows which part of it is there.
  const isKnown = isSame && (last.refusal === 'none' || (!begins && last.forward === forward && last.reverse === reverse));
  const forwardSettled = isKnown && forward && last.forward && last.forwardSettled;
  const reverseSettled = isKnown && reverse && last.reverse && last.reverseSettled;
  const refusal = forwardSettled || reverseSettled ? last.refusal : 'none';
  return { name, dhcid, current: true, forward, reverse, forwardSettled, reverseSettled, refusal };
}
