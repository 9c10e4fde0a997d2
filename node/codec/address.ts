/**
 * Addresses as people write them and as Lessor keeps them. An IPv4 address is an unsigned 32-bit
 * number in host byte order. Readers are strict and return undefined for anything else: no leading
 * zeros (octal to some), no missing parts, no surplus.
 */

/** A network: the bits of `network` below the prefix are zero. */
export interface Ipv4Prefix {
  readonly network: number;
  readonly prefixLength: number;
}

/** Inclusive; `first` may not lie above `last`. */
export interface Ipv4Range {
  readonly first: number;
  readonly last: number;
}

export interface HardwareAddress {
  /** RFC 1700 hardware type; 1 is Ethernet. */
  readonly htype: number;
  /** 1 to 16 bytes; 6 for Ethernet. */
  readonly chaddr: Buffer;
}

export const HTYPE_ETHERNET = 1;
const ETHERNET_BYTES = 6;
const CHADDR_BYTES_MAX = 16;

const OCTET = /^(?:0|[1-9][0-9]{0,2})$/;

/** "10.0.0.1". */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let address = 0;
  for (const part of parts) {
    const octet = Number(part);
    if (!OCTET.test(part) || octet > 255) return undefined;
    address = address * 256 + octet;
  }
  return address;
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** 8 gives 255.0.0.0. */
export function prefixMask(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffff_ffff << (32 - prefixLength)) >>> 0;
}

/** The highest address of the prefix. */
export function lastAddress({ network, prefixLength }: Ipv4Prefix): number {
  return (network | ~prefixMask(prefixLength)) >>> 0;
}

export function prefixContains({ network, prefixLength }: Ipv4Prefix, address: number): boolean {
  return (address & prefixMask(prefixLength)) >>> 0 === network;
}

/** "10.0.0.0/8", with host bits allowed: "10.1.2.3/8" gives network 10.0.0.0. */
export function parseAddressWithPrefix(text: string): (Ipv4Prefix & { readonly address: number }) | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseIpv4(text.slice(0, slash));
  const length = text.slice(slash + 1);
  const prefixLength = Number(length);
  if (address === undefined || !OCTET.test(length) || prefixLength > 32) return undefined;
  return { address, network: (address & prefixMask(prefixLength)) >>> 0, prefixLength };
}

/** "10.0.0.0/8"; undefined also where a bit below the prefix is set. */
export function parsePrefix(text: string): Ipv4Prefix | undefined {
  const parsed = parseAddressWithPrefix(text);
  if (parsed === undefined || parsed.address !== parsed.network) return undefined;
  return { network: parsed.network, prefixLength: parsed.prefixLength };
}

export function formatPrefix({ network, prefixLength }: Ipv4Prefix): string {
  return `${formatIpv4(network)}/${prefixLength}`;
}

/** "10.1.0.0-10.1.255.255", spaces around the dash allowed. The order of the two is not checked. */
export function parseRange(text: string): Ipv4Range | undefined {
  const parts = text.split('-');
  if (parts.length !== 2) return undefined;
  const first = parseIpv4(parts[0]!.trim());
  const last = parseIpv4(parts[1]!.trim());
  return first === undefined || last === undefined ? undefined : { first, last };
}

export function formatRange({ first, last }: Ipv4Range): string {
  return `${formatIpv4(first)}-${formatIpv4(last)}`;
}

/** "52:54:00:12:34:56" or with dashes: pairs of hexadecimal digits, at least one. */
export function parseHexPairs(text: string): Buffer | undefined {
  if (!/^[0-9a-f]{2}(?:(?::[0-9a-f]{2})*|(?:-[0-9a-f]{2})*)$/i.test(text)) return undefined;
  return Buffer.from(text.replaceAll(/[:-]/g, ''), 'hex');
}

/** "52:54:00:12:34:56"; nothing for no bytes. */
export function formatHexPairs(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += (text === '' ? '' : ':') + byte.toString(16).padStart(2, '0');
  return text;
}

/** "52:54:00:12:34:56" is Ethernet; another hardware type goes before a slash: "32/00:01:02:03". */
export function parseHardware(text: string): HardwareAddress | undefined {
  const slash = text.indexOf('/');
  const type = slash < 0 ? '1' : text.slice(0, slash);
  const htype = Number(type);
  const chaddr = parseHexPairs(text.slice(slash + 1));
  if (!OCTET.test(type) || htype > 255 || chaddr === undefined || chaddr.length > CHADDR_BYTES_MAX) return undefined;
  if (htype === HTYPE_ETHERNET && chaddr.length !== ETHERNET_BYTES) return undefined;
  return { htype, chaddr };
}

export function formatHardware({ htype, chaddr }: { readonly htype: number; readonly chaddr: Uint8Array }): string {
  return htype === HTYPE_ETHERNET ? formatHexPairs(chaddr) : `${htype}/${formatHexPairs(chaddr)}`;
}
