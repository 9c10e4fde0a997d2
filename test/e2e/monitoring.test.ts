/**
 * Prometheus with the rules of deploy/prometheus watches a cluster to which real things happen: each alert fires for
 * its cause and clears when that is gone. Ranges and waiting times are shorter than those shipped, nothing else differs
 * (`hurriedRules`). What the dashboards of deploy/grafana ask is answered with data by then.
 */
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { sleep, waitUntil } from '../../deploy/lab/processes.ts';
import { askDashboards, sayWhich, type Answer } from '../support/dashboard-queries.ts';
import { ADDRESSES, needs } from '../support/served-network.ts';
import { MonitoredCluster, POOL_SIZE } from '../support/monitored-cluster.ts';

const needed = needs('etcd', 'nft', 'prometheus', 'named', 'dig');
const LEASES_MS = 10_000;
/** So that every rule has seen it well. */
const HEALTHY_MS = 3000;
/** A machine that is busy with other tests keeps a packet waiting: with such short ranges one is enough. */
const OF_A_BUSY_MACHINE = ['LessorCommitSlow', 'LessorRequestsDropped'];

let cluster: MonitoredCluster;
/** Unix seconds. */
let began = 0;

before(async () => {
  if (needed.skip === undefined) cluster = await MonitoredCluster.start();
  began = Date.now() / 1000;
});

/** Everything that the dashboards of deploy/grafana ask, over the time so far. */
function askAll(): Promise<{ panels: Answer[]; marks: Answer[] }> {
  return askDashboards(cluster.prometheus, { from: began, to: Date.now() / 1000, scrapeSeconds: 1 });
}

after(async () => {
  await cluster?.remove();
});

test('a cluster that is well: everything is scraped, every rule is evaluated, no alert fires', needed, async () => {
  const { prometheus } = cluster;
  await cluster.clients.getLeases('base', 12, 200, LEASES_MS);
  await waitUntil('all targets are scraped', LEASES_MS, async () => {
    const targets = await prometheus.targets();
    return targets.length === 3 && targets.every(({ health }) => health === 'up') ? true : undefined;
  });
  await sleep(HEALTHY_MS);
  const rules = await prometheus.rules();
  assert.deepEqual(rules.filter(({ health }) => health !== 'ok'), []);
  assert.ok(rules.length > 40);
  assert.deepEqual((await cluster.firing()).filter(({ name }) => !OF_A_BUSY_MACHINE.includes(name)), []);
  const [free] = await prometheus.query('cluster_subnet:lessor_pool_free_addresses:min{subnet="10.1.0.0/16"}');
  assert.equal(free?.value, POOL_SIZE - 12);
  assert.deepEqual(await prometheus.query('cluster_subnet:lessor_pool_used:ratio{subnet="10.3.0.0/24"}'), []);
});

test('what a dashboard does not show of a cluster that is well, it says why', needed, async () => {
  const { panels } = await askAll();
  assert.deepEqual(panels.filter(({ labels, nothing }) => labels.length === 0 && nothing === '').map(sayWhich), []);
});

test('a client that declines address after address', needed, async () => {
  const { clients } = cluster;
  await clients.getLeases('doubter', 1, 200, LEASES_MS);
  await cluster.fires(['LessorDeclineFlood'], 'a client declines again and again', async () => {
    for (let declined = 0; declined < 6; declined++) {
      const bound = (): number => clients.events.filter(({ client, event }) => client === 'doubter-0' && event === 'bound').length;
      await waitUntil('it has an address', LEASES_MS, () => (bound() > declined ? true : undefined));
      clients.do({ do: 'decline', name: 'doubter' });
    }
  });
});

test('a pool is filled', needed, async () => {
  const fired = await cluster.fires(['LessorPoolFull', 'LessorPoolNearlyFull'], 'clients take every address', () =>
    cluster.clients.do({ do: 'start', name: 'crowd', count: POOL_SIZE, retryMs: 500 }));
  assert.deepEqual(fired.map(({ labels }) => labels['subnet']), ['10.1.0.0/16', '10.1.0.0/16']);
  assert.match(fired[0]!.annotations['description']!, new RegExp(`none of the ${POOL_SIZE} addresses`));
  await cluster.clears(['LessorDeclineFlood']);
  // They are gone without a word: their leases run out while the following happens.
  await cluster.clients.kill();
});

test('the link between the nodes is cut, and then what leads from one of them to etcd', needed, async () => {
  const { lan } = cluster.served;
  const etcd = cluster.served.host('etcd');
  const [a, b] = [cluster.node('a').host, cluster.node('b').host];
  const [interrupted] = await cluster.fires(['LessorCommunicationsInterrupted'], 'the link between the nodes is cut', () => lan.cutBetween(a, b));
  assert.match(interrupted!.annotations['description']!, /over the link to [ab]\./);
  const ofNodeB = await cluster.fires(['LessorIsolated', 'LessorNotReady', 'LessorEtcdUnreachable'], 'node b reaches neither a nor etcd', () => lan.cutBetween(b, etcd));
  for (const { labels } of ofNodeB) assert.equal(labels['instance'], `${ADDRESSES.b}:9067`);
  await cluster.clears(['LessorCommunicationsInterrupted', 'LessorIsolated', 'LessorNotReady', 'LessorEtcdUnreachable'], () => lan.restoreBetween());
  // For a moment the view may have been of node a alone.
  await cluster.served.inOneView();
  await cluster.quiet(['LessorOneMember']);
});

test('etcd is cut off', needed, async () => {
  const { lan } = cluster.served;
  const etcd = cluster.served.host('etcd');
  await cluster.fires(['LessorEtcdUnreachable'], 'etcd is cut off', () => lan.cut(etcd));
  await cluster.clears(['LessorEtcdUnreachable'], () => lan.restore(etcd));
});

test('a pool whose clients are gone has free addresses again', needed, () => cluster.clears(['LessorPoolFull', 'LessorPoolNearlyFull']));

test('a node is killed', needed, async () => {
  const [down] = await cluster.fires(['LessorNodeDown', 'LessorOneMember'], 'kill -9 of node a', () => cluster.node('a').kill());
  assert.equal(down!.labels['instance'], `${ADDRESSES.a}:9067`);
  assert.match(down!.annotations['runbook_url']!, /^https:\/\/\S+\/node-down\.md$/);
  await cluster.clears(['LessorNodeDown', 'LessorOneMember'], () => cluster.node('a').start());
});

test('a node is drained', needed, async () => {
  const [drained] = await cluster.fires(['LessorDrained'], 'lessor drain b', () => cluster.lessor('a', 'drain', 'b'));
  assert.equal(drained!.labels['node'], 'b');
  await cluster.clears(['LessorDrained'], () => cluster.lessor('a', 'undrain', 'b'));
});

test('after all that the cluster is well again, and nothing fires', needed, async (t) => {
  await cluster.served.inOneView();
  await waitUntil('no alert fires', 20_000, async () => ((await cluster.firing()).length === 0 ? true : undefined));
  for (const line of cluster.table()) t.diagnostic(line);
  assert.ok(cluster.times.every(({ clearedAt }) => Number.isFinite(clearedAt)));
});

test('after all that every query of every dashboard is answered with data', needed, async (t) => {
  const { panels, marks } = await askAll();
  assert.deepEqual([...panels, ...marks].filter(({ labels }) => labels.length === 0).map(sayWhich), []);
  assert.deepEqual(panels.filter(({ missingInLegend }) => missingInLegend.length > 0).map(sayWhich), []);
  const count = new Set(panels.map(({ dashboard, panel }) => `${dashboard} ${panel}`)).size;
  t.diagnostic(`${panels.length} queries of ${count} panels are answered, with ${panels.reduce((sum, { labels }) => sum + labels.length, 0)} series`);
});
