/**
 * The network interfaces that can serve DHCP: those that exist, are up, have their carrier and an IPv4
 * address. Node.js lists no others.
 */
import { networkInterfaces } from 'node:os';
import { prefixMask } from '../codec/address.ts';
import type { InterfaceInfo } from '../server/ports.ts';
import type { InterfaceControl } from './libc.ts';

/**
 * `a.b.c.d` as a number, 10.0.0.1 being 0x0a000001. Unlike `parseIpv4` it takes for granted that the text is
 * well-formed, since the system made it: it runs once for each packet that comes alone.
 */
export function addressFromText(text: string): number {
  let value = 0;
  let octet = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      value = value * 256 + octet;
      octet = 0;
    } else octet = octet * 10 + (code - 0x30);
  }
  return value * 256 + octet;
}

/** Those of `names` that can serve now, in the order of `names`. */
export function readInterfaces(names: readonly string[], control: InterfaceControl): InterfaceInfo[] {
  const addressesByName = new Map<string, { address: number; prefixLength: number }[]>();
  for (const [label, entries] of Object.entries(networkInterfaces())) {
    // An address may carry a label of its own, such as eth0:1.
    const name = label.split(':', 1)[0] ?? label;
    for (const entry of entries ?? []) {
      if (entry.family !== 'IPv4') continue;
      const prefixLength = Number(entry.cidr?.split('/')[1] ?? 32);
      const list = addressesByName.get(name) ?? [];
      list.push({ address: addressFromText(entry.address), prefixLength });
      addressesByName.set(name, list);
    }
  }
  return names.flatMap((name) => {
    const addresses = addressesByName.get(name);
    const index = control.indexOf(name);
    const mtu = control.mtuOf(name);
    // It may go between two questions.
    if (addresses === undefined || index === undefined || mtu === undefined) return [];
    return [{ name, index, mtu, addresses }];
  });
}

/** `address` lies in a subnet that the interface has an address in. */
export function isOnLink(iface: InterfaceInfo, address: number): boolean {
  return iface.addresses.some((own) => ((own.address ^ address) & prefixMask(own.prefixLength)) === 0);
}

/** The directed broadcast addresses of the interface's subnets, each once. RFC 3021: a /31 has none. */
export function directedBroadcasts(iface: InterfaceInfo): number[] {
  const all = iface.addresses
    .filter((own) => own.prefixLength < 31)
    .map((own) => (own.address | ~prefixMask(own.prefixLength)) >>> 0);
  return [...new Set(all)];
}
