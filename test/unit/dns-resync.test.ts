/** `lessor dns resync`: leases and zones are compared, and the zones repaired. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import { DNS_RESYNC_PAGE_RECORDS, DNS_STRAYS_MAX } from '../../node/ddns/limits.ts';
import { DnsResync } from '../../node/ddns/resync.ts';
import type { ZoneEntry } from '../../node/ddns/resync.ts';
import { addressData, reverseName } from '../../node/ddns/update.ts';
import { TYPE_NUMBERS } from '../../node/ddns/wire.ts';
import { allZones } from '../../node/ddns/zone-of.ts';
import { textOf } from '../support/dns-zone.ts';
import type { ZoneRecord } from '../support/dns-zone.ts';
import { entry, OutboxStage } from './dns-outbox-fixture.ts';
import { ip } from './lease-model.ts';

type Reading = 'transfer' | 'query' | 'silence';

/** Compares, and carries out what comes of it. */
async function resync(stage: OutboxStage, reading: Reading = 'transfer'): Promise<void> {
  const { outbox, table, zones } = stage;
  const of = (name: string): ReturnType<typeof zones.get> & object => zones.get(name)!;
  const comparison = new DnsResync({
    table, outbox, zones: allZones(stage.config), owns: (slot) => stage.owns(slot), works: () => stage.works,
    pause: () => {
      stage.run(1);
      return Promise.resolve();
    },
    reader: {
      async* transfer({ name }) {
        if (reading !== 'transfer') throw new Error('REFUSED');
        yield* of(name).records().map((record) => entryOf(record));
      },
      query: (zone, name, type) => Promise.resolve(reading === 'silence' ? undefined
        : of(zone.name).at(textOf(name)).filter((record) => record.type === type).map(({ data }) => data)),
    },
  });
  await comparison.run();
  stage.run(50);
}

function entryOf({ data, name, type }: ZoneRecord): ZoneEntry {
  return { name: parseDomainName(name)!, type: TYPE_NUMBERS[type as 'A'] ?? 16, data };
}

for (const reading of ['transfer', 'query'] as const) {
  test(`what somebody has taken out of a zone is put in again (${reading})`, async () => {
    const stage = new OutboxStage();
    for (let i = 1; i <= 3; i++) stage.lease(`10.0.0.${i}`, [entry(`pc-${i}`)]);
    stage.run();
    const before = stage.held();
    stage.zones.get('example.test.')!.take('pc-2.example.test');
    stage.zones.get('10.in-addr.arpa.')!.take('3.0.0.10.in-addr.arpa');
    await resync(stage, reading);
    assert.deepEqual(stage.held(), before);
    const { bindings, missing, state, stray } = stage.outbox.resync!;
    assert.deepEqual({ bindings, missing, state, stray }, { bindings: 3, missing: 2, state: 'done', stray: 0 });
  });
}

test('what no lease has goes, but only what has a mark of a DHCP server and an address of this node', async () => {
  const stage = new OutboxStage();
  stage.lease('10.0.0.1', [entry('pc-1')]);
  stage.lease('10.0.0.2', [entry('gone')]);
  stage.run();
  const forward = stage.zones.get('example.test.')!;
  const put = (label: string, address: string, marked: boolean): void => {
    const name = `${label}.example.test`;
    forward.put({ name, type: 'A', ttlSeconds: 60, data: addressData(ip(address)) });
    if (marked) forward.put({ name, type: 'DHCID', ttlSeconds: 60, data: Buffer.alloc(35, 'x') });
    stage.zones.get('10.in-addr.arpa.')!.put({ name: textOf(reverseName(ip(address))), type: 'PTR', ttlSeconds: 60, data: parseDomainName(name)! });
  };
  put('old', '10.0.0.9', true);
  put('printer', '10.0.0.10', false);
  put('elsewhere', '192.0.2.1', true);
  put('others', '10.0.0.77', true);
  stage.owns = (slot) => slot !== 77;
  await resync(stage);
  const held = stage.held().join(' ');
  assert.doesNotMatch(held, /old|9\.0\.0\.10/);
  for (const kept of ['pc-1', 'gone', 'printer', '10.0.0.10.in-addr', 'elsewhere', 'others', '77.0.0.10']) assert.match(held, new RegExp(kept));
  assert.equal(stage.outbox.resync!.stray, 2);
});

test('a name of which only the pointer is still to be taken out has its A record taken out as well', async () => {
  const stage = new OutboxStage();
  stage.fails.set('10.in-addr.arpa.', { kind: 'unavailable', reason: 'no answer' });
  stage.lease('10.0.0.1', [entry('pc'), entry('old', { current: false, forward: false })]);
  const forward = stage.zones.get('example.test.')!;
  forward.put({ name: 'old.example.test', type: 'A', ttlSeconds: 60, data: addressData(ip('10.0.0.1')) });
  forward.put({ name: 'old.example.test', type: 'DHCID', ttlSeconds: 60, data: entry('old').dhcid });
  stage.run();
  await resync(stage);
  assert.deepEqual(stage.held(), ['pc.example.test A 10.0.0.1']);
});

test('a pointer to a name that does not exist goes where the address is in a pool', async () => {
  const stage = new OutboxStage();
  stage.lease('10.0.0.1', [entry('pc-1')]);
  stage.run();
  const point = (address: string, name: string): void =>
    stage.zones.get('10.in-addr.arpa.')!.put({ name: textOf(reverseName(ip(address))), type: 'PTR', ttlSeconds: 60, data: parseDomainName(name)! });
  point('10.0.0.9', 'gone.example.test');
  point('10.1.0.9', 'gone.example.test');
  point('10.0.0.10', 'text.example.test');
  point('10.0.0.11', 'gone.example.org');
  stage.zones.get('example.test.')!.put({ name: 'text.example.test', type: 'TXT', ttlSeconds: 60, data: Buffer.from('\x01x') });
  await resync(stage);
  const kept = stage.held().filter((record) => record.endsWith('PTR'));
  assert.deepEqual(kept.toSorted(), ['1.0.0.10.in-addr.arpa PTR', '10.0.0.10.in-addr.arpa PTR', '11.0.0.10.in-addr.arpa PTR', '9.0.1.10.in-addr.arpa PTR']);
  assert.equal(stage.outbox.resync!.stray, 1);
});

test('a lease that begins while its name is taken for one without a lease keeps it', async () => {
  const stage = new OutboxStage();
  stage.zones.get('example.test.')!.put({ name: 'pc.example.test', type: 'A', ttlSeconds: 60, data: addressData(ip('10.0.0.1')) });
  stage.zones.get('example.test.')!.put({ name: 'pc.example.test', type: 'DHCID', ttlSeconds: 60, data: entry('pc').dhcid });
  assert.ok(stage.outbox.takeOut(ip('10.0.0.1'), { action: 'remove-forward', name: entry('pc').name, dhcid: entry('pc').dhcid }));
  stage.lease('10.0.0.1', [entry('pc')]);
  stage.run();
  assert.ok(stage.held().includes('pc.example.test A 10.0.0.1'));
});

test('a refusal is put to the test again', async () => {
  const stage = new OutboxStage();
  const forward = stage.zones.get('example.test.')!;
  forward.put({ name: 'www.example.test', type: 'A', ttlSeconds: 60, data: addressData(1) });
  const address = stage.lease('10.0.0.1', [entry('www')]);
  stage.run();
  assert.equal(stage.entries(address)[0]!.refusal, 'conflict');
  forward.take('www.example.test');
  await resync(stage);
  assert.deepEqual(stage.held(), ['www.example.test A 10.0.0.1', '1.0.0.10.in-addr.arpa PTR']);
});

test('where no server answers nothing is changed, and it says so', async () => {
  const stage = new OutboxStage();
  stage.lease('10.0.0.1', [entry('pc')]);
  stage.run();
  const { changes } = stage;
  await resync(stage, 'silence');
  assert.equal(stage.changes, changes);
  assert.equal(stage.outbox.resync!.state, 'failed');
  assert.match(stage.outbox.resync!.step, /no answer from example\.test\./);
});

test('more than fits in the queues is repaired all the same', async () => {
  const stage = new OutboxStage();
  const count = DNS_STRAYS_MAX + DNS_RESYNC_PAGE_RECORDS + 10;
  for (let i = 0; i < count; i++) stage.lease(`10.0.${i >> 8}.${i & 255}`, [entry(`pc-${i}`)]);
  stage.run(count / 10);
  const before = stage.held();
  assert.equal(before.length, 2 * count);
  for (let i = 0; i < count; i++) stage.zones.get('example.test.')!.take(`pc-${i}.example.test`);
  await resync(stage);
  stage.run(count / 10);
  assert.deepEqual(stage.held(), before);
});

test('a node that leaves service ends it', async () => {
  const stage = new OutboxStage();
  stage.lease('10.0.0.1', [entry('pc')]);
  stage.run();
  stage.works = false;
  await resync(stage);
  assert.equal(stage.outbox.resync!.state, 'failed');
});
