/** Which addresses a configuration gives out, and which leases another one strands. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { LeaseView } from '../../node/admin/lease-view.ts';
import { CliError, ExitCode } from '../../node/cli/cli-error.ts';
import { confirmStranded, formatStranded, strandedLeases } from '../../node/cli/stranded.ts';
import { covered, inRanges, without } from '../../node/config/coverage.ts';
import { parseClusterConfig } from '../../node/config/load.ts';
import type { AddressRange } from '../../node/config/types.ts';

const SPACE = 40;
const ranges = fc.array(fc.tuple(fc.nat(SPACE - 1), fc.nat(6)).map(([first, more]): AddressRange => ({ first, last: Math.min(first + more, SPACE - 1) })), { maxLength: 6 });

function merged(list: readonly AddressRange[]): AddressRange[] {
  return covered({ pools: [{ ranges: list }], reservations: [] } as unknown as Parameters<typeof covered>[0]);
}

function asSet(list: readonly AddressRange[]): Set<number> {
  return new Set(list.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i)));
}

test('ranges are what their addresses are', () => {
  fc.assert(fc.property(ranges, ranges, (one, other) => {
    const [before, after] = [merged(one), merged(other)];
    assert.deepEqual([...asSet(before)].toSorted((a, b) => a - b), [...asSet(one)].toSorted((a, b) => a - b));
    for (const [i, { first }] of before.entries()) assert.ok(i === 0 || first > before[i - 1]!.last + 1, 'in order and apart');
    const lost = without(before, after);
    const kept = asSet(after);
    for (let address = 0; address < SPACE; address++) {
      assert.equal(inRanges(lost, address), asSet(before).has(address) && !kept.has(address));
    }
  }), { numRuns: 2000 });
});

function config(pools: string, reservations = '[]'): ReturnType<typeof parseClusterConfig> {
  return parseClusterConfig(`subnets: [{ subnet: 10.1.0.0/16, pools: ${pools}, reservations: ${reservations} }, { subnet: 10.2.0.0/16, pools: [10.2.0.10-10.2.0.20] }]`, 'x');
}

/** Leases as a node would list them, and what it was asked. */
function nodeWith(addresses: readonly string[]): { asked: Record<string, string>[]; leases(query: Record<string, string>): AsyncGenerator<LeaseView[]> } {
  const asked: Record<string, string>[] = [];
  return {
    asked,
    async *leases(query) {
      asked.push(query);
      await Promise.resolve();
      const subnetOf = (address: string): string => `${address.split('.').slice(0, 2).join('.')}.0.0/16`;
      const all = addresses.map((address) => ({ address, subnet: subnetOf(address) }) as LeaseView);
      yield all.filter(({ address, subnet }) => (query['address'] ?? address) === address && (query['subnet'] ?? subnet) === subnet);
    },
  };
}

test('nobody is asked where nothing is given up', async () => {
  const node = nodeWith(['10.1.0.10']);
  const before = config('[10.1.0.10-10.1.0.99]');
  assert.deepEqual(await strandedLeases(node, before, config('[10.1.0.10-10.1.0.50, 10.1.0.51-10.1.0.200]')), { total: 0, subnets: [] });
  assert.deepEqual(await strandedLeases(node, before, config('[{ range: 10.1.0.10-10.1.0.99, exclude: [10.1.0.11] }]', '[{ hardware: "02:00:00:00:00:01", address: 10.1.0.11 }]')), { total: 0, subnets: [] });
  assert.deepEqual(node.asked, []);
});

test('active leases that neither a pool nor a reservation covers any more are counted by subnet', async () => {
  const leases = ['10.1.0.10', '10.1.0.20', '10.1.0.60', '10.1.0.61', '10.1.0.62', '10.1.0.63', '10.1.0.64', '10.1.0.65', '10.1.0.66', '10.2.0.10'];
  const node = nodeWith(leases);
  const stranded = await strandedLeases(node, config('[10.1.0.10-10.1.0.99]'), config('[10.1.0.10-10.1.0.59]', '[{ hardware: "02:00:00:00:00:01", address: 10.1.0.66 }]'));
  assert.deepEqual(stranded, { total: 6, subnets: [{ subnet: '10.1.0.0/16', count: 6, first: ['10.1.0.60', '10.1.0.61', '10.1.0.62', '10.1.0.63', '10.1.0.64'] }] });
  assert.deepEqual(node.asked, [{ state: 'ACTIVE', subnet: '10.1.0.0/16' }], 'only the subnet that loses something');
  assert.match(formatStranded(stranded), /^This strands 6 active leases: .*\n {2}10\.1\.0\.0\/16: 6 \(10\.1\.0\.60, .*, 10\.1\.0\.64, …\)\n$/);
  assert.throws(() => confirmStranded(stranded, false), (error: unknown) => error instanceof CliError && error.exitCode === ExitCode.no && /--yes/.test(error.message));
  confirmStranded(stranded, true);
});

test('a few addresses are asked for one by one', async () => {
  const node = nodeWith(['10.1.9.1']);
  const before = config('[]', '[{ hardware: "02:00:00:00:00:01", address: 10.1.9.1 }]');
  const stranded = await strandedLeases(node, before, config('[]'));
  assert.deepEqual(node.asked, [{ state: 'ACTIVE', address: '10.1.9.1' }]);
  assert.match(formatStranded(stranded), /^This strands 1 active lease: its address is in no pool/);
});
