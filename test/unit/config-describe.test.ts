import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeConfig } from '../../node/config/describe.ts';
import { parseClusterConfig, parseNodeConfig } from '../../node/config/load.ts';

const reference = describeConfig();
const rowOf = (key: string): string[] | undefined =>
  reference.split('\n').find((line) => line.startsWith(`| \`${key}\` |`))?.split(' | ').map((cell) => cell.replaceAll('|', '').trim());

test('the reference names each key with type, default, unit and meaning', () => {
  assert.deepEqual(rowOf('leaseTime')?.slice(0, 4), ['`leaseTime`', 'duration in whole seconds, 1s to 3650d, or infinite; or a map', '`12h`', 'seconds']);
  assert.deepEqual(rowOf('leaseTime.max')?.slice(0, 4), ['`leaseTime.max`', 'duration in whole seconds, 1s to 3650d, or infinite', '', 'seconds']);
  assert.deepEqual(rowOf('node')?.slice(2, 4), ['required', '']);
  for (const key of ['dhcp.interfaces', 'cluster.sessionTtl', 'nodes.<name>.weight', 'hardware', 'ranges', 'match', 'suboption', 'record', 'conflictCheck.timeout', 'limits.packetsPerRelay.burst', 'loadBalance.maxSeconds', 'log.leases']) {
    const row = rowOf(key);
    assert.equal(row?.length, 5, key);
    assert.notEqual(row[4], '', key);
  }
  assert.ok(reference.includes('| 3 | `routers` | a list of IPv4 addresses'));
  assert.equal(reference.includes('dhcp-message-type'), false, 'it cannot be configured');
});

test('each kind of map has a table of its own, which says what of the settings of a scope it takes', () => {
  const sections = new Map(reference.split(/^### /m).slice(1).map((text) => [text.slice(0, text.indexOf('\n')), text]));
  assert.deepEqual([...sections.keys()].toSorted(), [
    'class', 'condition', 'option definition', 'pool', 'reservation', 'settings of a scope', 'shared network', 'subnet',
  ]);
  const link = '[settings of a scope](#settings-of-a-scope)';
  for (const name of ['subnet', 'pool', 'shared network']) assert.ok(sections.get(name)?.includes(`And the ${link}.`), name);
  for (const name of ['class', 'reservation']) {
    assert.ok(sections.get(name)?.includes(`And, of the ${link}: \`leaseTime\`, `), name);
    assert.equal(sections.get(name)?.includes('rapidCommit'), false);
  }
  assert.equal(sections.get('condition')?.includes(link), false);
  assert.equal(reference.match(/^\| `bootFileName` \|/gm)?.length, 1, 'said once');
});

test('a table has as many cells in every row', () => {
  for (const table of reference.split('\n\n').filter((block) => block.startsWith('|'))) {
    const widths = table.trim().split('\n').map((line) => line.replaceAll('\\|', '').split('|').length);
    assert.equal(new Set(widths).size, 1, table.slice(0, 200));
  }
});

type Tree = Map<string, string | Tree>;
const line = ([key, value]: [string, string | Tree]): string => `${key}: ${typeof value === 'string' ? value : `{ ${[...value].map(line).join(', ')} }`}`;

test('writing every default into the file changes nothing', () => {
  const [nodeTable, clusterTables] = reference.split('## cluster.yaml');
  const [clusterTable, scopeTable] = clusterTables!.split('### ');
  const defaults = (table: string): string => {
    const tree: Tree = new Map();
    for (const [, path, value] of table.matchAll(/^\| `([A-Za-z.]+)` \|[^|]*\| `([^`]+)` \|/gm)) {
      const keys = path!.split('.');
      let at: string | Tree | undefined = tree;
      for (const key of keys.slice(0, -1)) {
        // What stands written as a whole needs none of its parts.
        if (typeof at !== 'object') break;
        if (!at.has(key)) at.set(key, new Map());
        at = at.get(key);
      }
      if (typeof at === 'object') at.set(keys.at(-1)!, value!);
    }
    tree.delete('subnets');
    return [...tree].map((entry) => `${line(entry)}\n`).join('');
  };
  const cluster = 'subnets: [{ subnet: 192.0.2.0/24 }]\n';
  const written = cluster + defaults(clusterTable!) + defaults(scopeTable!);
  for (const expected of ['leaseTime: 12h', 'renewTime: 50%', 'conflictCheck: none', 'serverHostname: ""', 'sharedNetworks: []', 'limits: { leasesPerCircuit: 0 }']) {
    assert.ok(written.includes(`${expected}\n`), expected);
  }
  const { text: _plainText, ...plain } = parseClusterConfig(cluster, 'c.yaml');
  const { text: _fullText, ...full } = parseClusterConfig(written, 'c.yaml');
  assert.deepEqual(full, plain);
  const node = 'node: a\ndhcp: { interfaces: [eth0] }\n';
  // `cluster:` as a whole may be left out, so its keys have no place here.
  const nodeDefaults = defaults(nodeTable!).split('\n').filter((text) => !text.startsWith('cluster:')).join('\n');
  assert.ok(nodeDefaults.includes('dataDir: /var/lib/lessor'));
  assert.deepEqual(parseNodeConfig(node + nodeDefaults, 'n.yaml'), parseNodeConfig(node, 'n.yaml'));
});
