/**
 * What the network held back, or lost: a client that was told something holds on to it, whatever the server
 * has heard, or said, since. Its address goes to nobody else before its lease has ended by its own clock.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { BindingState, recordClientKey, recordExpires, recordState } from '../../node/lease/record.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { addressOption, bootRequest, chaddrOf, decline, discover, ip, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { leaseTimes } from '../support/configs.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';
import type { Scope } from '../../node/config/types.ts';

const SERVER = ip('10.0.0.2');
const ONLY = ip('10.0.0.100');
const chaddr = chaddrOf(1);

/** A pool of one address. */
function serverOf(scope: Partial<Scope>): TestServer {
  return new TestServer({ subnets: [subnetConfig({ pools: [{ first: ONLY, last: ONLY }], scope: { lease: leaseTimes(3600, { minSeconds: 60, maxSeconds: INFINITE_SECONDS }), ...scope } })] });
}

const asks = (seconds: number): ClientFields => ({ chaddr, options: { 51: addressOption(seconds) } });

/** The lease time that it is told. */
function lease(server: TestServer, xid: number, fields: ClientFields = { chaddr }): number {
  assert.equal(replyOf(server.receive(discover({ ...fields, xid }))).yiaddr, ONLY);
  return replyOf(server.receive(request({ ...fields, xid, requestedAddress: ONLY, serverIdentifier: SERVER }))).optionU32(51)!;
}

const renew = (server: TestServer, xid: number, fields: ClientFields): ReturnType<TestServer['receive']> =>
  server.receive(request({ ...fields, xid, ciaddr: ONLY }), { unicast: true, sourceAddress: ONLY });

/** Whether another client gets the address, once time has passed. */
function goesToAnother(server: TestServer, seconds: number): boolean {
  for (let left = seconds; left > 0; left -= 60) {
    server.advance(Math.min(left, 60) * 1000);
    server.carryOut(server.server.tick(server.now));
  }
  server.server.tick(server.now);
  return packetsOf(server.receive(discover({ chaddr: chaddrOf(2) }))).length > 0;
}

test('a client that asks for a shorter lease and never hears that it got it may use the longer one to its end', () => {
  const server = serverOf({});
  assert.equal(lease(server, 1, asks(7200)), 7200);
  server.advance(100_000);
  assert.equal(replyOf(renew(server, 2, asks(60))).optionU32(51), 60);
  assert.ok(recordExpires(server.table.read(ONLY)!) * 1000 >= server.now.wall + 7100_000);
  assert.equal(goesToAnother(server, 7100), false);
  assert.equal(goesToAnother(server, 60), true, 'that lease is over by all clocks');
});

test('the same for one that begins anew, by an offer or at once, and cannot hear the answer', () => {
  for (const rapidCommit of [false, true]) {
    const server = serverOf({ rapidCommit });
    lease(server, 1, asks(7200));
    const short = { chaddr, options: { 51: addressOption(60), ...(rapidCommit ? { 80: Buffer.alloc(0) } : {}) } };
    const granted = rapidCommit
      ? server.receive(discover({ ...short, xid: 2 }))
      : (server.receive(discover({ ...short, xid: 2 })), server.receive(request({ ...short, xid: 2, requestedAddress: ONLY, serverIdentifier: SERVER })));
    assert.equal(replyOf(granted).optionU32(51), 60);
    assert.equal(goesToAnother(server, 7000), false);
  }
});

test('what its clock may be slow by over the longer lease counts as well', () => {
  const server = serverOf({});
  lease(server, 1, asks(500_000));
  renew(server, 2, asks(60));
  assert.equal(goesToAnother(server, 500_100), false, '500,000 / 5,000 = 100 s');
  assert.equal(goesToAnother(server, 120), true);
});

test('a client that asks for long and short leases by turns holds its address no longer than the long ones say', () => {
  const server = serverOf({});
  lease(server, 1, asks(500_000));
  const end = (): number => recordExpires(server.table.read(ONLY)!) - Math.ceil(server.now.wall / 1000);
  for (let xid = 2; xid < 40; xid++) {
    server.advance(1000);
    renew(server, xid, asks(xid % 2 === 0 ? 60 : 500_000));
    assert.ok(end() <= 500_000 + 101, `${end()} s`);
  }
});

test('a lease for ever is one until its client renews, which shows that it has learnt of an end', () => {
  const server = serverOf({});
  assert.equal(lease(server, 1, asks(INFINITE_SECONDS)), INFINITE_SECONDS);
  const reboot = server.receive(request({ chaddr, xid: 2, requestedAddress: ONLY }));
  assert.equal(replyOf(reboot).optionU32(51), 3600);
  assert.equal(recordExpires(server.table.read(ONLY)!), INFINITE_SECONDS, 'it may not have heard it');
  const copy = server.receive(request({ chaddr, xid: 2, requestedAddress: ONLY }));
  assert.deepEqual([copy.changes, replyOf(copy).optionU32(51)], [[], 3600]);
  server.advance(1_800_000);
  assert.equal(replyOf(renew(server, 3, { chaddr })).optionU32(51), 3600);
  assert.equal(recordExpires(server.table.read(ONLY)!), Math.ceil(server.now.wall / 1000) + 3600);
});

test('of the ends that it was told of since, it goes by the latest, and need not have heard of the others', () => {
  const server = serverOf({});
  lease(server, 1, asks(INFINITE_SECONDS));
  assert.equal(replyOf(server.receive(request({ ...asks(7200), xid: 2, requestedAddress: ONLY }))).optionU32(51), 7200);
  server.advance(3_600_000);
  // It is told of no earlier end where the last one is not known to have been heard.
  const seconds = replyOf(server.receive(request({ ...asks(60), xid: 3, requestedAddress: ONLY }))).optionU32(51)!;
  assert.ok(seconds >= 3600 && seconds <= 3603, `${seconds} s`);
  assert.equal(recordExpires(server.table.read(ONLY)!), INFINITE_SECONDS);
  assert.equal(replyOf(renew(server, 4, asks(60))).optionU32(51), 60);
  assert.equal(goesToAnother(server, 3599), false);
  assert.equal(goesToAnother(server, 60), true);
});

test('a copy of a request is answered with the same end, also where the lease before it had none', () => {
  const server = serverOf({});
  lease(server, 1, asks(INFINITE_SECONDS));
  const reboot = request({ ...asks(7200), xid: 2, requestedAddress: ONLY });
  server.receive(reboot);
  server.advance(3000);
  const seconds = replyOf(server.receive(reboot)).optionU32(51)!;
  assert.ok(seconds >= 7197 && seconds <= 7198, `${seconds} s`);
});

test('a release that was overtaken by a grant for ever frees nothing', () => {
  const server = serverOf({});
  lease(server, 1, asks(INFINITE_SECONDS));
  server.advance(5000);
  server.receive(release({ chaddr, xid: 9, ciaddr: ONLY }), { sourceAddress: ONLY });
  assert.equal(recordState(server.table.read(ONLY)!), BindingState.RELEASED);
  assert.equal(goesToAnother(server, 86_400), false);
  assert.equal(lease(server, 10), 3600, 'but for its own client');
});

test('a release that was overtaken by a new exchange frees nothing, though the lease was young enough to be left as it is', () => {
  const server = serverOf({ leaseCache: 0.5 });
  lease(server, 1);
  server.advance(600_000);
  lease(server, 3);
  server.advance(5000);
  server.receive(release({ chaddr, xid: 2, ciaddr: ONLY }), { sourceAddress: ONLY });
  assert.equal(goesToAnother(server, 2900), false);
});

test('RFC 2131 §3.1 (5): a decline that was overtaken by a new exchange takes the address from its client only when the lease has ended', () => {
  const server = serverOf({});
  lease(server, 1);
  server.advance(12_000);
  lease(server, 2);
  server.advance(3000);
  server.receive(decline({ chaddr, xid: 3, requestedAddress: ONLY, serverIdentifier: SERVER }));
  assert.equal(recordState(server.table.read(ONLY)!), BindingState.ABANDONED);
  assert.equal(goesToAnother(server, 3500), false);
  assert.equal(goesToAnother(server, 180), true, 'nothing else is free');
});

test('an abandoned address that is reserved waits as long for its client', () => {
  const reservations = [{ hardware: { htype: 1, chaddr: chaddrOf(2) }, address: ONLY, endsAt: 1_700_010_000 }];
  const pools = [{ first: ONLY, last: ONLY }];
  const server = new TestServer({ subnets: [subnetConfig({ pools, leaseSeconds: 7200 })] });
  lease(server, 1);
  server.advance(2000);
  server.receive(decline({ chaddr, xid: 3, requestedAddress: ONLY, serverIdentifier: SERVER }));
  const reserved = new TestServer({ subnets: [subnetConfig({ pools, leaseSeconds: 7200, reservations })] });
  reserved.store(ONLY, server.table.read(ONLY)!);
  assert.equal(goesToAnother(reserved, 700), false);
  assert.equal(goesToAnother(reserved, 6600), true);
});

test('a BOOTP client that asks again is answered by what it has, which never ends', () => {
  const server = serverOf({ bootp: true });
  assert.equal(server.receive(bootRequest({ chaddr })).changes.length, 1);
  server.advance(86_400_000);
  const again = server.receive(bootRequest({ chaddr, xid: 5 }));
  assert.deepEqual([again.changes, replyOf(again).yiaddr], [[], ONLY]);
  assert.deepEqual(recordClientKey(server.table.read(ONLY)!), Buffer.concat([Buffer.of(1), chaddr]));
});
