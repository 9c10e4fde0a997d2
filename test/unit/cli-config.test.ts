/** The commands that change a cluster's configuration, before a real etcd and nodes that follow it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { encodeView } from '../../cluster/view/view.ts';
import { EtcdAsker, etcdMissing, startEtcd, type EtcdProcess } from '../support/etcd-process.ts';
import { type Ended, runLessor } from '../support/run-lessor.ts';
import { binding, leaseSource, startNode } from './admin-fixture.ts';

const BASE = `# The office.
nodes: { a: { weight: 1 }, b: { weight: 1 } }
subnets:
  - subnet: 10.0.0.0/8
    pools: [10.1.0.0-10.1.0.255]
    reservations:
      - { hardware: "02:00:00:00:00:01", address: 10.9.0.1, hostname: printer }
`;

let etcd: EtcdProcess;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lessor-cli-config-'));
  if (etcdMissing() === undefined) etcd = await startEtcd();
});
after(async () => {
  rmSync(folder, { recursive: true });
  if (etcdMissing() === undefined) await etcd.remove();
});

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const run = (...args: string[]): Promise<Ended> => runLessor(args);

/** A cluster of its own in the one etcd, and two nodes in it that take what is applied, once they are told to. */
class Cluster {
  readonly #asker: EtcdAsker;
  readonly config: string;
  readonly #name: string;
  #timer: NodeJS.Timeout | undefined;
  #step: Promise<void> = Promise.resolve();
  #stopped = false;
  /** What a node says of a revision that it cannot take. */
  refusal: string | undefined;
  asleep = false;

  static async start(context: TestContext, addresses: readonly number[] = []): Promise<Cluster> {
    const name = `c${Math.floor(Math.random() * 1e9)}`;
    const url = await startNode(context, { leases: leaseSource(new Map(addresses.map((address) => [address, binding()]))) });
    const cluster = new Cluster(name, url);
    context.after(() => cluster.#stop());
    await cluster.#asker.ready();
    return cluster;
  }

  private constructor(name: string, url: string) {
    this.#name = name;
    this.#asker = new EtcdAsker([etcd.endpoint], [], `/lessor/${name}/`);
    this.config = this.#nodeFile(url.replace('http://', ''));
  }

  #nodeFile(http: string): string {
    return file(`${this.#name}.yaml`, `node: a
dhcp: { interfaces: [lo] }
http: { listen: ${http} }
cluster: { name: ${this.#name}, listen: 127.0.0.1:7067, etcd: [${etcd.endpoint}] }
`);
  }

  /** Takes the port away at which the node is asked for leases. */
  withoutHttp(): void {
    this.#nodeFile('127.0.0.1:9');
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stopped = true;
    // What it asks at this moment is answered yet.
    await this.#step;
    await this.#asker.close();
  }

  lessor(...args: string[]): Promise<Ended> {
    return run(...args, '--config', this.config);
  }

  async put(key: string, value: Buffer): Promise<void> {
    await this.#asker.ask({ kind: 'txn', compares: [], then: [{ op: 'put', key, value }], otherwise: [], deadlineMs: 2000 });
  }

  async forget(prefix: string): Promise<void> {
    await this.#asker.ask({ kind: 'txn', compares: [], then: [{ op: 'delete-prefix', prefix }], otherwise: [], deadlineMs: 2000 });
  }

  async newest(): Promise<number> {
    const result = await this.#asker.ask({ kind: 'txn', compares: [], then: [{ op: 'get', key: 'config/revision' }], otherwise: [], deadlineMs: 2000 });
    assert.ok(result.outcome === 'txn');
    const [found] = result.reads[0]!;
    return found === undefined ? 0 : (JSON.parse(found.value.toString()) as { revision: number }).revision;
  }

  /** Both nodes are in the view, and follow etcd. */
  async follow(): Promise<void> {
    let loaded = 0;
    const step = async (): Promise<void> => {
      const revision = await this.newest();
      if (!this.asleep && this.refusal === undefined) loaded = revision;
      const refused = this.refusal === undefined || revision === loaded ? {} : { refused: { revision, error: this.refusal } };
      const members = [{ node: 'a', incarnation: 1 }, { node: 'b', incarnation: 2 }];
      for (const { node, incarnation } of members) {
        await this.put(`nodes/${node}`, Buffer.from(JSON.stringify({ incarnation, config: { loaded, prepared: loaded, ...(node === 'b' ? refused : {}) } })));
      }
      await this.put('view', encodeView({ epoch: 1 + loaded, generation: 1, members, slots: Array.from({ length: 256 }, (_, i) => i & 1), protocol: 1, configRevision: loaded, probeUntil: 0 }));
    };
    await step();
    const again = (): void => {
      this.#timer = setTimeout(() => {
        this.#step = step().then(() => (this.#stopped ? undefined : again()));
      }, 50);
    };
    again();
  }
}

describe('with etcd', { skip: etcdMissing() ?? false }, () => {
  test('the first configuration waits for the first node', async (context) => {
    const cluster = await Cluster.start(context);
    for (const [command, pattern] of [['show', /holds no configuration/], ['rollback', /holds no configuration/]] as const) {
      const { code, err } = await cluster.lessor('config', command);
      assert.equal(code, 1);
      assert.match(err, pattern);
    }
    assert.match((await cluster.lessor('config', 'history')).err, /No configuration yet/);
    const { code, out, err } = await cluster.lessor('config', 'apply', file('base.yaml', BASE), '--comment', 'to begin with');
    assert.equal(code, 0, err);
    assert.match(out, /the first configuration of this cluster/);
    assert.match(err, /no node is running: revision 1 comes into force when they start/);
    assert.equal((await cluster.lessor('config', 'show')).out, BASE);
    assert.match((await cluster.lessor('config', 'history')).out, /^1 +- +20\S+ +\S+@\S+ +\d+ +to begin with$/m);
    assert.match((await cluster.lessor('config', 'apply', file('base.yaml', BASE))).out, /nothing to do: it is revision 1/);
    assert.equal(await cluster.newest(), 1);
  });

  test('a new one is compared, written and waited for; one before comes back', async (context) => {
    const cluster = await Cluster.start(context);
    await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    await cluster.follow();
    const next = file('next.yaml', BASE.replace('10.1.0.255', '10.1.1.255').replace('printer', 'press'));
    assert.equal((await cluster.lessor('config', 'diff', next)).out,
      '- subnets[10.0.0.0/8].pools[10.1.0.0-10.1.0.255]: 10.1.0.0-10.1.0.255\n+ subnets[10.0.0.0/8].pools[10.1.0.0-10.1.1.255]: 10.1.0.0-10.1.1.255\n' +
      '~ subnets[10.0.0.0/8].reservations[02:00:00:00:00:01].hostname: printer → press\n');
    const dry = await cluster.lessor('config', 'apply', next, '--dry-run');
    assert.match(dry.out, /hostname: printer → press\nnothing was changed/);
    assert.equal(await cluster.newest(), 1);
    const { code, out, err } = await cluster.lessor('config', 'apply', next);
    assert.equal(code, 0, err);
    assert.match(out, /revision 2 is in force on a b\n$/);
    assert.match(err, /^revision 2 is written$/m);
    const json = JSON.parse((await cluster.lessor('config', 'rollback', '--json')).out) as object;
    assert.deepEqual({ ...json, changes: [] }, { changes: [], stranded: { total: 0, subnets: [] }, revision: 3, inForce: true, nodes: ['a', 'b'] });
    assert.equal((await cluster.lessor('config', 'show')).out, BASE);
    assert.equal((await cluster.lessor('config', 'diff', '1', '3')).out, 'no difference\n');
    assert.equal((JSON.parse((await cluster.lessor('config', 'diff', '2', '3', '--json')).out) as unknown[]).length, 3);
    const history = (await cluster.lessor('config', 'history', '--json')).out.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(history.map(({ revision, comment, inForce }) => [revision, comment, inForce]), [[3, 'back to revision 1', true], [2, '', false], [1, '', false]]);
    const missing = await cluster.lessor('config', 'rollback', '9');
    assert.equal(missing.code, 1);
    assert.match(missing.err, /no revision 9/);
    assert.equal((await cluster.lessor('config', 'show', 'x')).code, 2);
  });

  test('what is wrong is refused before anything is written', async (context) => {
    const cluster = await Cluster.start(context);
    await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    await cluster.follow();
    for (const [text, pattern] of [
      [BASE.replace('10.1.0.255', '11.1.0.255'), /^\S+wrong\.yaml:5:\d+: subnets\[0\]\.pools\[0\]: /m],
      [BASE.replace('subnets:', 'subnet:'), /unknown key; did you mean "?subnets/],
      [BASE.replace(/nodes.*\n/, ''), /expected the nodes of the cluster/],
      [BASE.replace(', b: { weight: 1 }', ''), /nodes: b is in service and not among the nodes/],
      [': [', /wrong\.yaml/],
    ] as const) {
      const { code, err } = await cluster.lessor('config', 'apply', file('wrong.yaml', text));
      assert.equal(code, 1, text);
      assert.match(err, pattern);
    }
    assert.equal((await cluster.lessor('config', 'apply', join(folder, 'absent.yaml'))).code, 1);
    assert.equal((await cluster.lessor('config', 'apply', file('base.yaml', `${BASE}# x\n`), '--timeout', 'soon')).code, 2);
    assert.equal(await cluster.newest(), 1);
  });

  test('what a node cannot take is told, with its reason, and can be taken back', async (context) => {
    const cluster = await Cluster.start(context);
    await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    await cluster.follow();
    cluster.refusal = 'revision 2:1:1: unknown key\nand another';
    const { code, err } = await cluster.lessor('config', 'apply', file('next.yaml', BASE.replace('printer', 'press')));
    assert.equal(code, 1);
    assert.match(err, /revision 2 cannot come into force; the one before stays:\n {2}b: revision 2:1:1: unknown key\n {4}and another\n.*rollback/);
    cluster.refusal = undefined;
    assert.equal((await cluster.lessor('config', 'rollback')).code, 0);
  });

  test('what is damaged in etcd is told, and another configuration can be applied', async (context) => {
    const cluster = await Cluster.start(context);
    await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    await cluster.lessor('config', 'apply', file('next.yaml', BASE.replace('printer', 'press')));
    await cluster.put('config/revisions/0000000001', Buffer.from('?'));
    const listed = await cluster.lessor('config', 'history');
    assert.equal(listed.code, 1);
    assert.match(listed.err, /config\/revisions\/0000000001 is no record.*config apply/);
    const third = await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    assert.equal(third.code, 0, third.err);
    assert.match(third.err, /old revisions were not cleared away: .*0000000001/);
    assert.equal(await cluster.newest(), 3);
    await cluster.forget('config/pieces/');
    for (const args of [['config', 'show'], ['reservation', 'list'], ['config', 'rollback']]) {
      const { code, err } = await cluster.lessor(...args);
      assert.equal(code, 1, err);
      assert.match(err, /etcd lacks piece 0 of configuration revision \d.*config apply FILE/);
    }
    const whole = await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    assert.equal(whole.code, 0, whole.err);
    assert.match(whole.out, /revision 3 cannot be compared with: etcd lacks piece 0/);
    assert.equal((await cluster.lessor('config', 'show')).out, BASE);
  });

  test('a wait that takes too long says for whom', async (context) => {
    const cluster = await Cluster.start(context);
    await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    await cluster.follow();
    cluster.asleep = true;
    const { code, err } = await cluster.lessor('config', 'apply', file('next.yaml', BASE.replace('printer', 'press')), '--timeout', '0.5');
    assert.equal(code, 1);
    assert.match(err, /ready on no node yet; waiting for a b\n[\s\S]*not in force after 0\.5 s: waiting for a b/);
    const quick = await cluster.lessor('config', 'apply', file('next.yaml', BASE.replace('printer', 'plotter')), '--no-wait');
    assert.deepEqual([quick.code, quick.out.split('\n').at(-2)], [0, 'revision 3 is written']);
  });

  test('active leases are stranded only where that is said', async (context) => {
    const cluster = await Cluster.start(context, [0x0a01_0005, 0x0a01_0006]);
    await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    await cluster.follow();
    const fewer = file('fewer.yaml', BASE.replace('10.1.0.0-10.1.0.255', '10.1.0.100-10.1.0.255'));
    const refused = await cluster.lessor('config', 'apply', fewer);
    assert.equal(refused.code, 1);
    assert.match(refused.out, /This strands 2 active leases: .*\n {2}10\.0\.0\.0\/8: 2 \(10\.1\.0\.5, 10\.1\.0\.6\)/);
    assert.match(refused.err, /--yes/);
    assert.equal((await cluster.lessor('config', 'apply', fewer, '--yes')).code, 0);
    cluster.withoutHttp();
    const unknown = await cluster.lessor('config', 'apply', file('none.yaml', BASE.replace('10.1.0.0-10.1.0.255', '10.1.0.200-10.1.0.255')));
    assert.equal(unknown.code, 3);
    assert.match(unknown.err, /gives out fewer addresses, and no node says which are in use: .*\n?.*--yes/);
    assert.equal((await cluster.lessor('config', 'apply', file('none.yaml', BASE.replace('10.1.0.0-10.1.0.255', '10.1.0.200-10.1.0.255')), '--yes')).code, 0);
  });

  test('reservations are added, changed, moved, listed and removed; the rest of the text stays', async (context) => {
    const cluster = await Cluster.start(context);
    const two = `${BASE}  - subnet: 192.168.0.0/24\n`;
    await cluster.lessor('config', 'apply', file('base.yaml', two));
    await cluster.follow();
    const lessor = async (...args: string[]): Promise<string> => {
      const { code, out, err } = await cluster.lessor('reservation', ...args);
      assert.equal(code, 0, err);
      return out;
    };
    assert.match(await lessor('add', '--hardware', '02:00:00:00:00:02', '--address', '10.9.0.2', '--hostname', 'phone', '--description', 'second floor'),
      /^\+ subnets\[10\.0\.0\.0\/8\]\.reservations\[02:00:00:00:00:02\]: .*\nrevision 2 is in force on a b$/m);
    const line = '      - { address: 10.9.0.2, hardware: "02:00:00:00:00:02", hostname: phone, description: "second floor" }\n';
    assert.equal((await cluster.lessor('config', 'show')).out, BASE + line + two.slice(BASE.length));
    assert.match(await lessor('add', '--hardware', '02:00:00:00:00:02', '--address', '10.9.0.2', '--hostname', 'phone', '--description', 'second floor'), /nothing to do: revision 2/);
    await lessor('change', '10.9.0.2', '--hostname', 'fax', '--clear', 'description');
    await lessor('change', '02:00:00:00:00:02', '--address', '192.168.0.9');
    assert.match(await lessor('list'), /^192\.168\.0\.9 +02:00:00:00:00:02 +192\.168\.0\.0\/24 +fax +-$/m);
    assert.deepEqual((await lessor('list', '--subnet', '192.168.0.0/24', '--json')).trim().split('\n').map((text) => JSON.parse(text) as object),
      [{ in: '192.168.0.0/24', address: '192.168.0.9', hardware: '02:00:00:00:00:02', hostname: 'fax' }]);
    assert.match(await lessor('show', '192.168.0.9'), /^in: +192\.168\.0\.0\/24\naddress: +192\.168\.0\.9\n/);
    await lessor('add', '--file', file('many.jsonl', Array.from({ length: 30 }, (_, i) => JSON.stringify({ hardware: `02:00:00:00:01:${String(i).padStart(2, '0')}`, address: `10.9.1.${i}` })).join('\n')));
    await lessor('change', '--file', file('some.yaml', '- { hardware: "02:00:00:00:01:00", hostname: first }\n- { hardware: "02:00:00:00:01:01", hostname: second, description: x }\n'));
    await lessor('remove', '--file', file('gone.yaml', Array.from({ length: 28 }, (_, i) => `- { address: 10.9.1.${i + 2} }`).join('\n')));
    await lessor('remove', '192.168.0.9');
    assert.deepEqual((await lessor('list', '--json')).trim().split('\n').map((text) => (JSON.parse(text) as { hostname: string }).hostname), ['printer', 'first', 'second']);
    assert.equal(await cluster.newest(), 8);
    assert.match((await cluster.lessor('config', 'show')).out, /^# The office\./);
  });

  test('reservations that cannot be are refused, each in its way', async (context) => {
    const cluster = await Cluster.start(context);
    await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    for (const [args, expected, pattern] of [
      [['add', '--hardware', '02:00:00:00:00:02', '--address', '172.16.0.1'], 1, /no subnet has 172\.16\.0\.1/],
      [['add', '--hardware', '02:00:00:00:00:02', '--address', '10.9.0.1'], 1, /expected each address once/],
      [['add', '--hardware', '02:00:00:00:00:01', '--address', '10.9.0.2'], 1, /expected each client once/],
      [['add', '--address', '10.9.0.2'], 1, /expected who it is for/],
      [['add', '--hardware', 'x', '--address', '10.9.0.2'], 1, /expected who it is for/],
      [['add', '--hardware', '02:00:00:00:00:02', '--subnet', '10.0.0.0/9'], 1, /no subnet 10\.0\.0\.0\/9/],
      [['add', '--hardware', '02:00:00:00:00:02', '--file', 'x'], 2, /either --file or/],
      [['add', '--file', file('bad.json', '{ "hardware": ')], 1, /no JSON object/],
      [['add', '--file', file('map.yaml', 'a: 1')], 1, /expected a list of reservations/],
      [['change', '10.9.0.9', '--hostname', 'x'], 1, /no reservation for 10\.9\.0\.9/],
      [['change', '10.9.0.1'], 2, /expected what is to be changed/],
      [['change'], 2, /expected which one/],
      [['remove'], 2, /expected which one/],
      [['remove', '02:00:00:00:00:09'], 1, /no reservation for/],
      [['show', '10.9.0.9'], 1, /no reservation for/],
    ] as const) {
      const { code, err } = await cluster.lessor('reservation', ...args);
      assert.equal(code, expected, `${args.join(' ')}: ${err}`);
      assert.match(err, pattern);
    }
    assert.equal(await cluster.newest(), 1);
  });

  test('tools that reserve at the same time do not lose each other\'s reservations', async (context) => {
    const cluster = await Cluster.start(context);
    await cluster.lessor('config', 'apply', file('base.yaml', BASE));
    await cluster.follow();
    const ended = await Promise.all([1, 2, 3].map((i) => cluster.lessor('reservation', 'add', '--hardware', `02:00:00:00:05:0${i}`, '--address', `10.9.5.${i}`)));
    assert.deepEqual(ended.map(({ code }) => code), [0, 0, 0], ended.map(({ err }) => err).join('\n'));
    assert.equal((await cluster.lessor('reservation', 'list', '--json')).out.trim().split('\n').length, 4);
    assert.equal(await cluster.newest(), 4);
  });
});

test('a single node is told what to do instead', async () => {
  const config = file('single.yaml', 'node: a\ndhcp: { interfaces: [lo] }\nconfig: ./cluster.yaml\n');
  for (const args of [['config', 'apply', 'x'], ['config', 'history'], ['reservation', 'list']]) {
    const { code, err } = await run(...args, '--config', config);
    assert.equal(code, 1);
    assert.match(err, /has no cluster: this is a single node.*cluster\.yaml.*SIGHUP/);
  }
});
