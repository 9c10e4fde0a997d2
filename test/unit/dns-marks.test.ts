/** Which addresses have something to be done in DNS. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { DNS_FRESH_MAX } from '../../node/ddns/limits.ts';
import { DnsMarks } from '../../node/lease/dns-marks.ts';
import { Pages } from '../../node/lease/pages.ts';

function marks(): { dns: DnsMarks; set: (address: number, work: boolean) => void } {
  const pages = new Pages(() => undefined);
  const dns = new DnsMarks();
  return { dns, set: (address, work) => dns.set(pages.of(address), address, work) };
}

const all = (): boolean => true;

test('an address is found as long as it is marked, once in a round', () => {
  const { dns, set } = marks();
  const addresses = [0x0a000001, 0x0a000002, 0x0a0000ff, 0x0a000100, 0x0a050003];
  for (const address of addresses) set(address, true);
  assert.equal(dns.size, 5);
  assert.deepEqual(dns.look(100, all).toSorted((a, b) => a - b), addresses);
  assert.deepEqual(dns.look(100, all).toSorted((a, b) => a - b), addresses, 'the next round');
  set(0x0a000002, false);
  set(0x0a000002, false);
  set(0x0a050003, false);
  assert.equal(dns.size, 3);
  assert.deepEqual(dns.look(100, all).toSorted((a, b) => a - b), [0x0a000001, 0x0a0000ff, 0x0a000100]);
});

test('a bounded look goes on where the last one ended, so that each one comes', () => {
  const { dns, set } = marks();
  for (let i = 0; i < 1000; i++) set(0x0a000000 + i, true);
  const seen = new Set<number>();
  for (let i = 0; i < 20; i++) for (const address of dns.look(50, all)) seen.add(address);
  assert.equal(seen.size, 1000);
});

test('only slots that are wanted are found and counted', () => {
  const { dns, set } = marks();
  for (let i = 0; i < 512; i++) set(0x0a000000 + i, true);
  const even = (slot: number): boolean => slot % 2 === 0;
  assert.equal(dns.count(even), 256);
  assert.ok(dns.look(1000, even).every((address) => address % 2 === 0));
});

test('what was marked lately comes first, and no more is remembered than the bound', () => {
  const { dns, set } = marks();
  for (let i = 0; i < DNS_FRESH_MAX + 100; i++) set(0x0a000000 + i, true);
  assert.equal(dns.size, DNS_FRESH_MAX + 100);
  assert.deepEqual(dns.takeFresh(2), [0x0a000000, 0x0a000001]);
  assert.equal(dns.takeFresh(100_000).length, DNS_FRESH_MAX - 2);
  assert.equal(dns.takeFresh(10).length, 0);
});

test('a page that goes while it is looked at does not make the next one begin in its middle', () => {
  const { dns, set } = marks();
  set(0x0a000080, true);
  set(0x0a0000f0, true);
  set(0x0a000101, true);
  assert.deepEqual(dns.look(1, all), [0x0a000080]);
  set(0x0a000080, false);
  set(0x0a0000f0, false);
  assert.deepEqual(dns.look(1, all), [0x0a000101]);
});
