/** What `lessor config check` and `lessor doctor` say of keys for DNS and of name servers. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nameServers } from '../../node/cli/doctor-dns.ts';
import { loadNodeConfig, parseClusterConfig } from '../../node/config/load.ts';
import type { Finding } from '../../node/doctor/finding.ts';
import { keyFileText, NameServer, needsNameServers, TEST_KEY, writeKeyFile } from '../support/name-server.ts';
import { runLessor } from '../support/run-lessor.ts';

const folder = mkdtempSync(join(tmpdir(), 'lessor-dns-doctor-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

function clusterText(zones: readonly string[]): string {
  return `nodes: { a: {} }\nsubnets: [{ subnet: 10.0.0.0/24, pools: [10.0.0.10-10.0.0.99] }]\ndns: { updates: true, suffix: example.test, zones: [${zones.join(', ')}] }\n`;
}

before(() => writeKeyFile(TEST_KEY, at('good.key')));

function writeNode(keys: readonly string[]): void {
  writeFileSync(at('node.yaml'), `node: a\ndhcp: { interfaces: [eth0] }\ndnsKeys: [${keys.join(', ')}]\n`);
}

test('config check refuses files of keys that cannot be used, and warns of what zones lack', async () => {
  writeFileSync(at('cluster.yaml'), clusterText(['{ zone: example.test, servers: [10.0.0.53], key: lessor-test }', '{ zone: 0.0.10.in-addr.arpa, servers: [10.0.0.53], key: other }']));
  writeNode(['good.key']);
  const good = await runLessor(['config', 'check', at('node.yaml')]);
  assert.deepEqual([good.code, good.err], [0, `warning: ${at('node.yaml')}: dnsKeys: zone 0.0.10.in-addr.arpa.: no file under dnsKeys has the key other\n`]);

  writeFileSync(at('md5.key'), keyFileText({ ...TEST_KEY, algorithm: 'hmac-md5' }));
  chmodSync(at('md5.key'), 0o644);
  writeNode(['md5.key', 'none.key']);
  const bad = await runLessor(['config', 'check', at('node.yaml')]);
  assert.equal(bad.code, 1);
  assert.match(bad.err, /dnsKeys: \S+md5\.key line 2: hmac-md5 is not safe any more and refused: use hmac-sha256/);
  assert.match(bad.err, /^warning: .*dnsKeys: \S+md5\.key may be used by every user of this host \(mode 644\)/m);
  assert.match(bad.err, /dnsKeys: \S+none\.key cannot be read: ENOENT/);
});

test('doctor asks each server of each zone, with the key', needsNameServers('bind'), async (t) => {
  const server = await NameServer.start({ kind: 'bind', zones: [{ name: 'example.test.', updates: TEST_KEY }, { name: '0.0.10.in-addr.arpa.', updates: TEST_KEY }] });
  t.after(() => server.remove());
  const here = `127.0.0.1:${server.port}`;
  const zone = (name: string, key = ', key: lessor-test', servers = `["${here}"]`): string => `{ zone: ${name}, servers: ${servers}${key} }`;
  const told = async (keys: readonly string[], zones?: readonly string[]): Promise<string[]> => {
    writeNode(keys);
    const found: Finding[] = await nameServers(loadNodeConfig(at('node.yaml')), zones && parseClusterConfig(clusterText(zones), 'c'));
    return found.map(({ action, text, verdict }) => `${verdict} ${text.replaceAll(here, 'HERE')}${action === undefined ? '' : ' !'}`);
  };
  assert.deepEqual(await told(['good.key'], [zone('example.test'), zone('0.0.10.in-addr.arpa')]), ['ok HERE has 2 zones, and takes the key']);
  assert.deepEqual(await told(['good.key'], [zone('example.test', ''), zone('none.test'), zone('0.0.10.in-addr.arpa', ', key: lost')]), [
    'problem zone 0.0.10.in-addr.arpa.: no file under dnsKeys has the key lost !', 'ok HERE has 1 zone, and takes the key', 'problem HERE, zone none.test.: REFUSED !',
  ]);
  writeKeyFile({ ...TEST_KEY, secret: Buffer.alloc(32).toString('base64') }, at('wrong.key'));
  assert.deepEqual(await told(['wrong.key'], [zone('example.test')]), ['problem HERE, zone example.test.: BADSIG !']);
  assert.deepEqual(await told(['good.key'], [zone('example.test', '', '["127.0.0.1:1"]'), zone('0.0.10.in-addr.arpa', '', '["127.0.0.1:1"]')]), ['problem 127.0.0.1:1, zone example.test.: ECONNREFUSED !']);
  assert.deepEqual(await told(['good.key']), ['skipped the configuration of the cluster is not known']);
  assert.match((await told(['none.key'], [zone('example.test', '')])).join('\n'), /^problem \S+none\.key: cannot be read: ENOENT.* !\nok HERE has 1 zone/);
});
