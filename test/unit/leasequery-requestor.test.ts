import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { DhcpMessage } from '../../node/codec/message.ts';
import { QueryOption, QueryStatus, QueryType } from '../../node/leasequery/messages.ts';
import { Answer, statusName } from '../../node/leasequery/requestor/answer.ts';
import { changeIdentity, SeenChanges } from '../../node/leasequery/requestor/duplicates.ts';
import { KeptTime } from '../../node/leasequery/requestor/kept-time.ts';
import { activeQuery, bulkQuery, singleQuery, STREAM_OPTIONS, tlsRequest } from '../../node/leasequery/requestor/queries.ts';
import type { MonotonicMs } from '../../node/time.ts';
import { answer, change, status, type Change, u32 } from './leasequery-fixture.ts';

const XID = 0x89ab_cdef;
const GIADDR = 0x0a00_0001;
const HARDWARE = { htype: 1, chaddr: Buffer.from('525400123456', 'hex') };

function parsed(bytes: Buffer): DhcpMessage {
  const message = new DhcpMessage();
  assert.equal(message.parse(bytes), undefined);
  assert.ok(bytes.length >= 300);
  assert.equal(message.xid, XID);
  assert.equal(message.yiaddr, 0);
  assert.equal(message.siaddr, 0);
  return message;
}

test('RFC 4388 §6.2: a query by address has it in ciaddr, and no client', () => {
  const query = parsed(singleQuery({ xid: XID, giaddr: GIADDR, subject: { by: 'address', address: 0x0a00_0005 }, options: [51, 82, 51] }));
  assert.equal(query.type, QueryType.LEASEQUERY);
  assert.equal(query.giaddr, GIADDR);
  assert.equal(query.ciaddr, 0x0a00_0005);
  assert.deepEqual([query.htype, query.hlen, query.has(61), query.has(82)], [0, 0, false, false]);
  assert.deepEqual([...query.option(55)!], [51, 82]);
});

test('RFC 4388 §6.2: a query by hardware address has htype, hlen and chaddr, and neither ciaddr nor option 61', () => {
  const query = parsed(singleQuery({ xid: XID, giaddr: GIADDR, subject: { by: 'hardware', hardware: HARDWARE }, options: [51] }));
  assert.deepEqual([query.ciaddr, query.htype, query.hlen, query.chaddr().toString('hex'), query.has(61)], [0, 1, 6, '525400123456', false]);
});

test('RFC 4388 §6.2: a query by client identifier has option 61, and neither ciaddr nor hardware', () => {
  const identifier = Buffer.from('01525400123456', 'hex');
  const query = parsed(singleQuery({ xid: XID, giaddr: GIADDR, subject: { by: 'client-id', identifier }, options: [] }));
  assert.deepEqual([query.ciaddr, query.htype, query.hlen, query.option(61)], [0, 0, 0, identifier]);
  assert.equal(query.has(55), false);
});

test('RFC 8357 §4.1: only who wants the answer at another port says so, in option 82', () => {
  const query = parsed(singleQuery({ xid: XID, giaddr: GIADDR, subject: { by: 'address', address: 1 }, options: [51], answerToSourcePort: true }));
  assert.deepEqual([...query.option(82)!], [19, 0]);
  assert.equal(query.codes().at(-1), 82);
});

test('RFC 6926 §7.2: a bulk query has one primary query, its qualifiers and a parameter request list', () => {
  const all = parsed(bulkQuery({ xid: XID, options: STREAM_OPTIONS }));
  assert.equal(all.type, QueryType.BULKLEASEQUERY);
  assert.deepEqual([all.ciaddr, all.hlen, all.has(61), all.has(82), all.has(154), all.has(155), all.has(221)], [0, 0, false, false, false, false, false]);
  for (const code of [QueryOption.BASE_TIME, 51, QueryOption.START_TIME_OF_STATE, QueryOption.CLIENT_LAST_TRANSACTION_TIME]) {
    assert.ok(all.option(55)!.includes(code), `option ${code}`);
  }
  const some = parsed(bulkQuery({
    xid: XID, options: [51], subject: { by: 'remote-id', identifier: Buffer.from('port 7') }, startTime: 1000, endTime: 2000, virtualSubnet: { all: true },
  }));
  assert.deepEqual([some.optionU32(154), some.optionU32(155), some.option(221)], [1000, 2000, Buffer.of(254)]);
  assert.deepEqual(some.option(82), Buffer.concat([Buffer.of(2, 6), Buffer.from('port 7')]));
  const relay = parsed(bulkQuery({ xid: XID, options: [51], subject: { by: 'relay-id', identifier: Buffer.of(1, 2) }, virtualSubnet: { name: 'red' } }));
  assert.deepEqual([relay.option(82), relay.option(221)], [Buffer.of(12, 2, 1, 2), Buffer.from('\0red')]);
  assert.equal(parsed(bulkQuery({ xid: XID, options: [51], subject: { by: 'hardware', hardware: HARDWARE } })).hlen, 6);
});

test('RFC 7724 §7.3: an active query has no ciaddr, chaddr or client identifier, and a start time where it takes up another', () => {
  const fresh = parsed(activeQuery({ xid: XID, options: [51] }));
  assert.equal(fresh.type, QueryType.ACTIVELEASEQUERY);
  assert.deepEqual([fresh.ciaddr, fresh.hlen, fresh.has(61), fresh.has(154), fresh.has(155)], [0, 0, false, false, false]);
  assert.equal(parsed(activeQuery({ xid: XID, options: [51], startTime: 77 })).optionU32(154), 77);
});

test('RFC 7724 §7.2: DHCPTLS has no options', () => {
  const query = parsed(tlsRequest(XID));
  assert.equal(query.type, QueryType.TLS);
  assert.deepEqual(query.codes(), [53]);
});

test('an answer is read, and what the server does not tell is undefined', () => {
  const read = new Answer();
  assert.equal(read.parse(answer({ type: QueryType.LEASEUNASSIGNED, xid: XID, address: '10.0.0.5' })), undefined);
  assert.deepEqual([read.address, read.isBinding, read.hardware, read.leaseSeconds, read.state, read.isRemote, read.associated, read.baseTime],
    [0x0a00_0005, true, undefined, undefined, undefined, undefined, undefined, undefined]);
  assert.deepEqual([read.status, read.statusText], [QueryStatus.SUCCESS, '']);
  assert.equal(read.parse(answer({
    type: QueryType.LEASEACTIVE, xid: XID, address: '10.0.0.6', hardware: '525400123456',
    options: { 51: u32(60), 54: u32(GIADDR), 91: u32(5), 92: Buffer.concat([u32(1), u32(2)]), 156: Buffer.of(2), 157: Buffer.of(1) },
  })), undefined);
  assert.deepEqual([read.leaseSeconds, read.server, read.lastTransaction, read.associated, read.state, read.isRemote, read.hardware],
    [60, GIADDR, 5, [1, 2], 'ACTIVE', true, HARDWARE]);
  read.parse(status(XID, QueryType.LEASEQUERYDONE, QueryStatus.NOT_ALLOWED, 'no'));
  assert.deepEqual([read.isBinding, read.status, read.statusText], [false, QueryStatus.NOT_ALLOWED, 'no']);
  assert.deepEqual([statusName(4), statusName(99)], ['NOT_ALLOWED', 'status 99']);
  assert.equal(read.parse(Buffer.alloc(10)), 'too-short');
});

function identityOf(fields: Change): string | undefined {
  const read = new Answer();
  read.parse(change(XID, fields));
  return changeIdentity(read);
}

test('two copies of one change, sent at different times, are one; any other is another', () => {
  const first: Change = { address: '10.0.0.5', base: 10_000, since: 9000, lastTransaction: 9500, leaseEnds: 13_000 };
  assert.equal(identityOf({ ...first, base: 10_060 }), identityOf(first));
  const others: readonly Partial<Change>[] = [
    { address: '10.0.0.6' }, { since: 9001 }, { lastTransaction: 9501 }, { leaseEnds: 13_001 }, { state: 4 },
    { options: { 61: Buffer.of(1, 2) } }, { options: { 82: Buffer.of(1, 2) } }, { options: { 82: Buffer.of(1, 1, 7) } },
  ];
  const identities = others.map((other) => identityOf({ ...first, ...other }));
  assert.equal(new Set([identityOf(first), ...identities]).size, others.length + 1);
  // A lease for ever has no end that moves with the base time.
  const forever = (base: number): string | undefined => identityOf({ ...first, base, leaseEnds: base + 0xffff_ffff });
  assert.equal(forever(10_000), forever(10_060));
});

test('without a base time nothing is known of two copies', () => {
  const read = new Answer();
  read.parse(answer({ type: QueryType.LEASEACTIVE, xid: XID, address: '10.0.0.5' }));
  assert.equal(changeIdentity(read), undefined);
});

test('changes are remembered for their time at least, and never more than the bound', () => {
  const at = (ms: number): MonotonicMs => ms as MonotonicMs;
  const seen = new SeenChanges({ entriesMax: 100, ageMs: 1000 });
  assert.ok(seen.add('a', 1, at(0)));
  assert.ok(!seen.add('a', 1, at(999)));
  assert.ok(!seen.add('a', 1, at(1000)));
  assert.ok(!seen.add('a', 1, at(5000)), 'a silence forgets nothing');
  assert.ok(seen.add('b', 2, at(7000)));
  assert.ok(seen.add('c', 3, at(9000)));
  assert.ok(seen.add('a', 1, at(9001)));
  for (let n = 0; n < 1000; n++) {
    seen.add(`n${n}`, n, at(9002));
    assert.ok(seen.size <= 100);
  }
  assert.ok(!seen.add('n960', 960, at(9003)));
});

test('RFC 7724 §7.4: an address that is got, released and got again within a second is told of three times, by each server once', () => {
  const now = 0 as MonotonicMs;
  const seen = new SeenChanges();
  const stream = (...identities: string[]): string[] => {
    seen.beginStream();
    return identities.filter((identity) => seen.add(identity, 1, now));
  };
  assert.deepEqual(stream('active', 'released'), ['active', 'released']);
  // The next server has them in its history too, and what came after.
  assert.deepEqual(stream('active', 'released', 'active'), ['active']);
  assert.deepEqual(stream('active', 'released', 'active', 'released', 'active'), ['released', 'active']);
  assert.deepEqual(stream('released', 'active', 'active'), []);
  assert.deepEqual(stream('active', 'active', 'active'), []);
});

test('what a bulk query finds is told if it was not told before, however it lies between the changes of a stream', () => {
  const now = 0 as MonotonicMs;
  const seen = new SeenChanges();
  assert.ok(seen.add('active', 1, now));
  assert.ok(seen.add('released', 1, now));
  assert.ok(!seen.addFound('active', now));
  assert.ok(seen.addFound('other', now));
  assert.ok(!seen.add('other', 2, now));
});

test('RFC 7724 §7.3: a query without a start time keeps the highest base time from the first message on', () => {
  const kept = new KeptTime(undefined);
  assert.equal(kept.begin(), undefined);
  kept.onBaseTime(100);
  kept.onBaseTime(90);
  kept.onBaseTime(undefined);
  assert.equal(kept.value, 100);
});

test('RFC 7724 §7.4.1: until the catch-up phase is complete no base time is kept', () => {
  const kept = new KeptTime(50);
  assert.equal(kept.begin(), 50);
  kept.onBaseTime(100);
  assert.deepEqual([kept.value, kept.isCatchingUp], [50, true]);
  // The connection is lost: the next query begins where this one began.
  assert.equal(kept.begin(), 50);
  kept.onBaseTime(110);
  kept.onCaughtUp(120);
  assert.equal(kept.value, 120);
  kept.onBaseTime(121);
  assert.equal(kept.begin(), 121);
});

test('RFC 7724 §7.4.1: DataMissing ends the catch-up phase', () => {
  const kept = new KeptTime(50);
  kept.begin();
  kept.onDataMissing(120, false);
  assert.equal(kept.value, 120);
});

test('while a bulk query gets what is missing, a new query would have to begin where the last one did', () => {
  const kept = new KeptTime(50);
  kept.begin();
  kept.onDataMissing(120, true);
  kept.onBaseTime(130);
  assert.equal(kept.value, 50);
  kept.onFilled();
  assert.equal(kept.value, 130);
  kept.begin();
  kept.onDataMissing(200, true);
  kept.onBaseTime(210);
  assert.equal(kept.begin(), 130);
  kept.onCaughtUp(undefined);
  kept.onBaseTime(140);
  assert.equal(kept.value, 140);
});
