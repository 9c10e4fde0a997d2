/** Addresses as a socket and a URL have them. */
import { parseIpv4 } from '../codec/address.ts';
import { parseIpv6 } from '../codec/ipv6.ts';

export function isIP(text: string): boolean {
  return parseIpv4(text) !== undefined || parseIpv6(text) !== undefined;
}

/** As people write it: an IPv4 address that an IPv6 socket has wrapped without its wrapping. */
export function plainAddress(text: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1] ?? text;
}

export function isLoopback(text: string): boolean {
  const plain = plainAddress(text);
  return plain === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain);
}

/** What of an address says whose it is: of IPv6 the first 64 bits, since a host has as many as it likes under them. */
export function networkOf(text: string): string {
  const plain = plainAddress(text);
  return parseIpv6(plain)?.toString('hex', 0, 8) ?? plain;
}
