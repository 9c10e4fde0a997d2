import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import { openDnsUpdater } from '../../node/ddns/io/updater.ts';
import type { DnsOutcome, DnsServer } from '../../node/ddns/types.ts';
import type { Change, Prerequisite } from '../../node/ddns/update.ts';
import { decodeMessage, encodeUpdate } from '../../node/ddns/wire.ts';
import { readClock } from '../../node/io/clock.ts';
import { cannedAnswer, startCannedNameServer } from '../support/canned-name-server.ts';
import type { Canned, CannedNameServer } from '../support/canned-name-server.ts';
import { dnsJob } from '../support/dns-zone.ts';

const name = parseDomainName('a.example.test')!;
const NAME = name.toString('hex');
const A = Buffer.of(10, 0, 0, 1);
const NONE = '00fe';
const ANY = '00ff';
const IN = '0001';

/** The one record of an update in hexadecimal, behind its name: type, class, TTL, length, data. */
function written(part: Prerequisite | Change): string {
  const isChange = part.kind === 'add' || part.kind.startsWith('delete');
  const bytes = encodeUpdate(1, { zone: 'example.test.', prerequisites: isChange ? [] : [part as Prerequisite], changes: isChange ? [part as Change] : [] });
  const [record] = decodeMessage(bytes)!.records;
  assert.equal(record!.section, isChange ? 'authority' : 'answer');
  const hex = bytes.toString('hex', record!.start);
  assert.ok(hex.startsWith(NAME));
  return hex.slice(NAME.length);
}

async function outcomeOf(t: TestContext, servers: readonly DnsServer[]): Promise<DnsOutcome> {
  return new Promise((resolve) => {
    const updater = openDnsUpdater({ keys: { find: () => undefined }, now: readClock, onDone: (_, outcome) => resolve(outcome) });
    t.after(() => updater.close());
    updater.start(dnsJob({ action: 'add-reverse', zone: { name: '0.0.10.in-addr.arpa.', servers, key: undefined } }));
  });
}

async function serverThat(t: TestContext, answer: Canned): Promise<CannedNameServer> {
  const server = await startCannedNameServer(answer);
  t.after(() => server.close());
  return server;
}

test('RFC 2136 §2.2: The Opcode value that identifies an UPDATE message is five (5); Z should be zero (0) in all requests', () => {
  assert.equal(encodeUpdate(7, { zone: 'example.test.', prerequisites: [], changes: [] }).readUInt16BE(2), 5 << 11);
});

test('RFC 2136 §2.3: The ZNAME is the zone name, the ZTYPE must be SOA, and the ZCLASS is the zone\'s class', () => {
  const bytes = encodeUpdate(7, { zone: 'example.test.', prerequisites: [], changes: [] });
  assert.equal(bytes.toString('hex', 4), `0001000000000000${parseDomainName('example.test')!.toString('hex')}0006${IN}`);
});

test('RFC 2136 §2.4.1: RRset exists: RDLENGTH is zero, CLASS must be specified as ANY, TTL is specified as zero', () => {
  assert.equal(written({ kind: 'rrset-exists', name, type: 'A' }), `0001${ANY}000000000000`);
});

test('RFC 2136 §2.4.2: RRset exists with these members: CLASS is that of the zone, TTL must be specified as zero', () => {
  assert.equal(written({ kind: 'rrset-is', name, type: 'A', data: A }), `0001${IN}0000000000040a000001`);
});

test('RFC 2136 §2.4.3: RRset does not exist: RDLENGTH is zero, CLASS must be specified as NONE, TTL must be specified as zero', () => {
  assert.equal(written({ kind: 'rrset-absent', name, type: 'AAAA' }), `001c${NONE}000000000000`);
});

test('RFC 2136 §2.4.4: Name is in use: RDLENGTH is zero, CLASS must be specified as ANY, TYPE must be specified as ANY, TTL is zero', () => {
  assert.equal(written({ kind: 'name-in-use', name }), `00ff${ANY}000000000000`);
});

test('RFC 2136 §2.4.5: Name is not in use: RDLENGTH is zero, CLASS must be specified as NONE, TYPE must be specified as ANY, TTL must be zero', () => {
  assert.equal(written({ kind: 'name-not-in-use', name }), `00ff${NONE}000000000000`);
});

test('RFC 2136 §2.5.1: NAME, TYPE, TTL, RDLENGTH and RDATA are those being added, and CLASS is the same as the zone class', () => {
  assert.equal(written({ kind: 'add', name, type: 'A', ttlSeconds: 600, data: A }), `0001${IN}0000025800040a000001`);
});

test('RFC 2136 §2.5.2: Delete an RRset: TTL must be specified as zero, CLASS must be specified as ANY, RDLENGTH must be zero', () => {
  assert.equal(written({ kind: 'delete-rrset', name, type: 'A' }), `0001${ANY}000000000000`);
});

test('RFC 2136 §2.5.3: Delete all RRsets from a name: TYPE must be specified as ANY, TTL zero, CLASS ANY, RDLENGTH zero', () => {
  assert.equal(written({ kind: 'delete-name', name }), `00ff${ANY}000000000000`);
});

test('RFC 2136 §2.5.4: Delete an RR from an RRset: NAME, TYPE, RDLENGTH and RDATA must match, TTL must be zero, CLASS must be specified as NONE', () => {
  assert.equal(written({ kind: 'delete-record', name, type: 'A', data: A }), `0001${NONE}0000000000040a000001`);
});

test('RFC 2136 §3.8: A response either copies the sections of the request, or has zeros in the "count" fields', async (t) => {
  const short = await serverThat(t, (request) => [cannedAnswer(request, 0)]);
  const copies = await serverThat(t, (request) => {
    const answer = Buffer.from(request.bytes);
    answer.writeUInt16BE(0x8000 | (5 << 11), 2);
    return [answer];
  });
  assert.deepEqual([await outcomeOf(t, [short.server]), await outcomeOf(t, [copies.server])], [{ kind: 'done' }, { kind: 'done' }]);
});

test('RFC 2136 §4.4: the requestor composes an UPDATE message and sends it to the first name server on its list; the Additional Data Section is empty', async (t) => {
  const [first, second] = [await serverThat(t, (request) => [cannedAnswer(request, 0)]), await serverThat(t, () => [])];
  assert.deepEqual(await outcomeOf(t, [first.server, second.server]), { kind: 'done' });
  assert.deepEqual([first.requests.length, second.requests.length], [1, 0]);
  assert.equal(first.requests[0]!.bytes.readUInt16BE(10), 0);
});

test('RFC 2136 §4.5: If the response has an RCODE other than SERVFAIL or NOTIMP, then the requestor returns an appropriate response to its caller', async (t) => {
  const [first, second] = [await serverThat(t, (request) => [cannedAnswer(request, 5)]), await serverThat(t, (request) => [cannedAnswer(request, 0)])];
  assert.deepEqual(await outcomeOf(t, [first.server, second.server]), { kind: 'refused', code: 'REFUSED' });
  assert.equal(second.requests.length, 0);
});

test('RFC 2136 §4.6: If SERVFAIL or NOTIMP is received, or an ICMP error indicating that the server\'s port is unreachable, then the requestor will try the next one, repeating until the list is empty', async (t) => {
  const [fails, cannot, takes] = [2, 4, 0].map((code) => serverThat(t, (request) => [cannedAnswer(request, code)]));
  const nobody = { host: '127.0.0.1', port: 1 };
  assert.deepEqual(await outcomeOf(t, [(await fails!).server, (await cannot!).server, nobody, (await takes!).server]), { kind: 'done' });
});

test('RFC 2136 §4.6: If no response is received within a timeout period, then the requestor will try the next one', async (t) => {
  const [silent, takes] = [await serverThat(t, () => []), await serverThat(t, (request) => [cannedAnswer(request, 0)])];
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const outcome = outcomeOf(t, [silent.server, takes.server]);
  for (let requests = 1; requests <= 3; requests++) {
    while (silent.requests.length < requests) await new Promise((resolve) => setImmediate(resolve));
    t.mock.timers.tick(2000);
  }
  assert.deepEqual(await outcome, { kind: 'done' });
});

test('RFC 2136 §4.6: If the requestor runs out of servers to try, an appropriate error will be returned to the requestor\'s caller', async (t) => {
  const fails = await serverThat(t, (request) => [cannedAnswer(request, 2)]);
  assert.deepEqual(await outcomeOf(t, [fails.server]), { kind: 'unavailable', reason: `127.0.0.1:${fails.server.port}: SERVFAIL` });
});
