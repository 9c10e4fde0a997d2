/** The JSON Schemas for editors: they take what is right, and know every key. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { clusterJsonSchema, nodeJsonSchema } from '../../node/config/json-schema.ts';
import { clusterMistakes } from '../support/config-mistakes.ts';
import { PROJECT } from '../support/documentation.ts';
import { schemaMistake } from '../support/json-schema.ts';

const cluster = (text: string): string | undefined => schemaMistake(clusterJsonSchema(), parse(text));

test('the examples meet the schema that they name', () => {
  const files = globSync('deploy/examples/*.yaml', { cwd: PROJECT });
  assert.ok(files.length >= 6);
  for (const file of files) {
    const text = readFileSync(join(PROJECT, file), 'utf8');
    assert.ok(text.startsWith('# yaml-language-server: $schema=../cluster.schema.json\n'), file);
    assert.equal(cluster(text), undefined, file);
  }
});

/** Files without a mistake. */
const RIGHT = [
  'subnets: [{ subnet: 10.0.0.0/8, pools: [10.1.0.0 - 10.2.0.0, { ranges: [10.3.0.0-10.4.0.0], leaseTime: 60 }], exclude: [10.1.0.1, 10.1.0.2-10.1.0.3] }]',
  'subnets: [{ subnet: 10.0.0.0/8 }]\nleaseTime: { default: infinite }\nrenewTime: 30m\nrebindTime: 87.5%\nconflictCheck: { method: icmp, timeout: 1.5s }\nleaseCache: 0%',
  'sharedNetworks: [{ name: a, subnets: [{ subnet: 10.0.0.0/8 }] }]\noptions: { routers: 10.0.0.1, 3: 10.0.0.1 }'.replace(', 3: 10.0.0.1', ', 43: "01:02"'),
  'subnets: [{ subnet: 10.0.0.0/8 }]\noptions: { routers: { value: [10.0.0.1], send: always }, domain-name: { send: never }, static-routes: [[10.0.0.1, 10.0.0.2]] }',
  'subnets: [{ subnet: 10.0.0.0/8 }]\noptionDefinitions: [{ code: 224, name: x, type: record, record: [u8, text], space: 3561 }]\noptions: { vivso-suboptions: { 3561: { x: [1, a] } } }',
  'subnets: [{ subnet: 10.0.0.0/8 }]\nclasses: [{ name: a, match: { not: { any: [{ option: 93, equals: [7, 9] }, { relay: 1, prefix: { hex: "01" } }, { field: giaddr, network: 10.0.0.0/8 }] } } }]',
  'subnets: [{ subnet: 10.0.0.0/8 }]\nreservations: [{ circuitId: { text: a }, hardware: 02:00:00:00:00:01, until: 2027-01-01T10:00Z, hostname: x }]\nlimits: { packetsPerClient: { rate: 0.5 } }',
  'subnets: [{ subnet: 10.0.0.0/8 }]\nnodes: { a: {}, b: { weight: 0 } }\nmaxClockSkew: 0.5\nlog: { leases: true }',
];

test('what is right meets the schema', () => {
  for (const text of RIGHT) {
    assert.deepEqual(clusterMistakes(text), []);
    assert.equal(cluster(text), undefined, text);
  }
  assert.equal(schemaMistake(nodeJsonSchema(), parse('node: a\ndhcp: { interfaces: [eth0] }\nhttp: { listen: 0.0.0.0:9067 }\ncluster: { name: x, listen: 10.0.0.1:7067, etcd: [http://e:1] }')), undefined);
});

test('an environment variable may stand wherever node.yaml takes a text, and nowhere else', () => {
  const node = (text: string): string | undefined => schemaMistake(nodeJsonSchema(), parse(text));
  const right = 'node: ${NAME}\ndhcp: { interfaces: ["${INTERFACE}"] }\nlog: { level: "${LEVEL}" }\ncluster: { name: x, listen: "${ADDRESS}", etcd: ["${ETCD}"], sessionTtl: "${TTL}" }';
  assert.equal(node(right), undefined);
  for (const [from, to] of [['${ADDRESS}', 'ADDRESS'], ['${LEVEL}', '${}'], ['x,', 'x, protocolMax: "${MAX}",']]) assert.notEqual(node(right.replace(from!, to!)), undefined, to);
});

test('unknown keys, missing ones and values of another kind do not', () => {
  const subnet = (text: string): string => `subnets: [{ subnet: 10.0.0.0/8, ${text} }]`;
  for (const text of [
    subnet('pool: []'), subnet('leaseTime: 1x'), subnet('pools: [10.0.0.1]'), subnet('pools: [{ rng: 10.0.0.1-10.0.0.2 }]'), subnet('bootp: yes'),
    subnet('options: { interface-mtu: 9 }'), subnet('options: { routers: { vlue: 10.0.0.1 } }'), subnet('options: { routers: { value: 10.0.0.1, send: no } }'),
    subnet('reservations: [{ hardware: x }]'), subnet('conflictCheck: { timeout: 1s }'), subnet('leaseTime: { min: 1h }'), subnet('leaseCache: 0.5'),
    'subnets: [{}]', 'subnets: {}', 'sharedNetworks: [{ name: a }]', 'classes: [{ match: { class: ALL } }]', 'classes: [{ name: a, match: { optin: 1 } }]', 'identity: mac', 'leasetime: 1h',
    'classes: [{ name: a, match: { all: [{ not: { feld: 1 } }] } }]', 'limits: { packetsPerClient: { burst: 1 } }', 'optionDefinitions: [{ code: 255, name: x, type: u8 }]',
  ]) {
    assert.notEqual(clusterMistakes(text).length, 0, text);
    assert.notEqual(cluster(text), undefined, text);
  }
  assert.match(schemaMistake(nodeJsonSchema(), { node: 'a' })!, /dhcp is missing/);
});

test('each key is explained, and a default is one where it stands', () => {
  const schema = clusterJsonSchema() as { properties: Record<string, { description?: string; default?: unknown }>; definitions: Record<string, { properties?: Record<string, { description?: string; default?: unknown }> }> };
  // What an option is made of is told as a whole.
  const own = Object.entries(schema.definitions).filter(([name]) => !name.startsWith('option ') || name === 'option definition');
  assert.equal(own.length, 8);
  for (const { properties = {} } of [schema, ...own.map(([, definition]) => definition)]) {
    for (const [key, { description }] of Object.entries(properties)) assert.ok(description, key);
  }
  assert.equal(schema.properties['leaseTime']?.default, '12h');
  assert.equal(schema.definitions['subnet']?.properties?.['leaseTime']?.default, undefined, 'a subnet has what stands further out');
});
