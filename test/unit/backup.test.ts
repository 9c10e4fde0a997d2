/** Backups: what goes in comes out, what is not whole is refused, and a restored store is one that vouches for nothing. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { startControl } from '../../node/admin/io/control.ts';
import { BackupError, BackupReader, bindingLine, endLine, headerLine, metaLine } from '../../node/backup/format.ts';
import { backupOf } from '../../node/backup/io/node-backup.ts';
import { readBackup } from '../../node/backup/io/read-backup.ts';
import { Progress, rateText } from '../../node/cli/progress.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import { loadNodeConfig } from '../../node/config/load.ts';
import { openJournaledDisk } from '../../node/io/journaled-disk.ts';
import type { JournaledDisk } from '../../node/io/journaled-disk.ts';
import { noOperations } from '../support/operated-cluster.ts';
import { ip } from '../support/client-packets.ts';
import { type Ended, runLessor } from '../support/run-lessor.ts';
import { exampleStatus } from './telemetry-fixture.ts';
import { dice, randomRecord, record } from './store-fixture.ts';

const BINDINGS = 6000;

/** A host with its files, and the store of a node that has stopped. */
class BackedUpHost {
  readonly folder: string;
  readonly records = new Map<number, Buffer>();

  constructor(context: TestContext) {
    this.folder = mkdtempSync(join(tmpdir(), 'lessor-backup-'));
    context.after(() => rmSync(this.folder, { recursive: true, force: true }));
    this.configure('a', '');
    writeFileSync(this.path('cluster.yaml'), 'subnets: [{ subnet: 10.0.0.0/8, pools: [10.1.0.0-10.2.0.0] }]\n');
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  configure(node: string, more: string): void {
    writeFileSync(this.path('node.yaml'), `node: ${node}\ndataDir: ./data\ndhcp: { interfaces: [lo] }\nhttp: { listen: "127.0.0.1:0" }\nconfig: ./cluster.yaml\n${more}`);
  }

  async fill(count: number, disk?: JournaledDisk): Promise<void> {
    const roll = dice(count);
    const store = disk ?? openJournaledDisk(this.path('data'));
    for (let i = 0; i < count; i++) this.records.set(ip('10.1.0.0') + roll(60_000), randomRecord(roll));
    const meta = new Map([['beat', Buffer.from('41')], ['incarnations', Buffer.from('[7]')], ['history/000000000001', Buffer.from('x')], ['history-state', Buffer.from('y')],
      ['t-state', Buffer.from('{}')], ['t/x', Buffer.from('row')], ['t@x', Buffer.alloc(0)], ['view-adopted', Buffer.from('z')]]);
    await store.commit({ position: 1, records: this.records, meta });
    if (disk === undefined) await store.close();
  }

  lessor(...args: string[]): Promise<Ended> {
    return runLessor(args);
  }

  backup(): Promise<Ended> {
    return this.lessor('backup', this.path('b.gz'), '--config', this.path('node.yaml'));
  }

  restore(): Promise<Ended> {
    return this.lessor('restore', this.path('b.gz'), '--config', this.path('node.yaml'));
  }

  rewrite(change: (lines: string[]) => string[]): void {
    const lines = gunzipSync(readFileSync(this.path('b.gz'))).toString().split('\n').slice(0, -1);
    writeFileSync(this.path('b.gz'), gzipSync(`${change(lines).join('\n')}\n`));
  }
}

async function contents(disk: JournaledDisk): Promise<Map<number, Buffer>> {
  await Promise.resolve();
  return new Map(disk.scan(-1, 1e6).map(({ address, record: bytes }) => [address, bytes]));
}

test('a stopped node\'s leases go into a file and out of it again, and the store vouches for nothing', async (context) => {
  const host = new BackedUpHost(context);
  await host.fill(BINDINGS);
  const made = await host.backup();
  assert.equal(made.code, 0, made.err);
  assert.match(made.out, new RegExp(`b\\.gz: \\d+ KiB, verified; ${host.records.size} bindings of node a as of 20\\S+Z \\(stopped, Lessor \\S+\\)`));
  assert.equal(statSync(host.path('b.gz')).mode & 0o777, 0o600);
  assert.ok(!existsSync(host.path('b.gz.part')));
  assert.match((await host.lessor('backup', 'verify', host.path('b.gz'))).out, /b\.gz: whole; /);
  assert.equal((await host.lessor('backup', 'config', host.path('b.gz'))).out, readFileSync(host.path('cluster.yaml'), 'utf8'));

  const there = await host.restore();
  assert.equal(there.code, 1);
  assert.match(there.err, /is not empty \(.*\): nothing was changed/);
  rmSync(host.path('data'), { recursive: true });
  rmSync(host.path('cluster.yaml'));
  const restored = await host.restore();
  assert.equal(restored.code, 0, restored.err);
  assert.match(restored.out, /cluster\.yaml was not there, and has the configuration of the backup now/);
  assert.match(restored.out, /Next: start the node\. It begins a new generation and probes every address/);

  assert.equal(statSync(host.path('data/leases.mdb')).uid, statSync(host.path('data')).uid);
  const disk = openJournaledDisk(host.path('data'));
  assert.deepEqual(await contents(disk), new Map([...host.records].toSorted(([a], [b]) => a - b)));
  const meta = (key: string): string | undefined => disk.readMeta(key)?.toString();
  assert.deepEqual([meta('beat'), meta('incarnations'), meta('fetching'), meta('history/000000000001'), meta('history-state')], ['41', '[]', 'true', undefined, undefined]);
  assert.deepEqual([meta('t-state'), meta('t/x'), meta('t@x'), meta('view-adopted')], [undefined, undefined, undefined, 'z']);
  const since = meta('restored-from')!;
  assert.match(since, /^20.*Z$/);
  await disk.close();
  // A backup of a store that was restored, and never led anywhere, is no younger than that one.
  await host.backup();
  rmSync(host.path('data'), { recursive: true });
  await host.restore();
  const again = openJournaledDisk(host.path('data'));
  assert.equal(again.readMeta('restored-from')?.toString(), since);
  await again.close();
});

test('a node that runs is backed up as of one moment while it changes', async (context) => {
  const host = new BackedUpHost(context);
  const disk = openJournaledDisk(host.path('data'), 64 * 1024);
  await host.fill(BINDINGS, disk);
  const node = loadNodeConfig(host.path('node.yaml'));
  const control = await startControl({
    operations: noOperations(), dataDir: host.path('data'), status: () => exampleStatus(), operate: () => ({ ok: true, text: '' }), report: () => undefined,
    backup: () => backupOf({ node, mark: () => disk.mark(), config: undefined, state: { state: 'RECOVER', epoch: 7, generation: 2, configRevision: 3 } }),
  });
  // Each batch replaces two bindings by the same: a moment between two of them never shows one without the other.
  const load = { on: true };
  let batches = 0;
  const changes = (async () => {
    for (; load.on; batches++) {
      const both = record({ client: batches % 1000, relay: 1, time: batches });
      await disk.commit({ position: 2, records: new Map([[ip('10.9.0.1'), both], [ip('10.99.0.1'), both]]), meta: new Map() });
    }
  })();
  const [first, second] = await Promise.all([host.backup(), host.lessor('backup', host.path('second.gz'), '--config', host.path('node.yaml'))]);
  load.on = false;
  await changes;
  assert.deepEqual([first.code, second.code].toSorted((a, b) => a - b), [0, 1], 'one at a time');
  assert.match(first.err + second.err, /another backup is being made: wait for it/);
  const good = first.code === 0 ? first : second;
  assert.match(good.out, /as of \S+ \(RECOVER, epoch 7, generation 2, Lessor/);
  assert.match(good.err, /WARNING: a is RECOVER: it may lack what other nodes have granted since/);
  const seen = new Map<string, string>();
  for await (const item of readBackup(host.path(first.code === 0 ? 'b.gz' : 'second.gz'))) if (item.kind === 'binding') seen.set(formatIpv4(item.address), item.record.toString('hex'));
  assert.equal(seen.get('10.9.0.1'), seen.get('10.99.0.1'));
  assert.ok(batches > 1 && seen.size >= host.records.size);
  await control.close();
  await disk.close();
});

test('of another node, another cluster, a newer version or damaged: it is refused, and nothing is changed', async (context) => {
  const host = new BackedUpHost(context);
  await host.fill(50);
  await host.backup();
  const whole = readFileSync(host.path('b.gz'));
  rmSync(host.path('data'), { recursive: true });
  const refused = async (message: RegExp): Promise<void> => {
    const { code, err } = await host.restore();
    assert.equal(code, 1);
    assert.match(err, message);
    assert.ok(!existsSync(host.path('data')));
    writeFileSync(host.path('b.gz'), whole);
  };
  host.configure('b', '');
  await refused(/is of node a, and node\.yaml of b: nothing was changed\. Restore it on a host whose node\.yaml says node: a/);
  host.configure('a', 'cluster: { name: campus, listen: "127.0.0.1:7067", etcd: ["http://127.0.0.1:1"] }\n');
  await refused(/is of a single node, and node\.yaml of cluster campus/);
  host.configure('a', '');
  host.rewrite(([header, ...rest]) => [header!.replace('"format":1', '"format":2'), ...rest]);
  await refused(/it has format 2, and this version of Lessor reads up to 1: use the version that made it/);
  host.rewrite((lines) => lines.map((line, i) => (i === 9 ? line.replace(/"record":"(....)/, '"record":"AQID') : line)));
  await refused(/(fails its check|checksum is not that of its content).*Use another backup/);
  host.rewrite((lines) => lines.filter((_, i) => i !== 9));
  await refused(/it counts \d+ bindings and \d+ values, and there are/);
  host.rewrite((lines) => lines.slice(0, -1));
  await refused(/without its last line: the backup was not finished, or the file is cut off/);
  for (const length of [0, 5, 100, whole.length - 20, whole.length - 1]) {
    writeFileSync(host.path('b.gz'), whole.subarray(0, length));
    await refused(/cut off|empty|no backup/);
  }
  writeFileSync(host.path('b.gz'), 'leaseTime: 1h\n');
  await refused(/it is no backup of a lease store/);
  writeFileSync(host.path('b.gz'), gzipSync('{"a":1}\n'));
  await refused(/it is no backup of a lease store/);
  rmSync(host.path('b.gz'));
  await refused(/ENOENT.*Look at the path/);
  assert.equal((await host.restore()).code, 0, 'the whole one is taken');
});

test('every byte counts: one that is another than it was is noticed', async (context) => {
  const host = new BackedUpHost(context);
  await host.fill(20);
  await host.backup();
  const whole = gunzipSync(readFileSync(host.path('b.gz')));
  for (let at = 0; at < whole.length; at += 31) {
    const damaged = Buffer.from(whole);
    damaged[at] = damaged[at]! ^ 1;
    writeFileSync(host.path('b.gz'), gzipSync(damaged));
    await assert.rejects(async () => {
      for await (const item of readBackup(host.path('b.gz'))) assert.ok(item);
    }, BackupError, `byte ${at} of ${whole.length}`);
  }
});

test('what was cut short before leaves no store behind, and is no obstacle', async (context) => {
  const host = new BackedUpHost(context);
  await host.fill(50);
  await host.backup();
  rmSync(host.path('data'), { recursive: true });
  mkdirSync(host.path('data/.restore'), { recursive: true });
  writeFileSync(host.path('data/.restore/leases.mdb'), 'half');
  writeFileSync(host.path('data/lock'), '');
  chmodSync(host.path('data'), 0o750);
  assert.equal((await host.restore()).code, 0);
  assert.ok(!existsSync(host.path('data/.restore')) && existsSync(host.path('data/leases.mdb')));
  const running = openJournaledDisk(host.path('data'));
  const { code, err } = await host.backup();
  assert.equal(code, 1, 'a process has the folder, and answers nobody');
  assert.match(err, /Another process uses the lease store/);
  await running.close();
});

test('keys and lines of a later version of the same format are passed over', () => {
  const reader = new BackupReader();
  const lines = [headerLine({ version: '9', node: 'a', cluster: '', madeAt: '', state: '', epoch: 0, generation: 0, configRevision: 0 }),
    '{"colour":"red"}', metaLine('k', Buffer.from('v')), bindingLine(7, record({ client: 1, relay: 1 })), endLine({ bindings: 1, meta: 1, sha256: '' })];
  assert.deepEqual(lines.map((line) => reader.read(line).kind), ['header', 'unknown', 'meta', 'binding', 'end']);
  reader.finish();
  assert.throws(() => reader.read('{}'), BackupError);
});

test('progress is one line on a terminal, written over and taken away, and nothing elsewhere', () => {
  let now = 0;
  let written = '';
  const stream = { isTTY: true, columns: 12, write: (text: string) => written += text };
  const progress = new Progress(stream, () => now);
  progress.show(() => 'one');
  progress.show(() => assert.fail('too soon'));
  now += 200;
  progress.show(() => 'a line that is too long');
  progress.clear();
  progress.clear();
  assert.equal(written, '\r\u001b[Kone\r\u001b[Ka line that\r\u001b[K');
  const quiet = new Progress({ ...stream, isTTY: false, write: () => assert.fail('no terminal') });
  quiet.show(() => 'x');
  quiet.clear();
  assert.equal(rateText(5000, 1000, 3000), '2,500/s');
});

test('what root makes belongs to whoever has the folder', { skip: process.geteuid?.() !== 0 && 'root only' }, async (context) => {
  const host = new BackedUpHost(context);
  await host.fill(5);
  await host.backup();
  rmSync(host.path('data'), { recursive: true });
  mkdirSync(host.path('data'));
  chownSync(host.path('data'), 10_067, 10_067);
  assert.equal((await host.restore()).code, 0);
  assert.equal((await host.backup()).code, 0);
  for (const name of readdirSync(host.path('data'))) assert.equal(statSync(host.path(`data/${name}`)).uid, 10_067, name);
});
