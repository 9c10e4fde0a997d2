/**
 * The networks of a file with their places in it, as far as they can be read: those of `sharedNetworks`,
 * then those of `subnets`, in the order in which the built configuration numbers them.
 */
import { lastAddress } from '../codec/address.ts';
import type { Ipv4Prefix } from '../codec/address.ts';
import type { PathPart } from './error.ts';
import * as kinds from './kinds.ts';
import { asList, asMap } from './plain-values.ts';
import type { PlainMap } from './plain-values.ts';

export interface PlacedSubnet {
  readonly networkIndex: number;
  readonly path: readonly PathPart[];
  readonly value: PlainMap;
  /** As written, host bits cut off; undefined: malformed, or no network that hosts can have. */
  readonly prefix: Ipv4Prefix | undefined;
}

export interface PlacedNetwork {
  readonly index: number;
  /** Of the shared network, or of the subnet that is a network of its own. */
  readonly path: readonly PathPart[];
  readonly value: PlainMap;
  readonly shared: boolean;
  readonly subnets: readonly PlacedSubnet[];
}

export function placeNetworks(cluster: PlainMap): PlacedNetwork[] {
  const shared = asList(cluster['sharedNetworks']).map((value, index): PlacedNetwork => {
    const path = ['sharedNetworks', index];
    const subnets = asList(asMap(value)['subnets']).map((subnet, at) => placeSubnet(subnet, [...path, 'subnets', at], index));
    return { index, path, value: asMap(value), shared: true, subnets };
  });
  const own = asList(cluster['subnets']).map((value, at): PlacedNetwork => {
    const index = shared.length + at;
    const path = ['subnets', at];
    return { index, path, value: asMap(value), shared: false, subnets: [placeSubnet(value, path, index)] };
  });
  return [...shared, ...own];
}

function placeSubnet(value: unknown, path: readonly PathPart[], networkIndex: number): PlacedSubnet {
  const subnet = asMap(value);
  const prefix = kinds.prefix.read(subnet['subnet']);
  return { networkIndex, path, value: subnet, prefix: prefix === undefined || !canHaveHosts(prefix) ? undefined : prefix };
}

export function canHaveHosts({ network, prefixLength }: Ipv4Prefix): boolean {
  const firstOctet = network >>> 24;
  return prefixLength > 0 && firstOctet !== 0 && firstOctet !== 127 && firstOctet < 224;
}

/** Which of the subnets an address is in; they must not overlap. */
export class SubnetIndex {
  readonly #subnets: readonly (PlacedSubnet & { readonly prefix: Ipv4Prefix })[];

  constructor(networks: readonly PlacedNetwork[]) {
    this.#subnets = networks.flatMap(({ subnets }) => subnets)
      .filter((subnet): subnet is PlacedSubnet & { readonly prefix: Ipv4Prefix } => subnet.prefix !== undefined)
      .sort((a, b) => a.prefix.network - b.prefix.network);
  }

  find(address: number): PlacedSubnet | undefined {
    let low = 0;
    let high = this.#subnets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#subnets[middle]!.prefix.network <= address) low = middle + 1;
      else high = middle;
    }
    const candidate = this.#subnets[low - 1];
    return candidate !== undefined && lastAddress(candidate.prefix) >= address ? candidate : undefined;
  }
}
