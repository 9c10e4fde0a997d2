/** Updates, questions and transfers with real name servers on loopback: BIND and Knot, as they are and as they fail. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { formatDomainName, parseDomainName } from '../../node/codec/domain-name.ts';
import { openDnsUpdater } from '../../node/ddns/io/updater.ts';
import type { DnsUpdater } from '../../node/ddns/io/updater.ts';
import { parseKeyFile } from '../../node/ddns/key-file.ts';
import { DNS_SERVER_REST_MS } from '../../node/ddns/limits.ts';
import { serverText } from '../../node/ddns/server-health.ts';
import type { TsigKey } from '../../node/ddns/tsig.ts';
import type { DnsOutcome, DnsServer, DnsZone } from '../../node/ddns/types.ts';
import { TYPE_NUMBERS } from '../../node/ddns/wire.ts';
import { readClock } from '../../node/io/clock.ts';
import type { MonotonicMs, WallMs } from '../../node/time.ts';
import { dhcidOf, dnsJob } from '../support/dns-zone.ts';
import { keyFileText, NameServer, needsNameServers, TEST_KEY } from '../support/name-server.ts';
import type { NameServerKind, TestKey } from '../support/name-server.ts';

const FORWARD = 'example.test.';
const REVERSE = '0.0.10.in-addr.arpa.';
const DONE: DnsOutcome = { kind: 'done' };
const LONG_KEY: TestKey = { name: 'long.key.test', algorithm: 'hmac-sha512', secret: Buffer.alloc(64, 'long').toString('base64') };
const dhcid = (client: number): string => dhcidOf(client).toString('base64');

function keyOf(key: TestKey): TsigKey {
  return parseKeyFile(keyFileText(key), key.name)[0]!;
}

/** A client that knows these keys, whose clocks can be moved. */
class Client {
  readonly updater: DnsUpdater;
  readonly #waiting = new Map<number, (outcome: DnsOutcome) => void>();
  wallAheadMs = 0;
  passedMs = 0;
  #id = 0;

  constructor(t: TestContext, keys: readonly TsigKey[] = [keyOf(TEST_KEY)]) {
    this.updater = openDnsUpdater({
      keys: { find: (name) => keys.find((key) => key.name === name) ?? keys[0] },
      now: () => {
        const { mono, wall } = readClock();
        return { mono: (mono + this.passedMs) as MonotonicMs, wall: (wall + this.wallAheadMs) as WallMs };
      },
      onDone: (id, outcome) => this.#waiting.get(id)!(outcome),
    });
    t.after(() => this.updater.close());
  }

  run(servers: readonly DnsServer[], fields: Parameters<typeof dnsJob>[0], zone: Partial<DnsZone> = {}): Promise<DnsOutcome> {
    const name = fields.action.endsWith('forward') ? FORWARD : REVERSE;
    const job = dnsJob({ ...fields, id: ++this.#id, zone: { name, servers, key: TEST_KEY.name, ...zone } });
    const outcome = new Promise<DnsOutcome>((resolve) => this.#waiting.set(job.id, resolve));
    this.updater.start(job);
    return outcome;
  }
}

async function started(t: TestContext, options: Parameters<typeof NameServer.start>[0]): Promise<NameServer> {
  const server = await NameServer.start(options);
  t.after(() => server.remove());
  return server;
}

for (const kind of ['bind', 'knot'] satisfies NameServerKind[]) {
  describe(kind, needsNameServers(kind), () => {
    test('names come and go; what is somebody else\'s stays', async (t) => {
      const server = await started(t, {
        kind, zones: [
          { name: FORWARD, updates: TEST_KEY, records: ['printer 3600 A 10.0.0.9', 'alias CNAME printer', 'laptop 3600 TXT "note"'] },
          { name: REVERSE, updates: TEST_KEY, records: ['9 PTR printer.example.test.'] },
        ],
      });
      const client = new Client(t);
      const run = (fields: Parameters<typeof dnsJob>[0]): Promise<DnsOutcome> => client.run([server.server], fields);
      const static_ = ['alias.example.test. 3600 CNAME printer.example.test.', 'laptop.example.test. 3600 TXT "note"', 'printer.example.test. 3600 A 10.0.0.9'];

      assert.deepEqual(await Promise.all([run({ action: 'add-forward', name: 'a.example.test' }), run({ action: 'add-reverse', name: 'a.example.test' })]), [DONE, DONE]);
      assert.deepEqual(await server.dump(FORWARD), ['a.example.test. 600 A 10.0.0.5', `a.example.test. 600 DHCID ${dhcid(1)}`, ...static_]);
      assert.deepEqual(await server.dump(REVERSE), ['5.0.0.10.in-addr.arpa. 600 PTR a.example.test.', '9.0.0.10.in-addr.arpa. 3600 PTR printer.example.test.']);

      // The client moves to another address, and another client wants its name, the printer's, the alias and a name with only a note.
      assert.deepEqual(await run({ action: 'add-forward', name: 'a.example.test', address: '10.0.0.6', ttlSeconds: 60 }), DONE);
      for (const name of ['a', 'printer', 'alias', 'laptop']) assert.deepEqual(await run({ action: 'add-forward', name: `${name}.example.test`, client: 2 }), { kind: 'conflict' }, name);
      assert.deepEqual(await run({ action: 'add-reverse', name: 'b.example.test' }), DONE, 'the address\'s next client');
      assert.deepEqual(await run({ action: 'remove-reverse', name: 'a.example.test' }), DONE, 'the pointer is not its own any more');
      assert.deepEqual(await run({ action: 'remove-forward', name: 'a.example.test' }), DONE, 'nor is the address');
      assert.deepEqual(await server.dump(FORWARD), ['a.example.test. 60 A 10.0.0.6', `a.example.test. 600 DHCID ${dhcid(1)}`, ...static_]);
      assert.deepEqual((await server.dump(REVERSE))[0], '5.0.0.10.in-addr.arpa. 600 PTR b.example.test.');

      for (const action of ['remove-forward', 'remove-forward'] as const) assert.deepEqual(await run({ action, name: 'a.example.test', address: '10.0.0.6' }), DONE);
      assert.deepEqual(await run({ action: 'remove-reverse', name: 'b.example.test' }), DONE);
      assert.deepEqual(await server.dump(FORWARD), static_);
      assert.deepEqual(await server.dump(REVERSE), ['9.0.0.10.in-addr.arpa. 3600 PTR printer.example.test.']);

      assert.deepEqual(await run({ action: 'add-forward', name: 'alias.example.test', conflicts: 'replace' }), DONE);
      assert.deepEqual((await server.dump(FORWARD))[0], 'alias.example.test. 600 A 10.0.0.5');

      // Past what a datagram takes.
      const name = `${Array.from({ length: 3 }, () => 'x'.repeat(60)).join('.')}.example.test`;
      assert.deepEqual(await run({ action: 'add-forward', name }), DONE);
      assert.equal(client.updater.stats.overTcp, 1);
    });

    test('keys: the right one, others, none, and clocks that differ', async (t) => {
      const server = await started(t, {
        kind, zones: [{ name: FORWARD, updates: TEST_KEY }, { name: 'long.test.', updates: LONG_KEY }, { name: 'nobody.test.', updates: 'nobody' }, { name: 'anybody.test.', updates: 'anybody' }],
      });
      const add = { action: 'add-forward' } as const;
      const servers = [server.server];
      const client = new Client(t, [keyOf(TEST_KEY), keyOf(LONG_KEY)]);
      assert.deepEqual(await client.run(servers, { ...add, name: 'a.long.test' }, { name: 'long.test.', key: LONG_KEY.name }), DONE);
      assert.deepEqual(await client.run(servers, { ...add, name: 'a.anybody.test' }, { name: 'anybody.test.', key: undefined }), DONE);
      const refused = async (outcome: Promise<DnsOutcome>): Promise<string> => {
        const found = await outcome;
        return found.kind === 'refused' ? found.code : JSON.stringify(found);
      };
      // Knot says what it thinks of the key where BIND says REFUSED.
      const said = (bind: string, knot: string): string => (kind === 'bind' ? bind : knot);
      assert.equal(await refused(client.run(servers, { ...add, name: 'a.nobody.test' }, { name: 'nobody.test.' })), said('REFUSED', 'BADKEY'));
      assert.equal(await refused(client.run(servers, add, { key: undefined })), said('REFUSED', 'NOTAUTH'));
      assert.equal(await refused(client.run(servers, { ...add, name: 'a.elsewhere.test' })), 'NOTZONE');
      const wrong = [{ ...keyOf(TEST_KEY), secret: Buffer.alloc(32) }, { ...keyOf(TEST_KEY), name: 'unknown' }, { ...keyOf(TEST_KEY), algorithm: 'hmac-sha512' as const }];
      assert.deepEqual(await Promise.all(wrong.map((key) => refused(new Client(t, [key]).run(servers, add)))), ['BADSIG', 'BADKEY', 'BADKEY']);
      client.wallAheadMs = 1000_000;
      assert.deepEqual(await client.run(servers, add), { kind: 'unavailable', reason: `${serverText(server.server)}: BADTIME: its clock is 1000 s behind this host's` });
      client.wallAheadMs = 0;
      assert.deepEqual(await server.dump(FORWARD), []);
      // A zone that the server has not got: BIND signs what it says of it, Knot does not.
      const none = await client.run(servers, { ...add, name: 'a.none.test' }, { name: 'none.test.' });
      assert.deepEqual(none, kind === 'bind' ? { kind: 'refused', code: 'NOTAUTH' } : { kind: 'unavailable', reason: `${serverText(server.server)}: answers NOTAUTH with no signature` });
      assert.deepEqual(await client.run(servers, add), DONE, 'its other zones are served all the same');
    });

    test('questions, and transfers over many messages with signatures', async (t) => {
      const records = Array.from({ length: 4000 }, (_, i) => `host-${i} A 10.0.${i >> 8}.${i & 255}`);
      const server = await started(t, { kind, transferKey: LONG_KEY, zones: [{ name: FORWARD, updates: TEST_KEY, records }] });
      const zone: DnsZone = { name: FORWARD, servers: [server.server], key: LONG_KEY.name };
      const { updater } = new Client(t, [keyOf(LONG_KEY)]);
      const found: string[] = [];
      for await (const { data, name, type } of updater.transfer(zone)) if (type === TYPE_NUMBERS.A) found.push(`${formatDomainName(name)!.split('.')[0]} A ${data.join('.')}`);
      assert.deepEqual(found.toSorted(), records.toSorted());
      for (const other of [{ ...zone, key: undefined }, { ...zone, name: 'none.test.' }]) {
        await assert.rejects(async () => {
          for await (const _ of updater.transfer(other));
        }, { code: 'dns-transfer' });
      }
      const answer = await updater.query(zone, parseDomainName('host-7.example.test')!, 'A');
      assert.deepEqual(answer.kind === 'answer' && answer.records.map(({ data }) => data.join('.')), ['10.0.0.7']);
      const none = await updater.query(zone, parseDomainName('nobody.example.test')!, 'A');
      assert.deepEqual(none.kind === 'answer' && [none.code, none.records], ['NXDOMAIN', []]);
    });

    test('servers that are dead, stand still, come back, or are not the primary one', async (t) => {
      const zones = [{ name: FORWARD, updates: TEST_KEY }];
      const primary = await started(t, { kind, zones });
      const secondary = await started(t, { kind: 'bind', zones: [{ ...zones[0]!, primary: primary.server }] });
      const client = new Client(t);
      const add = (name: string): Promise<DnsOutcome> => client.run([primary.server, secondary.server], { action: 'add-forward', name: `${name}.example.test` });
      assert.deepEqual(await add('before'), DONE);

      await primary.kill();
      const dead = await add('dead');
      assert.deepEqual([dead.kind, /ECONNREFUSED; .*: \w+/.test(JSON.stringify(dead))], ['unavailable', true], JSON.stringify(dead));
      assert.match(JSON.stringify(await add('dead')), /has not answered lately/);
      await primary.restart();
      client.passedMs += DNS_SERVER_REST_MS;
      assert.deepEqual(await add('dead'), DONE, 'its rest is over');

      primary.pause();
      const still = [add('still'), add('stilltoo')];
      assert.deepEqual((await Promise.all(still)).map(({ kind: outcome }) => outcome), ['unavailable', 'unavailable']);
      primary.resume();
      client.passedMs += DNS_SERVER_REST_MS;
      // What waited in its socket may have been done meanwhile: the same again comes to the same.
      assert.deepEqual(await add('still'), DONE);
      assert.deepEqual(await add('stilltoo'), DONE);
      assert.deepEqual((await primary.dump(FORWARD)).filter((text) => text.includes(' A ')).map((text) => text.split('.')[0]), ['before', 'dead', 'still', 'stilltoo']);
    });
  });
}

test('BIND: a policy that lets the key change what is needed and nothing else; a secondary that passes updates on', needsNameServers('bind'), async (t) => {
  const primary = await started(t, {
    kind: 'bind', zones: [
      { name: FORWARD, updates: TEST_KEY, policy: `grant ${TEST_KEY.name} zonesub A DHCID;`, records: ['alias CNAME printer', 'noted 60 TXT "note"'] },
      { name: REVERSE, updates: TEST_KEY, policy: `grant ${TEST_KEY.name} zonesub PTR;` },
    ],
  });
  const secondary = await started(t, { kind: 'bind', zones: [{ name: FORWARD, updates: TEST_KEY, primary: primary.server, forwards: true }] });
  const client = new Client(t);
  const run = (fields: Parameters<typeof dnsJob>[0], server = primary): Promise<DnsOutcome> => client.run([server.server], fields);
  const before = await primary.dump(FORWARD);
  for (const action of ['add-forward', 'add-forward', 'add-reverse', 'add-reverse', 'remove-forward', 'remove-reverse', 'remove-reverse'] as const) assert.deepEqual(await run({ action }), DONE, action);
  for (const action of ['add-forward', 'remove-forward'] as const) assert.deepEqual(await run({ action, name: 'noted.example.test', conflicts: 'replace' }), DONE, action);
  assert.deepEqual(await run({ action: 'add-forward', name: 'alias.example.test', conflicts: 'replace' }), { kind: 'refused', code: 'REFUSED' });
  assert.deepEqual([await primary.dump(FORWARD), await primary.dump(REVERSE)], [before, []]);

  for (const action of ['add-forward', 'add-forward'] as const) assert.deepEqual(await run({ action }, secondary), DONE, 'passed on, and its answer back');
  assert.deepEqual(await run({ action: 'add-forward', client: 2 }, secondary), { kind: 'conflict' });
  assert.equal((await primary.dump(FORWARD)).length, before.length + 2);
});
