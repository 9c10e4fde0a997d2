/** Lease times: what a client asks for, what classes and reservations set, T1 and T2, and renewals that change nothing. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { recordExpires, recordLeaseSeconds } from '../../node/lease/record.ts';
import { addressOption, CLIENT_CHADDR, discover, ip, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { leaseTimes } from '../support/configs.ts';
import { replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import type { TestServerOptions } from '../support/dhcp-server.ts';

const SERVER = ip('10.0.0.2');
const asks = (seconds: number): ClientFields => ({ options: { 51: addressOption(seconds) } });
const withBounds = (): TestServer => new TestServer({ subnets: [subnetConfig({ scope: { lease: leaseTimes(3600, { minSeconds: 600, maxSeconds: 86_400 }) } })] });

function times(server: TestServer, fields: ClientFields = {}): (number | undefined)[] {
  const offer = replyOf(server.receive(discover(fields)));
  const ack = replyOf(server.receive(request({ ...fields, requestedAddress: offer.yiaddr, serverIdentifier: SERVER })));
  assert.equal(ack.type, 5);
  assert.equal(ack.optionU32(51), recordLeaseSeconds(server.table.read(ack.yiaddr)!));
  return [ack.optionU32(51), ack.optionU32(58), ack.optionU32(59)];
}

test('RFC 2131 §4.3.1: a client that requests a lease duration gets it, if that is acceptable by local policy', () => {
  for (const [asked, granted] of [[7200, 7200], [60, 600], [90_000, 86_400], [0xffff_ffff, 86_400], [0, 600]] as const) {
    assert.equal(times(withBounds(), asks(asked))[0], granted, `${asked} s`);
  }
});

test('RFC 2131 §4.3.1: a client that has not requested a duration gets the locally configured default', () => {
  assert.deepEqual(times(withBounds()), [3600, 1800, 3150]);
});

test('a single lease time leaves nothing to ask for', () => {
  assert.equal(times(new TestServer(), asks(60))[0], 3600);
});

test('RFC 2131 §4.4.5: T1 defaults to 0.5 and T2 to 0.875 of the lease; T1 MUST be earlier than T2', () => {
  const lease = (renew: object, rebind: object): TestServerOptions =>
    ({ subnets: [subnetConfig({ scope: { lease: leaseTimes(1000, { renew, rebind } as never) } })] });
  assert.deepEqual(times(new TestServer(lease({ fraction: 0.5 }, { fraction: 0.875 }))), [1000, 500, 875]);
  assert.deepEqual(times(new TestServer(lease({ seconds: 100 }, { fraction: 0.9 }))), [1000, 100, 900]);
  assert.deepEqual(times(new TestServer(lease({ seconds: 5000 }, { seconds: 6000 }))), [1000, 500, 875], 'a fixed time outside the lease');
  assert.deepEqual(times(new TestServer(lease({ seconds: 950 }, { seconds: 6000 }))), [1000, 875, 875]);
});

test('RFC 2131 §3.3: the value 0xffffffff means infinity, and a client may ask for it where there is no maximum', () => {
  const server = new TestServer({ subnets: [subnetConfig({ scope: { lease: leaseTimes(3600, { minSeconds: 600, maxSeconds: 0xffff_ffff }) } })] });
  assert.deepEqual(times(server, asks(0xffff_ffff)), [0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);
  assert.equal(times(new TestServer({ subnets: [subnetConfig({ scope: { lease: leaseTimes(3600, { minSeconds: 600, maxSeconds: 0xffff_ffff }) } })] }))[0], 3600);
});

test('a reservation goes before a class, an earlier class before a later one, a class before the subnet', () => {
  const always = { kind: 'test', subject: { from: 'hardware' }, test: { kind: 'exists' } } as const;
  const classes = [
    { name: 'infrastructure', condition: { kind: 'not', of: always } as const, overlay: { lease: leaseTimes(604_800) } },
    { name: 'guests', condition: always, overlay: { lease: leaseTimes(1800) } },
    { name: 'all', condition: always, overlay: { lease: leaseTimes(7) } },
  ];
  assert.equal(times(new TestServer({ classes }))[0], 1800);
  const reservations = [{ hardware: { htype: 1, chaddr: CLIENT_CHADDR }, address: ip('10.0.0.7'), overlay: { lease: leaseTimes(60) } }];
  assert.equal(times(new TestServer({ classes, subnets: [subnetConfig({ reservations })] }))[0], 60);
});

test('a renewal before the given part of the lease has passed is answered with the rest of it, and writes nothing', () => {
  const server = new TestServer({ subnets: [subnetConfig({ scope: { leaseCache: 0.25 } })] });
  times(server);
  const address = replyOf(server.receive(discover({ xid: 2 }))).yiaddr;
  const renew = (xid: number): ReturnType<TestServer['receive']> =>
    server.receive(request({ xid, ciaddr: address }), { unicast: true, sourceAddress: address });
  server.advance(800_000);
  const early = renew(3);
  assert.deepEqual(early.changes, []);
  assert.deepEqual(early.sendOnCommit.map(({ confirm }) => confirm), [true], 'it waits until what is stored is confirmed and committed');
  assert.equal(replyOf(early).optionU32(51), 2800);
  const before = recordExpires(server.table.read(address)!);
  server.advance(101_000);
  const late = renew(4);
  assert.equal(replyOf(late).optionU32(51), 3600);
  assert.equal(recordExpires(server.table.read(address)!), before + 901);
});

test('a renewal that says something new is written however early it comes', () => {
  const server = new TestServer({ subnets: [subnetConfig({ scope: { leaseCache: 0.25 } })] });
  times(server);
  const address = replyOf(server.receive(discover({ xid: 2 }))).yiaddr;
  server.advance(60_000);
  const named = server.receive(request({ xid: 3, ciaddr: address, options: { 12: Buffer.from('new-name') } }), { unicast: true, sourceAddress: address });
  assert.equal(named.changes.length, 1);
});
