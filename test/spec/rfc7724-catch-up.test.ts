/** RFC 7724 §7.4.1: requestors that come back, and are told what they have missed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DhcpState, QueryStatus, QueryType } from '../../node/leasequery/messages.ts';
import { ip } from '../support/client-packets.ts';
import { active, bindings } from '../support/query-requestor.ts';
import type { QueryFields, Requestor, Told } from '../support/query-requestor.ts';
import { ACTIVE, largeRecord, leaseRecord, QueryFixture, utcNow } from '../support/query-server.ts';
import type { QueryFixtureOptions } from '../support/query-server.ts';

const { LEASEACTIVE, LEASEQUERYSTATUS, LEASEUNASSIGNED } = QueryType;
const ADDRESS = ip('10.0.0.100');
const OPTIONS: QueryFixtureOptions = { leaseQuery: { active: ACTIVE }, historySeconds: 1000 };
const NUMBERS = { parameters: [12, 152] };
const numbered = (n: number): Buffer => leaseRecord({ n, hostname: Buffer.from(String(n)) });
const numbersOf = (messages: readonly Told[]): number[] => messages.flatMap((message) => {
  const name = message.option(12);
  return name === undefined ? [] : [Number(name.toString())];
});
const upTo = (count: number, from = 1): number[] => Array.from({ length: count }, (_, n) => from + n);

async function back(fixture: QueryFixture, fields: QueryFields): Promise<Requestor> {
  const requestor = await fixture.connect();
  requestor.send(active({ ...NUMBERS, ...fields }));
  return requestor;
}

/** All up to and with the next STATUS. */
async function untilStatus(requestor: Requestor): Promise<Told[]> {
  const taken = [await requestor.next()];
  while (taken.at(-1)!.type !== LEASEQUERYSTATUS) taken.push(await requestor.next());
  return taken;
}

/** Changes 1 to `count`, one in each second, from `T` on. */
async function changes(fixture: QueryFixture, count: number): Promise<number> {
  const first = fixture.second + 10;
  for (const n of upTo(count)) {
    fixture.second = first + n - 1;
    await fixture.put([ADDRESS + n % 50, numbered(n)]);
  }
  return first;
}

test('RFC 7724 §8.2: the DHCPv4 server can respond with replies for all binding activity occurring on that query-start-time or later times', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const first = await changes(fixture, 40);
  for (const from of [1, 2, 17, 40, 41]) {
    const requestor = await back(fixture, { startTime: first + from - 1 });
    const messages = await untilStatus(requestor);
    assert.deepEqual(numbersOf(messages), upTo(41 - from, from));
    assert.equal(messages.at(-1)!.status, QueryStatus.CATCH_UP_COMPLETE);
    requestor.destroy();
  }
});

test('RFC 7724 §8.2: once the transmission of the messages associated with the query-start-time option are complete, a DHCPLEASEQUERYSTATUS message MUST be sent with a dhcp-status-code value of CatchUpComplete', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const requestor = await back(fixture, { startTime: utcNow() - 100, xid: 3 });
  const status = await requestor.next();
  assert.deepEqual([status.type, status.xid, status.status], [LEASEQUERYSTATUS, 3, QueryStatus.CATCH_UP_COMPLETE]);
  assert.equal(status.option(54)?.toString('hex'), '7f000001', 'also where it is the first');
  assert.ok(status.baseTime! <= utcNow());
  await fixture.put([ADDRESS, numbered(1)]);
  assert.deepEqual(numbersOf([await requestor.next()]), [1]);
});

test('RFC 7724 §7.4.1: once this message is transmitted, all additional messages will relate to real-time changes: nothing is told twice, and nothing is missed between', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const first = await changes(fixture, 30);
  fixture.holds = true;
  const requestor = await back(fixture, { startTime: first });
  await fixture.asked(1);
  // Committed, and handed over, before the moment of which the history is read.
  for (const n of upTo(10, 31)) await fixture.put([ADDRESS, numbered(n)]);
  fixture.holds = false;
  fixture.release();
  // And after it, while it is read.
  for (const n of upTo(20, 41)) await fixture.put([ADDRESS, numbered(n)]);
  const caughtUp = await untilStatus(requestor);
  assert.deepEqual(numbersOf(caughtUp), upTo(40));
  assert.deepEqual(numbersOf(await requestor.take(20)), upTo(20, 41));
});

test('RFC 7724 §7.4.1: at least one message will exist for every binding that had one or more changes of state during the period, with what became of it last', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: ACTIVE, options: [12, 82] } });
  const startTime = fixture.second + 1;
  fixture.second += 1;
  // More than one piece, and more than one chunk of the history.
  for (let round = 0; round < 3; round++) await fixture.put(...upTo(100).map((n) => [ADDRESS + n, largeRecord(n, 900 + round)] as const));
  await fixture.put([ADDRESS + 1, undefined]);
  const requestor = await back(fixture, { startTime, parameters: [12, 82, 156] });
  const messages = (await untilStatus(requestor)).slice(0, -1);
  const last = new Map(messages.map((message) => [message.address, message]));
  assert.deepEqual([...last.keys()].toSorted((a, b) => a - b), upTo(100, ADDRESS + 1));
  for (const [address, message] of last) assert.deepEqual([message.type, message.option(82)?.length], address === ADDRESS + 1 ? [LEASEUNASSIGNED, undefined] : [LEASEACTIVE, 902]);
  assert.equal(last.get(ADDRESS + 1)!.state, DhcpState.AVAILABLE);
});

test('RFC 7724 §7.4.1: when there is not enough data saved, the DHCPv4 server will reply immediately with DataMissing with a base-time option equal to the server\'s current time; and only real-time updates will be received', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, historySeconds: 100 });
  const began = fixture.second;
  await changes(fixture, 5);
  // Of the second in which it began not all is in the history; and nothing of the future is.
  for (const startTime of [began, began - 5000, 0, utcNow() + 5000]) {
    const before = utcNow();
    const requestor = await back(fixture, { startTime });
    const status = await requestor.next();
    assert.deepEqual([status.type, status.status], [LEASEQUERYSTATUS, QueryStatus.DATA_MISSING]);
    assert.ok(status.baseTime! >= before && status.baseTime! <= utcNow());
    await fixture.put([ADDRESS, numbered(99)]);
    assert.deepEqual(numbersOf([await requestor.next()]), [99]);
    assert.equal(requestor.messages.length, 2);
    requestor.destroy();
  }
  assert.equal((await untilStatus(await back(fixture, { startTime: began + 1 }))).at(-1)!.status, QueryStatus.CATCH_UP_COMPLETE);
});

test('RFC 7724 §8.2: the server SHOULD limit the amount of previous binding activity it keeps track of: what has gone is missing', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, historyLimits: { seconds: 20, bytes: 2 ** 30 } });
  const first = await changes(fixture, 40);
  const statusOf = async (startTime: number): Promise<number | undefined> => {
    const requestor = await back(fixture, { startTime });
    const { status } = (await untilStatus(requestor)).at(-1)!;
    requestor.destroy();
    return status;
  };
  assert.equal(await statusOf(first), QueryStatus.DATA_MISSING);
  assert.equal(await statusOf(first + 10), QueryStatus.DATA_MISSING);
  assert.equal(await statusOf(first + 30), QueryStatus.CATCH_UP_COMPLETE);
});

test('RFC 7724 §7.3: the requestor should place the highest base-time value into a query-start-time option in the new request: whatever it was told last, it misses nothing', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  fixture.second = utcNow() - 200;
  let told = 0;
  let startTime = fixture.second;
  for (let round = 0; round < 8; round++) {
    const asks = fixture.asks;
    const requestor = await back(fixture, { startTime });
    await fixture.asked(asks + 1);
    const caughtUp = await untilStatus(requestor);
    assert.equal(caughtUp.at(-1)!.status, QueryStatus.CATCH_UP_COMPLETE);
    // Two changes a second, so that it leaves in the middle of one.
    const next = 3 * round + 1;
    for (const n of upTo(3, next)) {
      if (n % 2 === 0) fixture.second++;
      await fixture.put([ADDRESS, numbered(n)]);
    }
    const live = await requestor.take(round % 3);
    const messages = [...caughtUp, ...live];
    const numbers = numbersOf(messages);
    assert.ok(numbers.length === 0 || numbers[0]! <= told + 1, `${told}, then ${numbers.join()}`);
    if (numbers.length > 0) {
      assert.deepEqual(numbers, upTo(numbers.length, numbers[0]));
      told = Math.max(told, numbers.at(-1)!);
    }
    // Base-times of this thread's clock are ahead of the changes' here: only those of changes count.
    startTime = Math.max(startTime, ...messages.filter(({ type }) => type !== LEASEQUERYSTATUS).map(({ baseTime = 0 }) => baseTime));
    requestor.destroy();
    await fixture.followed(false);
  }
  const end = numbersOf(await untilStatus(await back(fixture, { startTime })));
  assert.ok(end[0]! <= told + 1);
  assert.equal(end.at(-1), 24);
});

test('RFC 7724 §7.4.1: the base-time of a change is that of its moment here, and never falls', async (t) => {
  const fixture = await QueryFixture.start(t, OPTIONS);
  const first = await changes(fixture, 20);
  const requestor = await back(fixture, { startTime: first });
  const caughtUp = await untilStatus(requestor);
  assert.deepEqual(caughtUp.slice(0, -1).map(({ baseTime }) => baseTime), upTo(20, first));
  fixture.second = utcNow() + 5;
  await fixture.put([ADDRESS, numbered(99)]);
  assert.equal((await requestor.next()).baseTime, fixture.second);
});

test('RFC 7724 §7.3: it has received information about a binding from another server: where there are others, changes that may have come late are told again', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, clustered: true });
  const first = await changes(fixture, 80);
  // Clocks may differ by 10 s; what a node committed just before it was cut off is known 30 s later, and 5 s to commit.
  const numbers = numbersOf(await untilStatus(await back(fixture, { startTime: first + 69 })));
  assert.deepEqual(numbers, upTo(56, 25));
});

test('RFC 7724 §7.4.1: in the event that the server found that it was unable to continue, the catch-up ends with a DHCPLEASEQUERYSTATUS: the requestor reads too slowly', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: ACTIVE, options: [82] }, limits: { snapshotMs: 100 } });
  const startTime = fixture.second + 1;
  fixture.second++;
  for (const n of upTo(150)) await fixture.put([ADDRESS, largeRecord(n)]);
  const requestor = await fixture.connect();
  requestor.socket.pause();
  requestor.send(active({ startTime, parameters: [82] }));
  await fixture.asked(1);
  await fixture.followed(false);
  requestor.socket.resume();
  const messages = await requestor.untilEnd();
  const last = messages.at(-1)!;
  assert.deepEqual([last.type, last.status], [LEASEQUERYSTATUS, QueryStatus.QUERY_TERMINATED]);
  assert.ok(bindings(messages).length < 150);
});
