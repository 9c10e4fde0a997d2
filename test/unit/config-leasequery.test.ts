import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClusterConfig, parseNodeConfig } from '../../node/config/load.ts';
import { DEFAULT_QUERY_OPTIONS } from '../../node/leasequery/default-options.ts';
import { assertOne, clusterMistakes } from '../support/config-mistakes.ts';

const SUBNET = 'subnets:\n  - subnet: 10.0.0.0/8\n';
const mistakes = (leasequery: string): string[] => clusterMistakes(`${SUBNET}leasequery: ${leasequery}`);

test('without leasequery nobody may ask', () => {
  const { leaseQuery, limits } = parseClusterConfig(SUBNET, 'c.yaml');
  assert.deepEqual(leaseQuery, {
    requestors: [], options: DEFAULT_QUERY_OPTIONS, connections: 10, queriesPerConnection: 4, idleSeconds: 300, active: undefined,
  });
  assert.deepEqual(limits.queriesPerRequestor, { perSecond: 0, burst: 0 });
});

test('who may ask, what is told, and how changes are followed', () => {
  const { leaseQuery, limits } = parseClusterConfig(`${SUBNET}leasequery:
  requestors: [10.0.9.0/24, 192.0.2.7/32]
  options: [routers, 82, 61]
  queriesPerRequestor: { rate: 100 }
  connections: 3
  idleTimeout: 1m
  active: { enabled: true, names: [bng1.example.net], history: 2h, historySize: 16 }
`, 'c.yaml');
  assert.deepEqual(leaseQuery.requestors, [{ network: 0x0a00_0900, prefixLength: 24 }, { network: 0xc000_0207, prefixLength: 32 }]);
  assert.deepEqual(leaseQuery.options, [3, 61, 82]);
  assert.deepEqual(limits.queriesPerRequestor, { perSecond: 100, burst: 200 });
  assert.deepEqual([leaseQuery.connections, leaseQuery.idleSeconds], [3, 60]);
  assert.deepEqual(leaseQuery.active, { insecure: false, names: ['bng1.example.net'], historySeconds: 7200, historyBytes: 16 * 2 ** 20 });
});

test('what contradicts itself is a mistake', () => {
  assertOne(mistakes('{ requestors: [10.0.9.1/24] }'), 'c.yaml:3:28: leasequery.requestors[0]: expected the network\'s own address: 10.0.9.0/24');
  assertOne(mistakes('{ active: { enabled: true } }'), 'c.yaml:3:34: leasequery.active.enabled: expected leasequery.requestors to say who may ask');
  assertOne(mistakes('{ requestors: [10.0.9.0/24], active: { insecure: true } }'), 'c.yaml:3:62: leasequery.active.insecure: expected active to be enabled as well');
  assertOne(mistakes('{ requestors: [10.0.9.0/24], options: [colour] }'), 'c.yaml:3:52: leasequery.options[0]: expected the name of a DHCP option or its code');
  assertOne(mistakes('{ requestors: [10.0.9.0/24], active: { enabled: true, history: 1m } }'), 'c.yaml:3:76: leasequery.active.history: expected a history of at least 90 s');
  assertOne(mistakes('{ requestors: [10.0.9.0/24], active: { history: 10s } }'), 'c.yaml:3:61: leasequery.active.history: expected');
});

test('where TCP is listened, and the files for TLS, are the host\'s own', () => {
  const base = 'node: a\ndhcp: { interfaces: [eth0] }\n';
  assert.deepEqual(parseNodeConfig(base, '/etc/lessor/n.yaml').leaseQuery, { host: '0.0.0.0', port: 67, tls: undefined });
  const { leaseQuery } = parseNodeConfig(`${base}leasequery: { listen: "10.0.0.1:6700", tls: { certificate: a.pem, key: a.key, authority: /etc/ssl/ca.pem } }\n`, '/etc/lessor/n.yaml');
  assert.deepEqual(leaseQuery, {
    host: '10.0.0.1', port: 6700, tls: { certificate: '/etc/lessor/a.pem', key: '/etc/lessor/a.key', authority: '/etc/ssl/ca.pem' },
  });
});
