import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROTOCOL } from '../../node/protocol.ts';
import { checkTogether, ConfigError, loadClusterConfig, loadNodeConfig, parseClusterConfig, parseNodeConfig } from '../../node/config/load.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { NOBODY_ASKS } from '../support/configs.ts';

const NO_LIMIT = { perSecond: 0, burst: 0 };

const NODE = `node: a
dataDir: /var/lib/lessor
dhcp:
  interfaces: [eth0]
http:
  listen: 127.0.0.1:9067
cluster:                        # without it: a single node, no etcd
  name: campus
  listen: 10.0.0.11:7067
  etcd: [http://10.0.0.21:2379]
  sessionTtl: 3s
config: ./cluster.yaml          # taken when etcd holds none yet, or without etcd
`;

const CLUSTER = `leaseTime: 1h
authoritative: true
nodes: { a: { weight: 1 }, b: { weight: 1 } }
subnets:
  - subnet: 10.0.0.0/8
    pools: [10.1.0.0-10.200.255.255]
    options: { routers: [10.0.0.1], domain-name-servers: [10.0.0.53], domain-name: example.net }
    reservations:
      - { hardware: 52:54:00:12:34:56, address: 10.0.5.5, hostname: printer }
`;

test('the example of node.yaml is read, relative paths from its own folder', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'node.yaml'), NODE);
  writeFileSync(join(folder, 'cluster.yaml'), CLUSTER);
  const node = loadNodeConfig(join(folder, 'node.yaml'));
  assert.deepEqual(node, {
    node: 'a', dataDir: '/var/lib/lessor', user: undefined, interfaces: ['eth0'],
    http: { host: '127.0.0.1', port: 9067, tls: undefined, tokens: undefined, roles: new Map() }, leaseQuery: { host: '0.0.0.0', port: 67, tls: undefined }, dnsKeys: [],
    cluster: {
      name: 'campus', listen: { host: '10.0.0.11', port: 7067 }, etcd: ['http://10.0.0.21:2379'], tls: undefined, etcdTls: undefined,
      sessionTtlSeconds: 3, protocol: PROTOCOL,
    },
    clusterConfigPath: join(folder, 'cluster.yaml'), logLevel: 'info', logLeases: false,
  });
  const cluster = loadClusterConfig(node.clusterConfigPath);
  assert.equal(cluster.text, CLUSTER);
  checkTogether(node, cluster);
});

test('the example of cluster.yaml is read', () => {
  const { text, ...cluster } = parseClusterConfig(CLUSTER, 'cluster.yaml');
  assert.equal(text, CLUSTER);
  const [network] = cluster.networks;
  assert.ok(network !== undefined);
  const [subnet] = network.subnets;
  assert.ok(subnet !== undefined);
  const [pool] = subnet.pools;
  assert.deepEqual(cluster, {
    nodes: [{ id: 'a', weight: 1 }, { id: 'b', weight: 1 }],
    networks: [{ index: 0, name: '10.0.0.0/8', subnets: [subnet], identity: 'client-id', authoritative: true }],
    subnets: [subnet], pools: [pool], classes: [],
    reservations: [{
      networkIndex: 0, client: { hardware: '\x01\x52\x54\x00\x12\x34\x56' }, address: 0x0a000505,
      overlay: { options: [{ code: 12, value: Buffer.from('printer'), send: 'requested' }] }, hostname: 'printer', description: '', endsAt: INFINITE_SECONDS,
    }],
    subnetSelection: false,
    knownServers: [],
    limits: { packetsPerClient: NO_LIMIT, packetsPerRelay: NO_LIMIT, declinesPerClient: NO_LIMIT, queriesPerRequestor: NO_LIMIT, leasesPerCircuit: 0 },
    leaseQuery: NOBODY_ASKS,
    history: { days: 90, bytes: 2e9 }, quarantine: { answer: 'nak', classIndex: undefined },
    maxClockSkewMs: 10_000, loadBalanceMaxSeconds: 3, ackTimeoutMs: 250, evictAfterMs: 30_000, coldStartWaitMs: 20_000, logLeases: false,
  });
  const { scope } = subnet;
  assert.deepEqual(subnet, {
    index: 0, networkIndex: 0, name: '10.0.0.0/8', network: 0x0a000000, prefixLength: 8, guard: { allow: undefined, deny: [] }, pools: [pool], scope,
  });
  assert.deepEqual(pool, {
    index: 0, subnetIndex: 0, id: 0x0a010000, ranges: [{ first: 0x0a010000, last: 0x0ac8ffff }],
    guard: { allow: undefined, deny: [] }, allocation: 'iterative', scope,
  });
  assert.deepEqual(scope.lease, { defaultSeconds: 3600, minSeconds: 3600, maxSeconds: 3600, renew: { fraction: 0.5 }, rebind: { fraction: 0.875 } });
  assert.deepEqual(scope.options, [
    { code: 3, value: Buffer.from([10, 0, 0, 1]), send: 'requested' },
    { code: 6, value: Buffer.from([10, 0, 0, 53]), send: 'requested' },
    { code: 15, value: Buffer.from('example.net'), send: 'requested' },
  ]);
});

test('the shortest files have the defaults of the reference', () => {
  const cluster = parseClusterConfig('subnets: [{ subnet: 192.0.2.0/24 }]', 'cluster.yaml');
  const [subnet] = cluster.subnets;
  assert.ok(subnet !== undefined);
  assert.equal(cluster.networks[0]?.authoritative, false);
  assert.equal(cluster.networks[0].identity, 'client-id');
  assert.equal(subnet.scope.lease.defaultSeconds, 12 * 3600);
  assert.deepEqual(cluster.nodes, []);
  assert.deepEqual([subnet.pools, subnet.scope.options, cluster.reservations], [[], [], []]);
  const node = parseNodeConfig('{ node: a, dhcp: { interfaces: [eth0] } }', '/etc/lessor/node.yaml');
  assert.equal(node.cluster, undefined);
  assert.equal('cluster' in node, false);
  assert.equal(node.dataDir, '/var/lib/lessor');
  assert.deepEqual(node.http, { host: '127.0.0.1', port: 9067, tls: undefined, tokens: undefined, roles: new Map() });
  assert.equal(node.clusterConfigPath, '/etc/lessor/cluster.yaml');
  checkTogether(node, cluster);
});

test('every key of cluster.yaml reaches its field, and a subnet overrides what stands above it', () => {
  const cluster = parseClusterConfig(`
leaseTime: 7d
identity: hardware
authoritative: true
nodes: { b: { weight: 0 }, a: {} }
options: { ntp-servers: 10.0.0.2, domain-name: example.net, 224: "00:ff" }
maxClockSkew: 2
loadBalance: { maxSeconds: 5 }
ackTimeout: 500ms
evictAfter: 1m
coldStartWait: 0.5
log: { leases: true }
subnets:
  - subnet: 192.0.2.0/24
    leaseTime: infinite
    identity: client-id
    authoritative: false
    pools: [192.0.2.100-192.0.2.199, 192.0.2.10 - 192.0.2.19]
    options: { domain-name: lab.example.net, routers: 192.0.2.1 }
    reservations: [{ clientId: 01:52:54:00:12:34:56, address: 192.0.2.5 }]
  - subnet: 198.51.100.0/24
`, 'cluster.yaml');
  const [first, second] = cluster.subnets;
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual(cluster.nodes, [{ id: 'a', weight: 1 }, { id: 'b', weight: 0 }]);
  assert.deepEqual(
    [cluster.maxClockSkewMs, cluster.loadBalanceMaxSeconds, cluster.ackTimeoutMs, cluster.evictAfterMs, cluster.coldStartWaitMs, cluster.logLeases],
    [2000, 5, 500, 60_000, 500, true],
  );
  assert.deepEqual([first.scope.lease.defaultSeconds, cluster.networks[0]?.identity, cluster.networks[0]?.authoritative], [INFINITE_SECONDS, 'client-id', false]);
  assert.deepEqual([second.scope.lease.defaultSeconds, cluster.networks[1]?.identity, cluster.networks[1]?.authoritative], [7 * 86_400, 'hardware', true]);
  assert.deepEqual(first.pools.map(({ ranges }) => ranges), [[{ first: 0xc000020a, last: 0xc0000213 }, { first: 0xc0000264, last: 0xc00002c7 }]], 'one pool, in order');
  assert.deepEqual(first.scope.options.map(({ code }) => code), [3, 15, 42, 224]);
  assert.equal(first.scope.options[1]?.value.toString(), 'lab.example.net');
  assert.equal(second.scope.options[0]?.value.toString(), 'example.net');
  assert.deepEqual(cluster.reservations.map(({ networkIndex, client, address }) => ({ networkIndex, client, address })),
    [{ networkIndex: 0, client: { clientId: '\x01\x52\x54\x00\x12\x34\x56' }, address: 0xc0000205 }]);
});

test('values that YAML 1.1 reads as numbers in base 60 or as booleans arrive as they were written', () => {
  for (const directive of ['', '%YAML 1.1\n---\n']) {
    const cluster = parseClusterConfig(`${directive}subnets:
  - subnet: 192.0.2.0/24
    reservations:
      - { hardware: 12:34:56:12:34:56, address: 192.0.2.5, hostname: no }
      - { clientId: 12:34, address: 192.0.2.6 }
    options: { domain-name: on, nis-domain: 1_000, vendor-encapsulated-options: 10:20 }
`, 'cluster.yaml');
    const [subnet] = cluster.subnets;
    assert.equal(cluster.reservations[0]?.client.hardware, '\x01\x12\x34\x56\x12\x34\x56');
    assert.equal(cluster.reservations[0].overlay.options[0]?.value.toString(), 'no');
    assert.equal(cluster.reservations[1]?.client.clientId, '\x12\x34');
    assert.deepEqual(subnet?.scope.options.map(({ value }) => value.toString('latin1')), ['on', '1_000', '\x10\x20']);
  }
});

test('anchors may be used, and a bomb of them is refused', () => {
  const shared = parseClusterConfig('options: &o { routers: 10.0.0.1 }\nsubnets:\n  - { subnet: 10.0.0.0/24, options: *o }\n  - { subnet: 10.0.1.0/24, options: *o }\n', 'c.yaml');
  assert.deepEqual(shared.subnets[1]?.scope.options, [{ code: 3, value: Buffer.from([10, 0, 0, 1]), send: 'requested' }]);
  const lines = ['a0: &a0 [x]'];
  for (let i = 1; i < 12; i++) lines.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(', ')}]`);
  assert.throws(() => parseClusterConfig(lines.join('\n'), 'c.yaml'), ConfigError);
});

test('a node that the cluster does not list is refused, with the name it may have meant', () => {
  const cluster = parseClusterConfig('nodes: { node-a: {}, node-b: {} }\nsubnets: [{ subnet: 192.0.2.0/24 }]', 'cluster.yaml');
  const node = parseNodeConfig(NODE.replace('node: a', 'node: node-c'), 'node.yaml');
  assert.throws(() => checkTogether(node, cluster, 'config/3'), {
    name: 'ConfigError', message: /^config\/3: nodes: expected this node's name "node-c" among the nodes, found node-a, node-b; did you mean node-[ab]\?$/,
  });
});

test('a cluster without nodes, and two nodes without a cluster, are refused', () => {
  const lonely = parseClusterConfig('subnets: [{ subnet: 192.0.2.0/24 }]', 'cluster.yaml');
  assert.throws(() => checkTogether(parseNodeConfig(NODE, 'node.yaml'), lonely), /expected the nodes of the cluster/);
  const single = parseNodeConfig('{ node: a, dhcp: { interfaces: [eth0] } }', 'node.yaml');
  assert.throws(() => checkTogether(single, parseClusterConfig(CLUSTER, 'cluster.yaml')), /expected this node alone/);
  checkTogether(single, parseClusterConfig(CLUSTER.replace(', b: { weight: 1 }', ''), 'cluster.yaml'));
});

test('a file that cannot be read is named, with the cause', () => {
  const path = join(tmpdir(), 'lessor-no-such-folder', 'node.yaml');
  assert.throws(() => loadNodeConfig(path), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.code, 'config-unreadable');
    assert.ok(error.message.startsWith(`${path}: cannot be read: ENOENT`));
    assert.ok(error.cause instanceof Error);
    return true;
  });
});
