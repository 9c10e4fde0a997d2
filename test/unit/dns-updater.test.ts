/** How jobs reach name servers: order, repetition, silence, strangers, TCP. Real sockets on loopback, a server that answers as it is told. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import { openDnsUpdater } from '../../node/ddns/io/updater.ts';
import type { DnsUpdater, DnsUpdaterOptions } from '../../node/ddns/io/updater.ts';
import { DNS_SERVER_REST_MS, DNS_SOCKET_REQUESTS_MAX, DNS_UPDATES_MAX, DNS_UPDATES_WAITING_MAX } from '../../node/ddns/limits.ts';
import { ServerHealth, serverText } from '../../node/ddns/server-health.ts';
import type { DnsJob, DnsOutcome, DnsServer, DnsZone } from '../../node/ddns/types.ts';
import { encodeRecord, TYPE_NUMBERS } from '../../node/ddns/wire.ts';
import { readClock } from '../../node/io/clock.ts';
import type { MonotonicMs } from '../../node/time.ts';
import { cannedAnswer, startCannedNameServer } from '../support/canned-name-server.ts';
import type { Canned, CannedNameServer } from '../support/canned-name-server.ts';
import { dnsJob } from '../support/dns-zone.ts';

const NOERROR = 0;
const SERVFAIL = 2;
const NOTIMP = 4;
const REFUSED = 5;
const YXDOMAIN = 6;
const NXRRSET = 8;
const NOTAUTH = 9;
const TRUNCATED = 0x200;
const DONE: DnsOutcome = { kind: 'done' };

async function canned(t: TestContext, answer: Canned): Promise<CannedNameServer> {
  const server = await startCannedNameServer(answer);
  t.after(() => server.close());
  return server;
}

class Asker {
  readonly updater: DnsUpdater;
  readonly order: number[] = [];
  readonly #waiting = new Map<number, (outcome: DnsOutcome) => void>();
  #id = 0;

  constructor(t: TestContext, options: Partial<DnsUpdaterOptions> = {}) {
    this.updater = openDnsUpdater({
      keys: { find: () => undefined }, now: readClock, ...options,
      onDone: (id, outcome) => {
        this.order.push(id);
        this.#waiting.get(id)!(outcome);
      },
    });
    t.after(() => this.updater.close());
  }

  run(servers: readonly DnsServer[], fields: Partial<Parameters<typeof dnsJob>[0]> = {}, key?: string): Promise<DnsOutcome> {
    const job: DnsJob = dnsJob({ action: 'add-forward', ...fields, id: ++this.#id, zone: zoneOf(servers, key) });
    const outcome = new Promise<DnsOutcome>((resolve) => this.#waiting.set(job.id, resolve));
    this.updater.start(job);
    return outcome;
  }
}

function zoneOf(servers: readonly DnsServer[], key?: string): DnsZone {
  return { name: 'example.test.', servers, key };
}

/** A port of loopback where nobody listens. */
const NOBODY: DnsServer = { host: '127.0.0.1', port: 1 };

test('a name that is in use, and then is not ours, is a conflict', async (t) => {
  const server = await canned(t, (request) => [cannedAnswer(request, request.number === 1 ? YXDOMAIN : NXRRSET)]);
  const asker = new Asker(t);
  assert.deepEqual(await asker.run([server.server]), { kind: 'conflict' });
  assert.deepEqual(server.requests.map(({ message }) => message.opcode), [5, 5]);
  assert.deepEqual([asker.updater.stats.sent, asker.updater.stats.underWay, asker.updater.stats.waiting], [2, 0, 0]);
});

test('a request without an answer is sent again, the same to the byte', async (t) => {
  const server = await canned(t, (request) => (request.number === 1 ? [] : [cannedAnswer(request, NOERROR)]));
  const asker = new Asker(t);
  assert.deepEqual(await asker.run([server.server]), DONE);
  assert.equal(server.requests.length, 2);
  assert.deepEqual(server.requests[0]!.bytes, server.requests[1]!.bytes);
  assert.equal(asker.updater.stats.repeated, 1);
});

test('where nobody listens the next server is asked at once, and the silent one is left alone for a while', async (t) => {
  const server = await canned(t, (request) => [cannedAnswer(request, NOERROR)]);
  const asker = new Asker(t);
  assert.deepEqual(await asker.run([NOBODY, server.server]), DONE);
  assert.deepEqual(await asker.run([NOBODY, server.server]), DONE);
  assert.equal(asker.updater.stats.sent, 3, 'the second job did not ask the first server');
  assert.deepEqual(await asker.run([NOBODY]), { kind: 'unavailable', reason: '127.0.0.1:1: has not answered lately' });
});

test('a server that rests is tried by one request when its rest is over', () => {
  const [health, server] = [new ServerHealth(), { host: '10.0.0.1', port: 53 }];
  const may = (at: number): boolean => health.mayAsk(server, at as MonotonicMs);
  assert.equal(may(0), true);
  health.onSilence(server, 0 as MonotonicMs);
  assert.deepEqual([may(1), may(DNS_SERVER_REST_MS - 1), may(DNS_SERVER_REST_MS), may(DNS_SERVER_REST_MS + 1)], [false, false, true, false]);
  health.onAnswer(server);
  assert.equal(may(DNS_SERVER_REST_MS + 2), true);
  for (let i = 0; i < 1000; i++) health.onSilence({ host: `10.1.${i >> 8}.${i & 255}`, port: 53 }, 0 as MonotonicMs);
  assert.deepEqual([health.mayAsk({ host: '10.1.0.0', port: 53 }, 1 as MonotonicMs), health.mayAsk({ host: '10.1.3.231', port: 53 }, 1 as MonotonicMs)], [true, false], 'bounded');
  assert.deepEqual([serverText(server), serverText({ host: '::1', port: 5353 })], ['10.0.0.1', '[::1]:5353']);
});

test('a server that cannot, or has not got the zone, is passed over; one that refuses is not, unless another could not be asked', async (t) => {
  const answering = (code: number): Promise<CannedNameServer> => canned(t, (request) => [cannedAnswer(request, code)]);
  const [fails, cannot, isNone, refuses, takes] = [await answering(SERVFAIL), await answering(NOTIMP), await answering(NOTAUTH), await answering(REFUSED), await answering(NOERROR)].map(({ server }) => server) as [DnsServer, DnsServer, DnsServer, DnsServer, DnsServer];
  const asker = new Asker(t);
  assert.deepEqual(await asker.run([fails, cannot, isNone, takes]), DONE);
  assert.deepEqual(await asker.run([refuses, takes]), { kind: 'refused', code: 'REFUSED' });
  assert.deepEqual(await asker.run([cannot, isNone]), { kind: 'refused', code: 'NOTIMP' });
  assert.deepEqual(await asker.run([fails, refuses]), { kind: 'unavailable', reason: `${serverText(fails)}: SERVFAIL; ${serverText(refuses)}: REFUSED` });
  assert.deepEqual(await asker.run([NOBODY, refuses]), { kind: 'unavailable', reason: `127.0.0.1:1: ECONNREFUSED; ${serverText(refuses)}: REFUSED` });
  assert.deepEqual(await asker.run([cannot, fails]), { kind: 'unavailable', reason: `${serverText(cannot)}: NOTIMP; ${serverText(fails)}: SERVFAIL` });
});

test('what is no answer to the request is not taken for one', async (t) => {
  const stranger = createSocket('udp4').bind(0, '127.0.0.1');
  t.after(() => stranger.close());
  const server = await canned(t, (request) => {
    const answer = cannedAnswer(request, NOERROR);
    const changed = (at: number, byte: number): Buffer => {
      const other = Buffer.from(answer);
      other[at] = byte;
      return other;
    };
    const another = Buffer.concat([changed(5, 1), parseDomainName('other.test')!, Buffer.of(0, 6, 0, 1)]);
    // A query, an answer to a question, to another zone, half of one, nonsense; another id.
    return [changed(2, 0x28), changed(2, 0x80), another, answer.subarray(0, 11), Buffer.alloc(0), Buffer.from('nonsense, and more of it'), changed(1, answer[1]! ^ 1), cannedAnswer(request, REFUSED)];
  });
  const asker = new Asker(t);
  assert.deepEqual(await asker.run([server.server]), { kind: 'refused', code: 'REFUSED' });
  assert.equal(asker.updater.stats.ignored, 4);
});

test('what does not fit into a datagram goes over TCP, there and back', async (t) => {
  const server = await canned(t, (request) => [cannedAnswer(request, NOERROR, request.over === 'udp' ? TRUNCATED : 0)]);
  const asker = new Asker(t);
  assert.deepEqual(await asker.run([server.server]), DONE);
  assert.deepEqual(server.requests.map(({ over }) => over), ['udp', 'tcp']);
  assert.deepEqual(await asker.run([server.server], { name: `${Array.from({ length: 3 }, () => 'x'.repeat(60)).join('.')}.example.test` }), DONE);
  assert.deepEqual(server.requests.map(({ over }) => over), ['udp', 'tcp', 'tcp']);
  assert.equal(asker.updater.stats.overTcp, 2);
});

test('one job at a time has a name, or an address, in the order in which they came; others need not wait', async (t) => {
  const held: (() => void)[] = [];
  const server = await canned(t, (request) => new Promise((resolve) => held.push(() => resolve([cannedAnswer(request, NOERROR)]))));
  const asker = new Asker(t);
  const until = async (count: number): Promise<void> => {
    while (held.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const jobs = [
    asker.run([server.server], { name: 'a.example.test', address: '10.0.0.1' }),
    asker.run([server.server], { name: 'a.example.test', address: '10.0.0.2' }),
    asker.run([server.server], { action: 'add-reverse', name: 'a.example.test', address: '10.0.0.1' }),
    asker.run([server.server], { name: 'b.example.test', address: '10.0.0.2' }),
    asker.run([server.server], { name: 'c.example.test', address: '10.0.0.3' }),
  ];
  await until(2);
  assert.deepEqual([asker.updater.stats.underWay, asker.updater.stats.waiting], [2, 3]);
  held.splice(0).forEach((release) => release());
  await Promise.all([jobs[0], jobs[4]]);
  await until(2);
  held.splice(0).forEach((release) => release());
  await Promise.all([jobs[1], jobs[2]]);
  await until(1);
  held.splice(0).forEach((release) => release());
  assert.deepEqual(await Promise.all(jobs), jobs.map(() => DONE));
  assert.equal(asker.order.at(-1), 4);
});

test('so many are under way, so many wait, and what is past that is to be tried later', async (t) => {
  const server = await canned(t, () => []);
  const asker = new Asker(t);
  const jobs = Array.from({ length: DNS_UPDATES_MAX + DNS_UPDATES_WAITING_MAX + 1 }, (_, i) =>
    asker.run([server.server], { name: `n${i}.example.test`, address: `10.0.${i >> 8}.${i & 255}` }));
  assert.deepEqual(await jobs.at(-1), { kind: 'unavailable', reason: 'too many updates are waiting' });
  assert.deepEqual([asker.updater.stats.underWay, asker.updater.stats.waiting], [DNS_UPDATES_MAX, DNS_UPDATES_WAITING_MAX]);
});

test('a port is used for so many requests, each with an id of its own, and then another one', async (t) => {
  const server = await canned(t, (request) => [cannedAnswer(request, NOERROR)]);
  const asker = new Asker(t);
  await Promise.all(Array.from({ length: DNS_SOCKET_REQUESTS_MAX + 1 }, (_, i) => asker.run([server.server], { name: `n${i}.example.test`, address: `10.0.${i >> 8}.${i & 255}` })));
  const byPort = Map.groupBy(server.requests, ({ port }) => port);
  assert.deepEqual([...byPort.values()].map((requests) => new Set(requests.map(({ message }) => message.id)).size).toSorted((a, b) => a - b), [1, DNS_SOCKET_REQUESTS_MAX]);
});

test('name servers may have IPv6 addresses', async (t) => {
  const server = await startCannedNameServer((request) => [cannedAnswer(request, NOERROR, request.over === 'udp' ? TRUNCATED : 0)], 6).catch((error: NodeJS.ErrnoException) => error);
  if (server instanceof Error) return t.skip(`no IPv6 here: ${server.message}`);
  t.after(() => server.close());
  assert.deepEqual(await new Asker(t).run([server.server]), DONE);
  assert.deepEqual(server.requests.map(({ over }) => over), ['udp', 'tcp']);
  return undefined;
});

test('what is under way when it is closed ends without an outcome', async (t) => {
  const server = await canned(t, () => []);
  const asker = new Asker(t);
  for (let i = 0; i < DNS_UPDATES_MAX * 2; i++) void asker.run([server.server], { name: `n${i}.example.test`, address: `10.0.0.${i}` });
  while (server.requests.length < DNS_UPDATES_MAX) await new Promise((resolve) => setTimeout(resolve, 1));
  await asker.updater.close();
  assert.deepEqual([asker.order, asker.updater.stats.underWay], [[], 0]);
});

test('a node that may not go on sends nothing more', async (t) => {
  let may = true;
  const server = await canned(t, () => {
    may = false;
    return [];
  });
  const asker = new Asker(t, { mayGoOn: () => may });
  assert.deepEqual(await asker.run([server.server]), { kind: 'unavailable', reason: 'this node does not know whether it may still change it' });
  assert.equal(server.requests.length, 1);
});

test('a key that this node has not got makes its zone unavailable, and nothing is sent', async (t) => {
  const server = await canned(t, (request) => [cannedAnswer(request, NOERROR)]);
  const asker = new Asker(t);
  assert.deepEqual(await asker.run([server.server], {}, 'lost'), { kind: 'unavailable', reason: 'no key lost on this node' });
  assert.deepEqual(await asker.updater.query(zoneOf([server.server], 'lost'), parseDomainName('a.example.test')!, 'A'), { kind: 'failure', reason: 'no key lost on this node' });
  await assert.rejects(async () => {
    for await (const _ of asker.updater.transfer(zoneOf([server.server], 'lost')));
  }, { code: 'dns-transfer', message: 'no key lost on this node' });
  assert.equal(server.requests.length, 0);
});

test('a transfer that breaks off, or is no transfer, is told; its beginning is not taken for the whole', async (t) => {
  const zone = parseDomainName('example.test')!;
  const soa = encodeRecord(zone, TYPE_NUMBERS.SOA, 'IN', 60, Buffer.alloc(22));
  const a = encodeRecord(parseDomainName('a.example.test')!, TYPE_NUMBERS.A, 'IN', 60, Buffer.of(10, 0, 0, 1));
  const messageOf = (request: { bytes: Buffer }, ...records: Buffer[]): Buffer => {
    const head = cannedAnswer(request, NOERROR);
    head.writeUInt16BE(records.length, 6);
    return Buffer.concat([head, ...records]);
  };
  let answers: (request: { bytes: Buffer }) => Buffer[] = () => [];
  const server = await canned(t, (request) => answers(request));
  const asker = new Asker(t);
  const all = async (): Promise<number[]> => {
    const types: number[] = [];
    for await (const { type } of asker.updater.transfer(zoneOf([server.server]))) types.push(type);
    return types;
  };
  answers = (request) => [messageOf(request, soa), messageOf(request, a, a), messageOf(request, soa)];
  assert.deepEqual(await all(), [TYPE_NUMBERS.SOA, TYPE_NUMBERS.A, TYPE_NUMBERS.A]);
  answers = (request) => [messageOf(request, a, soa)];
  await assert.rejects(all, { message: 'sends a transfer that does not begin with the SOA record' });
  answers = (request) => [messageOf(request)];
  await assert.rejects(all, { message: 'sends a transfer that does not begin with the SOA record' });
  answers = (request) => [cannedAnswer(request, REFUSED)];
  await assert.rejects(all, { message: 'REFUSED' });
  answers = (request) => [messageOf(request, soa, a), Buffer.from('nonsense')];
  await assert.rejects(all, { message: 'sends what is no answer' });
});
