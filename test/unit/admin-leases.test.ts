import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { listLeases } from '../../node/admin/lease-list.ts';
import { parseLeaseQuery } from '../../node/admin/lease-parameters.ts';
import type { LeaseParameters } from '../../node/admin/lease-parameters.ts';
import { leaseView } from '../../node/admin/lease-view.ts';
import type { DnsView } from '../../node/admin/lease-view.ts';
import { encodeDnsEntries } from '../../node/ddns/entries.ts';
import type { DnsEntry } from '../../node/ddns/types.ts';
import { BindingState } from '../../node/lease/record.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { binding, CONFIG, leaseSource, type OwnedLeases } from './admin-fixture.ts';

const A1 = 0x0a01_0001;
const A2 = 0x0a01_0002;
const B1 = 0xc0a8_0005;

async function found(source: OwnedLeases, parameters: LeaseParameters): Promise<string[]> {
  const query = parseLeaseQuery(parameters, { config: CONFIG, ownerOf: (slot) => source.ownerOf(slot), nowSeconds: 1_700_000_000 });
  const addresses: string[] = [];
  for await (const { address } of listLeases({ ...source, config: CONFIG, pause: () => Promise.resolve() }, query)) addresses.push(address);
  return addresses;
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

test('bindings are found by hardware address, client identifier and host name, however written', async () => {
  const source = leaseSource(new Map([
    [A1, binding({ hasClientIdentifier: true, clientKey: Buffer.from('ff0102', 'hex'), hostname: Buffer.from('Printer') })],
    [A2, binding({ chaddr: Buffer.from('02000000beef', 'hex'), hostname: Buffer.from('cafe') })],
  ]));
  for (const client of ['52:54:00:12:34:56', '52-54-00-12-34-56', '525400123456', '1/52:54:00:12:34:56', 'FF0102', 'ff:01:02', 'printer']) {
    assert.deepEqual(await found(source, { client }), ['10.1.0.1'], client);
  }
  // Without option 61 the key is the hardware type and address; and hex digits may be a name as well.
  for (const client of ['0102000000beef', '02:00:00:00:BE:EF', 'CAFE']) {
    assert.deepEqual(await found(source, { client }), ['10.1.0.2'], client);
  }
  for (const client of ['32/52:54:00:12:34:56', 'print', '00']) assert.deepEqual(await found(source, { client }), [], client);
});

test('bindings are found by address, subnet and state, and all conditions hold at once', async () => {
  const source = leaseSource(new Map([
    [A1, binding()], [A2, binding({ state: BindingState.RELEASED })], [B1, binding({ state: BindingState.ABANDONED })],
  ]));
  assert.deepEqual(await found(source, {}), ['10.1.0.1', '10.1.0.2', '192.168.0.5']);
  assert.deepEqual(await found(source, { address: '10.1.0.2' }), ['10.1.0.2']);
  assert.deepEqual(await found(source, { address: '10.1.0.3' }), []);
  assert.deepEqual(await found(source, { subnet: '10.0.0.0/8' }), ['10.1.0.1', '10.1.0.2']);
  assert.deepEqual(await found(source, { subnet: '192.168.0.0/24' }), ['192.168.0.5']);
  assert.deepEqual(await found(source, { subnet: '192.168.0.0/24', address: '10.1.0.1' }), []);
  assert.deepEqual(await found(source, { state: 'released' }), ['10.1.0.2']);
  assert.deepEqual(await found(source, { state: 'EXPIRED' }), []);
});

test('the first and the last address that a client can have can be asked for', async () => {
  const source = leaseSource(new Map([[0, binding()], [0x00ff_ffff, binding()], [0x0100_0000, binding()], [0xffff_ffff, binding()]]));
  assert.deepEqual(await found(source, { address: '1.0.0.0' }), ['1.0.0.0']);
  assert.deepEqual(await found(source, { address: '255.255.255.255' }), ['255.255.255.255']);
  assert.deepEqual(await found(source, {}), ['1.0.0.0', '255.255.255.255'], 'below are the notes of the cluster');
});
