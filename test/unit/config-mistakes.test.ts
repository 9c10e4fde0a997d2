import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import { ConfigError, parseClusterConfig, parseNodeConfig } from '../../node/config/load.ts';
import { assertOne, clusterMistakes, mistakesOf } from '../support/config-mistakes.ts';
import { PROJECT } from '../support/documentation.ts';

const cluster = clusterMistakes;
const node = (text: string): string[] => mistakesOf(() => parseNodeConfig(text, 'n.yaml'));

const SUBNET = 'subnets:\n  - subnet: 10.0.0.0/8\n';

test('every mistake is named in one go, in the order of the file', () => {
  assert.deepEqual(cluster(`lease-time: 1h
authoritative: yes
nodes: { a: { wieght: 2 }, B: {} }
subnets:
  - subnet: 10.0.0.5/8
    pools: [10.1.0.0-10.2.0.0, 10.2.0.0-10.3.0.0, 11.0.0.0-11.0.0.9]
    options:
      router: 10.0.0.1
      interface-mtu: 20
  - subnet: 10.5.0.0/16
`), [
    'c.yaml:1:1: lease-time: unknown key; did you mean leaseTime?',
    'c.yaml:2:16: authoritative: expected true or false, found "yes"',
    'c.yaml:3:15: nodes.a.wieght: unknown key; did you mean weight?',
    'c.yaml:3:28: nodes.B: expected a name of 1 to 32 lower-case letters, digits and dashes (in quotes if it looks like a number) as a node\'s name',
    'c.yaml:5:13: subnets[0].subnet: expected the network\'s own address: 10.0.0.0/8, found "10.0.0.5/8"',
    'c.yaml:6:32: subnets[0].pools[1]: expected pools that do not overlap: 10.2.0.0-10.3.0.0 overlaps 10.1.0.0-10.2.0.0',
    'c.yaml:6:51: subnets[0].pools[2]: expected a range inside 10.0.0.0/8, found 11.0.0.0-11.0.0.9',
    'c.yaml:8:15: subnets[0].options.router: expected the name of a DHCP option or its code (1 to 254); did you mean routers?, found "10.0.0.1"',
    'c.yaml:9:22: subnets[0].options.interface-mtu: expected a whole number from 68 to 65535, found 20',
    'c.yaml:10:13: subnets[1].subnet: expected subnets that do not overlap: 10.5.0.0/16 overlaps 10.0.0.0/8 of subnets[0]',
  ]);
});

test('another DHCP server is known by its address, or a network of them by the network\'s own', () => {
  assert.deepEqual(cluster(`${SUBNET}knownServers: [10.0.0.9/32, 192.0.2.0/24]`), []);
  assertOne(cluster(`${SUBNET}knownServers: [192.0.2.9/24]`), 'c.yaml:3:16: knownServers[0]: expected the network\'s own address: 192.0.2.0/24');
});

test('an unknown key without a near one is told which there are', () => {
  assertOne(cluster(`${SUBNET}log: { colour: red }`), 'c.yaml:3:8: log.colour: unknown key; expected one of leases');
});

test('what is no YAML is refused at its place', () => {
  assertOne(cluster('subnets: [\n'), 'c.yaml:2:1: ');
  assertOne(cluster(''), 'c.yaml:1:1: expected a map, found nothing');
  assertOne(cluster('7'), 'c.yaml:1:1: expected a map, found 7');
  assertOne(cluster(`${SUBNET}---\na: 1`), 'c.yaml:3:1: expected one document in the file, found several');
  assertOne(cluster(`${SUBNET}leaseTime: 1h\nleaseTime: 2h`), 'c.yaml:4:1: the key leaseTime stands here twice');
  assertOne(cluster(`${SUBNET}options: { 3: 10.0.0.1, "3": 10.0.0.1 }`), 'c.yaml:3:25: the key 3 stands here twice');
  assertOne(cluster(`${SUBNET}? [a]\n: 1`), 'c.yaml:3:3: expected a name as the key');
  assertOne(cluster(`${SUBNET}leaseTime: !hours 1`), 'c.yaml:3:12: ');
});

test('a merge key is a key like any other, and so unknown', () => {
  assert.match(cluster(`${SUBNET}<<: { leaseTime: 1h }`)[0]!, /^c\.yaml:3:1: \["<<"\]: unknown key/);
});

test('what is missing or empty is told from what is wrong', () => {
  assertOne(cluster('leaseTime: 1h'), 'c.yaml:1:1: subnets: expected a list of subnets, but it is missing');
  assertOne(cluster('subnets: []'), 'c.yaml:1:10: subnets: expected at least one subnet, found an empty list');
  assertOne(cluster('subnets:\n  - pools: []'), 'c.yaml:2:5: subnets[0].subnet: expected an IPv4 network such as 10.0.0.0/8, but it is missing');
  assertOne(cluster(`${SUBNET}    pools:`), 'c.yaml:3:5: subnets[0].pools: expected a list');
  assertOne(cluster(`${SUBNET}leaseTime:`), 'c.yaml:3:1: leaseTime: expected whole seconds: a duration from 1s to 3650d');
});

test('durations have a unit, a bound, and whole seconds where that matters', () => {
  for (const value of ['1', '"1"', '1x', '-1s', '1.5s', '0', '500ms', '3651d', '.inf', '.nan', 'never', '1 h', 'true', '[1h]']) {
    const mistakes = cluster(`${SUBNET}leaseTime: ${value}`);
    if (value === '1') assert.deepEqual(mistakes, []);
    else assertOne(mistakes, 'c.yaml:3:12: leaseTime: expected whole seconds: a duration');
  }
  assertOne(cluster(`${SUBNET}ackTimeout: infinite`), 'c.yaml:3:13: ackTimeout: expected a duration from 10ms to 3s');
  assertOne(cluster(`${SUBNET}ackTimeout: 9ms`), 'c.yaml:3:13: ackTimeout: ');
  assertOne(cluster(`${SUBNET}ackTimeout: 2s\nevictAfter: 2s`), 'c.yaml:4:13: evictAfter: expected evictAfter to be longer than ackTimeout');
});

test('a pool lies inside its subnet, lower address first, without the network and broadcast addresses', () => {
  const pool = (text: string, subnet = '192.0.2.0/24'): string[] => cluster(`subnets: [{ subnet: ${subnet}, pools: [${text}] }]`);
  assert.deepEqual(pool('192.0.2.1-192.0.2.254'), []);
  assert.deepEqual(pool('192.0.2.7-192.0.2.7'), []);
  assert.match(pool('192.0.2.0-192.0.2.9')[0]!, /without the network's own address 192\.0\.2\.0/);
  assert.match(pool('192.0.2.9-192.0.2.255')[0]!, /without the network's broadcast address 192\.0\.2\.255/);
  assert.match(pool('192.0.2.9-192.0.3.1')[0]!, /inside 192\.0\.2\.0\/24/);
  assert.match(pool('192.0.1.9-192.0.3.1')[0]!, /inside 192\.0\.2\.0\/24/);
  assert.match(pool('192.0.2.9-192.0.2.1')[0]!, /lower address first: 192\.0\.2\.1-192\.0\.2\.9/);
  assert.match(pool('192.0.2.0/25')[0]!, /expected a range of IPv4 addresses/);
  assert.match(pool('192.0.2.1-192.0.2.90, 192.0.2.20-192.0.2.30, 192.0.2.40-192.0.2.50')[1]!, /pools\[2\]: expected pools that do not overlap/);
  assert.deepEqual(pool('192.0.2.0-192.0.2.1', '192.0.2.0/31'), [], 'both are hosts (RFC 3021)');
  assert.deepEqual(pool('192.0.2.1-192.0.2.1', '192.0.2.1/32'), []);
});

test('a subnet is a network of hosts', () => {
  for (const prefix of ['0.0.0.0/0', '0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4']) {
    assert.match(cluster(`subnets: [{ subnet: ${prefix} }]`)[0]!, /expected a network that hosts can have/);
  }
  assert.match(cluster('subnets: [{ subnet: 10.0.0.0/8 }, { subnet: 10.0.0.0/8 }]')[0]!, /subnets\[1\]\.subnet: expected subnets that do not overlap/);
  assert.match(cluster('subnets: [{ subnet: 10.1.0.0/16 }, { subnet: 10.0.0.0/8 }]')[0]!, /subnets\[1\]\.subnet: .* 10\.0\.0\.0\/8 overlaps 10\.1\.0\.0\/16/);
  assert.deepEqual(cluster('subnets: [{ subnet: 10.1.0.0/16 }, { subnet: 10.0.0.0/16 }, { subnet: 10.2.0.0/16 }]'), []);
});

test('a reservation is for one client, at an address of its subnet that nobody else has', () => {
  const reserve = (...entries: string[]): string[] => cluster(`subnets:\n  - subnet: 192.0.2.0/24\n    reservations:\n${entries.map((entry) => `      - ${entry}\n`).join('')}`);
  const printer = '{ hardware: 52:54:00:12:34:56, address: 192.0.2.5 }';
  assert.deepEqual(reserve(printer), []);
  assertOne(reserve('{ address: 192.0.2.5 }'), 'c.yaml:4:9: subnets[0].reservations[0]: expected at least one of hardware, clientId, duid, circuitId, remoteId, relayId');
  assert.deepEqual(reserve('{ address: 192.0.2.5, hardware: 52:54:00:12:34:56, clientId: 01:02 }'), [], 'then both must fit');
  assertOne(reserve(printer, '{ hardware: 52:54:00:12:34:57, address: 192.0.2.5 }'), 'c.yaml:5:49: subnets[0].reservations[1].address: expected each address once');
  assertOne(reserve(printer, '{ hardware: 52-54-00-12-34-56, address: 192.0.2.6 }'), 'c.yaml:5:21: subnets[0].reservations[1].hardware: expected each client once');
  assertOne(reserve('{ clientId: 01:02, address: 192.0.2.5 }', '{ clientId: 01:02, address: 192.0.2.6 }'), 'c.yaml:5:21: subnets[0].reservations[1].clientId: expected each client once');
  assertOne(reserve('{ clientId: 01:02, address: 192.0.3.5 }'), 'c.yaml:4:37: subnets[0].reservations[0].address: expected an address inside 192.0.2.0/24');
  assertOne(reserve('{ clientId: 01:02, address: 192.0.2.0 }'), 'c.yaml:4:37: subnets[0].reservations[0].address: expected a host\'s address');
  assertOne(reserve('{ clientId: 01:02, address: 192.0.2.255 }'), 'c.yaml:4:37: subnets[0].reservations[0].address: expected a host\'s address');
  assertOne(reserve('{ hardware: 52:54:00:12:34, address: 192.0.2.5 }'), 'c.yaml:4:21: subnets[0].reservations[0].hardware: expected a hardware address');
  assertOne(reserve('{ clientId: 01, address: 192.0.2.5 }'), 'c.yaml:4:21: subnets[0].reservations[0].clientId: expected a client identifier');
  assertOne(reserve('{ clientId: 01:02, address: 192.0.2.5, hostname: -x }'), 'c.yaml:4:58: subnets[0].reservations[0].hostname: expected a host name');
});

test('the nodes have names, weights of 0 to 100, and one has a weight above 0', () => {
  const nodes = (text: string): string[] => cluster(`${SUBNET}nodes: ${text}`);
  assert.deepEqual(nodes('{ a: { weight: 1 }, b: { weight: 0 } }'), []);
  assertOne(nodes('{ a: { weight: 0 }, b: { weight: 0 } }'), 'c.yaml:3:8: nodes: expected at least one node with a weight above 0');
  assertOne(nodes('{ a: { weight: -1 } }'), 'c.yaml:3:23: nodes.a.weight: expected a whole number from 0 to 100, found -1');
  assertOne(nodes('{ a: { weight: 0.5 } }'), 'c.yaml:3:23: nodes.a.weight: expected a whole number');
  assertOne(nodes(`{ ${'n'.repeat(33)}: {} }`), 'c.yaml:3:10: nodes.nnn');
  assertOne(nodes('{ a_b: {} }'), 'c.yaml:3:10: nodes.a_b: expected a name');
  assertOne(nodes(`{ ${Array.from({ length: 17 }, (_, i) => `n${i}: {}`).join(', ')} }`), 'c.yaml:3:8: nodes: expected at most 16 nodes, found 17');
});

test('options that follow from elsewhere, and one option under its name and its code, are refused', () => {
  const options = (text: string): string[] => cluster(`${SUBNET}options: { ${text} }`);
  assertOne(options('subnet-mask: 255.0.0.0'), 'c.yaml:3:25: options.subnet-mask: expected no value here: subnet-mask follows from the rest');
  assertOne(options('82: "01:01:00"'), 'c.yaml:3:16: options.82: expected no value here: dhcp-agent-options comes from clients and relays only');
  assertOne(options('routers: 10.0.0.1, 3: 10.0.0.2'), 'c.yaml:3:21: options.routers: expected each option once');
  assertOne(options('255: "00"'), 'c.yaml:3:17: options.255: expected the name of a DHCP option or its code (1 to 254)');
  assertOne(options('domain-name: 7'), 'c.yaml:3:25: options.domain-name: expected text');
});

test('node.yaml: each kind of value is checked', () => {
  const base = { node: 'a', dhcp: '{ interfaces: [eth0] }' };
  const withKeys = (keys: Record<string, string>): string[] => node(Object.entries({ ...base, ...keys }).map(([key, value]) => `${key}: ${value}\n`).join(''));
  assert.deepEqual(withKeys({}), []);
  assertOne(withKeys({ node: '1' }), 'n.yaml:1:7: node: expected a name of 1 to 32 lower-case letters, digits and dashes (in quotes if it looks like a number), found 1');
  assert.deepEqual(withKeys({ node: '"1"' }), []);
  assertOne(withKeys({ dhcp: '{}' }), 'n.yaml:2:7: dhcp.interfaces: expected a list, each entry the name of a network interface such as eth0, but it is missing');
  assertOne(withKeys({ dhcp: '{ interfaces: [] }' }), 'n.yaml:2:21: dhcp.interfaces: expected at least one entry, found an empty list');
  assertOne(withKeys({ dhcp: '{ interfaces: [eth0, eth0] }' }), 'n.yaml:2:28: dhcp.interfaces[1]: expected each entry once');
  for (const name of ['"a b"', 'a/b', 'abcdefghijklmnop', '"."', '7']) assertOne(withKeys({ dhcp: `{ interfaces: [${name}] }` }), 'n.yaml:2:22: dhcp.interfaces[0]: expected the name');
  for (const listen of ['9067', '127.0.0.1', '127.0.0.1:65536', '127.0.0.256:1', ':9067', '::1:9067', '"a b:1"']) {
    assertOne(withKeys({ http: `{ listen: ${listen} }` }), 'n.yaml:3:17: http.listen: expected an address and a port');
  }
  for (const listen of ['0.0.0.0:0', 'localhost:9067', '"[::1]:9067"']) assert.deepEqual(withKeys({ http: `{ listen: ${listen} }` }), []);
  const clusterKeys = (keys: string): string[] => withKeys({ cluster: `{ name: x, listen: 10.0.0.1:7067, ${keys} }` });
  const files = '{ certificate: a.pem, key: a.key, authority: ca.pem }';
  for (const key of ['tls', 'etcdTls']) assert.deepEqual(clusterKeys(`etcd: [http://10.0.0.21:2379, https://etcd.example.net:2379/], ${key}: ${files}`), []);
  assertOne(clusterKeys('etcd: [http://10.0.0.21:2379, https://etcd.example.net:2379/]'), 'n.yaml:3:74: cluster.etcd[1]: expected cluster.etcdTls or cluster.tls to name the files');
  assertOne(clusterKeys(`etcd: [http://10.0.0.21:2379], etcdTls: ${files}`), 'n.yaml:3:75: cluster.etcdTls: expected https:// URLs in cluster.etcd for these files');
  assert.match(clusterKeys('etcd: [http://10.0.0.21:2379], tls: { certificate: a.pem, key: a.key }')[0]!, /cluster\.tls\.authority: expected a path, but it is missing/);
  assert.deepEqual(withKeys({ http: '{ tls: { certificate: a.pem, key: a.key } }' }), []);
  for (const url of ['10.0.0.21:2379', 'ftp://10.0.0.21', 'http://u:p@10.0.0.21', 'http://10.0.0.21/x', 'http://10.0.0.21', 'https://[::1]', '7']) {
    assert.match(clusterKeys(`etcd: [${JSON.stringify(url)}]`)[0]!, /cluster\.etcd\[0\]: expected the URL of an etcd member/);
  }
  assertOne(clusterKeys('etcd: [http://e:1, http://e:1]'), 'n.yaml:3:63: cluster.etcd[1]: expected each entry once');
  assert.match(clusterKeys('etcd: [http://e:1], sessionTtl: 61s')[0]!, /cluster\.sessionTtl: expected whole seconds: a duration from 1s to 60s/);
  assert.match(withKeys({ log: '{ level: verbose }' })[0]!, /log\.level: expected one of debug, info, warn, error, found "verbose"/);
});

test('no text makes the loader throw anything but a ConfigError whose mistakes have a place', () => {
  const sample = `${SUBNET}    pools: [10.1.0.0-10.2.0.0]\n    options: { routers: [10.0.0.1] }\nnodes: { a: { weight: 1 } }\n`;
  const check = (text: string): void => {
    for (const parse of [parseClusterConfig, parseNodeConfig]) {
      try {
        parse(text, 'f.yaml');
      } catch (error) {
        assert.ok(error instanceof ConfigError, `${JSON.stringify(text)}: ${String(error)}`);
        assert.ok(error.mistakes.length > 0);
        for (const { line, column } of error.mistakes) assert.ok(line !== undefined && column !== undefined && line >= 1 && column >= 1);
      }
    }
  };
  fc.assert(fc.property(fc.string({ maxLength: 60 }), check), { numRuns: 300 });
  const piece = fc.constantFrom(':', ' ', '\n', '-', '{', '}', '[', ']', '"', '&a', '*a', '!x', '__proto__: 1\n', '? ', '#', '0', 'null', '\t', '%', '|', '<<: ');
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(sample.length), piece, fc.nat(3)), { minLength: 1, maxLength: 4 }), (edits) => {
    let text = sample;
    for (const [at, insert, remove] of edits) text = text.slice(0, at) + insert + text.slice(at + remove);
    check(text);
  }), { numRuns: 1000 });
  const json = fc.json({ maxDepth: 4 });
  fc.assert(fc.property(json, fc.constantFrom('subnets', 'sharedNetworks', 'classes', 'reservations', 'optionDefinitions', 'limits', 'nodes', 'options', 'leaseTime', 'conflictCheck', 'cluster', 'dhcp', 'log'), (value, key) => check(`{ "${key}": ${value} }`)), { numRuns: 1000 });
});

test('a reservation by client identifier where clients are known by hardware is a mistake', () => {
  const reservation = '    reservations: [{ clientId: "01:02:03", address: 10.0.0.9 }]\n';
  assertOne(cluster(`identity: hardware\n${SUBNET}${reservation}`),
    'c.yaml:4:32: subnets[0].reservations[0].clientId: expected hardware instead, since identity is hardware here');
  assert.deepEqual(cluster(`${SUBNET}${reservation}`), []);
  assert.deepEqual(cluster(`identity: hardware\n${SUBNET}    identity: client-id\n${reservation}`), []);
});

test('an address that stands for all is none at which other nodes reach this one', () => {
  const file = (listen: string): string =>
    `node: a\ndataDir: /d\ndhcp: { interfaces: [eth0] }\nconfig: ./c.yaml\ncluster:\n  name: x\n  listen: "${listen}"\n  etcd: [http://127.0.0.1:2379]\n`;
  for (const all of ['0.0.0.0:7067', '[::]:7067']) {
    assertOne(node(file(all)), 'n.yaml:7:11: cluster.listen: expected the address at which the other nodes reach this one');
  }
  assert.deepEqual(node(file('10.0.0.1:7067')), []);
});

test('protocol versions are those that the build speaks, the oldest not above the newest', () => {
  const file = (more: string): string =>
    `node: a\ndhcp: { interfaces: [eth0] }\ncluster:\n  name: x\n  listen: 10.0.0.1:7067\n  etcd: [http://127.0.0.1:2379]\n  ${more}\n`;
  assert.deepEqual(node(file('protocolMax: 1')), []);
  assert.deepEqual(node(file('protocolMin: 2')), []);
  assertOne(node(file('protocolMax: 4')), 'n.yaml:7:16: cluster.protocolMax: expected a whole number from 1 to 3, found 4');
  assertOne(node(file('protocolMin: 0')), 'n.yaml:7:16: cluster.protocolMin: expected a whole number from 1 to 3, found 0');
  assertOne(node(file('protocolMin: 2\n  protocolMax: 1')), 'n.yaml:7:16: cluster.protocolMin: expected at most protocolMax, which is 1, found 2');
});

const EXAMPLES = globSync('deploy/examples/*.yaml', { cwd: PROJECT }).map((file) => readFileSync(join(PROJECT, file), 'utf8'));

test('an example with any of its values replaced, moved or left out is either right or has mistakes with a place', () => {
  const example = fc.constantFrom(...EXAMPLES.map((text) => parse(text) as unknown));
  const odd = fc.constantFrom<unknown>(
    null, '', 0, -1, 1.5, true, [], {}, 'x', [null], { x: 1 }, '10.0.0.1', '10.0.0.1-10.0.0.2', '10.20.1.0-10.20.63.255', '10.0.0.0/8', 'KNOWN', 'ALL', '50%', '1h', 'infinite',
    { hex: '01' }, { send: 'never' }, { value: 1 }, { class: 'ALL' }, { option: 60 }, { range: '10.0.0.1-10.0.0.2' }, '52:54:00:12:34:56', 'constructor', '__proto__', 2 ** 40, '\u0000',
  );
  let right = 0;
  fc.assert(fc.property(example, fc.array(fc.tuple(fc.nat(), fc.nat(), fc.option(odd, { nil: undefined }), fc.boolean()), { minLength: 1, maxLength: 3 }), (file, edits) => {
    const copy = structuredClone(file);
    for (const [where, from, value, move] of edits) edit(copy, where, move ? placesOf(copy)[from % placesOf(copy).length]?.at() : value);
    const mistakes = cluster(JSON.stringify(copy));
    if (mistakes.length === 0) right++;
    for (const mistake of mistakes) assert.match(mistake, /^c\.yaml:\d+:\d+: /);
  }), { numRuns: 300 });
  // About one in 20 is: that none of 300 is does not happen by chance.
  assert.ok(right > 0, 'none was right');
});

interface Spot {
  at(): unknown;
  set(value: unknown): void;
}

/** Every value in a file. */
function placesOf(value: unknown): Spot[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [
    {
      at: () => holder[key],
      set: (to: unknown) => {
        if (to === undefined) delete holder[key];
        else holder[key] = to;
      },
    },
    ...placesOf(holder[key]),
  ]);
}

function edit(file: unknown, where: number, value: unknown): void {
  const places = placesOf(file);
  // A copy, so that nothing holds itself.
  places[where % places.length]?.set(value === undefined ? undefined : structuredClone(value));
}
