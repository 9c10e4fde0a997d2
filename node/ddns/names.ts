/**
 * Which name a client's address is to have in DNS, and who puts it there: from what the client says in option 81
 * (RFC 4702) or option 12, its reservation, and the configuration; and what the client is told of it.
 *
 * Whatever a client sends, nothing here throws, and what comes out is a name that DNS takes: labels of letters,
 * digits and dashes. That the name lies in a zone which may be changed is for others to find out.
 */
import { formatIpv4 } from '../codec/address.ts';
import type { DnsNaming } from './types.ts';

const LABEL_BYTES_MAX = 63;
/** With the length bytes and the root's (RFC 1035 §2.3.4). */
const NAME_BYTES_MAX = 255;

/** RFC 4702 §2.1. */
export const FqdnFlag = { S: 1, O: 2, E: 4, N: 8 } as const;
const FQDN_NAME_AT = 3;
const RCODE_NONE = 255;

const EMPTY: Buffer = Buffer.alloc(0);
/** Where addresses are looked up backwards: no place for anybody's A record. */
const ARPA: Buffer = Buffer.from('\x04arpa\0', 'latin1');

/** What a name is made of. */
export interface NameRequest {
  /** Option 81's value. */
  readonly fqdn: Buffer | undefined;
  /** Option 12's value. */
  readonly hostName: Buffer | undefined;
  /** The host name of the client's reservation. */
  readonly reserved: string | undefined;
  /** The name that the lease has in DNS already, where the client extends it: it holds while the client says no other. */
  readonly earlier: Buffer | undefined;
  readonly address: number;
  readonly chaddr: Buffer;
}

export interface NameWish {
  /** Wire form, lower case, with the root's byte; undefined: the client has no name. */
  readonly name: Buffer | undefined;
  /** Whether this server adds the A record; whether it adds the PTR record. Both false without a name. */
  readonly forward: boolean;
  readonly reverse: boolean;
  /** The name is the earlier one, and the client has said nothing anew: so who adds what stays as it was. */
  readonly isEarlier: boolean;
  /** Option 81 of the answer; undefined where the client sent none. */
  readonly fqdnAnswer: Buffer | undefined;
  /** Option 12 for a client that asks for it, where the name is another than the one it sent; undefined: it is not. */
  readonly hostNameAnswer: Buffer | undefined;
}

/** A name in pieces, as somebody wrote it. */
interface GivenName {
  /** One character a byte. */
  readonly labels: readonly string[];
  readonly isQualified: boolean;
}

interface MadeName {
  /** As `NameWish.name`, and the same with the case that it was given in. */
  readonly name: Buffer;
  readonly shown: Buffer;
  readonly isMadeUp: boolean;
  readonly isEarlier: boolean;
}

export function wishOf(request: NameRequest, naming: DnsNaming): NameWish {
  const { earlier, hostName } = request;
  // One that is too short for its flags says nothing (RFC 4702 §2).
  const fqdn = request.fqdn !== undefined && request.fqdn.length >= FQDN_NAME_AT ? request.fqdn : undefined;
  // RFC 4702 §4: the Host Name option SHOULD be ignored beside option 81.
  const given = fqdn === undefined ? hostName && textName(hostName) : fqdnName(fqdn);
  const made = nameOf(given, request, naming);
  const flags = fqdn === undefined ? FqdnFlag.S : fqdn[0]!;
  const { forward, reverse } = made === undefined ? NEITHER : dutiesOf(flags, naming);
  return {
    name: made?.name, forward, reverse, isEarlier: fqdn === undefined && hostName === undefined && made !== undefined && earlier?.equals(made.name) === true,
    fqdnAnswer: fqdn === undefined ? undefined : fqdnAnswer(fqdn, made?.shown, forward, reverse),
    hostNameAnswer: fqdn === undefined && made !== undefined ? hostNameAnswer(made, given) : undefined,
  };
}

interface Duties {
  readonly forward: boolean;
  readonly reverse: boolean;
}

const NEITHER: Duties = { forward: false, reverse: false };

/** RFC 4702 §4, by the flags that the client sent, or would have sent to have all done for it. */
function dutiesOf(flags: number, { clientUpdates, forward, noUpdates, reverse }: DnsNaming): Duties {
  if ((flags & FqdnFlag.N) !== 0) return noUpdates === 'honour' ? NEITHER : { forward, reverse };
  if ((flags & FqdnFlag.S) !== 0) return { forward, reverse };
  return { forward: forward && clientUpdates === 'override', reverse };
}

/** The name that counts: the reservation's, one that is made up, the client's own, or the earlier one. */
function nameOf(given: GivenName | undefined, request: NameRequest, naming: DnsNaming): MadeName | undefined {
  const { earlier, reserved } = request;
  if (reserved !== undefined) {
    const made = usable(textName(Buffer.from(reserved, 'latin1')), naming);
    if (made !== undefined) return made;
  }
  const own = usable(given, naming);
  const { replaceName } = naming;
  if (replaceName === 'always' || (replaceName === 'when-sent' && own !== undefined)) return madeUp(request, naming);
  if (own !== undefined) return own;
  const made = replaceName === 'when-missing' ? madeUp(request, naming) : undefined;
  const holds = earlier !== undefined && given === undefined && made?.name.equals(earlier) !== true;
  return holds ? { name: earlier, shown: earlier, isMadeUp: false, isEarlier: true } : made;
}

/** Undefined: nothing that could be a name. An empty name is none (RFC 4702 §2.3: the server is to provide one). */
function fqdnName(fqdn: Buffer): GivenName | undefined {
  const name = fqdn.subarray(FQDN_NAME_AT);
  return (fqdn[0]! & FqdnFlag.E) === 0 ? textName(name) : wireName(name);
}

/** RFC 4702 §2.3: in canonical wire form, so without compression; a partial name lacks the root's byte. */
function wireName(bytes: Buffer): GivenName | undefined {
  const labels: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes[at]!;
    const end = at + 1 + length;
    if (length === 0) return end === bytes.length && labels.length > 0 ? { labels, isQualified: labels.length > 1 } : undefined;
    if (length > LABEL_BYTES_MAX || end > bytes.length) return undefined;
    labels.push(bytes.toString('latin1', at + 1, end));
    at = end;
  }
  return labels.length > 0 ? { labels, isQualified: false } : undefined;
}

/**
 * A name with dots, as option 12 and the ASCII form of option 81 have it: "a single label if it was not configured
 * with a fully qualified name" (RFC 4702 §2.3.1). A single label is taken for part of a name in the wire's form as
 * well: some clients that know no more send it with the root's byte, and no host has the name of a top-level domain.
 */
function textName(bytes: Buffer): GivenName | undefined {
  let { length } = bytes;
  // RFC 2132 §2: trailing nulls are deleted.
  while (length > 0 && bytes[length - 1] === 0) length--;
  const text = bytes.toString('latin1', 0, length);
  const labels = (text.endsWith('.') ? text.slice(0, -1) : text).split('.');
  return labels.includes('') ? undefined : { labels, isQualified: labels.length > 1 };
}

/** With the labels made right and the suffix behind a partial name; undefined where no name comes of it. */
function usable(given: GivenName | undefined, { apexes, invalidCharacters, suffix }: DnsNaming): MadeName | undefined {
  if (given === undefined) return undefined;
  const labels: string[] = [];
  for (const label of given.labels) {
    const right = rightLabel(label, invalidCharacters);
    if (right === undefined) return undefined;
    labels.push(right);
  }
  const shown = joined(labels, given.isQualified ? ROOT : suffix);
  if (shown === undefined) return undefined;
  const name = lowerCase(shown);
  if (endsWithName(name, ARPA) || apexes.some((apex) => apex.equals(name))) return undefined;
  return { name, shown, isMadeUp: false, isEarlier: false };
}

const ROOT: Buffer = Buffer.alloc(1);
const RIGHT_LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/i;

/** RFC 4702 §2.3.1: by the rules of RFC 952 and RFC 1123 §2.1. Undefined: nothing is left, or it is not to be mended. */
function rightLabel(label: string, invalid: DnsNaming['invalidCharacters']): string | undefined {
  if (label.length <= LABEL_BYTES_MAX && RIGHT_LABEL.test(label)) return label;
  if (invalid === 'refuse' || label.length > LABEL_BYTES_MAX) return undefined;
  const mended = label.replaceAll(/[^a-z0-9-]+/gi, invalid === 'replace' ? '-' : '').replaceAll(/^-+|-+$/g, '');
  return mended === '' ? undefined : mended;
}

/** Undefined: too long. */
function joined(labels: readonly string[], suffix: Buffer): Buffer | undefined {
  let { length } = suffix;
  for (const label of labels) length += 1 + label.length;
  if (length > NAME_BYTES_MAX) return undefined;
  const name = Buffer.allocUnsafe(length);
  let at = 0;
  for (const label of labels) {
    name[at] = label.length;
    name.write(label, at + 1, 'latin1');
    at += 1 + label.length;
  }
  name.set(suffix, at);
  return name;
}

function lowerCase(name: Buffer): Buffer {
  let lower = name;
  // A length is at most 63, and so no letter.
  for (let i = 0; i < name.length; i++) {
    if (name[i]! < 0x41 || name[i]! > 0x5a) continue;
    if (lower === name) lower = Buffer.from(name);
    lower[i]! += 0x20;
  }
  return lower;
}

/** Both in wire form and lower case. A name ends itself. */
export function endsWithName(name: Buffer, ending: Buffer): boolean {
  const from = name.length - ending.length;
  let at = 0;
  while (at < from) at += 1 + name[at]!;
  return at === from && name.subarray(from).equals(ending);
}

function madeUp({ address, chaddr }: NameRequest, { generated, suffix }: DnsNaming): MadeName | undefined {
  const name = joined([generatedLabel(generated, address, chaddr)], suffix);
  return name && { name, shown: name, isMadeUp: true, isEarlier: false };
}

/** "{address}" as 10-0-0-1, "{hardware}" as 52-54-00-12-34-56; of a client without a hardware address its address. */
export function generatedLabel(pattern: string, address: number, chaddr: Buffer): string {
  const dashed = formatIpv4(address).replaceAll('.', '-');
  const label = pattern.replaceAll('{address}', dashed);
  if (!label.includes('{hardware}')) return label;
  const hardware = chaddr.length === 0 ? dashed : Array.from(chaddr, (byte) => byte.toString(16).padStart(2, '0')).join('-');
  return label.replaceAll('{hardware}', hardware);
}

/** The copy of option 81 that the client is sent (RFC 4702 §4). */
function fqdnAnswer(fqdn: Buffer, shown: Buffer | undefined, forward: boolean, reverse: boolean): Buffer {
  const sent = fqdn[0]!;
  let flags = sent & FqdnFlag.E;
  if (forward) flags |= FqdnFlag.S;
  // RFC 4702 §2.1: "N" says whether the server SHALL NOT perform DNS updates, whatever the reason.
  else if (!reverse) flags |= FqdnFlag.N;
  if ((sent & FqdnFlag.S) !== (flags & FqdnFlag.S)) flags |= FqdnFlag.O;
  const name = shown === undefined ? EMPTY : (flags & FqdnFlag.E) !== 0 ? shown : asciiName(shown, fqdn.at(-1) === 0x2e);
  const answer = Buffer.allocUnsafe(FQDN_NAME_AT + name.length);
  answer[0] = flags;
  answer[1] = answer[2] = RCODE_NONE;
  answer.set(name, FQDN_NAME_AT);
  return answer;
}

/** `dotted`: the client ends its name with a dot, and is told no other (RFC 4702 §2.3). */
function asciiName(name: Buffer, dotted: boolean): Buffer {
  const labels: string[] = [];
  for (let at = 0; name[at]! > 0; at += 1 + name[at]!) labels.push(name.toString('latin1', at + 1, at + 1 + name[at]!));
  return Buffer.from(labels.join('.') + (dotted ? '.' : ''), 'latin1');
}

/** The first label: the domain behind it is option 15's to tell. */
function hostNameAnswer({ isEarlier, isMadeUp, shown }: MadeName, given: GivenName | undefined): Buffer | undefined {
  if (isEarlier) return undefined;
  const label = shown.subarray(1, 1 + shown[0]!);
  return !isMadeUp && given?.labels[0] === label.toString('latin1') ? undefined : label;
}
