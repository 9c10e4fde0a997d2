/** The cluster and the clients that the cases share; healthy at the beginning and at the end of each. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rfc3074Hash } from '../../node/allocation/rfc3074.ts';
import { homeTable } from '../../cluster/view/slots.ts';
import { LabProcess, sleep, waitUntil } from '../../deploy/lab/processes.ts';
import type { ClusterNode } from '../support/cluster-node.ts';
import { ClusterWorld } from '../support/cluster-world.ts';
import type { EtcdMember } from '../support/etcd-member.ts';
import { Askers } from './askers.ts';

const HELD = 300;
const HOLD_MS = 30_000;
const HEALTHY_MS = 30_000;
const AFTER_MS = 300;

/** Of a log line, besides those of its event. */
const COMMON_FIELDS: readonly string[] = ['time', 'self', 'event', 'level', 'message'];

export const LEASE_SECONDS = 3600;
export const LOAD_HOST = 'load';
export const CLIENTS_HOST = 'clients';
const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');

export class Stage {
  readonly world: ClusterWorld;
  #askers!: Askers;
  #noise: LabProcess | undefined;
  readonly #told = new Set<string>();
  #weights: Readonly<Record<string, number>>;

  constructor(nodes: number) {
    this.world = new ClusterWorld({
      nodes, leaseTime: `${LEASE_SECONDS}s`, ownClocks: true, handleSignals: false,
      hosts: [{ name: CLIENTS_HOST }, { name: LOAD_HOST, addresses: ['10.77.0.31/16'] }],
    });
    this.#weights = Object.fromEntries(this.world.nodes.map(({ name }) => [name, 1]));
  }

  get askers(): Askers {
    return this.#askers;
  }

  async begin(): Promise<void> {
    this.#noise = new LabProcess('noise', [process.execPath, join(import.meta.dirname, 'noise.ts'), this.world.folder], { input: true });
    await Promise.all([this.world.start(), this.#noise.waitForLine(/^ready/, HEALTHY_MS)]);
    this.#askers = new Askers(this.world.host(CLIENTS_HOST));
    await this.#askers.ready();
    await this.#askers.hold(HELD, HOLD_MS);
  }

  /** Ends and removes everything. */
  async remove(): Promise<void> {
    await Promise.all([this.world.remove(), this.#noise?.kill()]);
  }

  /** The worst ms, since this was asked last, that a small write to the disk took. */
  async flushWorstMs(): Promise<number> {
    const answer = this.#noise!.nextLine(/^\d/, HEALTHY_MS);
    this.#noise!.write('');
    return Number(await answer);
  }

  // ── who is who ───────────────────────────────────────────────────────────────────────────────

  /** The node that holds the election key. */
  async leader(): Promise<ClusterNode> {
    return waitUntil('a leader', HEALTHY_MS, async () => {
      const statuses = await this.world.statuses();
      return this.world.nodes.find((_, i) => statuses[i]?.role === 'leader');
    });
  }

  async follower(): Promise<ClusterNode> {
    const leader = await this.leader();
    return this.world.nodes.find((node) => node !== leader)!;
  }

  except(node: ClusterNode): ClusterNode[] {
    return this.world.nodes.filter((other) => other !== node);
  }

  async etcdLeader(): Promise<EtcdMember> {
    return waitUntil('a leader of etcd', HEALTHY_MS, () => this.world.etcdLeader());
  }

  /** The node that each slot belongs to while all is well. */
  homes(): readonly string[] {
    return homeTable(this.world.nodes.map(({ name }) => ({ id: name, weight: this.#weights[name]! })));
  }

  /** A hardware address, in hex, of a client that this node serves; another one for each number. */
  hardwareOf(node: ClusterNode, number: number): string {
    const homes = this.homes();
    const bytes = Buffer.from([0x02, 0x4c, 0x42, number, 0, 0]);
    for (let i = 0; ; i++) {
      bytes.writeUInt16BE(i, 4);
      if (homes[rfc3074Hash(bytes)] === node.name) return bytes.toString('hex');
    }
  }

  /** What is lost stays so: it is told by the case that lost it. */
  notTold(losses: readonly string[]): string[] {
    const fresh = losses.filter((loss) => !this.#told.has(loss));
    for (const loss of fresh) this.#told.add(loss);
    return fresh;
  }

  // ── the cluster ──────────────────────────────────────────────────────────────────────────────

  async healthy(): Promise<void> {
    await this.world.waitForNormal(HEALTHY_MS);
  }

  /** These are the view, and serve. */
  async serving(nodes: readonly ClusterNode[]): Promise<void> {
    const names = nodes.map(({ name }) => name).join(' ');
    await waitUntil(`${names} in a view by themselves`, HEALTHY_MS, async () => {
      const statuses = await Promise.all(nodes.map((node) => node.status()));
      if (!statuses.every((status) => status?.view?.members.map(({ node }) => node).join(' ') === names)) return undefined;
      return (await Promise.all(nodes.map((node) => node.ready()))).every(Boolean) ? true : undefined;
    });
  }

  /** All members of etcd follow one leader: one that comes back makes them elect another, if it was cut off and is ahead in terms. */
  async etcdSettled(): Promise<void> {
    await waitUntil('etcd of one mind', HEALTHY_MS, async () => {
      const standings = await Promise.all(this.world.etcd.map((member) => member.standing()));
      const minds = new Set(standings.map((standing) => `${standing?.leader ?? 0} ${standing?.term ?? 0}`));
      return minds.size === 1 && (standings[0]?.leader ?? 0) !== 0 ? true : undefined;
    });
  }

  /** Resolves a moment after the others have taken over from it. */
  async takenOver(victim: ClusterNode): Promise<void> {
    await this.serving(this.except(victim));
    await sleep(AFTER_MS);
  }

  /** These hosts and all others on the segment do not hear each other any more. */
  async silence(hosts: readonly string[]): Promise<void> {
    const inside = hosts.map((name) => this.world.host(name));
    const outside = this.world.network.hosts.filter((host) => !inside.includes(host));
    await this.world.links.setBoth(inside, outside, { lossPercent: 100 });
  }

  /** By the command, while the cluster serves. */
  async setWeights(weights: Readonly<Record<string, number>>): Promise<void> {
    const node = this.world.nodes[0]!;
    const before = readFileSync(join(this.world.folder, 'cluster.yaml'), 'utf8');
    const nodes = Object.entries(weights).map(([name, weight]) => `${name}: { weight: ${weight} }`).join(', ');
    const file = join(this.world.folder, 'weights.yaml');
    writeFileSync(file, before.replace(/^nodes: .*$/m, `nodes: { ${nodes} }`));
    await node.host.exec([process.execPath, entry, 'config', 'apply', file, '--yes', '--config', join(this.world.folder, `node-${node.name}.yaml`)]);
    this.#weights = weights;
    await this.healthy();
  }

  /** What the nodes logged between two moments, oldest first: `[ms after the first] node event fields`. */
  timeline(from: number, to: number): string[] {
    const entries = this.world.nodes.flatMap((node) => node.lastLines.split('\n').flatMap((line) => {
      if (!line.startsWith('{')) return [];
      const entry = JSON.parse(line) as Record<string, string | number>;
      const at = Date.parse(String(entry['time']));
      const fields = Object.entries(entry).filter(([name]) => !COMMON_FIELDS.includes(name)).map(([name, value]) => ` ${name}=${value}`);
      return at < from || at > to ? [] : [{ at, text: `${node.name} ${String(entry['event'])}${fields.join('')}` }];
    }));
    return entries.toSorted((one, other) => one.at - other.at).map(({ at, text }) => `${(at - from).toFixed(0).padStart(7)} ${text}`);
  }
}
