/** The settings `dns` of a scope: what counts where, and which mistakes are found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import type { DnsScope } from '../../node/ddns/types.ts';
import { withBuffers } from '../../node/config/io/buffers.ts';
import { parseClusterConfig } from '../../node/config/load.ts';
import { clusterMistakes } from '../support/config-mistakes.ts';

const SUBNET = 'subnets: [{ subnet: 10.0.0.0/8, pools: [10.1.0.0-10.1.0.9] }]\n';
const ZONES = 'zones: [{ zone: Example.com, servers: [10.0.0.53] }]';
const ON = `updates: true, suffix: example.com, ${ZONES}`;

function assertOne(found: readonly string[], says: string): void {
  assert.equal(found.length, 1, found.join('\n'));
  assert.ok(found[0]!.includes(says), `${found[0]} does not say: ${says}`);
}

const mistakes = (dns: string): string[] => clusterMistakes(`${SUBNET}dns: { ${dns} }`);

function scopes(text: string): (DnsScope | undefined)[] {
  const config = parseClusterConfig(text, 'c.yaml');
  assert.deepEqual(withBuffers(structuredClone(config)), config, 'a worker can hand it over');
  return config.subnets.flatMap(({ scope, pools }) => [scope.dns, ...pools.map((pool) => pool.scope.dns)]);
}

test('without updates there is nothing', () => {
  assert.deepEqual(scopes(SUBNET), [undefined, undefined]);
  assert.deepEqual(scopes(`${SUBNET}dns: { suffix: example.com, ${ZONES} }`), [undefined, undefined]);
});

test('what counts where only the least is said', () => {
  const [dns] = scopes(`${SUBNET}dns: { ${ON} }`);
  const zone = parseDomainName('example.com')!;
  assert.deepEqual(dns, {
    updates: {
      zones: [{ name: 'example.com.', servers: [{ host: '10.0.0.53', port: 53 }], key: undefined }],
      ttl: { part: 0.33, minSeconds: 600, maxSeconds: 86_400 }, conflicts: 'keep',
    },
    naming: {
      suffix: zone, apexes: [zone, zone], clientUpdates: 'allow', noUpdates: 'honour', replaceName: 'never', generated: 'host-{address}',
      invalidCharacters: 'replace', forward: true, reverse: true,
    },
  });
});

test('each key is that of the nearest scope which sets it, those of ttl too', () => {
  const [subnet, plain, special, other] = scopes(`
dns: { ${ON}, ttl: { part: 20%, max: 12h } }
sharedNetworks:
  - name: lan
    dns: { clientUpdates: override }
    subnets:
      - subnet: 10.0.0.0/24
        dns: { suffix: lan.example.com, noUpdates: override }
        pools: [10.0.0.1-10.0.0.9, { range: 10.0.0.20-10.0.0.29, dns: { ttl: { max: 1h }, suffix: guests.example.com. } }]
      - subnet: 10.0.1.0/24
        dns: { updates: false }
`);
  assert.equal(plain, subnet);
  assert.deepEqual(plain?.naming.suffix, parseDomainName('lan.example.com'));
  assert.deepEqual([plain?.naming.clientUpdates, plain?.naming.noUpdates], ['override', 'override']);
  assert.deepEqual(plain?.updates.ttl, { part: 0.2, minSeconds: 600, maxSeconds: 43_200 });
  assert.deepEqual(special?.updates.ttl, { part: 0.2, minSeconds: 600, maxSeconds: 3600 });
  assert.deepEqual([special?.naming.suffix, special?.naming.noUpdates], [parseDomainName('guests.example.com'), 'override']);
  assert.equal(other, undefined);
});

test('servers are addresses, with a port or without; keys have no dot at the end', () => {
  const [dns] = scopes(`${SUBNET}dns: { updates: true, suffix: a.example, zones: [
    { zone: example, servers: [10.0.0.53, "10.0.0.53:5353", "2001:DB8::53", "[2001:db8::53]:99", "[::1]"], key: Lessor-Key. },
    { zone: 0/25.2.0.192.in-addr.arpa., servers: [10.0.0.53] }] }`);
  assert.deepEqual(dns?.updates.zones[0], {
    name: 'example.', key: 'lessor-key',
    servers: [
      { host: '10.0.0.53', port: 53 }, { host: '10.0.0.53', port: 5353 }, { host: '2001:db8::53', port: 53 }, { host: '2001:db8::53', port: 99 }, { host: '::1', port: 53 },
    ],
  });
  assert.equal(dns?.updates.zones[1]?.name, '0/25.2.0.192.in-addr.arpa.');
  for (const server of ['ns.example.com', '10.0.0.256', '"10.0.0.1:0"', '"10.0.0.1:65536"', '"[10.0.0.1]"', '"[::g]:53"', '53']) {
    assertOne(mistakes(`updates: true, suffix: example, zones: [{ zone: example, servers: [${server}] }]`), 'expected the address of a name server such as 10.0.0.53');
  }
});

test('what is no name of a zone or a suffix is a mistake', () => {
  for (const zone of ['.', '""', 'a..b', '-a', `${'a'.repeat(64)}.example`, 'a b', '7']) {
    assertOne(mistakes(`zones: [{ zone: ${zone}, servers: [10.0.0.53] }]`), 'zone: expected the name of a DNS zone');
  }
  for (const suffix of ['.', 'a..b', 'a b', '7']) assertOne(mistakes(`suffix: ${suffix}`), 'suffix: expected a domain name');
  assertOne(mistakes('zones: [{ zone: a.example, servers: [10.0.0.53] }, { zone: A.example., servers: [10.0.0.53] }]'),
    'c.yaml:2:67: dns.zones[1].zone: expected each zone once; entry [0] is the same');
});

test('updates without zones or a suffix, or with one in none of the zones, are a mistake', () => {
  assertOne(mistakes('updates: true, suffix: example.com'), 'c.yaml:2:17: dns.updates: expected dns.zones to name the zones');
  assertOne(mistakes(`updates: true, ${ZONES}`), 'c.yaml:2:17: dns.updates: expected dns.suffix');
  assertOne(mistakes(`updates: true, suffix: badexample.com, ${ZONES}`), 'dns.suffix: expected a name that lies in one of dns.zones');
  assert.deepEqual(mistakes(`updates: true, suffix: example.net, forward: false, ${ZONES}`), []);
  assert.deepEqual(mistakes(`updates: true, suffix: deep.in.example.com, ${ZONES}`), []);
  assertOne(clusterMistakes(`dns: { ${ZONES} }\nsubnets: [{ subnet: 10.0.0.0/8, pools: [{ range: 10.1.0.0-10.1.0.9, dns: { updates: true } }] }]`),
    'c.yaml:2:85: subnets[0].pools[0].dns.updates: expected dns.suffix');
  assertOne(clusterMistakes(`dns: { ${ON} }\nsubnets: [{ subnet: 10.0.0.0/16, dns: { suffix: x.org } }, { subnet: 10.1.0.0/16 }]`), 'subnets[0].dns.suffix: expected a name');
});

test('a made-up name is one label that is another for every address', () => {
  for (const pattern of ['host-{address}', '{address}', 'a-{hardware}-z', '{hardware}', '{address}-x-{hardware}']) {
    assert.deepEqual(mistakes(`generatedName: "${pattern}"`).length, pattern === '{address}-x-{hardware}' ? 1 : 0, pattern);
  }
  for (const pattern of ['host', '-{address}', '{address}-', 'Host-{address}', 'a.{address}', '{adress}', '{address}{hardware}', `${'a'.repeat(49)}{address}`, 'ü{address}']) {
    assertOne(mistakes(`generatedName: "${pattern}"`), 'generatedName: expected a label of lower-case letters, digits and dashes with {address} or {hardware} in it');
  }
  const long = `${'a'.repeat(60)}.`.repeat(3) + `${'a'.repeat(50)}.example.com`;
  assertOne(mistakes(`updates: true, suffix: ${long}, replaceName: always, ${ZONES}`), 'suffix: expected dns.generatedName and dns.suffix to make names of at most 255 bytes');
});

test('the bounds of the TTL are in order, unknown keys are told', () => {
  assertOne(mistakes('ttl: { min: 2d }'), 'c.yaml:2:13: dns.ttl: expected ttl.min (172800 s) to be no longer than ttl.max, found 86400');
  assertOne(mistakes('update: true'), 'dns.update: unknown key; did you mean updates?');
  assertOne(mistakes('ttl: { mx: 1h }'), 'dns.ttl.mx: unknown key; did you mean max?');
  assertOne(mistakes('zones: [{ zone: example.com, servers: [] }]'), 'dns.zones[0].servers: expected at least one entry');
});
