import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { leasePage, LEASE_PAGE_RECORDS, parseLeaseQuery, type LeaseSource } from '../../node/admin/lease-query.ts';
import { leaseView } from '../../node/admin/lease-view.ts';
import type { DnsView } from '../../node/admin/lease-view.ts';
import { encodeDnsEntries } from '../../node/ddns/entries.ts';
import type { DnsEntry } from '../../node/ddns/types.ts';
import { BindingState } from '../../node/lease/record.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { binding, leaseSource, NET_10, NET_192 } from './admin-fixture.ts';

const A1 = 0x0a01_0001;
const A2 = 0x0a01_0002;
const B1 = 0xc0a8_0005;

function found(source: LeaseSource, parameters: Record<string, string>): string[] {
  const parsed = parseLeaseQuery(parameters, source.subnets);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.message);
  const addresses: string[] = [];
  let after: number | undefined = -1;
  while (after !== undefined) {
    const page = leasePage(source, parsed.query, after);
    addresses.push(...page.leases.map(({ address }) => address));
    after = page.next;
  }
  return addresses;
}

function refusal(parameters: Record<string, unknown>): string {
  const parsed = parseLeaseQuery(parameters, [NET_10, NET_192]);
  assert.ok(!parsed.ok);
  return parsed.message;
}

test('a binding is shown with every field of its record', () => {
  const record = binding({
    hasClientIdentifier: true, clientKey: Buffer.from('ff0102', 'hex'), hostname: Buffer.from('printer'),
    relayAgentInformation: Buffer.from('0104aabbccdd', 'hex'), reserved: true,
  });
  assert.deepEqual(leaseView(A1, record, '10.0.0.0/8', 'b'), {
    address: '10.1.0.1', state: 'ACTIVE', client: 'ff0102', clientIdentifier: true, hardware: '52:54:00:12:34:56',
    hostname: 'printer', expires: '2023-11-14T23:13:20Z', stateSince: '2023-11-14T22:13:20Z',
    lastTransaction: '2023-11-14T22:15:00Z', leaseSeconds: 3600, subnet: '10.0.0.0/8',
    relayAgentInformation: '0104aabbccdd', relay: { 'circuit-id': { hex: 'aa:bb:cc:dd' } }, reserved: true,
    stamp: { epoch: 7, incarnation: '0123456789ab', seq: 42 }, owner: 'b',
  });
});

test('what a binding does not have is left out, and a lease for ever never ends', () => {
  const view = leaseView(A1, binding({ expires: INFINITE_SECONDS, htype: 32 }), '', undefined);
  assert.equal(view.expires, 'never');
  assert.equal(view.hardware, '32/52:54:00:12:34:56');
  for (const name of ['hostname', 'relayAgentInformation', 'relay', 'owner']) assert.ok(!(name in view), name);
});

test('a binding shows its name in DNS and how that stands; a client\'s own name is no such thing', () => {
  const entry: DnsEntry = {
    name: Buffer.from('\x07printer\x03lan\0', 'latin1'), dhcid: Buffer.alloc(35), current: true, forward: true, reverse: true,
    forwardSettled: true, reverseSettled: true, refusal: 'none',
  };
  const shown = (entries: readonly DnsEntry[], state: BindingState = BindingState.ACTIVE): DnsView | undefined =>
    leaseView(A1, binding({ state, hostname: Buffer.from('p'), dns: encodeDnsEntries(entries) }), '', undefined).dns;
  assert.deepEqual(shown([entry]), { name: 'printer.lan', state: 'added' });
  assert.equal(shown([{ ...entry, forwardSettled: false }])?.state, 'pending');
  assert.equal(shown([{ ...entry, reverseSettled: false }])?.state, 'pending');
  assert.equal(shown([{ ...entry, refusal: 'conflict' }])?.state, 'conflict');
  assert.equal(shown([entry], BindingState.EXPIRED)?.state, 'leaving');
  assert.equal(shown([{ ...entry, current: false }])?.state, 'leaving');
  assert.equal(shown([]), undefined);
});

test('bindings are found by hardware address, client identifier and host name, however written', () => {
  const source = leaseSource(new Map([
    [A1, binding({ hasClientIdentifier: true, clientKey: Buffer.from('ff0102', 'hex'), hostname: Buffer.from('Printer') })],
    [A2, binding({ chaddr: Buffer.from('02000000beef', 'hex'), hostname: Buffer.from('cafe') })],
  ]));
  for (const client of ['52:54:00:12:34:56', '52-54-00-12-34-56', '525400123456', '1/52:54:00:12:34:56', 'FF0102', 'ff:01:02', 'printer']) {
    assert.deepEqual(found(source, { client }), ['10.1.0.1'], client);
  }
  // Without option 61 the key is the hardware type and address; and hex digits may be a name as well.
  for (const client of ['0102000000beef', '02:00:00:00:BE:EF', 'CAFE']) {
    assert.deepEqual(found(source, { client }), ['10.1.0.2'], client);
  }
  for (const client of ['32/52:54:00:12:34:56', 'print', '00']) assert.deepEqual(found(source, { client }), [], client);
});

test('bindings are found by address, subnet and state, and all conditions hold at once', () => {
  const source = leaseSource(new Map([
    [A1, binding()], [A2, binding({ state: BindingState.RELEASED })], [B1, binding({ state: BindingState.ABANDONED })],
  ]));
  assert.deepEqual(found(source, {}), ['10.1.0.1', '10.1.0.2', '192.168.0.5']);
  assert.deepEqual(found(source, { address: '10.1.0.2' }), ['10.1.0.2']);
  assert.deepEqual(found(source, { address: '10.1.0.3' }), []);
  assert.deepEqual(found(source, { subnet: '10.0.0.0/8' }), ['10.1.0.1', '10.1.0.2']);
  assert.deepEqual(found(source, { subnet: '192.168.0.0/24' }), ['192.168.0.5']);
  assert.deepEqual(found(source, { subnet: '192.168.0.0/24', address: '10.1.0.1' }), []);
  assert.deepEqual(found(source, { state: 'released' }), ['10.1.0.2']);
  assert.deepEqual(found(source, { state: 'EXPIRED' }), []);
});

test('the first and the last address there is can be asked for', () => {
  const source = leaseSource(new Map([[0, binding()], [0xffff_ffff, binding()]]));
  assert.deepEqual(found(source, { address: '0.0.0.0' }), ['0.0.0.0']);
  assert.deepEqual(found(source, { address: '255.255.255.255' }), ['255.255.255.255']);
  assert.deepEqual(found(source, {}), ['0.0.0.0', '255.255.255.255']);
});

test('a list longer than a page comes whole, in pages of bounded work', () => {
  const bindings = new Map<number, Buffer>();
  for (let n = 0; n < 2 * LEASE_PAGE_RECORDS + 10; n++) bindings.set(A1 + n, binding());
  const base = leaseSource(bindings);
  const asked: number[] = [];
  const source: LeaseSource = { ...base, records: (after, limit) => (asked.push(limit), base.records(after, limit)) };
  assert.equal(found(source, {}).length, bindings.size);
  assert.ok(asked.every((limit) => limit <= LEASE_PAGE_RECORDS));
  // Where nothing matches a page is empty but goes on.
  assert.deepEqual(found(source, { client: 'nobody' }), []);
});

test('a mistake in a question says what was expected', () => {
  assert.match(refusal({ address: '10.0.0' }), /^address: expected an IPv4 address/);
  assert.match(refusal({ subnet: '10.0.0.0/9' }), /expected one of 10\.0\.0\.0\/8, 192\.168\.0\.0\/24/);
  assert.match(refusal({ state: 'FREE' }), /expected one of ACTIVE, EXPIRED, RELEASED, ABANDONED/);
  assert.match(refusal({ adress: '10.0.0.1' }), /unknown parameter "adress": expected client, address, subnet, state/);
  assert.match(refusal({ client: ['a', 'b'] }), /client: expected one value/);
  assert.match(refusal({ client: '' }), /client: expected one value/);
});
