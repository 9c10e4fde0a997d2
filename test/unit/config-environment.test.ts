/** Environment variables in node.yaml. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Environment } from '../../node/config/environment.ts';
import { loadNodeConfig, parseClusterConfig, parseNodeConfig } from '../../node/config/load.ts';
import { assertOne, mistakesOf } from '../support/config-mistakes.ts';

const NODE = `node: \${NODE_NAME}
dhcp: { interfaces: ["\${INTERFACE}"] }
http: { listen: "\${ADDRESS}:9067" }
cluster: { name: campus, listen: "\${ADDRESS}:7067", etcd: ["http://\${ETCD}:2379", http://10.0.0.22:2379], sessionTtl: "\${TTL}" }
`;
const ENVIRONMENT: Environment = { NODE_NAME: 'a', INTERFACE: 'eth0', ADDRESS: '10.0.0.11', ETCD: '10.0.0.21', TTL: '5s' };

const mistakes = (text: string, environment: Environment): string[] => mistakesOf(() => parseNodeConfig(text, 'n.yaml', environment));

test('environment variables stand in values, lists and parts of a text', () => {
  const plain = NODE.replace(/\$\{(\w+)\}/g, (_, name: string) => ENVIRONMENT[name]!);
  assert.deepEqual(parseNodeConfig(NODE, '/n.yaml', ENVIRONMENT), parseNodeConfig(plain, '/n.yaml'));
});

test('the loader of a file takes the variables of the process', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'node.yaml'), 'node: a\ndhcp: { interfaces: [eth0] }\ndataDir: ${LESSOR_TEST_FOLDER}/data\n');
  process.env['LESSOR_TEST_FOLDER'] = folder;
  t.after(() => delete process.env['LESSOR_TEST_FOLDER']);
  assert.equal(loadNodeConfig(join(folder, 'node.yaml')).dataDir, join(folder, 'data'));
});

test('a variable that is not set or is empty is a mistake at its place, beside the others of the file', () => {
  assert.deepEqual(mistakes(`${NODE}logs: {}\n`, { ...ENVIRONMENT, NODE_NAME: undefined, ETCD: '' }), [
    'n.yaml:1:7: node: expected the environment variable NODE_NAME to be set',
    'n.yaml:4:60: cluster.etcd[0]: expected the environment variable ETCD to be set, found it empty',
    'n.yaml:5:1: logs: unknown key; did you mean log?',
  ]);
});

test('what a variable brings is checked like what stands in the file', () => {
  assertOne(mistakes(NODE, { ...ENVIRONMENT, NODE_NAME: 'A b' }), 'n.yaml:1:7: node: expected a name of 1 to 32 lower-case letters');
  assertOne(mistakes(NODE, { ...ENVIRONMENT, ADDRESS: '0.0.0.0' }), 'n.yaml:4:34: cluster.listen: expected the address at which the other nodes reach this one');
  // Text stays text, and is not looked through again.
  assertOne(mistakes(NODE.replace('"${INTERFACE}"', 'eth1').replace('[eth1]', '"${INTERFACE}"'), { ...ENVIRONMENT, INTERFACE: '[eth0]' }), 'n.yaml:2:21: dhcp.interfaces: expected');
  assertOne(mistakes(NODE, { ...ENVIRONMENT, NODE_NAME: '${ETCD}' }), 'n.yaml:1:7: node: expected a name');
});

test('$${ stands for ${, and a ${ without a name is a mistake', () => {
  const dataDir = (text: string): string => parseNodeConfig(`node: a\ndhcp: { interfaces: [eth0] }\ndataDir: ${text}\n`, '/n.yaml', { A: 'b' }).dataDir;
  assert.equal(dataDir('/x/$${A}/${A}$A$/$$${A}'), '/x/${A}/b$A$/$${A}');
  for (const text of ['${}', '${A', '${1A}', '${A-b}', '${ A }']) {
    assertOne(mistakes(`node: a\ndhcp: { interfaces: [eth0] }\ndataDir: "/${text}"\n`, { A: 'b' }), 'n.yaml:3:10: dataDir: expected the name of an environment variable');
  }
});

test('maps that lead back to themselves, and keys, are left alone', () => {
  assert.ok(mistakes('node: &a { b: *a, c: "${X}" }\n', {}).some((mistake) => mistake.includes('the environment variable X')));
  assert.ok(mistakes(`${NODE}"\${X}": 1\n`, { ...ENVIRONMENT, X: 'log' }).every((mistake) => mistake.includes('unknown key')));
});

test('the configuration of the cluster is the same on every node: no variables in it', () => {
  const text = 'subnets: [{ subnet: 10.0.0.0/8, options: { domain-name: "${HOME}.example" } }]\n';
  assert.equal(mistakesOf(() => parseClusterConfig(text, 'c.yaml')).some((mistake) => mistake.includes('environment')), false);
});
