/** RFC 7724 §8.1: who may follow changes, over TLS and without, and which messages a connection takes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { QueryStatus, QueryType } from '../../node/leasequery/messages.ts';
import { clientPacket, ip } from '../support/client-packets.ts';
import { clusterConfig } from '../support/config-mistakes.ts';
import { Authority, needsOpenssl, showing } from '../support/certificates.ts';
import type { CertificateFiles } from '../support/certificates.ts';
import { active, addresses, bulk, frame, startTls } from '../support/query-requestor.ts';
import type { Requestor } from '../support/query-requestor.ts';
import { ACTIVE, fewAddresses, leaseRecord, QueryFixture } from '../support/query-server.ts';
import type { QueryFixtureOptions } from '../support/query-server.ts';

const { LEASEACTIVE, LEASEQUERYSTATUS, TLS } = QueryType;
const SUBNETS = [fewAddresses(3)];
const INSECURE = { ...ACTIVE, insecure: true };
const SECURE = { ...ACTIVE, insecure: false };
const OPTIONS: QueryFixtureOptions = { subnets: SUBNETS, historySeconds: 10 };
const WITH_TLS = needsOpenssl();

/** Refused: a STATUS, and then the end. */
async function refuses(requestor: Requestor, status: number): Promise<void> {
  const [message, ...rest] = await requestor.untilEnd();
  assert.deepEqual([message?.type, message?.status, rest.length], [LEASEQUERYSTATUS, status, 0]);
}

/** A change comes through. */
async function follows(fixture: QueryFixture, requestor: Requestor): Promise<void> {
  const asks = fixture.asks;
  requestor.send(active());
  await fixture.asked(asks + 1);
  await fixture.put(['10.0.0.101', leaseRecord()]);
  const message = await requestor.next();
  assert.deepEqual([message.type, message.address], [LEASEACTIVE, ip('10.0.0.101')]);
}

// ── what is switched on ──────────────────────────────────────────────────────────────────────────

test('RFC 7724 §8.1: support for Active Leasequery MUST NOT be enabled by default, and MUST require an explicit configuration step', async (t) => {
  assert.equal(clusterConfig('leasequery: { requestors: [10.0.0.0/24] }\nsubnets: [{ subnet: 10.0.0.0/8 }]\n').leaseQuery.active, undefined);
  const fixture = await QueryFixture.start(t, OPTIONS);
  const requestor = await fixture.connect();
  requestor.send(active());
  await refuses(requestor, QueryStatus.NOT_ALLOWED);
  assert.equal(fixture.history.listening, false);
});

test('RFC 7724 §8.1: operation in insecure mode MUST always require an explicit configuration step, separate from the one required to enable support for Active Leasequery', async (t) => {
  const enabled = clusterConfig('leasequery: { requestors: [10.0.0.0/24], active: { enabled: true } }\nsubnets: [{ subnet: 10.0.0.0/8 }]\n').leaseQuery.active;
  assert.equal(enabled?.insecure, false);
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: SECURE } });
  const requestor = await fixture.connect();
  requestor.send(active());
  await refuses(requestor, QueryStatus.NOT_ALLOWED);
  fixture.configure({ active: INSECURE });
  await follows(fixture, await fixture.connect());
});

test('RFC 7724 §8.1: a server in secure mode MUST close TCP connections that are not secured with TLS: also those that there were before', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: INSECURE } });
  for (const next of [SECURE, undefined]) {
    fixture.configure({ active: INSECURE });
    const requestor = await fixture.connect();
    await follows(fixture, requestor);
    fixture.configure({ active: next });
    await refuses(requestor, QueryStatus.QUERY_TERMINATED);
  }
});

test('RFC 7724 §8: a DHCPv4 server that supports Active Leasequery MUST support Bulk Leasequery as well', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: SECURE } });
  assert.equal(addresses(await (await fixture.connect()).ask()).length, 3);
});

test('RFC 7724 §8.1: a server that operates in insecure mode, and receives a DHCPTLS message, will respond with TLSConnectionRefused in a DHCPTLS message', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: INSECURE } });
  const requestor = await fixture.connect();
  requestor.send(startTls({ xid: 99 }), bulk());
  const [message, ...rest] = await requestor.untilEnd();
  assert.deepEqual([message!.type, message!.xid, message!.status, rest.length], [TLS, 99, QueryStatus.TLS_CONNECTION_REFUSED, 0]);
  assert.equal(fixture.asks, 0, 'what comes behind it is not read');
});

test('RFC 7724 §8.1: if for some reason the DHCPv4 server cannot support a TLS connection, then it sends a DHCPTLS message with TLSConnectionRefused: its files cannot be read', async (t) => {
  const missing = '/nonexistent/file.pem';
  const fixture = await QueryFixture.start(t, { ...OPTIONS, tls: { certificate: missing, key: missing, authority: missing }, leaseQuery: { active: SECURE } });
  const requestor = await fixture.connect();
  requestor.send(startTls());
  assert.deepEqual((await requestor.untilEnd()).map(({ type, status }) => [type, status]), [[TLS, QueryStatus.TLS_CONNECTION_REFUSED]]);
});

test('RFC 7724 §8.1.1: if the DHCPv4 server receives a DHCPv4 message containing a dhcp-message-type option with a value that is not supported over a TCP connection, it MUST close the TCP connection', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: INSECURE } });
  for (const type of [1, 3, 4, 7, 8, 9, 10, 11, 12, 13, 15, 17, 19, 254, 255]) {
    const requestor = await fixture.connect();
    requestor.send(clientPacket(type, {}), bulk());
    assert.deepEqual(await requestor.untilEnd(), [], `type ${type}`);
  }
  assert.equal(fixture.asks, 0);
});

test('RFC 7724 §8.1: a requestor will request a TLS connection by sending a DHCPTLS as the first message: later, it ends the connection', async (t) => {
  const fixture = await QueryFixture.start(t, { ...OPTIONS, leaseQuery: { active: INSECURE } });
  const requestor = await fixture.connect();
  assert.equal(addresses(await requestor.ask()).length, 3);
  requestor.send(startTls());
  assert.deepEqual(await requestor.untilEnd(), []);
});

// ── TLS ──────────────────────────────────────────────────────────────────────────────────────────

let authority: Authority;
let other: Authority;
let server: CertificateFiles;
let requestorA: CertificateFiles;
let requestorB: CertificateFiles;
let stranger: CertificateFiles;

before(() => {
  if (WITH_TLS.skip !== undefined) return;
  authority = new Authority('authority');
  other = new Authority('another authority');
  server = authority.issue('server');
  requestorA = authority.issue('requestor-a', 'DNS:a.example.net,DNS:b.example.net');
  requestorB = authority.issue('requestor-b');
  stranger = other.issue('requestor-a', 'DNS:a.example.net');
});

after(() => {
  if (WITH_TLS.skip !== undefined) return;
  authority.close();
  other.close();
});

const secureOptions = (names: readonly string[] = []): QueryFixtureOptions =>
  ({ ...OPTIONS, tls: { ...server, authority: authority.own.certificate }, leaseQuery: { active: { ...SECURE, names } } });

/** Nothing is told, and the connection ends. */
async function isTurnedAway(fixture: QueryFixture, files: CertificateFiles | undefined): Promise<void> {
  const requestor = await fixture.connect();
  const asks = fixture.asks;
  try {
    await requestor.secure(showing(authority, files));
    requestor.send(active());
  } catch {
    // Already in the handshake.
  }
  assert.deepEqual(await requestor.untilEnd(), []);
  assert.equal(fixture.asks, asks);
}

test('RFC 7724 §8.1: the DHCPv4 server MUST respond to this DHCPTLS message by sending a DHCPTLS message with no dhcp-status-code back to the requestor', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, secureOptions());
  const requestor = await fixture.connect();
  requestor.send(startTls({ xid: 7 }));
  const answer = await requestor.next();
  assert.deepEqual([answer.type, answer.xid, answer.status], [TLS, 7, undefined]);
});

test('RFC 7724 §8.1: DHCPv4 servers MUST support TLS to protect the integrity and privacy of the data transmitted over the TCP connection', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, secureOptions());
  const requestor = await fixture.connect();
  await requestor.secure(showing(authority, requestorA));
  assert.equal(addresses(await requestor.ask()).length, 3, 'a bulk query');
  await follows(fixture, requestor);
  fixture.say({ kind: 'base', second: undefined });
  const last = (await requestor.untilEnd()).at(-1)!;
  assert.deepEqual([last.type, last.status], [LEASEQUERYSTATUS, QueryStatus.QUERY_TERMINATED]);
});

test('RFC 7724 §8.1: any options appearing in a DHCPTLS message received by a DHCPv4 server SHOULD be ignored', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, secureOptions());
  const requestor = await fixture.connect();
  const request = startTls({ clientId: Buffer.of(1, 2, 3), parameters: [1], options: { 151: Buffer.of(4), 154: Buffer.of(1), 221: Buffer.alloc(0) } });
  assert.equal((await requestor.secure(showing(authority, requestorA), request)).status, undefined);
  assert.equal(addresses(await requestor.ask()).length, 3);
});

test('RFC 7724 §8.1: all TLS connections MUST be mutually authenticated: a requestor without a certificate is turned away', WITH_TLS, async (t) => {
  await isTurnedAway(await QueryFixture.start(t, secureOptions()), undefined);
});

test('RFC 7724 §8.1: the DHCPv4 server MUST validate the requestor\'s digital certificate: that of another authority is not taken', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, secureOptions());
  await isTurnedAway(fixture, stranger);
  await isTurnedAway(await QueryFixture.start(t, secureOptions(['requestor-a', 'a.example.net'])), stranger);
});

test('RFC 7724 §8.1: DHCPv4 servers MUST be configurable with regard to which requestors they will communicate; the certificate is used to distinguish between them', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, secureOptions(['b.example.net', 'requestor-c']));
  await isTurnedAway(fixture, requestorB);
  const byName = await fixture.connect();
  await byName.secure(showing(authority, requestorA));
  await follows(fixture, byName);
  fixture.configure({ active: { ...SECURE, names: ['requestor-b'] } });
  await refuses(byName, QueryStatus.QUERY_TERMINATED);
  await isTurnedAway(fixture, requestorA);
  const common = await fixture.connect();
  await common.secure(showing(authority, requestorB));
  await follows(fixture, common);
});

test('RFC 7724 §7.2: during the TLS handshake, the requestor MUST validate the DHCPv4 server\'s digital certificates: the server shows one that can be', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, secureOptions());
  const requestor = await fixture.connect();
  await assert.rejects(requestor.secure(showing(other, requestorA)), { code: /UNABLE_TO|SELF_SIGNED/ });
  await requestor.untilEnd();
});

test('RFC 7724 §8.1: if the TLS handshake is not successful in creating a TLS connection, the server MUST close the TCP connection', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, { ...secureOptions(), limits: { handshakeMs: 200 } });
  for (const bytes of [frame(bulk()), Buffer.alloc(400, 0xff), Buffer.alloc(0)]) {
    const requestor = await fixture.connect();
    requestor.send(startTls());
    await requestor.next();
    // Nothing: it is waited for no longer than is allowed.
    if (bytes.length > 0) requestor.sendBytes(bytes);
    await fixture.connections(0);
    assert.equal(fixture.asks, 0);
  }
  const together = await fixture.connect();
  together.send(startTls(), bulk());
  await fixture.connections(0);
  assert.equal(fixture.asks, 0, 'a query in plain behind DHCPTLS is none');
});

test('RFC 7724 §8.1: a DHCPTLS is the first message over a newly created TCP connection: a second one, over TLS, ends it', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, secureOptions());
  const requestor = await fixture.connect();
  await requestor.secure(showing(authority, requestorA));
  requestor.send(startTls());
  assert.deepEqual(await requestor.untilEnd(), []);
});

test('RFC 7724 §8.4: if the server detects that the requestor end has been closed, the server MUST close its end of the connection, over TLS having answered what was asked', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, secureOptions());
  const requestor = await fixture.connect();
  await requestor.secure(showing(authority, requestorA));
  requestor.send(bulk());
  requestor.end();
  assert.equal(addresses(await requestor.untilEnd()).length, 3);
  await fixture.connections(0);
});

test('RFC 7724 §8.1: certificates are used that were renewed while the server runs', WITH_TLS, async (t) => {
  const fixture = await QueryFixture.start(t, secureOptions());
  const first = await fixture.connect();
  await first.secure(showing(authority, requestorA));
  // The same files, of a certificate that is issued anew.
  server = authority.issue('server');
  const second = await fixture.connect();
  await second.secure(showing(authority, requestorA));
  assert.notEqual(second.serverSerial, first.serverSerial);
  for (const requestor of [first, second]) assert.equal(addresses(await requestor.ask()).length, 3);
});
