/** A change that another node had decided on before it knew what DNS had come to is made all the same. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { encodeDnsEntries, readDnsEntries } from '../../node/ddns/entries.ts';
import { DNS_REWRITES_MAX } from '../../node/ddns/limits.ts';
import { DnsRewrites, mergedRecord } from '../../node/ddns/rewrites.ts';
import type { DnsEntry } from '../../node/ddns/types.ts';
import { BindingState, encodeRecord, recordSection, SectionKind, tellsTheSame, withSection, withState, writeStamp } from '../../node/lease/record.ts';
import type { MonotonicMs } from '../../node/time.ts';
import { entry } from './dns-outbox-fixture.ts';

function lease(entries: readonly DnsEntry[], seq: number, expires = 10_000): Buffer {
  const record = encodeRecord({
    state: BindingState.ACTIVE, hasClientIdentifier: true, reserved: false, htype: 1, chaddr: Buffer.alloc(6), clientKey: Buffer.from('client'),
    stateSince: 1000, lastTransaction: 1000, expires, leaseSeconds: 3600, xid: 1, relayAgentInformation: Buffer.from('relay'), hostname: Buffer.from('pc'),
    dns: encodeDnsEntries(entries),
  });
  writeStamp(record, { epoch: 1, incarnation: 7, seq });
  return record;
}

const entriesOf = (record: Buffer): DnsEntry[] => readDnsEntries(recordSection(record, SectionKind.dns));
const now = 1000 as MonotonicMs;

test('a record tells the same whatever its section dns and its stamp say, and another thing whatever else differs', () => {
  const one = lease([entry('pc')], 1);
  assert.ok(tellsTheSame(one, lease([entry('pc', { forwardSettled: true })], 2)));
  assert.ok(tellsTheSame(one, lease([], 3)));
  assert.ok(tellsTheSame(withSection(one, SectionKind.dns, Buffer.alloc(0)), one));
  assert.ok(!tellsTheSame(one, lease([entry('pc')], 1, 20_000)));
  assert.ok(!tellsTheSame(one, withState(one, BindingState.RELEASED, 5)));
  assert.ok(!tellsTheSame(one, withSection(one, SectionKind.hostname, Buffer.from('other'))));
  assert.ok(!tellsTheSame(one, withSection(one, SectionKind.vendorClass, Buffer.from('phone'))));
  assert.ok(!tellsTheSame(withSection(one, SectionKind.vendorClass, Buffer.from('phone')), one));
});

test('only what was rewritten for DNS alone since counts, and not for long', () => {
  const rewrites = new DnsRewrites();
  rewrites.note(5, lease([entry('pc')], 1), 7, 2, now);
  rewrites.note(5, lease([entry('pc')], 2), 7, 3, now);
  assert.ok(rewrites.isAllSince(5, lease([], 3), 7, 1));
  assert.ok(rewrites.isAllSince(5, lease([], 3), 7, 2));
  assert.ok(!rewrites.isAllSince(5, lease([], 3), 7, 0));
  assert.ok(!rewrites.isAllSince(5, lease([], 4), 7, 2), 'another change has come on top');
  assert.ok(!rewrites.isAllSince(6, lease([], 3), 7, 2));
  rewrites.note(6, lease([], 9), 7, 10, 60_000 as MonotonicMs);
  assert.ok(!rewrites.isAllSince(5, lease([], 3), 7, 2), 'it is forgotten');
  for (let i = 0; i <= DNS_REWRITES_MAX; i++) rewrites.note(100 + i, lease([], 1), 7, 2, 60_000 as MonotonicMs);
  assert.ok(!rewrites.isAllSince(6, lease([], 10), 7, 9), 'no more are remembered than the bound');
});

test('a renewal keeps what DNS has come to, and a new name leaves the old one to be taken out', () => {
  const settled = entry('pc', { forwardSettled: true, reverseSettled: true });
  const [renewed] = entriesOf(mergedRecord(lease([entry('pc')], 0), lease([settled], 2)));
  assert.deepEqual(renewed, settled);
  const [next, old] = entriesOf(mergedRecord(lease([entry('new')], 0), lease([settled], 2)));
  assert.ok(next!.current && !next!.forwardSettled);
  assert.deepEqual([old!.name, old!.current, old!.forward], [settled.name, false, true]);
});

test('a name that is out of DNS by now does not come back with a release', () => {
  const wanted = withState(lease([entry('pc'), entry('old', { current: false })], 0), BindingState.RELEASED, 5);
  assert.deepEqual(entriesOf(mergedRecord(wanted, lease([entry('pc', { forwardSettled: true })], 2))).map(({ name }) => name), [entry('pc').name]);
});
