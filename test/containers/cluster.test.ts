/** The project's container image, and a cluster of it: what engines do to containers costs no client an address. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { compareStores } from '../../deploy/lab/compare-stores.ts';
import { sleep } from '../../deploy/lab/processes.ts';
import { PROTOCOL } from '../../node/protocol.ts';
import { ContainerCluster, NODES } from '../support/container-cluster.ts';
import { openEngine } from '../support/container-engine.ts';
import { removeOwn } from '../support/container-leftovers.ts';
import { buildImage, BUSYBOX_IMAGE, deriveImage, ETCD_IMAGE, NODE_IMAGE, provide, removeStandIns } from '../support/container-images.ts';

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { version: string };
const IMAGE = `lessor:test-${process.pid}`;
const PREVIOUS_IMAGE = `${IMAGE}-previous`;
const PREVIOUS_VERSION = '0.0.9';
const CLIENTS = 5;
const LEASES_BETWEEN_MS = 300;

const engine = await openEngine();

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

describe('containers', typeof engine === 'string' ? { skip: engine } : {}, () => {
  assert.ok(typeof engine !== 'string');
  const docker = engine.client.container.dockerode;
  let cluster: ContainerCluster;

  before(async () => {
    const begin = performance.now();
    const provided = await Promise.all(([NODE_IMAGE, ETCD_IMAGE, BUSYBOX_IMAGE] as const).map((image) => provide(docker, image)));
    const standIns = provided.filter(({ standIn }) => standIn).map(({ image }) => image);
    console.log(`With ${engine.kind}; stand-ins: ${standIns.join(', ') || 'none'}; ${seconds(performance.now() - begin)}`);
  });

  const end = async (): Promise<void> => {
    try {
      await removeOwn(docker);
      if (!engine.own) await removeStandIns(docker);
    } finally {
      await engine.close();
    }
  };
  after(end);
  // An engine of the machine's own would go on with what it was given.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end().finally(() => process.exit(1)));

  test('the image is built', async (t) => {
    const begin = performance.now();
    await buildImage(docker, IMAGE);
    const built = performance.now() - begin;
    const { Size, Config } = await docker.getImage(IMAGE).inspect();
    t.diagnostic(`${Math.round(Size / 1e6)} MB, built in ${seconds(built)}`);
    assert.deepEqual(Config.Entrypoint, ['lessor']);
    assert.deepEqual(Config.Cmd, ['node', '--config', '/etc/lessor/node.yaml']);
    assert.equal(Config.User, '10067:10067');
    assert.equal(Config.Labels['org.opencontainers.image.version'], version);
    // Older sources would do as well; what counts is that it calls itself another version and speaks an older protocol.
    await deriveImage(docker, PREVIOUS_IMAGE, IMAGE, ['USER 0', `RUN sed -i 's/"version": "${version}"/"version": "${PREVIOUS_VERSION}"/' /usr/lib/lessor/package.json`, 'USER 10067:10067']);
  });

  test('three nodes of the previous version serve clients', async (t) => {
    cluster = await ContainerCluster.start(engine);
    await Promise.all(NODES.map(async (node) => {
      const begin = performance.now();
      await cluster.startNode(node, PREVIOUS_IMAGE, PROTOCOL.max - 1);
      await cluster.ready(node);
      t.diagnostic(`${node} is ready ${seconds(performance.now() - begin)} after its container was made`);
    }));
    await leases(t, 'at first');
    const { version: running, protocol } = await cluster.status('a');
    assert.equal(running, PREVIOUS_VERSION);
    assert.equal(protocol.inForce, PROTOCOL.max - 1);
  });

  test('a node is killed and comes back', async (t) => {
    await cluster.kill('a');
    await leases(t, 'without the node that was killed');
    const begin = performance.now();
    await cluster.startAgain('a');
    await cluster.ready('a');
    t.diagnostic(`ready again after ${seconds(performance.now() - begin)}`);
  });

  test('a node is paused until the others do without it, and goes on', async (t) => {
    await cluster.pause('b');
    await leases(t, 'without the node that is paused');
    await cluster.inView('b', 'a', false);
    await cluster.unpause('b');
    await cluster.inView('b', 'a', true);
    await cluster.ready('b');
  });

  test('a node has three capabilities at most, and says by itself that it is healthy', async () => {
    const output = await cluster.run('c', 'grep', '-E', '^(Uid|Cap(Prm|Eff|Bnd)|NoNewPrivs):', '/proc/1/status');
    const capabilities = (1 << 10 | 1 << 12 | 1 << 13).toString(16).padStart(16, '0');
    assert.deepEqual(output.trim().split('\n').map((line) => line.split('\t')), [
      ['Uid:', '10067', '10067', '10067', '10067'], ['CapPrm:', capabilities], ['CapEff:', capabilities], ['CapBnd:', capabilities], ['NoNewPrivs:', '1'],
    ]);
    assert.equal(await cluster.health('c'), 'healthy');
  });

  test('a node loses its network until the others do without it, and gets it back', async (t) => {
    await cluster.disconnect('c');
    await leases(t, 'without the node that is cut off');
    await cluster.inView('c', 'a', false);
    await cluster.reconnect('c');
    await cluster.inView('c', 'a', true);
    await cluster.ready('c');
  });

  test('an etcd member is lost', async (t) => {
    await cluster.kill('etcd-1');
    await leases(t, 'without an etcd member');
    await cluster.startAgain('etcd-1');
  });

  test('node by node is drained, replaced by the new version and let back, while clients come', async (t) => {
    const clients = new Clients(cluster);
    try {
      for (const [index, node] of NODES.entries()) {
        const other = NODES[(index + 1) % NODES.length]!;
        await cluster.run(other, 'lessor', 'drain', node);
        assert.equal(await cluster.removeNode(node), 0, 'it ended by itself at SIGTERM');
        await cluster.startNode(node, IMAGE);
        await cluster.run(other, 'lessor', 'undrain', node);
        await cluster.ready(node);
      }
    } finally {
      await clients.stop();
    }
    t.diagnostic(`${clients.served} clients meanwhile, the slowest after ${seconds(clients.slowestMs)}`);
    assert.deepEqual(clients.failures, []);
    assert.ok(clients.served > NODES.length);
    for (const node of NODES) {
      const status = await cluster.status(node);
      assert.equal(status.version, version);
      assert.equal(status.protocol.inForce, PROTOCOL.max);
      assert.equal(status.view?.members.length, NODES.length);
    }
  });

  test('all stores are equal, and no address was given to two clients', async (t) => {
    // Leases are told on the node's own host: its container.
    const asked = (node: (typeof NODES)[number]): { fetch(path: string): Promise<string> } => ({
      fetch: (path) => cluster.run(node, 'lessor', 'leases', '--json', '--config', '/etc/lessor/node.yaml', ...(path.includes('?address=') ? ['--address', path.split('=')[1]!] : [])),
    });
    for (const other of NODES.slice(1)) {
      const { bindings, differences } = await compareStores(asked(NODES[0]), asked(other));
      assert.deepEqual(differences, []);
      assert.ok(bindings >= cluster.leases.length);
    }
    // A client of the beginning still has what it had.
    const [first] = cluster.leases;
    await cluster.lease(first!.client);
    const holders = new Map<string, string>();
    for (const { client, address } of cluster.leases) {
      assert.equal(holders.get(address) ?? client, client, `${address} was given to two clients`);
      holders.set(address, client);
    }
    assert.equal(cluster.leases.at(-1)!.address, first!.address);
    t.diagnostic(`${holders.size} clients`);
  });

  /** Of several clients, as each node is to have some. */
  async function leases(t: TestContext, when: string): Promise<void> {
    const times: number[] = [];
    for (let client = 0; client < CLIENTS; client++) times.push(await cluster.lease());
    t.diagnostic(`${CLIENTS} leases ${when}, the slowest after ${seconds(Math.max(...times))}`);
  }
});

/** One new client after the other. */
class Clients {
  served = 0;
  slowestMs = 0;
  readonly failures: string[] = [];
  #stopping = false;
  readonly #ended: Promise<void>;

  constructor(cluster: ContainerCluster) {
    this.#ended = this.#run(cluster);
  }

  async #run(cluster: ContainerCluster): Promise<void> {
    while (!this.#stopping) {
      try {
        this.slowestMs = Math.max(this.slowestMs, await cluster.lease());
        this.served++;
      } catch (error) {
        this.failures.push((error as Error).message);
      }
      await sleep(LEASES_BETWEEN_MS);
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#ended;
  }
}
