/** RFC 6926 §8.2: what a bulk LEASEQUERY finds, and why it is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BindingState } from '../../node/lease/record.ts';
import { QueryStatus, QueryType } from '../../node/leasequery/messages.ts';
import { chaddrOf, ip } from '../support/client-packets.ts';
import { addresses, bindings, bulk } from '../support/query-requestor.ts';
import type { QueryFields, Requestor, Told } from '../support/query-requestor.ts';
import { fewAddresses, largeRecord, leaseRecord, QueryFixture, utcNow } from '../support/query-server.ts';
import { relayInformation } from '../support/relayed-requests.ts';

const { LEASEACTIVE, LEASEQUERYDONE, LEASEUNASSIGNED, LEASEUNKNOWN } = QueryType;
const SUBNETS = [fewAddresses(8)];
const CLIENT_ID = Buffer.from('ff00000001', 'hex');
const REMOTE_ID = Buffer.from('switch 1');
const RELAY_ID = Buffer.from('0002000001', 'hex');
const BY_REMOTE = relayInformation([2, REMOTE_ID]);
const BY_RELAY = relayInformation([12, RELAY_ID]);
const { ABANDONED, EXPIRED, RELEASED } = BindingState;

const at = (last: number): number => ip('10.0.0.0') + last;
const activeAt = (...last: readonly number[]): (readonly [number, number])[] => last.map((n) => [at(n), LEASEACTIVE] as const);

/** Two leases by each primary query, another client's, and two that are over. */
async function store(fixture: QueryFixture): Promise<void> {
  const identified = { hasClientIdentifier: true, clientKey: CLIENT_ID };
  await fixture.put(
    [at(100), leaseRecord({ n: 1 })], [at(101), leaseRecord({ n: 1, ...identified })], [at(102), leaseRecord({ n: 2, ...identified, relayAgentInformation: BY_RELAY })],
    [at(103), leaseRecord({ n: 3, relayAgentInformation: Buffer.concat([BY_REMOTE, BY_RELAY]) })], [at(104), leaseRecord({ n: 4, relayAgentInformation: BY_REMOTE })],
    [at(105), leaseRecord({ n: 1, ...identified, state: RELEASED, relayAgentInformation: Buffer.concat([BY_REMOTE, BY_RELAY]) })],
    [at(106), leaseRecord({ n: 1, state: EXPIRED })],
  );
}

async function stored(t: Parameters<typeof QueryFixture.start>[0]): Promise<Requestor> {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  await store(fixture);
  return fixture.connect();
}

function isSuccess(done: Told | undefined): void {
  assert.deepEqual([done?.type, done?.status], [LEASEQUERYDONE, undefined]);
}

// ── primary queries ──────────────────────────────────────────────────────────────────────────────

const PRIMARY: readonly (readonly [title: string, fields: QueryFields, found: readonly number[]])[] = [
  ['MAC address', { chaddr: chaddrOf(1) }, [100, 101]],
  ['Client-identifier', { clientId: CLIENT_ID }, [101, 102]],
  ['Remote ID', { relayAgentInformation: BY_REMOTE }, [103, 104]],
  ['Relay-ID', { relayAgentInformation: BY_RELAY }, [102, 103]],
];

async function finds(t: Parameters<typeof QueryFixture.start>[0], index: number): Promise<void> {
  const [, fields, found] = PRIMARY[index]!;
  const messages = await (await stored(t)).ask(fields);
  assert.deepEqual(bindings(messages), activeAt(...found));
  isSuccess(messages[found.length]);
}

test('RFC 6926 §8.2: every IP address that has a current binding to a DHCPv4 client matching the chaddr, htype, and hlen MUST be returned in a DHCPLEASEACTIVE message', async (t) => {
  await finds(t, 0);
});

test('RFC 6926 §8.2: every IP address that has a current binding to a DHCPv4 client matching the Client-identifier option MUST be returned in a DHCPLEASEACTIVE message', async (t) => {
  await finds(t, 1);
});

test('RFC 6926 §8.2: every IP address that has a current binding to a DHCPv4 client matching the Remote ID sub-option MUST be returned in a DHCPLEASEACTIVE message', async (t) => {
  await finds(t, 2);
});

test('RFC 6926 §8.2: every IP address that has a current binding to a DHCPv4 client matching the Relay-ID sub-option MUST be returned in a DHCPLEASEACTIVE message', async (t) => {
  await finds(t, 3);
});

test('RFC 6926 §8.2: what matches is the whole of htype, hlen and chaddr, of the identifier, and of the sub-option', async (t) => {
  const requestor = await stored(t);
  const near: readonly QueryFields[] = [
    { chaddr: chaddrOf(1), htype: 6 }, { chaddr: chaddrOf(1).subarray(0, 5) }, { chaddr: Buffer.concat([chaddrOf(1), Buffer.of(0)]) },
    { clientId: CLIENT_ID.subarray(0, 4) }, { clientId: Buffer.concat([Buffer.of(1), chaddrOf(1)]) },
    { relayAgentInformation: relayInformation([2, REMOTE_ID.subarray(1)]) }, { relayAgentInformation: relayInformation([12, Buffer.concat([RELAY_ID, Buffer.of(0)])]) },
    { relayAgentInformation: relayInformation([12, REMOTE_ID]) }, { relayAgentInformation: relayInformation([2, Buffer.alloc(0)]) },
  ];
  for (const [xid, fields] of near.entries()) {
    const messages = await requestor.ask({ xid, ...fields });
    assert.deepEqual(bindings(messages), []);
    isSuccess(messages[0]);
  }
});

test('RFC 6926 §8.2: every configured IP address MUST be returned exactly once: with a current binding in a DHCPLEASEACTIVE message, without one in a DHCPLEASEUNASSIGNED message', async (t) => {
  const messages = await (await stored(t)).ask();
  assert.deepEqual(bindings(messages), [
    ...activeAt(100, 101, 102, 103, 104), [at(105), LEASEUNASSIGNED], [at(106), LEASEUNASSIGNED], [at(107), LEASEUNASSIGNED],
  ]);
  isSuccess(messages[8]);
});

test('RFC 6926 §8.2: every configured IP address is that of each pool, and each that is reserved, inside a pool or not', async (t) => {
  const reserved = (n: number, last: number): { hardware: { htype: number; chaddr: Buffer }; address: number } => ({ hardware: { htype: 1, chaddr: chaddrOf(n) }, address: at(last) });
  const pools = [{ first: at(20), last: at(21) }, { first: at(10), last: at(11) }, { first: at(12), last: at(12), scope: { rapidCommit: true } }];
  const far = { name: '10.0.9.0/24', network: ip('10.0.9.0'), pools: [{ first: ip('10.0.9.255'), last: ip('10.0.9.255') }] };
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(1, { pools, reservations: [reserved(1, 11), reserved(2, 15), reserved(3, 1)] }), fewAddresses(1, far)] });
  // A reservation that another network has outside of all subnets is no address here; a lease outside all pools is one all the same.
  await fixture.put([at(20), leaseRecord()], [at(200), leaseRecord({ n: 5 })], [at(201), leaseRecord({ n: 6, state: RELEASED })]);
  const found = bindings(await (await fixture.connect()).ask());
  assert.deepEqual(found.map(([address]) => address), [at(1), at(10), at(11), at(12), at(15), at(20), at(21), at(200), ip('10.0.9.255')]);
  assert.deepEqual(found.filter(([, type]) => type === LEASEACTIVE), activeAt(20, 200));
});

test('RFC 6926 §8.2: if there is no value in the chaddr, hlen, htype, no Client-identifier option, and no Remote ID or Relay-ID sub-option, then the request is a query for all configured IP addresses', async (t) => {
  const requestor = await stored(t);
  const circuit = relayInformation([1, Buffer.from('port 1')]);
  for (const [xid, fields] of [{ relayAgentInformation: circuit }, { giaddr: ip('10.0.0.1') }, { chaddr: Buffer.alloc(6) }].entries()) {
    assert.equal(addresses(await requestor.ask({ xid, ...fields })).length, 8);
  }
});

// ── refusals ─────────────────────────────────────────────────────────────────────────────────────

test('RFC 6926 §8.2: a request with ciaddr, yiaddr or siaddr non-zero must be terminated immediately by a DHCPLEASEQUERYDONE message with a status-code option status of MalformedQuery', async (t) => {
  const requestor = await stored(t);
  for (const [xid, fields] of [{ ciaddr: at(100) }, { yiaddr: 1 }, { siaddr: 1 }].entries()) {
    for (const primary of [{}, { chaddr: chaddrOf(1) }]) {
      const [done, ...rest] = await requestor.ask({ xid, ...fields, ...primary });
      assert.deepEqual([done!.type, done!.status, rest.length], [LEASEQUERYDONE, QueryStatus.MALFORMED_QUERY, 0]);
    }
  }
  assert.equal(addresses(await requestor.ask()).length, 8, 'the connection goes on');
});

test('RFC 6926 §8.2: any DHCPBULKLEASEQUERY that has more than one primary query type MUST be terminated immediately by a DHCPLEASEQUERYDONE message with a status code of NotAllowed', async (t) => {
  const requestor = await stored(t);
  const ways: readonly QueryFields[] = [{ chaddr: chaddrOf(1) }, { clientId: CLIENT_ID }, { relayAgentInformation: BY_REMOTE }, { relayAgentInformation: BY_RELAY }];
  const pairs = ways.flatMap((one, i) => ways.slice(i + 1).map((other): QueryFields => ({ ...one, ...other })));
  pairs[5] = { relayAgentInformation: Buffer.concat([BY_REMOTE, BY_RELAY]) };
  for (const [xid, fields] of [...pairs, Object.assign({}, ...ways) as QueryFields].entries()) {
    const [done, ...rest] = await requestor.ask({ xid, ...fields });
    assert.deepEqual([done!.type, done!.status, rest.length], [LEASEQUERYDONE, QueryStatus.NOT_ALLOWED, 0]);
  }
});

test('RFC 6926 §8.2: the DHCPLEASEQUERYDONE message MUST have a status-code option status if the termination was other than successful: a node that is not in service', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  fixture.refusal = 'this node is not in service';
  const requestor = await fixture.connect();
  const [done] = await requestor.ask();
  assert.deepEqual([done!.type, done!.status, done!.text], [LEASEQUERYDONE, QueryStatus.QUERY_TERMINATED, fixture.refusal]);
  fixture.refusal = undefined;
  assert.equal(addresses(await requestor.ask()).length, 8);
  await fixture.until(() => fixture.outcomes.length === 2, 'both are counted');
  assert.deepEqual(fixture.outcomes.toSorted(), ['bulk all done', 'bulk all terminated']);
});

test('RFC 6926 §6.2.2: null characters MUST NOT appear in the Status Message string', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  const requestor = await fixture.connect();
  fixture.refusal = 'not in service';
  for (const fields of [{}, { ciaddr: 1 }, { chaddr: chaddrOf(1), clientId: CLIENT_ID }]) {
    const [done] = await requestor.ask(fields);
    const value = done!.option(151)!;
    assert.ok(value.length > 1 && !value.subarray(1).includes(0));
  }
});

test('RFC 6926 §8.2: if the server does not find any bindings satisfying a query, it MUST send a DHCPLEASEQUERYDONE, and SHOULD NOT include a status-code option', async (t) => {
  const requestor = await stored(t);
  for (const fields of [{ chaddr: chaddrOf(77) }, { clientId: Buffer.of(9, 9) }, { relayAgentInformation: relayInformation([2, Buffer.of(9)]) }, { relayAgentInformation: relayInformation([12, Buffer.of(9)]) }]) {
    const [done, ...rest] = await requestor.ask(fields);
    isSuccess(done);
    assert.equal(rest.length, 0);
  }
});

test('RFC 6926 §7.3: the DHCPLEASEUNKNOWN message MUST NOT appear in a response to a Bulk Leasequery', async (t) => {
  const requestor = await stored(t);
  const queries: readonly QueryFields[] = [...PRIMARY.map(([, fields]) => fields), {}, { chaddr: chaddrOf(77) }, { ciaddr: 1 }, { chaddr: chaddrOf(1), clientId: CLIENT_ID }];
  for (const fields of queries) assert.ok((await requestor.ask(fields)).every(({ type }) => type !== LEASEUNKNOWN));
});

// ── qualifiers ───────────────────────────────────────────────────────────────────────────────────

const T = utcNow() - 1000;

/** By when they changed, in seconds after `T`: of the last transaction, and of the state. */
async function changed(t: Parameters<typeof QueryFixture.start>[0]): Promise<Requestor> {
  const fixture = await QueryFixture.start(t, { subnets: SUBNETS });
  const row = (n: number, transaction: number, state: number, binding: BindingState = BindingState.ACTIVE): readonly [number, Buffer] =>
    [at(99 + n), leaseRecord({ n: 1, lastTransaction: T + transaction, stateSince: T + state, state: binding })];
  await fixture.put(row(1, 10, 10), row(2, 20, 10), row(3, 30, 30), row(4, 10, 40, EXPIRED), row(5, 50, 50, ABANDONED));
  return fixture.connect();
}

test('RFC 6926 §8.2: if a query-start-time option appears, only IP address bindings that have changed on or after the time specified should be returned', async (t) => {
  const requestor = await changed(t);
  const expected: readonly (readonly [number, readonly number[]])[] = [
    [10, [100, 101, 102, 103, 104]], [11, [101, 102, 103, 104]], [20, [101, 102, 103, 104]], [21, [102, 103, 104]], [31, [103, 104]], [40, [103, 104]], [41, [104]], [51, []],
  ];
  for (const [second, last] of expected) assert.deepEqual(addresses(await requestor.ask({ startTime: T + second })), last.map(at), `since ${second}`);
  assert.deepEqual(addresses(await requestor.ask({ startTime: T + 20, chaddr: chaddrOf(1) })), [at(101), at(102)]);
});

test('RFC 6926 §8.2: if a query-end-time option appears, only IP address bindings that have changed on or before the time specified should be returned', async (t) => {
  const requestor = await changed(t);
  const expected: readonly (readonly [number, readonly number[]])[] = [[9, []], [10, [100, 101, 103]], [29, [100, 101, 103]], [30, [100, 101, 102, 103]], [50, [100, 101, 102, 103, 104]]];
  // From 1 on: addresses that nobody has had have not changed.
  for (const [second, last] of expected) assert.deepEqual(addresses(await requestor.ask({ startTime: 1, endTime: T + second })), last.map(at), `until ${second}`);
  assert.deepEqual(addresses(await requestor.ask({ endTime: T + 29, chaddr: chaddrOf(1) })), [at(100), at(101)]);
});

test('RFC 6926 §8.2: a DHCPv4 server SHOULD consider an address binding to have changed during a specified time window if either the client-last-transaction-time or the start-time-of-state changed during that time window', async (t) => {
  const requestor = await changed(t);
  const expected: readonly (readonly [number, number, readonly number[]])[] = [
    [11, 19, []], [20, 20, [101]], [10, 10, [100, 101, 103]], [40, 40, [103]], [35, 45, [103]], [20, 30, [101, 102]], [30, 20, []],
  ];
  for (const [from, to, last] of expected) assert.deepEqual(addresses(await requestor.ask({ startTime: T + from, endTime: T + to })), last.map(at), `${from} to ${to}`);
});

test('RFC 6926 §8.2: only one of each qualifier can appear, and a time has 4 octets', async (t) => {
  const requestor = await changed(t);
  for (const code of [154, 155]) {
    for (const value of [Buffer.alloc(3), Buffer.alloc(5), Buffer.alloc(8), Buffer.alloc(0)]) {
      const [done] = await requestor.ask({ options: { [code]: value } });
      assert.deepEqual([done!.type, done!.status], [LEASEQUERYDONE, QueryStatus.MALFORMED_QUERY]);
    }
  }
});

test('RFC 6926 §8.2: if no VPN-ID option appears in the DHCPBULKLEASEQUERY, the default (global) VPN is used; type 254 indicates that all configured VPNs be searched', async (t) => {
  const requestor = await stored(t);
  for (const type of [254, 255]) {
    for (const [, fields, found] of PRIMARY) assert.deepEqual(bindings(await requestor.ask({ ...fields, options: { 221: Buffer.of(type) } })), activeAt(...found));
    assert.equal(addresses(await requestor.ask({ options: { 221: Buffer.of(type) } })).length, 8);
  }
});

test('RFC 6926 §8.2: a VPN-ID option value other than the wildcard value allows the requestor to specify a single VPN other than the default VPN, of which there is none here', async (t) => {
  const requestor = await stored(t);
  for (const value of [Buffer.from([0, ...Buffer.from('blue')]), Buffer.of(1, 1, 2, 3, 4, 5, 6, 7), Buffer.of(7)]) {
    for (const fields of [{}, { chaddr: chaddrOf(1) }]) {
      const [done, ...rest] = await requestor.ask({ ...fields, options: { 221: value } });
      isSuccess(done);
      assert.equal(rest.length, 0);
    }
  }
  for (const value of [Buffer.alloc(0), Buffer.of(254, 1), Buffer.of(255, 1)]) {
    assert.equal((await requestor.ask({ options: { 221: value } }))[0]!.status, QueryStatus.MALFORMED_QUERY);
  }
});

// ── one moment ───────────────────────────────────────────────────────────────────────────────────

test('RFC 6926 §8.2: binding information for any given IP address is not repeated, and is of one moment, however slowly it is read', async (t) => {
  const count = 150;
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(count)], leaseQuery: { options: [82] } });
  const all = Array.from({ length: count }, (_, n) => ip('10.0.0.100') + n);
  // Every second one is free, so that it could come twice or never.
  await fixture.put(...all.map((address, n) => [address, n % 2 === 0 ? largeRecord(n) : undefined] as const));
  const requestor = await fixture.connect();
  requestor.socket.pause();
  requestor.send(bulk({ parameters: [82] }));
  await fixture.asked(1);
  for (let round = 0; round < 3; round++) {
    await fixture.put(...all.map((address, n) => [address, n % 2 === round % 2 ? undefined : leaseRecord({ n: 1000 + n })] as const));
  }
  requestor.socket.resume();
  const messages = await requestor.untilDone();
  assert.deepEqual(bindings(messages), all.map((address, n) => [address, n % 2 === 0 ? LEASEACTIVE : LEASEUNASSIGNED]));
  for (const message of messages.filter(({ type }) => type === LEASEACTIVE)) assert.equal(message.option(82)?.length, 60_000);
  const now = bindings(await requestor.ask());
  assert.deepEqual(now, all.map((address, n) => [address, n % 2 === 0 ? LEASEUNASSIGNED : LEASEACTIVE]));
});

test('RFC 6926 §6.2.5: the query-start-time will contain the value most recently received in a base-time option: nothing is missed that was stored while an answer was read', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(150)], leaseQuery: { options: [82] } });
  await fixture.put(...Array.from({ length: 150 }, (_, n) => [at(100) + n, largeRecord(n)] as const));
  const requestor = await fixture.connect();
  requestor.socket.pause();
  requestor.send(bulk({ parameters: [82, 152] }));
  await fixture.asked(1);
  const second = utcNow();
  // Changed, and known to nobody else, when the last message is told in a later second.
  await fixture.put([at(100), leaseRecord({ n: 1, lastTransaction: second })]);
  await fixture.until(() => utcNow() > second, 'the next second');
  requestor.socket.resume();
  const base = Math.max(...(await requestor.untilDone()).map(({ baseTime = 0 }) => baseTime));
  assert.ok(base >= second - 1);
  assert.deepEqual(addresses(await requestor.ask({ startTime: base })), [at(100)]);
});
