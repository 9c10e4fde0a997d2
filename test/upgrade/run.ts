/**
 * A rolling upgrade and downgrade under load: each node in turn is drained, ended, started as a build of the
 * next protocol version, and let in again; then the same downwards; then one that shares no version with the others.
 *
 * A build of the next version is this one; the one before is this one, held at the version before by `cluster.protocolMax`.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { PROTOCOL } from '../../node/protocol.ts';
import type { ClusterNode } from '../support/cluster-node.ts';
import { ClusterWorld, nodeAddress } from '../support/cluster-world.ts';
import { sleep, waitUntil } from '../../deploy/lab/processes.ts';
import { UpgradeLoad } from './load.ts';
import type { LoadReport } from './load-client.ts';
import { ViewHistory } from './view-history.ts';

const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const ROOT = '/lessor/world/';
const RELAY = '10.80.0.1';
const LOAD_ADDRESS = '10.77.0.31';
const NORMAL_MS = 60_000;
const HOLD_MS = 120_000;
const REFUSED_MS = 20_000;
const EXIT_MS = 10_000;

export interface UpgradeOptions {
  readonly nodes: 2 | 3;
  /** Four-way exchanges a second. */
  readonly rate: number;
  /** Clients that hold a lease and renew it. */
  readonly holders: number;
  readonly leaseSeconds: number;
  /** Under load between two steps. */
  readonly restMs: number;
  /** Which nodes are taken back to the version before; all where it is not given. */
  readonly downwards?: readonly string[];
  readonly print: (line: string) => void;
}

export interface UpgradeResult {
  readonly report: LoadReport;
  /** Versions in force, one after the other. */
  readonly versions: readonly number[];
  /** What must not be, in words; empty: all held. */
  readonly broken: readonly string[];
}

/** Lines of node.yaml that make a build of it. */
const BUILDS = { old: `protocolMax: ${PROTOCOL.max - 1}`, next: '', 'only next': `protocolMin: ${PROTOCOL.max}` } as const;
type Build = keyof typeof BUILDS;

function configure(node: ClusterNode, build: Build): void {
  node.configure((config) => {
    const plain = config.replaceAll(/^ {2}protocol.*\n/gm, '');
    const line = BUILDS[build];
    return line === '' ? plain : plain.replace(/^( {2}sessionTtl: .*\n)/m, `$1  ${line}\n`);
  });
}

function count(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].length;
}

export class Upgrade {
  readonly #options: UpgradeOptions;
  readonly #world: ClusterWorld;
  readonly #broken: string[] = [];
  /** The newest version that each node speaks, of those that are not just being replaced. */
  readonly #speaks = new Map<string, number>();
  #load!: UpgradeLoad;
  #views!: ViewHistory;

  constructor(options: UpgradeOptions, handleSignals: boolean) {
    this.#options = options;
    this.#world = new ClusterWorld({
      nodes: options.nodes, hosts: [{ name: 'load', addresses: [`${LOAD_ADDRESS}/16`] }], handleSignals,
      configuration: `leaseTime: ${options.leaseSeconds}s\nauthoritative: true\nsubnets:\n  - subnet: 10.80.0.0/16\n    pools: [10.80.4.0-10.80.255.254]\n`,
    });
  }

  remove(): Promise<void> {
    return this.#world.remove();
  }

  /** The last log lines of each node. */
  get logs(): string {
    return this.#world.nodes.map((node) => `node ${node.name}:\n${node.lastLines.split('\n').slice(-40).join('\n')}`).join('\n\n');
  }

  async run(): Promise<UpgradeResult> {
    const { downwards, nodes, print } = this.#options;
    await this.#begin();
    const names = this.#world.nodes.map(({ name }) => name);
    for (const name of names) await this.#replace(name, 'next');
    for (const name of downwards ?? names) await this.#replace(name, 'old');
    // Those that are left at the newer version: an unclean mix needs a cluster at the older one.
    for (const name of names.filter((each) => !(downwards ?? names).includes(each))) configure(this.#world.node(name), 'old');
    await this.#refused(names.at(-1)!);
    print(`the last renewals, of ${nodes} nodes' clients`);
    const report = await this.#load.finish();
    this.#judge(report);
    return { report, versions: this.#views.versions(), broken: this.#broken };
  }

  #judge(report: LoadReport): void {
    for (const { exchange, lost, name, renewal } of report.buckets) {
      if (exchange.failed > 0) this.#broken.push(`${name}: ${exchange.failed} exchanges were not answered by the second try`);
      if (renewal.failed > 0) this.#broken.push(`${name}: ${renewal.failed} renewals were not answered by the second try`);
      for (const [how, count] of Object.entries(lost)) this.#broken.push(`${name}: ${count} leases were lost: ${how}`);
    }
    this.#broken.push(...report.duplicates, ...this.#views.mistakes());
  }

  // ── steps ────────────────────────────────────────────────────────────────────────────────────

  async #begin(): Promise<void> {
    const { holders, print, rate, restMs } = this.#options;
    const load = this.#world.host('load');
    load.ip(`address add ${RELAY}/32 dev lo`);
    load.ip('route add local 10.80.0.0/16 dev lo');
    for (const node of this.#world.nodes) {
      node.host.ip(`route add 10.80.0.0/16 via ${LOAD_ADDRESS}`);
      configure(node, 'old');
      this.#speaks.set(node.name, PROTOCOL.max - 1);
    }
    await this.#world.start(NORMAL_MS);
    this.#views = new ViewHistory(this.#world.host('e1'), ROOT);
    this.#load = await UpgradeLoad.start(load, { relay: RELAY, servers: this.#world.nodes.map(({ name }) => nodeAddress(name)) });
    this.#load.tell({ do: 'hold', count: holders });
    await waitUntil(`${holders} clients have a lease`, HOLD_MS, async () => ((await this.#load.report()).holding >= holders ? true : undefined));
    print(`${holders} clients hold a lease, which they renew after ${this.#options.leaseSeconds / 2} s`);
    this.#load.tell({ do: 'rate', perSecond: rate });
    await this.#step('nothing', () => sleep(restMs));
    await this.#inForce(PROTOCOL.max - 1);
  }

  async #step(name: string, work: () => Promise<unknown>): Promise<void> {
    const began = performance.now();
    this.#load.tell({ do: 'bucket', name });
    await work();
    const { bucket, stalls } = await this.#load.latest();
    this.#options.print(`${name}: ${((performance.now() - began) / 1000).toFixed(1)} s, ${bucket.exchange.ended} exchanges, ` +
      `${bucket.exchange.secondTry} after one retransmission, ${bucket.exchange.failed} failed; ${bucket.renewal.ended} renewals` +
      (stalls > 0 ? ` (the load was held up ${stalls} times so far)` : ''));
  }

  /** Out, another build, in again: as the runbook has it. */
  async #replace(name: string, build: Build): Promise<void> {
    const node = this.#world.node(name);
    const version = build === 'old' ? PROTOCOL.max - 1 : PROTOCOL.max;
    await this.#step(`${name} becomes version ${version}`, async () => {
      this.#speaks.delete(name);
      // The last old one is gone as soon as it is out.
      assert.equal(await this.#drain(name), Math.min(...this.#speaks.values()), `version in force without ${name}`);
      this.#speaks.set(name, version);
      assert.equal(await node.stop(), 0, `node ${name} ended`);
      configure(node, build);
      node.start();
      await waitUntil(`${name} is DRAINING`, NORMAL_MS, async () => ((await node.status())?.state === 'DRAINING' ? true : undefined));
      await this.#lessor(name, 'undrain', name);
      await this.#world.waitForNormal(NORMAL_MS);
      await this.#inForce(Math.min(...this.#speaks.values()));
      await sleep(this.#options.restMs);
    });
  }

  /** By the command, on another node's host. The version that is in force without it. */
  async #drain(name: string): Promise<number> {
    const other = this.#world.nodes.find((node) => node.name !== name && node.running)!;
    const output = await this.#lessor(other.name, 'drain', name, '--reason', 'upgrade');
    assert.match(output, new RegExp(`^${name} is out of service; .* It keeps running, in state DRAINING`, 'm'));
    assert.equal(await this.#world.node(name).ready(), false);
    const status = await other.status();
    assert(status !== undefined, `node ${other.name} answers`);
    assert.deepEqual(status.drains.map(({ node, reason, standing }) => [node, reason, standing]), [[name, 'upgrade', 'out']]);
    return status.protocol.inForce;
  }

  async #inForce(expected: number): Promise<void> {
    const statuses = await this.#world.statuses();
    assert.deepEqual(statuses.map((status) => status?.protocol.inForce), statuses.map(() => expected), 'the version in force');
  }

  /** A build that speaks only the next version, beside a cluster at the version before. */
  async #refused(name: string): Promise<void> {
    const node = this.#world.node(name);
    const others = this.#world.nodes.filter((each) => each !== node);
    await this.#step(`${name} speaks only version ${PROTOCOL.max}`, async () => {
      await this.#drain(name);
      assert.equal(await node.stop(), 0);
      configure(node, 'only next');
      node.start();
      await this.#lessor(others[0]!.name, 'undrain', name, '--no-wait');
      await waitUntil(`${name} is refused`, REFUSED_MS, () => (node.lastLines.includes('"protocol.refused"') ? true : undefined));
      await sleep(Math.max(3000, this.#options.restMs));
      assert.equal(count(node.lastLines, /"protocol\.refused"/g), 1, 'told once');
      assert.equal(count(node.lastLines, /"protocol\.peer-refused"/g), others.length, 'told once of each member');
      for (const other of others) assert.equal(count(other.lastLines, new RegExp(`"protocol\\.peer-refused".*"peer":"${name}"`, 'g')), 1);
      assert.match(await this.#lessor(name, 'status'), new RegExp(`^protocol: .*this node speaks ${PROTOCOL.max}; NOT LET IN: it speaks protocol ${PROTOCOL.max}, the members a (?:1 to )?${PROTOCOL.max - 1}`, 'm'));
      assert.match(await this.#lessor(others[0]!.name, 'status'), new RegExp(`^${name} .* ${PROTOCOL.max}$`, 'm'));
      assert.equal(this.#views.latest!.members.some((member) => member.node === name), false);
      assert.equal(await node.ready(), false);
      await node.stop();
      configure(node, 'old');
      node.start();
      await this.#world.waitForNormal(NORMAL_MS);
    });
  }

  async #lessor(host: string, ...args: string[]): Promise<string> {
    const node = this.#world.node(host);
    const { stderr, stdout } = await node.host.exec([process.execPath, entry, ...args, '--config', node.configFile], {
      env: { NODE_COMPILE_CACHE: join(this.#world.folder, 'compiled') }, timeoutMs: NORMAL_MS + EXIT_MS,
    });
    return stdout + stderr;
  }
}
