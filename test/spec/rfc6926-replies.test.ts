/** RFC 6926 §8.3 and §6.2: what an answer to a bulk LEASEQUERY says of a binding. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BindingState } from '../../node/lease/record.ts';
import { DhcpState, QueryType } from '../../node/leasequery/messages.ts';
import { chaddrOf, clientPacket, ip } from '../support/client-packets.ts';
import { ALL_TIMES, bulk } from '../support/query-requestor.ts';
import type { QueryFields, Told } from '../support/query-requestor.ts';
import { fewAddresses, leaseRecord, OTHER, OWN, QueryFixture, utcNow } from '../support/query-server.ts';
import type { QueryFixtureOptions } from '../support/query-server.ts';
import { relayInformation } from '../support/relayed-requests.ts';

const { LEASEACTIVE, LEASEQUERYDONE, LEASEUNASSIGNED } = QueryType;
const { ABANDONED, ACTIVE, EXPIRED, RELEASED } = BindingState;
const ADDRESS = ip('10.0.0.100');
const BEGAN = utcNow() - 500;
const INFINITE = 0xffff_ffff;

type Context = Parameters<typeof QueryFixture.start>[0];

/** What is told of 10.0.0.100, 101, ..., which have these records; without DONE. */
async function told(t: Context, records: readonly (Buffer | undefined)[], fields: QueryFields = {}, options: QueryFixtureOptions = {}): Promise<Told[]> {
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(records.length)], ...options });
  await fixture.put(...records.map((record, n) => [ADDRESS + n, record] as const));
  const messages = await (await fixture.connect()).ask(fields);
  assert.deepEqual(messages.map(({ type }) => type === LEASEQUERYDONE), [...records.map(() => false), true]);
  return messages.slice(0, -1);
}

const EACH_STATE: readonly Buffer[] = [ACTIVE, EXPIRED, RELEASED, ABANDONED].map((state, n) => leaseRecord({ n, state, lastTransaction: BEGAN, stateSince: BEGAN + 100 }));

// ── the message ──────────────────────────────────────────────────────────────────────────────────

test('RFC 6926 §8.3: the DHCPv4 server MUST include the server-identifier option in the first message sent in response to a DHCPBULKLEASEQUERY; it SHOULD NOT include it in later messages', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(3)] });
  const requestor = await fixture.connect();
  for (const xid of [1, 2]) {
    const identifiers = (await requestor.ask({ xid })).map((message) => message.option(54)?.toString('hex'));
    assert.deepEqual(identifiers, ['7f000001', undefined, undefined, undefined]);
  }
  const rows: readonly QueryFields[] = [{ chaddr: chaddrOf(9) }, { ciaddr: 1 }, { chaddr: chaddrOf(9), clientId: Buffer.of(1, 1) }];
  for (const fields of rows) {
    const [done, ...rest] = await requestor.ask(fields);
    assert.deepEqual([done!.type, done!.option(54)?.toString('hex'), rest.length], [LEASEQUERYDONE, '7f000001', 0], 'also where DONE is the first');
  }
});

test('RFC 6926 §8.3: if the dhcp-state option value is ACTIVE, then the message type is DHCPLEASEACTIVE; otherwise, the message type is DHCPLEASEUNASSIGNED', async (t) => {
  const messages = await told(t, [...EACH_STATE, undefined]);
  assert.deepEqual(messages.map(({ type }) => type), [LEASEACTIVE, LEASEUNASSIGNED, LEASEUNASSIGNED, LEASEUNASSIGNED, LEASEUNASSIGNED]);
});

test('RFC 6926 §7.1: all of the messages that come as a response to that message will contain the same xid as the request', async (t) => {
  const messages = await told(t, [...EACH_STATE, undefined], { xid: 0xffff_fffe });
  assert.ok(messages.every(({ xid }) => xid === 0xffff_fffe));
});

test('RFC 6926 §7.3: the IP address will appear in the ciaddr field; the message may contain a non-zero chaddr, htype, hlen', async (t) => {
  const messages = await told(t, [leaseRecord({ n: 5, htype: 6 }), leaseRecord({ n: 6, state: EXPIRED }), undefined], { giaddr: ip('10.9.0.1'), broadcast: true });
  assert.deepEqual(messages.map(({ address, chaddr }) => [address, chaddr.toString('hex')]), [
    [ADDRESS, chaddrOf(5).toString('hex')], [ADDRESS + 1, chaddrOf(6).toString('hex')], [ADDRESS + 2, ''],
  ]);
  for (const { bytes } of messages) {
    assert.equal(bytes[0], 2);
    assert.deepEqual([bytes.readUInt32BE(16), bytes.readUInt32BE(20), bytes.readUInt32BE(24)], [0, 0, ip('10.9.0.1')]);
    assert.ok(bytes.subarray(44, 236).every((byte) => byte === 0), 'sname and file');
  }
  assert.equal(messages[0]!.bytes[1], 6);
});

test('RFC 6926 §8.2: the DHCPLEASEQUERYDONE message SHOULD NOT contain a status-code option status if the termination was successful', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(1)] });
  const messages = await (await fixture.connect()).ask();
  assert.deepEqual(messages.map(({ codes }) => codes.includes(151)), [false, false]);
  assert.deepEqual(messages[1]!.codes, [53]);
});

test('RFC 6926 §7.3: for Bulk Leasequery, a separate message is returned for each binding, so the associated-ip option is not used', async (t) => {
  const messages = await told(t, [1, 1, 1].map((n) => leaseRecord({ n })), { chaddr: chaddrOf(1), parameters: [92, 51] });
  assert.deepEqual(messages.map(({ codes }) => codes.includes(92)), [false, false, false]);
});

// ── state ────────────────────────────────────────────────────────────────────────────────────────

test('RFC 6926 §8.3: if the dhcp-state option code appears in the dhcp-parameter-request-list, the DHCPv4 server SHOULD include a dhcp-state option whose value corresponds most closely to the state held', async (t) => {
  const messages = await told(t, [...EACH_STATE, undefined], { parameters: [156] });
  assert.deepEqual(messages.map(({ state }) => state), [DhcpState.ACTIVE, DhcpState.EXPIRED, DhcpState.RELEASED, DhcpState.ABANDONED, DhcpState.AVAILABLE]);
  for (const message of messages) assert.equal(message.option(156)!.length, 1);
});

test('RFC 6926 §8.3: if the dhcp-state option code does not appear in the list, none is included', async (t) => {
  const messages = await told(t, [...EACH_STATE, undefined], { parameters: [51] });
  assert.ok(messages.every(({ codes }) => !codes.includes(156)));
});

test('RFC 6926 §6.2.7: an address that is available to the current server should show AVAILABLE on that server, and REMOTE on that other server', async (t) => {
  const messages = await told(t, [undefined, undefined, leaseRecord()], {}, { incarnation: OWN, clustered: true, foreignSlots: [101, 102] });
  assert.deepEqual(messages.map(({ state }) => state), [DhcpState.AVAILABLE, DhcpState.REMOTE, DhcpState.ACTIVE]);
});

// ── times ────────────────────────────────────────────────────────────────────────────────────────

test('RFC 6926 §8.3: if the base-time option code appears in the list, the server MUST include a base-time option, which is the current time in the DHCPv4 server\'s context', async (t) => {
  const before = utcNow();
  const messages = await told(t, [...EACH_STATE, undefined], { parameters: [152] });
  const after = utcNow();
  for (const message of messages) {
    assert.equal(message.option(152)!.length, 4);
    assert.ok(message.baseTime! >= before && message.baseTime! <= after, 'absolute');
  }
});

test('RFC 6926 §8.3: if the base-time option code does not appear in the list, none is included', async (t) => {
  for (const { codes } of await told(t, [...EACH_STATE, undefined], { parameters: [51, 91] })) assert.ok(!codes.includes(152));
});

test('RFC 6926 §8.3: if the start-time-of-state option code appears in the list, the DHCPv4 server MUST include it: the seconds from the transition to the time specified in the base-time option', async (t) => {
  for (const message of await told(t, EACH_STATE)) assert.equal(message.u32(153), message.baseTime! - (BEGAN + 100));
});

test('RFC 6926 §6.2.4: start-time-of-state MUST NOT be an absolute time, also where another node\'s clock is ahead', async (t) => {
  const ahead = utcNow() + 1000;
  const [message] = await told(t, [leaseRecord({ lastTransaction: ahead, stateSince: ahead })]);
  assert.deepEqual([message!.u32(153), message!.u32(91)], [0, 0]);
});

test('RFC 6926 §8.3: if the client-last-transaction-time option code appears in the list, the DHCPv4 server MUST include it in any situation where the information is available', async (t) => {
  const messages = await told(t, [...EACH_STATE, undefined]);
  assert.deepEqual(messages.map((message) => message.u32(91)), [...EACH_STATE.map((_, n) => messages[n]!.baseTime! - BEGAN), undefined]);
});

test('RFC 6926 §8.3: if the dhcp-lease-time option code appears in the list, the DHCPv4 server MUST include a dhcp-lease-time option for any state that has a timeout value associated with it', async (t) => {
  const messages = await told(t, [...EACH_STATE, undefined, leaseRecord({ expires: INFINITE, leaseSeconds: INFINITE })]);
  assert.deepEqual(messages.map((message) => message.u32(51)), [BEGAN + 3600 - messages[0]!.baseTime!, undefined, undefined, undefined, undefined, INFINITE]);
});

test('RFC 6926 §6.2.3: all of the other time-based options are relative to base-time, including the dhcp-lease-time: renewal and rebinding times as well, and none that is past', async (t) => {
  const base = utcNow();
  const at = (lastTransaction: number): Buffer => leaseRecord({ lastTransaction, expires: lastTransaction + 3600 });
  const messages = await told(t, [at(base - 100), at(base - 2000), at(base - 3300), at(base - 4000)], { parameters: [51, 58, 59, 152] });
  const ends = (message: Told, code: number): number | undefined => {
    const left = message.u32(code);
    return left === undefined ? undefined : message.baseTime! + left - base;
  };
  assert.deepEqual(messages.map((message) => [51, 58, 59].map((code) => ends(message, code))), [
    [3500, 1700, 3050], [1600, undefined, 1150], [300, undefined, undefined], [undefined, undefined, undefined],
  ]);
});

// ── source ───────────────────────────────────────────────────────────────────────────────────────

test('RFC 6926 §8.3: if the data-source option code appears in the list, the DHCPv4 server MUST include the data-source option in any situation where any of the bits would be non-zero', async (t) => {
  const records = [leaseRecord({ incarnation: OWN }), leaseRecord({ incarnation: OTHER }), leaseRecord({ incarnation: OTHER, state: RELEASED })];
  const messages = await told(t, records, {}, { incarnation: OWN, clustered: true });
  assert.deepEqual(messages.map((message) => message.option(157)?.toString('hex')), [undefined, '01', '01']);
});

test('RFC 6926 §6.2.8: data-source SHOULD be used when there are two or more servers: alone, or not asked for, there is none', async (t) => {
  const records = [leaseRecord({ incarnation: OTHER })];
  assert.equal((await told(t, records))[0]!.option(157), undefined);
  assert.equal((await told(t, records, { parameters: [156] }, { incarnation: OWN, clustered: true }))[0]!.option(157), undefined);
});

// ── the parameter request list ───────────────────────────────────────────────────────────────────

const CLIENT_ID = Buffer.from('ff00000001', 'hex');
const INFORMATION = relayInformation([1, Buffer.from('port 1')], [2, Buffer.from('switch')]);
const FULL = leaseRecord({ hasClientIdentifier: true, clientKey: CLIENT_ID, relayAgentInformation: INFORMATION, hostname: Buffer.from('host'), vendorClass: Buffer.from('vendor') });

test('RFC 6926 §8.3: if there is a dhcp-parameter-request-list in the initial DHCPBULKLEASEQUERY request, then it should be used for all of the replies generated by that request', async (t) => {
  const messages = await told(t, [FULL, FULL, FULL], { parameters: [3, 12, 60, 61, 82, 51, 200] });
  for (const [n, message] of messages.entries()) {
    assert.deepEqual(message.codes.toSorted((a, b) => a - b), [3, 12, 51, 53, ...(n === 0 ? [54] : []), 60, 61, 82]);
    assert.deepEqual([message.option(3), message.option(12)?.toString(), message.option(61), message.option(82)], [Buffer.of(10, 0, 0, 1), 'host', CLIENT_ID, INFORMATION]);
  }
});

test('RFC 6926 §8.3: each of several queries on a connection has the options of its own list', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(1)] });
  await fixture.put([ADDRESS, FULL]);
  const requestor = await fixture.connect();
  const lists = [[61], [82], [12, 152], [1, 2, 3]];
  requestor.send(...lists.map((parameters, xid) => bulk({ xid, parameters })));
  while (requestor.messages.length < 8) await requestor.next();
  const codes = lists.map((_, xid) => requestor.messages.find((message) => message.xid === xid)!.codes.filter((code) => code !== 53 && code !== 54).toSorted((a, b) => a - b));
  assert.deepEqual(codes, [[61], [82], [12, 152], [1, 3]]);
});

test('RFC 6926 §8.3: some options can be sent from a DHCPv4 client to the server or the other way: such a code SHOULD result in returning the value of the option sent by the DHCPv4 client, if one exists', async (t) => {
  const [message, free] = await told(t, [FULL, undefined], { parameters: [60, 61] });
  assert.deepEqual([message!.option(60)?.toString(), message!.option(61)], ['vendor', CLIENT_ID]);
  assert.deepEqual([free!.option(60), free!.option(61)], [undefined, undefined]);
});

test('RFC 6926 §8.3: reply messages are similar to those for an IP address query (RFC 4388 §6.4.2): without a list the times of the lease and what a DHCPACK says', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(2)] });
  await fixture.put([ADDRESS, FULL]);
  const requestor = await fixture.connect();
  requestor.send(clientPacket(QueryType.BULKLEASEQUERY, { htype: 0, chaddr: Buffer.alloc(0) }));
  const [message] = await requestor.untilDone();
  for (const code of [51, 58, 59, 3, 6, 15]) assert.ok(message!.codes.includes(code), `option ${code}`);
  for (const code of [...ALL_TIMES.slice(1), 61, 82, 60]) assert.ok(!message!.codes.includes(code), `option ${code}`);
});

test('RFC 6926 §9: to prevent information leakage, what the configuration does not let be told is not told, asked for or not', async (t) => {
  const [message] = await told(t, [FULL], { parameters: [3, 6, 12, 15, 60, 61, 82, 156] }, { leaseQuery: { options: [6, 61] } });
  assert.deepEqual(message!.codes.toSorted((a, b) => a - b), [6, 53, 54, 61, 156]);
});
