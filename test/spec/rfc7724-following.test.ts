/** RFC 7724: what a requestor that follows changes is told, from when on, and how it ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BindingState } from '../../node/lease/record.ts';
import { DhcpState, QueryStatus, QueryType } from '../../node/leasequery/messages.ts';
import { chaddrOf, ip } from '../support/client-packets.ts';
import { active, addresses, ALL_TIMES, bindings, bulk } from '../support/query-requestor.ts';
import type { QueryFields, Requestor, Told } from '../support/query-requestor.ts';
import { ACTIVE, fewAddresses, largeRecord, leaseRecord, OTHER, OWN, QueryFixture, utcNow } from '../support/query-server.ts';
import type { QueryFixtureOptions } from '../support/query-server.ts';

const { LEASEACTIVE, LEASEQUERYDONE, LEASEQUERYSTATUS, LEASEUNASSIGNED } = QueryType;
const { EXPIRED, RELEASED } = BindingState;
const ADDRESS = ip('10.0.0.100');
const OPTIONS: QueryFixtureOptions = { leaseQuery: { active: ACTIVE }, historySeconds: 1000 };
/** Client `n`'s lease, told by its hostname. */
const numbered = (n: number): Buffer => leaseRecord({ n, hostname: Buffer.from(String(n)) });
const numbersOf = (messages: readonly Told[]): number[] => messages.flatMap((message) => {
  const name = message.option(12);
  return name === undefined ? [] : [Number(name.toString())];
});
const upTo = (count: number, from = 1): number[] => Array.from({ length: count }, (_, n) => from + n);

/** A requestor that follows from now on. */
async function following(fixture: QueryFixture, fields: QueryFields = {}): Promise<Requestor> {
  const asks = fixture.asks;
  const requestor = await fixture.connect();
  requestor.send(active(fields));
  await fixture.asked(asks + 1);
  return requestor;
}

function isStatus(message: Told | undefined, status: number): Told {
  assert.deepEqual([message?.type, message?.status], [LEASEQUERYSTATUS, status]);
  return message!;
}

// ── as it happens ────────────────────────────────────────────────────────────────────────────────

test('RFC 7724 §7.3: the DHCPv4 server SHOULD send binding information back across this connection with minimal delay after it learns of it: from itself, or from another server', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, clustered: true, incarnation: OWN });
  const requestor = await following(fixture, { xid: 42 });
  for (const incarnation of [OWN, OTHER]) {
    await fixture.put([ADDRESS, leaseRecord({ incarnation })]);
    const message = await requestor.next();
    assert.deepEqual([message.type, message.xid, message.address, message.option(157)?.[0]], [LEASEACTIVE, 42, ADDRESS, incarnation === OWN ? undefined : 1]);
  }
});

test('RFC 7724 §8.2: changes to the lease state database are returned to the requestor essentially as they happen, in order', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const requestor = await following(fixture, { parameters: [12] });
  for (const n of upTo(40)) await fixture.put([ADDRESS + n % 3, numbered(2 * n - 1)], [ADDRESS + n % 3, numbered(2 * n)]);
  assert.deepEqual(numbersOf(await requestor.take(80)), upTo(80));
});

test('RFC 7724 §8.2: when an IPv4 binding transitions from the leased state to some other state, the DHCPACTIVELEASEQUERY will send a DHCPLEASEUNASSIGNED packet with information regarding that binding', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const requestor = await following(fixture);
  const lease = leaseRecord({ n: 3 });
  await fixture.put([ADDRESS, lease], [ADDRESS, leaseRecord({ n: 3, state: RELEASED })], [ADDRESS, lease], [ADDRESS, leaseRecord({ n: 3, state: EXPIRED })], [ADDRESS, undefined]);
  const messages = await requestor.take(5);
  assert.deepEqual(bindings(messages), [LEASEACTIVE, LEASEUNASSIGNED, LEASEACTIVE, LEASEUNASSIGNED, LEASEUNASSIGNED].map((type) => [ADDRESS, type]));
  assert.deepEqual(messages.map(({ state }) => state), [DhcpState.ACTIVE, DhcpState.RELEASED, DhcpState.ACTIVE, DhcpState.EXPIRED, DhcpState.AVAILABLE]);
  assert.deepEqual(messages[3]!.chaddr, chaddrOf(3));
  assert.deepEqual(messages.map((message) => message.u32(51) !== undefined), [true, false, true, false, false]);
});

test('RFC 7724 §6: information is real-time: what was before is not told where no query-start-time asks for it', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  await fixture.put([ADDRESS, numbered(1)]);
  const requestor = await following(fixture, { parameters: [12] });
  await fixture.put([ADDRESS, numbered(2)]);
  assert.deepEqual(numbersOf([await requestor.next()]), [2]);
  assert.equal(requestor.messages.length, 1);
});

test('RFC 7724 §8.2: every reply to a DHCPACTIVELEASEQUERY request MUST contain the information specified in replies to a DHCPBULKLEASEQUERY request', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const parameters = [...ALL_TIMES, 3, 6, 12, 58, 59, 61, 82];
  const requestor = await following(fixture, { parameters });
  fixture.second = utcNow();
  await fixture.put([ADDRESS, leaseRecord({ hasClientIdentifier: true, clientKey: Buffer.of(1, 2), relayAgentInformation: Buffer.of(1, 1, 7), hostname: Buffer.from('host') })]);
  const change = await requestor.next();
  const answer = (await (await fixture.connect()).ask({ parameters, chaddr: chaddrOf(1) }))[0]!;
  assert.deepEqual(change.codes, answer.codes);
  const absolute = (message: Told): unknown[] => message.codes.map((code) => {
    const value = message.u32(code);
    if (code === 152) return undefined;
    if ([91, 153].includes(code)) return message.baseTime! - value!;
    return [51, 58, 59].includes(code) ? message.baseTime! + value! : message.option(code)!.toString('hex');
  });
  assert.deepEqual(absolute(change), absolute(answer));
  assert.deepEqual(change.chaddr, answer.chaddr);
});

test('RFC 7724 §8.2: a server SHOULD be able to be configured to prevent specific data items from being sent to the requestor even if these were requested, from then on', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: ACTIVE, options: [12, 61] } });
  const requestor = await following(fixture, { parameters: [3, 12, 61, 82] });
  const record = leaseRecord({ hasClientIdentifier: true, clientKey: Buffer.of(1, 2), relayAgentInformation: Buffer.of(1, 1, 7), hostname: Buffer.from('host') });
  await fixture.put([ADDRESS, record]);
  assert.deepEqual((await requestor.next()).codes, [53, 54, 61, 12]);
  fixture.configure({ options: [12] });
  await fixture.put([ADDRESS, record]);
  assert.deepEqual((await requestor.next()).codes, [53, 12]);
});

test('RFC 7724 §7.4: the associated-ip option is not used and MUST NOT be present in replies; the server identifier is in the first one only', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const requestor = await following(fixture, { parameters: [92, 51] });
  await fixture.put(...upTo(4).map((n) => [ADDRESS + n, leaseRecord({ n: 1 })] as const));
  assert.deepEqual((await requestor.take(4)).map(({ codes }) => codes), [[53, 54, 51], [53, 51], [53, 51], [53, 51]]);
});

// ── refusals ─────────────────────────────────────────────────────────────────────────────────────

const MALFORMED: readonly QueryFields[] = [
  { ciaddr: ADDRESS }, { chaddr: chaddrOf(1) }, { clientId: Buffer.of(1, 2) }, { yiaddr: 1 }, { siaddr: 1 }, { options: { 154: Buffer.of(1, 2, 3) } },
];

async function isMalformed(t: Parameters<typeof QueryFixture.start>[0], rows: readonly QueryFields[]): Promise<void> {
  const fixture = await QueryFixture.start(t, OPTIONS);
  for (const fields of rows) {
    const requestor = await fixture.connect();
    requestor.send(active({ xid: 5, ...fields }));
    const [message, ...rest] = await requestor.untilEnd();
    isStatus(message, QueryStatus.MALFORMED_QUERY);
    assert.deepEqual([message!.xid, message!.option(54)?.toString('hex'), rest.length], [5, '7f000001', 0]);
  }
  assert.equal(fixture.asks, 0);
}

test('RFC 7724 §7.3: the DHCPv4 request MUST NOT have a ciaddr, a chaddr, or a dhcp-client-identifier', async (t) => {
  await isMalformed(t, MALFORMED);
});

test('RFC 7724 §8.2: if a query-end-time option appears in a DHCPACTIVELEASEQUERY the DHCPv4 server should send a DHCPLEASEQUERYSTATUS message with a status-code of MalformedQuery and terminate the connection', async (t) => {
  await isMalformed(t, [{ endTime: utcNow() }, { startTime: utcNow() - 5, endTime: utcNow() }]);
});

test('RFC 7724 §8.2: if the DHCPv4 server encounters an error during processing, it SHOULD send a DHCPLEASEQUERYSTATUS containing an error code of some kind, and SHOULD close the connection', async (t) => {
  const fixture = await QueryFixture.start(t, { leaseQuery: { active: ACTIVE } });
  const noHistory = await following(fixture);
  isStatus((await noHistory.untilEnd())[0], QueryStatus.QUERY_TERMINATED);
  fixture.refusal = 'not in service';
  const refused = await following(fixture);
  assert.equal(isStatus((await refused.untilEnd())[0], QueryStatus.QUERY_TERMINATED).text, 'not in service');
  await fixture.followed(false);
});

test('RFC 7724 §7.1: only one DHCPACTIVELEASEQUERY is allowed on any one TCP connection at a time', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const requestor = await following(fixture, { xid: 1 });
  requestor.send(active({ xid: 2 }));
  const messages = await requestor.untilEnd();
  assert.deepEqual(messages.map(({ xid, type, status }) => [xid, type, status]), [
    [2, LEASEQUERYSTATUS, QueryStatus.NOT_ALLOWED], [1, LEASEQUERYSTATUS, QueryStatus.QUERY_TERMINATED],
  ]);
  await fixture.followed(false);
});

test('RFC 7724 §8.3: every Active Leasequery request MUST be made on a single TCP connection where there is no other request active at the time the request is made', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  fixture.holds = true;
  const requestor = await fixture.connect();
  requestor.send(bulk({ xid: 1 }), active({ xid: 2 }));
  const messages = await requestor.untilEnd();
  assert.deepEqual(messages.map(({ xid, type, status }) => [xid, type, status]), [
    [2, LEASEQUERYSTATUS, QueryStatus.NOT_ALLOWED], [1, LEASEQUERYDONE, QueryStatus.QUERY_TERMINATED],
  ]);
});

test('RFC 7724 §8.3: in case of parallel Active and Bulk Leasequery requests, the requestor MUST use different connections', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, subnets: [fewAddresses(2)] });
  const requestor = await following(fixture, { xid: 1 });
  requestor.send(bulk({ xid: 2 }));
  const refused = await requestor.next();
  assert.deepEqual([refused.xid, refused.type, refused.status], [2, LEASEQUERYDONE, QueryStatus.NOT_ALLOWED]);
  assert.deepEqual(addresses(await (await fixture.connect()).ask()), [ADDRESS, ADDRESS + 1]);
  await fixture.put([ADDRESS, leaseRecord()]);
  assert.deepEqual(addresses([await requestor.next()]), [ADDRESS], 'it goes on');
});

// ── the connection while nothing happens, and its end ────────────────────────────────────────────

test('RFC 7724 §7.4: the DHCPv4 server SHOULD send a DHCPLEASEQUERYSTATUS message with a dhcp-status-code of ConnectionActive every ACTIVE_LQ_IDLE_TIMEOUT seconds; only when the connection is idle', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, limits: { activeIdleMs: 300 } });
  const requestor = await following(fixture);
  for (let n = 0; n < 2; n++) {
    fixture.second += 2000;
    fixture.sayBase();
    assert.equal(isStatus(await requestor.next(), QueryStatus.CONNECTION_ACTIVE).baseTime, fixture.second);
  }
});

test('RFC 7724 §8.4: the server SHOULD close idle connections: not one that follows changes, however long there are none', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: ACTIVE, idleSeconds: 0.1 } });
  const requestor = await following(fixture);
  const idle = await fixture.connect();
  assert.deepEqual(await idle.untilEnd(), []);
  await fixture.put([ADDRESS, leaseRecord()]);
  assert.deepEqual(addresses([await requestor.next()]), [ADDRESS]);
});

test('RFC 7724 §7.4: when a server is requested to shut down, it SHOULD send a DHCPLEASEQUERYSTATUS message with QueryTerminated and include a base-time; this MUST be the last message, and the server MUST close the connection', async (t) => {
  for (const reason of ['end', 'out of service', 'lost', 'nobody may ask'] as const) {
    const fixture = await QueryFixture.start(t, OPTIONS);
    const requestor = await following(fixture, { parameters: [12] });
    fixture.second = utcNow() + 50;
    await fixture.put([ADDRESS, numbered(1)]);
    await requestor.next();
    switch (reason) {
      case 'end': fixture.say({ kind: 'end' }); break;
      case 'out of service': fixture.say({ kind: 'base', second: undefined }); break;
      case 'lost': fixture.say({ kind: 'lost' }); break;
      case 'nobody may ask': fixture.configure(undefined); break;
      default: reason satisfies never;
    }
    await fixture.put([ADDRESS, numbered(2)]);
    const messages = await requestor.untilEnd();
    assert.equal(messages.length, 1);
    const last = isStatus(messages[0], QueryStatus.QUERY_TERMINATED);
    assert.deepEqual([last.baseTime, last.option(54)], [fixture.second, undefined]);
    assert.match(last.text, /\w/);
    await fixture.close();
  }
});

test('RFC 7724 §8.4: if the server detects that the requestor end has been closed, the server MUST close its end of the connection', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const ended = await following(fixture);
  const reset = await following(fixture);
  ended.end();
  assert.equal((await ended.untilEnd()).length, 1);
  await fixture.connections(1);
  reset.socket.resetAndDestroy();
  await fixture.connections(0);
  await fixture.followed(false);
  assert.deepEqual(addresses(await (await fixture.connect()).ask({ chaddr: chaddrOf(9) })), []);
});

// ── requestors that read slowly ──────────────────────────────────────────────────────────────────

const SLOW: QueryFixtureOptions = { ...OPTIONS, leaseQuery: { active: ACTIVE, options: [12, 82] } };

/** Blocked: each change is 60 kB, told by its address. */
async function flood(fixture: QueryFixture, count: number): Promise<void> {
  for (const n of upTo(count)) await fixture.put([ADDRESS + n % 100, leaseRecord({ n, hostname: Buffer.from(String(n)), relayAgentInformation: Buffer.alloc(60_000, n) })]);
}

test('RFC 7724 §8.2: if more than two minutes goes by without the requestor reading enough information to unblock the TCP connection, the DHCPv4 server SHOULD close the TCP connection', async (t) => {
  for (const closeMs of [5000, 50]) {
    const fixture = await QueryFixture.start(t, { ...SLOW, limits: { activeSendMs: 100, closeMs } });
    const requestor = await following(fixture, { parameters: [82] });
    requestor.socket.pause();
    await flood(fixture, 150);
    await fixture.followed(false);
    if (closeMs === 50) await fixture.connections(0);
    else {
      requestor.socket.resume();
      const messages = await requestor.untilEnd();
      isStatus(messages.at(-1), QueryStatus.QUERY_TERMINATED);
      assert.ok(messages.length < 150);
    }
    await fixture.close();
  }
});

test('RFC 7724 §6: if the requestor runs slowly, and comes back with a query-start-time, it misses nothing: who falls behind what is kept in memory is sent away with a base-time', async (t) => {
  const fixture = await QueryFixture.start(t, { ...SLOW, limits: { followedChanges: 20 } });
  const requestor = await following(fixture, { parameters: [12, 82, 152] });
  fixture.second = utcNow();
  requestor.socket.pause();
  await flood(fixture, 150);
  requestor.socket.resume();
  const first = await requestor.untilEnd();
  const last = isStatus(first.at(-1), QueryStatus.QUERY_TERMINATED);
  const seen = numbersOf(first);
  assert.deepEqual(seen, upTo(seen.length));
  assert.ok(seen.length < 150);
  const back = await following(fixture, { parameters: [12], startTime: last.baseTime! });
  const again: Told[] = [];
  while (again.at(-1)?.type !== LEASEQUERYSTATUS) again.push(await back.next());
  isStatus(again.at(-1), QueryStatus.CATCH_UP_COMPLETE);
  const rest = numbersOf(again);
  assert.ok(rest[0]! <= seen.length + 1);
  assert.deepEqual(rest, upTo(rest.length, rest[0]));
  assert.equal(rest.at(-1), 150);
});

test('RFC 7724 §8.2: the server SHOULD NOT delay responding to others: one that reads nothing holds up nobody', async (t) => {
  const fixture = await QueryFixture.start(t, SLOW);
  const slow = await following(fixture, { parameters: [82] });
  slow.socket.pause();
  const quick = await following(fixture, { parameters: [12] });
  await flood(fixture, 150);
  assert.deepEqual(numbersOf(await quick.take(150)), upTo(150));
  await fixture.put([ADDRESS, largeRecord(1)]);
  slow.socket.resume();
  assert.equal((await slow.take(151)).length, 151, 'what was kept for it comes');
});
