/** Networks, subnets and pools, numbered through. */
import { formatPrefix } from '../codec/address.ts';
import type { ClassTable } from './build-classes.ts';
import { innerScope } from './build-scopes.ts';
import type { PlacedScope } from './build-scopes.ts';
import { subtractRanges } from './ranges.ts';
import type { ClusterFile, PoolFile, SubnetFile } from './schema.ts';
import type { AddressRange, ClassGuard, NetworkConfig, PoolConfig, SubnetConfig } from './types.ts';
import type { OptionCatalogue } from '../codec/options.ts';

const NO_GUARD: ClassGuard = { allow: undefined, deny: [] };

/** Shared networks first, each list in the order of the file. */
export function buildNetworks(file: ClusterFile, top: PlacedScope, classes: ClassTable, catalogue: OptionCatalogue): NetworkConfig[] {
  const builder = new NetworkBuilder(classes, catalogue);
  const shared = file.sharedNetworks.map((network, index): NetworkConfig => {
    const scope = innerScope(network, top, catalogue);
    return {
      index, name: network.name, subnets: network.subnets.map((subnet) => builder.subnet(subnet, index, scope)),
      identity: network.identity ?? file.identity, authoritative: network.authoritative ?? file.authoritative,
    };
  });
  const own = file.subnets.map((subnet, at): NetworkConfig => {
    const index = shared.length + at;
    return {
      index, name: formatPrefix(subnet.subnet), subnets: [builder.subnet(subnet, index, top)],
      identity: subnet.identity ?? file.identity, authoritative: subnet.authoritative ?? file.authoritative,
    };
  });
  return [...shared, ...own];
}

class NetworkBuilder {
  readonly #classes: ClassTable;
  readonly #catalogue: OptionCatalogue;
  #subnets = 0;
  #pools = 0;

  constructor(classes: ClassTable, catalogue: OptionCatalogue) {
    this.#classes = classes;
    this.#catalogue = catalogue;
  }

  subnet(file: SubnetFile, networkIndex: number, outer: PlacedScope): SubnetConfig {
    const index = this.#subnets++;
    const { network, prefixLength } = file.subnet;
    const placed = innerScope(file, outer, this.#catalogue);
    return {
      index, networkIndex, name: formatPrefix(file.subnet), network, prefixLength,
      guard: this.#guard(file), pools: this.#poolsOf(file, index, placed), scope: placed.scope,
    };
  }

  /** Pools that say the same are one, whether they say it themselves or it is said further out. */
  #poolsOf({ pools, exclude }: SubnetFile, subnetIndex: number, outer: PlacedScope): PoolConfig[] {
    const alike = new Map<string, { readonly placed: PlacedScope; readonly guard: ClassGuard; readonly ranges: AddressRange[] }>();
    let plainly: string | undefined;
    for (const pool of pools) {
      const placed = innerScope(pool, outer, this.#catalogue);
      const guard = this.#guard(pool);
      // The most frequent one by far, so it is written down once.
      const says = placed === outer && guard === NO_GUARD ? (plainly ??= sayingOf(placed, guard)) : sayingOf(placed, guard);
      const ranges = subtractRanges(pool.ranges, [...pool.exclude, ...exclude]);
      const known = alike.get(says);
      if (known === undefined) alike.set(says, { placed, guard, ranges });
      else known.ranges.push(...ranges);
    }
    const inOrder = [...alike.values()].map((pool) => ({ ...pool, ranges: pool.ranges.sort((a, b) => a.first - b.first) }))
      .sort((a, b) => a.ranges[0]!.first - b.ranges[0]!.first);
    return inOrder.map(({ placed: { scope, allocation }, guard, ranges }) => (
      { index: this.#pools++, subnetIndex, id: ranges[0]!.first, ranges, guard, allocation, scope }
    ));
  }

  #guard({ allow, deny }: Pick<PoolFile, 'allow' | 'deny'>): ClassGuard {
    if (allow === undefined && (deny === undefined || deny.length === 0)) return NO_GUARD;
    const indexes = (names: readonly string[]): number[] => [...new Set(names.map((name) => this.#classes.indexOf(name)))].sort((a, b) => a - b);
    return { allow: allow === undefined ? undefined : indexes(allow), deny: indexes(deny ?? []) };
  }
}

/** Equal for what is equal: all of it is made here in one order of keys. */
function sayingOf({ scope, allocation }: PlacedScope, guard: ClassGuard): string {
  return JSON.stringify([scope, allocation, guard]);
}
