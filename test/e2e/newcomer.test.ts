/**
 * The procedures of deploy/runbooks, followed as they are written by somebody who has only these pages: three bare hosts become a
 * cluster. Each host is a network namespace with a file system of its own.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Guardian } from '../../deploy/lab/guardian.ts';
import { Network, whyNoNetwork } from '../../deploy/lab/netns.ts';
import { sleep, waitUntil } from '../../deploy/lab/processes.ts';
import { missingPrograms, requireProgram } from '../../deploy/lab/programs.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import type { NodeStatus } from '../../node/admin/status.ts';
import { VERSION } from '../../node/version.ts';
import { OverlayHost } from '../support/overlay-host.ts';
import { followPage } from '../support/runbook.ts';

const project = join(import.meta.dirname, '../..');
const missing = missingPrograms(['ip', 'etcd', 'etcdctl', 'udhcpc']);
const why = whyNoNetwork() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh test)` : undefined);
const needsHosts = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };

/** What such a host lacks, and what is done in its place, by the scripts in test/support/stand-ins. All else of the pages runs as it is. */
const STAND_INS: Readonly<Record<string, string>> = {
  systemctl: 'no systemd runs: the program of the unit file, with its user, environment and privileges',
  journalctl: 'what that program has printed',
  'apt-get': 'no network leads out: the packages of Debian that the project has unpacked; a package in a file is installed by dpkg',
  scp: 'no sshd runs: the files are put into the other host',
};

const run = promisify(execFile);
const PACKAGE = `lessor_${VERSION}_amd64.deb`;
const WAIT_MS = 20_000;
const LOOK_EVERY_MS = 400;
const ADDRESSES = { a: '10.0.0.11', b: '10.0.0.12', c: '10.0.0.13' } as const;

class Newcomer {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'lessor-newcomer-'));
  readonly network: Network = new Network();
  readonly hosts: ReadonlyMap<string, OverlayHost>;
  readonly client: RealClient;
  /** The program is compiled once for all hosts: half of what a command takes. */
  readonly #compiled: string = join(this.folder, 'shared/compiled');
  readonly #guardian: Guardian = new Guardian(this.network.prefix, this.folder);

  constructor() {
    const lan = this.network.createSegment('lan', { hosts: [
      ...Object.entries(ADDRESSES).map(([name, address]) => ({ name, addresses: [`${address}/16`] })), { name: 'client' },
    ] });
    this.hosts = new Map(Object.keys(ADDRESSES).map((name) => [name, new OverlayHost(this.network.host(name), this.folder, [`NODE_COMPILE_CACHE=${this.#compiled}`])]));
    this.client = new RealClient({ kind: 'udhcpc', host: this.network.host('client'), segment: lan, folder: join(this.folder, 'client') });
  }

  async prepare(): Promise<void> {
    mkdirSync(this.#compiled, { recursive: true });
    chmodSync(this.#compiled, 0o777);
    // As it is released, but for the compression, which takes a minute.
    await run(join(project, 'deploy/debian/build.sh'), ['--compression', 'none', '--output', join(this.folder, 'shared', PACKAGE)]);
    await Promise.all([...this.hosts.values()].map((host) => this.#setUp(host)));
  }

  /** Its machine is gone, with all that was on it, and a bare one has its address. */
  async replaceHost(name: string): Promise<void> {
    const host = this.hosts.get(name)!;
    await host.destroy();
    await this.#setUp(host);
  }

  async #setUp(host: OverlayHost): Promise<void> {
    await host.prepare();
    for (const name of Object.keys(STAND_INS)) await host.addProgram(join(project, 'test/support/stand-ins', name));
    await host.exec(['sh', '-c', `echo ${requireProgram('etcd').root} >/etc/debian-root`]);
    await host.exec(['ln', '-s', join(host.shared, PACKAGE), '/root/']);
    // For scp.
    writeFileSync(join(host.shared, ADDRESSES[host.name as keyof typeof ADDRESSES]), String(host.keeperPid));
    await host.exec(['ln', '-s', host.shared, '/run/hosts']);
  }

  async follow(page: string): Promise<void> {
    try {
      await followPage(join(project, 'deploy/runbooks', page), this.hosts);
    } catch (error) {
      const logs = [...this.hosts.values()].map(async (host) => (await host.exec(['sh', '-c', 'tail -n 20 /var/log/units/*.log 2>&1 || true'])).stdout);
      throw new Error([(error as Error).message, ...await Promise.all(logs)].join('\n\n'), { cause: error });
    }
  }

  run(name: string, ...command: string[]): Promise<{ stdout: string; stderr: string }> {
    return this.hosts.get(name)!.exec(command);
  }

  async status(name: string): Promise<NodeStatus> {
    return JSON.parse((await this.run(name, 'lessor', 'status', '--json')).stdout) as NodeStatus;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nobody needs an orderly end here.
    this.network.removeAtOnce();
    await Promise.all(this.network.hosts.map((host) => host.stopProcesses()));
    rmSync(this.folder, { recursive: true, force: true });
    await this.#guardian.dismiss();
  }
}

/** Members of the view, as each of these nodes sees it, once all are NORMAL. */
async function normal(newcomer: Newcomer, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await waitUntil(`${name} is NORMAL with ${names.join(' ')}`, WAIT_MS, async () => {
      const { state, view } = await newcomer.status(name);
      if (state === 'NORMAL' && view?.members.map(({ node }) => node).toSorted().join() === names.join()) return true;
      // Each look is a process.
      await sleep(LOOK_EVERY_MS);
      return undefined;
    });
  }
}

test('by the pages of deploy/runbooks three bare hosts become a cluster, with one node more, one replaced, and an etcd that was lost', { ...needsHosts, timeout: 300_000 }, async () => {
  await using newcomer = new Newcomer();
  await newcomer.prepare();
  const { client } = newcomer;
  let address = '';

  // ── install.md ──
  await newcomer.follow('install.md');
  await normal(newcomer, ['a', 'b']);
  address = (await client.waitForLease(WAIT_MS)).address;
  for (const name of ['a', 'b']) assert.match((await newcomer.run(name, 'lessor', 'leases')).stdout, new RegExp(`^${address} +ACTIVE .*${newcomer.network.host('client').hardware()}`, 'm'));

  // ── upgrade.md, to the same version ──
  const { startedAt } = await newcomer.status('a');
  await newcomer.follow('upgrade.md');
  await normal(newcomer, ['a', 'b']);
  assert.ok((await newcomer.status('a')).startedAt > startedAt);

  // ── add-a-node.md ──
  await newcomer.follow('add-a-node.md');
  await normal(newcomer, ['a', 'b', 'c']);

  // ── replace-a-node.md ──
  await newcomer.replaceHost('b');
  await newcomer.follow('replace-a-node.md');
  await normal(newcomer, ['a', 'b', 'c']);
  assert.match((await newcomer.run('b', 'lessor', 'leases')).stdout, new RegExp(`^${address} +ACTIVE `, 'm'));

  // ── lost-etcd.md ──
  await newcomer.follow('lost-etcd.md');
  await normal(newcomer, ['a', 'b', 'c']);
  const { view, etcd, config } = await newcomer.status('a');
  assert.deepEqual([view?.generation, view?.inEtcd, etcd.wentBack, config.loaded === config.newest], [2, true, '', true]);

  assert.equal((await client.renew(WAIT_MS)).address, address);
});
