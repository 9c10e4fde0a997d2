import assert from 'node:assert/strict';
import { test } from 'node:test';
import { summarizeCluster } from '../../node/config/summary.ts';
import { clusterConfig } from '../support/config-mistakes.ts';

test('a configuration in one line', () => {
  assert.equal(summarizeCluster(clusterConfig('subnets: [{ subnet: 10.0.0.0/8 }]')),
    'no nodes named (a single node); subnets 10.0.0.0/8; 0 addresses in pools; 0 reservations; 1 network, 0 pools, 0 classes');
  assert.equal(summarizeCluster(clusterConfig(`
nodes: { a: {}, b: { weight: 0 } }
classes: [{ name: x, match: { class: ALL } }, { name: y, match: { class: ALL } }]
sharedNetworks: [{ name: link, subnets: [{ subnet: 10.0.0.0/24, pools: [10.0.0.1-10.0.0.9] }, { subnet: 10.0.1.0/24, pools: [10.0.1.1-10.0.1.1] }] }, { name: other, subnets: [{ subnet: 10.0.2.0/24 }] }]
reservations: [{ circuitId: x }]
`)), 'nodes a (weight 1), b (weight 0); shared networks link (2 subnets), other (1 subnet); 10 addresses in pools; 1 reservation; 2 networks, 2 pools, 2 classes');
});

test('of many subnets the first are named', () => {
  const subnets = Array.from({ length: 12 }, (_, n) => `{ subnet: 10.${n}.0.0/16 }`).join(', ');
  assert.match(summarizeCluster(clusterConfig(`subnets: [${subnets}]`)), /; subnets 10\.0\.0\.0\/16, .*, 10\.7\.0\.0\/16 and 4 more; /);
});
