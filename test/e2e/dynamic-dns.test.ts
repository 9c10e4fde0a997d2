/** Names in DNS follow the leases of a real pair, into a real BIND and a real Knot, whatever dies in between. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import { sleep, waitUntil } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import { keyFileText, NameServer, needsNameServers, TEST_KEY } from '../support/name-server.ts';
import type { NameServerKind, TestKey } from '../support/name-server.ts';
import { needs, ServedNetwork } from '../support/served-network.ts';
import type { ServedNode } from '../support/served-network.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';

const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const FORWARD = 'lan.test.';
const REVERSE = '1.10.in-addr.arpa.';
const LEASE_SECONDS = 8;
const IN_TIME_MS = 15_000;
/** The nodes hold it, and the name server knows another secret by its name. */
const OTHER_KEY: TestKey = { ...TEST_KEY, name: 'lessor-other', secret: Buffer.alloc(32, 'another').toString('base64') };
const WRONG_KEY: TestKey = { ...OTHER_KEY, secret: Buffer.alloc(32, 'wrong').toString('base64') };

const missing = needsNameServers('bind', 'knot').skip ?? needs('etcd', 'dhclient', 'nft').skip;
const skipped = missing === undefined ? {} : { skip: missing };

class Stage {
  readonly served: ServedNetwork;
  readonly server: NameServer;
  readonly #keys: string;

  private constructor(served: ServedNetwork, server: NameServer, keys: string) {
    this.served = served;
    this.server = server;
    this.#keys = keys;
  }

  static async start(kind: NameServerKind, clients: readonly string[]): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), 'lessor-dns-'));
    const keys = join(folder, 'dns.keys');
    writeFileSync(keys, keyFileText(TEST_KEY) + keyFileText(OTHER_KEY), { mode: 0o600 });
    const served = await ServedNetwork.start({ nodes: ['a', 'b'], clients: ['dns', ...clients], configuration: configuration(), nodeSettings: `dnsKeys: [${keys}]\n` });
    try {
      served.host('dns').ip('address add 10.1.0.53/16 dev eth0');
      const server = await NameServer.start({ kind, host: served.host('dns'), address: '10.1.0.53', zones: [
        { name: FORWARD, updates: TEST_KEY, records: ['printer A 10.1.0.9'] }, { name: REVERSE, updates: TEST_KEY, records: ['9.0 PTR printer.lan.test.'] },
        { name: 'wrong.test.', updates: WRONG_KEY }, { name: 'closed.test.', updates: 'nobody' },
      ], transferKey: TEST_KEY });
      return new Stage(served, server, folder);
    } catch (error) {
      await served.remove();
      throw error;
    }
  }

  client(host: string, hostname: string): RealClient {
    return new RealClient({ kind: 'dhclient', host: this.served.host(host), folder: join(this.served.folder, host, hostname), hostname });
  }

  /** What the zones hold beside what was there from the start: "alpha 10.1.16.1" of each name, "1.16 alpha" of each address. */
  async names(): Promise<string[]> {
    const forward = (await this.server.dump(FORWARD)).filter((record) => record.includes(' A ') && !record.startsWith('printer.')).map((record) => {
      const [name = '', , , address = ''] = record.split(' ');
      return `${name.slice(0, -FORWARD.length - 1)} ${address}`;
    });
    const reverse = (await this.server.dump(REVERSE)).filter((record) => !record.startsWith('9.0.')).map((record) => {
      const [name = '', , , target = ''] = record.split(' ');
      return `${name.slice(0, -REVERSE.length - 1)} ${target.slice(0, -FORWARD.length - 1)}`;
    });
    return [...forward, ...reverse].toSorted();
  }

  /** Until the zones hold exactly the names of these clients, both ways. */
  async holdsExactly(what: string, clients: Readonly<Record<string, string>>): Promise<void> {
    const wanted = Object.entries(clients).flatMap(([name, address]) => [`${name} ${address}`, `${address.split('.').slice(2).toReversed().join('.')} ${name}`]).toSorted();
    let seen: string[] = [];
    try {
      await waitUntil(what, IN_TIME_MS, async () => {
        seen = await this.names();
        return seen.join() === wanted.join() ? true : undefined;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; wanted ${wanted.join(', ')}; the zones hold ${seen.join(', ')}\n${this.served.nodes.map(({ output }) => output).join('\n')}`, { cause: error });
    }
    // Whose name it is stands beside it, once for each.
    const dhcids = (await this.server.dump(FORWARD)).filter((record) => record.includes(' DHCID '));
    assert.deepEqual(dhcids.map((record) => record.split(' ', 1).join()).toSorted((x, y) => x.localeCompare(y)), Object.keys(clients).map((name) => `${name}.${FORWARD}`).toSorted((x, y) => x.localeCompare(y)));
    assert.deepEqual((await this.server.dump(FORWARD)).filter((record) => record.startsWith('printer.')), ['printer.lan.test. 3600 A 10.1.0.9']);
  }

  async ownerOf(address: string): Promise<ServedNode> {
    const [lease] = await this.served.nodes[0]!.leases(`?address=${address}`);
    return this.served.nodes.find(({ name }) => name === lease?.owner)!;
  }

  /** The name server hears what it is asked, and its answers are lost. */
  async loseAnswers(lost: boolean): Promise<void> {
    const { command, env } = requireProgram('nft');
    const rules = ['udp sport 53 drop', 'tcp sport 53 drop'].map((rule) => `add rule inet lost out ${rule};`).join(' ');
    const made = `add table inet lost; add chain inet lost out { type filter hook output priority 0; }; ${rules}`;
    await this.served.host('dns').exec([command, lost ? made : 'delete table inet lost'], { env });
  }

  /** What both nodes say: each knows of its own addresses. */
  async status(): Promise<string> {
    const said = await Promise.all(this.served.nodes.map(async ({ host, name }) => {
      const words = [process.execPath, entry, 'dns', 'status', '--config', join(this.served.folder, `node-${name}.yaml`)];
      const command = host.spawn(words, { name: `status ${name}`, cwd: this.served.folder });
      await command.exited;
      return command.output;
    }));
    return said.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.remove();
    await this.served.remove();
    rmSync(this.#keys, { recursive: true, force: true });
  }
}

function configuration(): string {
  const zone = (name: string, key: string): string => `    - { zone: ${name}, servers: [10.1.0.53], key: ${key} }`;
  return `leaseTime: ${LEASE_SECONDS}s
authoritative: true
maxClockSkew: 1s
dns:
  updates: true
  suffix: lan.test
  zones:
${[zone('lan.test', TEST_KEY.name), zone('1.10.in-addr.arpa', TEST_KEY.name), zone('wrong.test', OTHER_KEY.name), zone('closed.test', OTHER_KEY.name)].join('\n')}
subnets:
  - subnet: 10.1.0.0/16
    pools: [10.1.16.1-10.1.16.4]
    options: { routers: [10.1.0.2] }
`;
}

test('the zones of BIND hold exactly the names of the active leases of a pair', skipped, async (t) => {
  await using stage = await Stage.start('bind', ['one', 'two', 'three', 'four']);
  const { served, server } = stage;
  const [a, b] = served.nodes as [ServedNode, ServedNode];
  const addresses: Record<string, string> = {};
  const leased = async (client: RealClient): Promise<string> => (await client.waitForLease(IN_TIME_MS)).address;
  const clients: RealClient[] = [];

  await t.test('a name is added, and follows its client to another name', async () => {
    const first = stage.client('one', 'alpha');
    addresses['alpha'] = await leased(first);
    await stage.holdsExactly('alpha is there', addresses);
    await first.stop();
    const second = stage.client('one', 'Beta');
    clients.push(second);
    assert.equal(await leased(second), addresses['alpha'], 'the same client, the same address');
    addresses['beta'] = addresses['alpha']!;
    delete addresses['alpha'];
    await stage.holdsExactly('beta is there instead', addresses);
  });

  await t.test('the name of somebody who stands in the zone by hand stays theirs', async () => {
    const printer = stage.client('two', 'printer');
    const address = await leased(printer);
    await waitUntil('the conflict is known', IN_TIME_MS, async () => (JSON.stringify(await a.leases(`?address=${address}`)).includes('conflict') ? true : undefined));
    await stage.holdsExactly('nothing was touched', addresses);
    await printer.release(IN_TIME_MS);
  });

  await t.test('an owner that is killed before it has told the name server is followed by the other node', async () => {
    server.pause();
    const client = stage.client('three', 'gamma');
    clients.push(client);
    addresses['gamma'] = await leased(client);
    const owner = await stage.ownerOf(addresses['gamma']);
    await owner.kill();
    server.resume();
    await stage.holdsExactly('the heir has added gamma', addresses);
    owner.start();
    await owner.ready();
    await served.inOneView();
  });

  await t.test('an update whose answer was lost with its sender is made again, to the same end', async () => {
    await stage.loseAnswers(true);
    const client = stage.client('four', 'delta');
    clients.push(client);
    addresses['delta'] = await leased(client);
    const owner = await stage.ownerOf(addresses['delta']);
    await waitUntil('BIND has made the update', IN_TIME_MS, () => (server.log.includes("adding an RR at 'delta.lan.test' A") ? true : undefined));
    await owner.kill();
    await stage.loseAnswers(false);
    await stage.holdsExactly('delta is there once', addresses);
    owner.start();
    await owner.ready();
    await served.inOneView();
  });

  await t.test('a release takes the name out, also where the name server is down', async () => {
    await server.kill();
    await clients[1]!.release(IN_TIME_MS);
    delete addresses['gamma'];
    await waitUntil('the failing zone shows', IN_TIME_MS, async () => (/lan\.test/.test(await stage.status()) ? true : undefined));
    await server.restart();
    await stage.holdsExactly('gamma is gone', addresses);
  });

  await t.test('leases that end while both nodes are down leave no name behind, and the next client gets its own', async () => {
    for (const client of clients) await client.stop();
    for (const node of [a, b]) await node.kill();
    await sleep((LEASE_SECONDS + 1) * 1000);
    for (const node of [a, b]) node.start();
    await Promise.all([a.ready(), b.ready()]);
    await stage.holdsExactly('all is gone', {});
    // All addresses of the pool in turn: whoever had one before, its name is the new client's.
    const others = await Promise.all(['one', 'two', 'three', 'four'].map(async (host, i) => [`other-${i}`, await leased(stage.client(host, `other-${i}`))]));
    await stage.holdsExactly('the names of the new clients', Object.fromEntries(others) as Record<string, string>);
  });
});

test('a key that the server knows otherwise and a zone that refuses are told of, and hold up no other', skipped, async () => {
  await using stage = await Stage.start('knot', ['one', 'two', 'three']);
  for (const [host, name] of [['one', 'x.wrong.test'], ['two', 'y.closed.test']] as const) await stage.client(host, name).waitForLease(IN_TIME_MS);
  const good = (await stage.client('three', 'good').waitForLease(IN_TIME_MS)).address;
  const names = await waitUntil('good is there', IN_TIME_MS, async () => {
    const seen = await stage.names();
    return seen.includes(`good ${good}`) ? seen : undefined;
  });
  assert.ok(!names.some((name) => name.includes('x.') || name.includes('y.')), names.join());
  let told = '';
  await waitUntil('both are told of', IN_TIME_MS, async () => {
    told = await stage.status();
    return told.includes('wrong.test') && told.includes('closed.test') ? true : undefined;
  }).catch((error: unknown) => assert.fail(`${String(error)}:\n${told}\n${stage.served.nodes.map(({ output }) => output).join('\n')}`));
});
