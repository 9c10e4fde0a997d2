/** `lessor doctor` on the host of a real node, before it runs, while it does, and when something is the matter. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs, ServedNetwork } from '../support/served-network.ts';
import type { NodeName } from '../support/served-network.ts';

const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');
const WAIT_MS = 20_000;

interface Report {
  readonly node: string | null;
  readonly problems: number;
  readonly checks: readonly { readonly check: string; readonly verdict: string; readonly text: string; readonly action?: string }[];
}

test('doctor says what is well and what is not', { ...needs('etcd'), timeout: 120_000 }, async (t) => {
  await using served = await ServedNetwork.start({ nodes: ['a', 'b'] });
  const ask = async (name: NodeName, ...options: string[]): Promise<Report & { code: unknown }> => {
    const process_ = served.host(name).spawn([process.execPath, entry, 'doctor', '--json', '--config', join(served.folder, `node-${name}.yaml`), ...options], { cwd: served.folder, name: 'doctor' });
    const code = await process_.exited;
    const { output } = process_;
    // Its word about the exit goes to standard error.
    return { code, ...JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1)) as Report };
  };
  const told = ({ checks }: Report, name: string): string[] => checks.filter(({ check }) => check === name).map(({ verdict, text }) => `${verdict} ${text}`);

  await t.test('on a healthy cluster there is no problem, and the other node is heard on the segment', async () => {
    const report = await ask('a');
    assert.equal(report.code, 0, JSON.stringify(report, null, 1));
    assert.equal(report.node, 'a');
    assert.match(told(report, 'node').join(), /^ok runs as process \d+: NORMAL/);
    assert.deepEqual(told(report, 'ports'), ['67/udp (DHCP)', '7067/tcp (the other nodes)', '9067/tcp (metrics and health)'].map((port) => `ok ${port} is held by the node`));
    assert.match(told(report, 'links').join(), /^ok node b at 10\.1\.0\.12:7067: \d+(\.\d)? ms there and back$/);
    assert.match(told(report, 'other clocks').join(), /^ok 1 node within/);
    assert.match(told(report, 'other servers').join(), /^ok no other DHCP server answers on eth0 within 3\.0 s; of this cluster 10\.1\.0\.12$/);
    assert.deepEqual(told(report, 'etcd'), ['warning etcd has one member']);
    assert.match(told(report, 'etcd hosts').join(), /^ok no member of etcd is on the host/);
    assert.ok(report.checks.every(({ verdict, action }) => (action !== undefined) === (verdict === 'warning' || verdict === 'problem')), 'what to do stands with each');
  });

  await t.test('before the node runs it names who holds its ports, and what the other node lacks', async () => {
    await served.nodes[0]!.stop();
    const squatter = served.host('a').spawn([process.execPath, '-e', 'require("node:dgram").createSocket("udp4").bind(67, () => console.log("bound"))'], { name: 'squatter' });
    await squatter.waitForLine(/^bound/, WAIT_MS);
    writeFileSync(join(served.folder, 'node-a.yaml'), `node: a
dataDir: /dev/shm/lessor-doctor-test
dhcp: { interfaces: [eth0, eth7] }
cluster: { name: test, listen: "10.1.0.11:7067", etcd: ["http://10.1.0.21:2379", "http://10.1.0.21:2390"] }
config: ./cluster.yaml
`);
    const report = await ask('a', '--no-discover');
    assert.equal(report.code, 1);
    assert.deepEqual(told(report, 'node'), ['ok does not run on this host']);
    assert.match(told(report, 'ports')[0]!, new RegExp(`^problem 67/udp \\(DHCP\\) is held by \\S+ \\(process ${squatter.pid}\\) at 0\\.0\\.0\\.0$`));
    assert.deepEqual(told(report, 'interfaces')[1], 'problem eth7 does not exist');
    assert.match(told(report, 'data folder').join(), /problem .* lies in memory \(tmpfs\)/);
    assert.match(told(report, 'etcd')[0]!, /^problem http:\/\/10\.1\.0\.21:2390: the connection was refused$/);
    assert.deepEqual(told(report, 'other servers'), ['skipped not asked for (--no-discover)']);
    await squatter.stop();
  });

  await t.test('a node outside the view, whose link port is closed, is a problem of the link', async () => {
    await served.nodes[1]!.kill();
    // Its session stands for some seconds yet.
    const report = await ask('a', '--no-discover');
    assert.match(told(report, 'links').join(), /^(problem node b at 10\.1\.0\.12:7067: nothing listens there|skipped node b does not run)/);
  });
});
