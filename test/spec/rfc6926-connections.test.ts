/** RFC 6926: connections of bulk LEASEQUERY: how messages are framed, who is let in, and how a connection ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SNAPSHOTS_MAX } from '../../node/limits.ts';
import { QueryStatus, QueryType } from '../../node/leasequery/messages.ts';
import { chaddrOf, clientPacket, ip } from '../support/client-packets.ts';
import { clusterConfig } from '../support/config-mistakes.ts';
import { addresses, bindings, bulk, frame } from '../support/query-requestor.ts';
import { fewAddresses, largeRecord, leaseRecord, QueryFixture } from '../support/query-server.ts';

const { LEASEACTIVE, LEASEQUERYDONE } = QueryType;
const THREE = [ip('10.0.0.100'), ip('10.0.0.101'), ip('10.0.0.102')];
const SUBNETS = [fewAddresses(3)];
/** 150 addresses, each with a lease of 60 kB: more than the kernel holds for a requestor that does not read. */
const MANY = [fewAddresses(150)];
const LARGE = { subnets: MANY, leaseQuery: { options: [82] } };
const LARGE_QUERY = { parameters: [82] };

async function fill(fixture: QueryFixture): Promise<void> {
  await fixture.put(...Array.from({ length: 150 }, (_, n) => [ip('10.0.0.100') + n, largeRecord(n)] as const));
}

// ── framing ──────────────────────────────────────────────────────────────────────────────────────

test('RFC 6926 §6.1: two octets containing the message size in network byte order are prepended to each DHCPv4 message sent on a Bulk Leasequery TCP connection', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  await fixture.put(['10.0.0.101', leaseRecord()]);
  const requestor = await fixture.connect();
  const chunks: Buffer[] = [];
  requestor.socket.on('data', (bytes: Buffer) => chunks.push(bytes));
  requestor.send(bulk());
  const messages = await requestor.untilDone();
  const stream = Buffer.concat(chunks);
  let at = 0;
  for (const { bytes } of messages) {
    assert.equal(stream.readUInt16BE(at), bytes.length);
    assert.equal(stream[at + 2], 2, 'op follows the size');
    at += 2 + bytes.length;
  }
  assert.equal(at, stream.length);
  assert.equal(messages.length, 4);
});

test('RFC 6926 §6.1: the receiver needs to be able to determine the size of each message it receives, whatever pieces it comes in', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  const requestor = await fixture.connect();
  const bytes = frame(bulk());
  for (const end of [1, 2, 3, 100, bytes.length - 1]) {
    await requestor.sendPiece(bytes.subarray(0, end));
    await new Promise((resolve) => setImmediate(resolve));
    await requestor.sendPiece(bytes.subarray(end));
    assert.deepEqual(addresses(await requestor.untilDone()), THREE);
  }
  for (const byte of bytes) await requestor.sendPiece(Buffer.of(byte));
  assert.deepEqual(addresses(await requestor.untilDone()), THREE);
});

test('RFC 6926 §6.1: the use of TCP permits multiple messages to be sent from one end of the connection to the other without requiring a request/response paradigm', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS, leaseQuery: { queriesPerConnection: 1 } });
  const requestor = await fixture.connect();
  const two = Buffer.concat([1, 2].map((xid) => frame(bulk({ xid }))));
  // One and a half in one segment.
  await requestor.sendPiece(two.subarray(0, two.length - 99));
  assert.deepEqual(addresses(await requestor.untilDone(1)), THREE);
  requestor.sendBytes(two.subarray(two.length - 99));
  assert.deepEqual(addresses(await requestor.untilDone(2)), THREE);
});

test('RFC 6926 §6.1: the maximum message size is 65535 octets', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS, leaseQuery: { options: [12, 60, 82] } });
  // What does not fit any more is left out, whole.
  const record = leaseRecord({ relayAgentInformation: Buffer.alloc(64_000, 1), vendorClass: Buffer.alloc(2000, 2), hostname: Buffer.from('host') });
  await fixture.put(['10.0.0.101', record]);
  const [, message] = await (await fixture.connect()).ask({ parameters: [12, 60, 82] });
  assert.ok(message!.bytes.length > 64_000 && message!.bytes.length <= 65_535);
  assert.equal(message!.option(82)?.length, 64_000);
  assert.equal(message!.option(60), undefined);
  assert.equal(message!.option(12)?.toString(), 'host');
});

// ── who is let in ────────────────────────────────────────────────────────────────────────────────

test('RFC 6926 §8.1: the value BULK_LQ_MAX_CONNS SHOULD be the default', () => {
  const { leaseQuery } = clusterConfig('subnets: [{ subnet: 10.0.0.0/8 }]\n');
  assert.equal(leaseQuery.connections, 10);
});

test('RFC 6926 §6.3: BULK_LQ_DATA_TIMEOUT is 300 secs', () => {
  assert.equal(clusterConfig('subnets: [{ subnet: 10.0.0.0/8 }]\n').leaseQuery.idleSeconds, 300);
});

test('RFC 6926 §8.1: connections SHOULD be accepted and, if the number of connections is over BULK_LQ_MAX_CONNS, they SHOULD be closed immediately', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS, leaseQuery: { connections: 2 } });
  const first = await fixture.connect();
  const second = await fixture.connect();
  for (const requestor of [first, second]) await requestor.ask();
  const third = await fixture.connect();
  assert.deepEqual(await third.untilEnd(), []);
  for (const requestor of [first, second]) assert.deepEqual(addresses(await requestor.ask()), THREE, 'the others go on');
  first.end();
  await first.untilEnd();
  await fixture.connections(1);
  assert.deepEqual(addresses(await (await fixture.connect()).ask()), THREE, 'there is room again');
});

test('RFC 6926 §8.1: connections not from permitted requestors SHOULD be closed immediately to avoid server connection resource exhaustion', async (t) => {
  const fixture = await QueryFixture.start(t, { leaseQuery: { requestors: [{ network: ip('127.0.0.2'), prefixLength: 32 }] } });
  const requestor = await fixture.connect();
  requestor.send(bulk());
  assert.deepEqual(await requestor.untilEnd(), []);
  assert.equal(fixture.asks, 0);
});

test('RFC 6926 §9: servers SHOULD restrict Bulk Leasequery connections to certain requestors: who is not permitted any more is sent away', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  fixture.holds = true;
  const requestor = await fixture.connect();
  requestor.send(bulk());
  await fixture.asked(1);
  fixture.configure({ requestors: [{ network: ip('127.0.0.2'), prefixLength: 32 }] });
  const [done, ...rest] = await requestor.untilEnd();
  assert.deepEqual([done!.type, done!.status, rest.length], [LEASEQUERYDONE, QueryStatus.QUERY_TERMINATED, 0]);
});

test('RFC 6926 §8.1: servers MAY restrict connections: when nobody may ask any more, connections end and nothing listens, until somebody may', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  const requestor = await fixture.connect();
  await requestor.ask();
  fixture.holds = true;
  const asking = await fixture.connect();
  asking.send(bulk());
  await fixture.asked(2);
  fixture.configure(undefined);
  requestor.send(bulk());
  assert.deepEqual(await requestor.untilEnd(), []);
  assert.deepEqual((await asking.untilEnd()).map(({ status }) => status), [QueryStatus.QUERY_TERMINATED]);
  fixture.holds = false;
  fixture.release();
  await assert.rejects(async () => (await fixture.connect()).ask());
  fixture.port = 0;
  fixture.configure({});
  await fixture.until(() => fixture.port !== 0, 'it listens again');
  assert.deepEqual(addresses(await (await fixture.connect()).ask()), THREE);
});

// ── several queries ──────────────────────────────────────────────────────────────────────────────

test('RFC 6926 §8.4: servers SHOULD support reading and processing multiple queries from a single connection', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  await fixture.put(['10.0.0.101', leaseRecord({ n: 1 })], ['10.0.0.102', leaseRecord({ n: 2 })]);
  const requestor = await fixture.connect();
  for (let xid = 1; xid <= 12; xid++) assert.deepEqual(addresses(await requestor.ask({ xid })), THREE);
  requestor.send(...[1, 2, 3, 4, 5, 6].map((xid) => bulk({ xid })));
  while (requestor.messages.filter(({ type }) => type === LEASEQUERYDONE).length < 18) await requestor.next();
  for (const xid of [1, 2, 3, 4, 5, 6]) assert.deepEqual(addresses(requestor.messages.slice(48).filter((message) => message.xid === xid)), THREE);
});

test('RFC 6926 §7.7: a server that is processing multiple queries simultaneously MUST NOT block sending replies on new queries until all replies for the existing query are complete', async (t) => {
  const subnets = [fewAddresses(1, { name: '10.0.0.0/16', prefixLength: 16, pools: [{ first: ip('10.0.1.0'), last: ip('10.0.8.255') }] })];
  const fixture = await QueryFixture.start(t, { subnets });
  const requestor = await fixture.connect();
  requestor.send(bulk({ xid: 1 }), bulk({ xid: 2 }));
  while (requestor.messages.filter(({ type }) => type === LEASEQUERYDONE).length < 2) await requestor.next();
  const { messages } = requestor;
  for (const xid of [1, 2]) assert.equal(addresses(messages.filter((message) => message.xid === xid)).length, 2048);
  const firstOf = (xid: number): number => messages.findIndex((message) => message.xid === xid);
  const lastOf = (xid: number): number => messages.findLastIndex((message) => message.xid === xid);
  assert.ok(firstOf(2) < lastOf(1) && firstOf(1) < lastOf(2), 'the two are interleaved');
});

test('RFC 6926 §8.4: a server MUST NOT read more query messages from a connection than it is prepared to process simultaneously', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS, leaseQuery: { queriesPerConnection: 2 } });
  fixture.holds = true;
  const requestor = await fixture.connect();
  requestor.send(...[1, 2, 3, 4, 5].map((xid) => bulk({ xid })));
  await fixture.asked(2);
  // More than it takes another connection to ask, and be asked about.
  const other = await fixture.connect();
  other.send(bulk());
  await fixture.asked(3);
  assert.equal(fixture.asks, 3);
  fixture.release(1);
  await requestor.untilDone(1);
  await fixture.asked(4);
  assert.equal(fixture.asks, 4, 'one more was read');
  fixture.holds = false;
  fixture.release();
  await requestor.untilDone(5);
  assert.equal(fixture.asks, 6);
});

test('RFC 6926 §8.4: in order to control resource use if there are multiple requestors seeking service, so many moments of the store are read at a time, and further queries wait', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  fixture.holds = true;
  const requestors = await Promise.all([1, 2, 3, 4, 5].map(() => fixture.connect()));
  for (const requestor of requestors) requestor.send(...[1, 2, 3, 4].map((xid) => bulk({ xid })));
  await fixture.asked(SNAPSHOTS_MAX);
  fixture.refusal = 'not in service';
  fixture.release(1);
  await fixture.asked(SNAPSHOTS_MAX + 1);
  assert.equal(fixture.asks, SNAPSHOTS_MAX + 1, 'one for one');
  fixture.refusal = undefined;
  fixture.holds = false;
  fixture.release();
  for (const requestor of requestors) {
    while (requestor.messages.filter(({ type }) => type === LEASEQUERYDONE).length < 4) await requestor.next();
  }
  assert.equal(fixture.asks, 20);
});

test('RFC 6926 §8.4: servers SHOULD offer configuration that limits the number of simultaneous queries permitted from any one requestor', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS, flood: { queriesPerRequestor: { perSecond: 0.001, burst: 2 } } });
  const requestor = await fixture.connect();
  for (const xid of [1, 2]) assert.equal((await requestor.ask({ xid })).at(-1)!.status, undefined);
  const [done] = await (await fixture.connect()).ask({ xid: 3 });
  assert.deepEqual([done!.type, done!.status], [LEASEQUERYDONE, QueryStatus.NOT_ALLOWED]);
});

test('RFC 6926 §7.1: each DHCPBULKLEASEQUERY request MUST have an xid unique on the connection on which it is sent', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  fixture.holds = true;
  const requestor = await fixture.connect();
  requestor.send(bulk({ xid: 1 }), bulk({ xid: 1 }));
  assert.equal((await requestor.next()).status, QueryStatus.NOT_ALLOWED);
  fixture.release();
  assert.deepEqual(addresses(await requestor.untilDone(1)), THREE);
});

// ── the end of a connection ──────────────────────────────────────────────────────────────────────

test('RFC 6926 §8.5: if the timer expires, the DHCPv4 server should close the connection', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS, leaseQuery: { idleSeconds: 0.3 } });
  const silent = await fixture.connect();
  const asking = await fixture.connect();
  assert.deepEqual(addresses(await asking.ask()), THREE);
  assert.deepEqual(await asking.untilEnd(), []);
  assert.deepEqual(await silent.untilEnd(), []);
  assert.equal(asking.socket.errored, null, 'closed gracefully');
});

test('RFC 6926 §8.5: it should restart this timer if a query arrives over that connection, and not for parts of one', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS, leaseQuery: { idleSeconds: 0.5 } });
  const requestor = await fixture.connect();
  const bytes = frame(bulk());
  let sent = 0;
  const drip = setInterval(() => {
    if (!requestor.isEnded && sent < bytes.length - 1) requestor.sendBytes(bytes.subarray(sent, ++sent));
  }, 20);
  t.after(() => clearInterval(drip));
  assert.deepEqual(await requestor.untilEnd(), []);
  assert.ok(sent < bytes.length - 1, 'while parts still came');
});

test('RFC 6926 §8.5: the server should start a timer if there is no current query outstanding: a query under way is not idle', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS, leaseQuery: { idleSeconds: 0.1 } });
  fixture.holds = true;
  const requestor = await fixture.connect();
  const idle = await fixture.connect();
  requestor.send(bulk());
  await fixture.asked(1);
  await idle.untilEnd();
  fixture.release();
  assert.deepEqual(addresses(await requestor.untilDone()), THREE);
});

test('RFC 6926 §8.5: if the server detects that the requesting end of the connection has been closed, the server MUST close its end, having answered what was asked before', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS, leaseQuery: { queriesPerConnection: 1 } });
  const requestor = await fixture.connect();
  requestor.send(bulk({ xid: 1 }), bulk({ xid: 2 }));
  requestor.end();
  const messages = await requestor.untilEnd();
  assert.deepEqual(messages.map(({ type, xid }) => (type === LEASEQUERYDONE ? xid : 0)), [0, 0, 0, 1, 0, 0, 0, 2]);
  fixture.holds = true;
  const waiting = await fixture.connect();
  waiting.send(bulk());
  waiting.end();
  const later = await fixture.connect();
  later.send(bulk());
  await fixture.asked(4);
  fixture.holds = false;
  fixture.release();
  assert.deepEqual(addresses(await waiting.untilEnd()), THREE);
  later.end();
  const idle = await fixture.connect();
  idle.sendBytes(frame(bulk()).subarray(0, 100));
  idle.end();
  assert.deepEqual(await idle.untilEnd(), [], 'half of a query is none');
  await fixture.connections(0);
});

test('RFC 6926 §8.5: the server SHOULD NOT assume that the manner in which the requestor closed a connection carries any special meaning', async (t) => {
  const fixture = await QueryFixture.start(t, LARGE);
  await fill(fixture);
  const requestor = await fixture.connect();
  requestor.socket.pause();
  requestor.send(bulk(LARGE_QUERY));
  await fixture.asked(1);
  await fixture.connections(1);
  requestor.socket.resetAndDestroy();
  await fixture.connections(0);
  await fixture.until(() => fixture.outcomes.length > 0, 'the query ends');
  assert.deepEqual(fixture.outcomes, ['bulk all terminated']);
});

test('RFC 6926 §8.2: if the connection becomes blocked while the server is attempting to send reply messages, the server SHOULD be prepared to terminate the TCP connection after a BULK_LQ_DATA_TIMEOUT', async (t) => {
  const fixture = await QueryFixture.start(t, { ...LARGE, leaseQuery: { ...LARGE.leaseQuery, idleSeconds: 0.2 } });
  await fill(fixture);
  const requestor = await fixture.connect();
  requestor.socket.pause();
  requestor.send(bulk(LARGE_QUERY));
  await fixture.asked(1);
  await fixture.connections(0);
  await fixture.until(() => fixture.outcomes.length > 0, 'the query ends');
  assert.deepEqual(fixture.outcomes, ['bulk all terminated']);
});

test('RFC 6926 §8.5: a server aborting an in-process request SHOULD signal that by QueryTerminated in a DHCPLEASEQUERYDONE, and MUST close its end of the TCP connection', async (t) => {
  const fixture = await QueryFixture.start(t, { ...LARGE, limits: { snapshotMs: 100 } });
  await fill(fixture);
  const requestor = await fixture.connect();
  requestor.socket.pause();
  requestor.send(bulk({ xid: 1, ...LARGE_QUERY }));
  await fixture.asked(1);
  await fixture.until(() => fixture.outcomes.length > 0, 'the moment of the store was held for long enough');
  requestor.socket.resume();
  const messages = await requestor.untilEnd();
  const done = messages.at(-1)!;
  assert.deepEqual([done.type, done.xid, done.status], [LEASEQUERYDONE, 1, QueryStatus.QUERY_TERMINATED]);
  assert.match(done.text, /took more than/);
  assert.ok(bindings(messages).length === messages.length - 1 && messages.length < 150, 'whole messages, and not all of them');
  assert.deepEqual(messages.filter(({ codes }) => codes.includes(54)).length, 1, 'the server identifier in the first one only');
});

test('RFC 6926 §8.5: if the connection is closed for any reason, all of the data flows of outstanding queries will be terminated: each is told so when the node ends', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  fixture.holds = true;
  const requestor = await fixture.connect();
  requestor.send(bulk({ xid: 1 }), bulk({ xid: 2 }));
  await fixture.asked(2);
  fixture.say({ kind: 'end' });
  const messages = await requestor.untilEnd();
  assert.deepEqual(messages.map(({ type, status, xid }) => [type, status, xid]), [1, 2].map((xid) => [LEASEQUERYDONE, QueryStatus.QUERY_TERMINATED, xid]));
  assert.match(messages[0]!.text, /\w/);
});

test('RFC 6926 §8.5: a server that has aborted one query tells the others on the connection', async (t) => {
  const fixture = await QueryFixture.start(t, { ...LARGE, limits: { snapshotMs: 100 } });
  await fill(fixture);
  const requestor = await fixture.connect();
  requestor.socket.pause();
  requestor.send(bulk({ xid: 1, ...LARGE_QUERY }));
  await fixture.asked(1);
  fixture.holds = true;
  requestor.send(bulk({ xid: 2 }));
  await fixture.until(() => fixture.outcomes.length > 0, 'the first one ends');
  requestor.socket.resume();
  const ends = (await requestor.untilEnd()).filter(({ type }) => type === LEASEQUERYDONE);
  assert.deepEqual(ends.map(({ xid, status }) => [xid, status]), [1, 2].map((xid) => [xid, QueryStatus.QUERY_TERMINATED]));
});

test('RFC 6926 §9: malicious requestors who succeed in establishing connections may send invalid queries: these end the connection, and nothing else', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  const reply = bulk();
  reply[0] = 2;
  const garbage = [
    Buffer.of(0, 0), frame(Buffer.alloc(300)), frame(Buffer.alloc(300, 0xff)), Buffer.alloc(64, 0xff), frame(reply), frame(bulk().subarray(0, 239)),
    frame(clientPacket(undefined, {})), frame(clientPacket(1, {})), frame(Buffer.concat([bulk(), Buffer.alloc(5000)])),
  ];
  const other = await fixture.connect();
  for (const bytes of garbage) {
    const requestor = await fixture.connect();
    requestor.sendBytes(bytes);
    assert.deepEqual(await requestor.untilEnd(), []);
  }
  assert.deepEqual(addresses(await other.ask()), THREE);
  await fixture.connections(1);
});

test('RFC 6926 §7.8: if a server closes a connection with an exception condition, the requestor SHOULD consider as valid any completely received intermediate results', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  await fixture.put(['10.0.0.101', leaseRecord()]);
  const requestor = await fixture.connect();
  await requestor.ask({ chaddr: chaddrOf(1), xid: 5 });
  requestor.sendBytes(Buffer.of(0, 0));
  assert.deepEqual(await requestor.untilEnd(), []);
  assert.deepEqual(bindings(requestor.messages), [[ip('10.0.0.101'), LEASEACTIVE]]);
});
