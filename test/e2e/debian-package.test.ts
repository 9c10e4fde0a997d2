/**
 * The Debian package, installed by dpkg on a host with a file system of its own, and its node run as the unit says: its user,
 * its capabilities, its filter of system calls. systemd itself does not run there.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Guardian } from '../../deploy/lab/guardian.ts';
import { Network, whyNoNetwork } from '../../deploy/lab/netns.ts';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import { missingPrograms } from '../../deploy/lab/programs.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import { NEEDED_SET } from '../../node/privileges.ts';
import { VERSION } from '../../node/version.ts';
import { OverlayHost } from '../support/overlay-host.ts';
import { allowedCalls, readUnit, seccompLibrary } from '../support/systemd-unit.ts';
import { threadPrivileges } from '../support/thread-privileges.ts';

const run = promisify(execFile);
const project = join(import.meta.dirname, '../..');
const missing = missingPrograms(['ip', 'udhcpc', 'systemd-analyze']);
const why = whyNoNetwork() ?? (missing.length > 0 ? `not there: ${missing.join(', ')} (deploy/lab/install.sh test)`
  : existsSync('/var/lib/dpkg/status') ? undefined : 'this is not Debian');
const needsDebian = why === undefined ? {} : { skip: why };

const WAIT_MS = 20_000;
/** Longer than a node takes to drain. */
const STOP_MS = 12_000;
const SQUATTER = '10.1.0.100';
const NODE_YAML = `node: a
dhcp:
  interfaces: [eth0]
http:
  listen: 127.0.0.1:9067
config: ./cluster.yaml
`;
const CLUSTER_YAML = `leaseTime: 1h
authoritative: true
conflictCheck: arp
subnets:
  - subnet: 10.1.0.0/16
    pools: [${SQUATTER}-10.1.0.101]
`;

async function build(output: string): Promise<void> {
  await run('sh', [join(project, 'deploy/debian/build.sh'), '--compression', 'none', '--output', output]);
}

test('the package is installed, serves as its unit says, is installed again while it serves, removed and purged', needsDebian, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-debian-'));
  await using network = new Network();
  const guardian = new Guardian(network.prefix, folder);
  try {
    network.createSegment('lan', { hosts: [
      { name: 'server', addresses: ['10.1.0.1/16'] }, { name: 'squatter', addresses: [`${SQUATTER}/16`] }, { name: 'client' },
    ] });
    const host = new OverlayHost(network.host('server'), folder);
    await host.prepare();
    const shell = async (script: string): Promise<string> => (await host.exec(['sh', '-ec', script])).stdout;
    const file = join(host.shared, 'lessor.deb');
    await build(file);

    await shell(`dpkg --install --force-unsafe-io ${file} 2>&1`);
    assert.equal((await shell('lessor --version')).trim(), VERSION);
    assert.equal((await shell('stat -c "%U %G %a" /var/lib/lessor')).trim(), 'lessor lessor 750');
    assert.match(await shell('getent passwd lessor'), /:\/var\/lib\/lessor:\/usr\/sbin\/nologin$/m);
    // What is shipped is right, and nothing that dpkg has a sum of has changed on the way.
    await shell('lessor config check /etc/lessor/node.yaml; for file in /usr/share/doc/lessor/examples/*.yaml; do lessor config check $file; done');
    assert.equal(await shell('dpkg --verify lessor'), '');
    assert.deepEqual(await brokenLinks(shell), []);

    writeFileSync(join(host.shared, 'node.yaml'), NODE_YAML);
    writeFileSync(join(host.shared, 'cluster.yaml'), CLUSTER_YAML);
    await shell(`cp ${host.shared}/*.yaml /etc/lessor/`);
    const unit = join(project, 'deploy/systemd/lessor.service');
    const allowed = join(host.shared, 'allowed');
    writeFileSync(allowed, [...allowedCalls(readUnit(unit).get('SystemCallFilter')!)].join('\n'));
    const client = new RealClient({ kind: 'udhcpc', host: network.host('client'), folder: join(folder, 'client') });
    const [command] = readUnit(unit).get('ExecStart')!;
    const asUnit = [join(project, 'test/support/under-unit.ts'), seccompLibrary(), allowed, unit];
    const confined = host.spawn(['/usr/lib/lessor/bin/node', ...asUnit, ...command!.split(' ')], { name: 'node' });
    await serves(confined);
    const lease = await client.waitForLease(WAIT_MS);
    // The first of the two addresses answers ARP: to ask needs a packet socket.
    assert.equal(lease.address, '10.1.0.101');
    isLessors(confined.pid, await shell('id --user lessor; id --group lessor'));

    await shell(`dpkg --install --force-unsafe-io ${file} 2>&1`);
    assert.ok(confined.running, 'an upgrade ends no node');
    assert.equal(await shell('cat /etc/lessor/node.yaml'), NODE_YAML);
    await client.renew(WAIT_MS);
    assert.match(await shell('lessor leases'), /^10\.1\.0\.101 +ACTIVE /m);
    assert.equal(await confined.stop(STOP_MS), 0, confined.output);

    // Without a unit: root starts it, and node.yaml says who it is to be.
    await shell("echo 'user: lessor' >>/etc/lessor/node.yaml");
    const dropped = host.spawn(command!.split(' '), { name: 'node' });
    await serves(dropped);
    isLessors(dropped.pid, await shell('id --user lessor; id --group lessor'));
    assert.equal((await client.renew(WAIT_MS)).address, lease.address);
    await client.stop();
    assert.equal(await dropped.stop(STOP_MS), 0, dropped.output);

    await shell('dpkg --remove lessor');
    assert.equal(await shell('ls /etc/lessor; ls -d /usr/lib/lessor /usr/bin/lessor 2>/dev/null || true'), 'cluster.yaml\nnode.yaml\n');
    assert.match(await shell('dpkg --purge lessor'), /leases in \/var\/lib\/lessor are kept/);
    assert.equal(await shell('ls -d /etc/lessor 2>/dev/null || true; ls /var/lib/lessor/leases.mdb'), '/var/lib/lessor/leases.mdb\n');
  } finally {
    await network.remove();
    rmSync(folder, { recursive: true, force: true });
    await guardian.dismiss();
  }
});

async function serves(node: LabProcess): Promise<void> {
  try {
    await node.waitForLine(/"view\.finished"/, WAIT_MS);
  } catch (error) {
    throw new Error(`${(error as Error).message}; it said:\n${node.output}`, { cause: error });
  }
}

/** Every thread is the user's, with three capabilities and no way to others. @param ids its user and group, on two lines */
function isLessors(pid: number, ids: string): void {
  const [uid, gid] = ids.trim().split('\n').map(Number);
  const threads = threadPrivileges(pid);
  assert.ok(threads.length > 4, `${threads.length} threads`);
  for (const thread of threads) {
    assert.deepEqual(thread, {
      uid, gid, effective: NEEDED_SET, permitted: NEEDED_SET, inheritable: NEEDED_SET, ambient: NEEDED_SET, bounding: NEEDED_SET, noNewPrivileges: true,
    });
  }
}

/** Links of the installed pages that lead to no file. */
async function brokenLinks(shell: (script: string) => Promise<string>): Promise<string[]> {
  const links = await shell(String.raw`cd /usr/share/doc/lessor; for page in $(find . -name '*.md'); do
    grep -o ']([^)# ]*' $page | sed 's/^](//' | grep -v '^[a-z]*:' | sort -u | while read -r link; do
      [ -z "$link" ] || [ -e "$(dirname $page)/$link" ] || echo "$page: $link"; done; done; true`);
  return links.split('\n').filter((line) => line !== '');
}
