import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import { openDnsUpdater } from '../../node/ddns/io/updater.ts';
import type { DnsUpdater } from '../../node/ddns/io/updater.ts';
import { AnswerVerifier, signRequest, TSIG_ALGORITHMS, verifyAnswer } from '../../node/ddns/tsig.ts';
import type { TsigKey, Verdict } from '../../node/ddns/tsig.ts';
import type { DnsZone } from '../../node/ddns/types.ts';
import { CLASS_NUMBERS, decodeMessage, encodeQuery, encodeRecord, TYPE_NUMBERS } from '../../node/ddns/wire.ts';
import { readClock } from '../../node/io/clock.ts';
import type { WallSeconds } from '../../node/time.ts';
import { cannedAnswer, startCannedNameServer } from '../support/canned-name-server.ts';
import type { Canned, CannedNameServer } from '../support/canned-name-server.ts';
import { serverSigned } from '../support/tsig-signer.ts';
import type { ServerSignature } from '../support/tsig-signer.ts';

const KEY: TsigKey = { name: 'key.test', algorithm: 'hmac-sha256', secret: Buffer.alloc(32, 1) };
const AT = 1_800_000_000;
const NOTAUTH = 9;
const zone = parseDomainName('example.test')!;
const REQUEST = encodeQuery(0x1234, zone, 'SOA');
const { bytes: SIGNED, mac: REQUEST_MAC } = signRequest(REQUEST, KEY, AT as WallSeconds);

/** What the client makes of an answer that is signed so. */
function verdictOf(signature: Partial<ServerSignature> = {}, { code = 0, now = AT, id = 0x1234 }: { code?: number; now?: number; id?: number } = {}): Verdict {
  const plain = cannedAnswer({ bytes: REQUEST }, code);
  plain.writeUInt16BE(id, 0);
  const { bytes } = serverSigned(plain, { key: KEY, priorMac: REQUEST_MAC, at: AT, ...signature });
  return verifyAnswer(bytes, decodeMessage(bytes)!, KEY, REQUEST_MAC, now as WallSeconds);
}

const unverified = (problem: string, code?: string): unknown => ({ ok: false, kind: 'unverified', problem, code });

async function withServer(t: TestContext, answer: Canned): Promise<{ server: CannedNameServer; updater: DnsUpdater; zone: DnsZone }> {
  const server = await startCannedNameServer(answer);
  const updater = openDnsUpdater({ keys: { find: () => KEY }, now: readClock, onDone: () => undefined });
  t.after(async () => {
    await updater.close();
    server.close();
  });
  return { server, updater, zone: { name: 'example.test.', servers: [server.server], key: KEY.name } };
}

const seconds = (): number => Math.floor(Date.now() / 1000);
const macOf = (request: Buffer): Buffer => request.subarray(request.length - 6 - 32, request.length - 6);

test('RFC 8945 §4.2: TYPE MUST be TSIG (250), CLASS MUST be ANY, TTL MUST be 0, the algorithm\'s name MUST NOT be compressed, and in requests Error MUST be zero', () => {
  const record = decodeMessage(SIGNED)!.records.at(-1)!;
  assert.deepEqual([record.type, record.class, record.ttlSeconds], [250, CLASS_NUMBERS.ANY, 0]);
  const algorithm = parseDomainName('hmac-sha256')!;
  assert.ok(record.data.subarray(0, algorithm.length).equals(algorithm));
  assert.deepEqual(record.data.subarray(-4), Buffer.alloc(4), 'error, and no other data');
});

test('RFC 8945 §4.2: Original ID: For a TSIG RR on a request, it is set equal to the DNS message ID', () => {
  assert.equal(decodeMessage(SIGNED)!.records.at(-1)!.data.readUInt16BE(decodeMessage(SIGNED)!.records.at(-1)!.data.length - 6), 0x1234);
});

test('RFC 8945 §4.3.1: the validated request MAC MUST be included in the MAC computation', () => {
  assert.deepEqual([verdictOf(), verdictOf({ priorMac: Buffer.alloc(32) }), verdictOf({ priorMac: Buffer.alloc(0) })], [{ ok: true }, unverified('wrong-signature'), unverified('wrong-signature')]);
});

test('RFC 8945 §4.3.2: the TSIG is checked against the message after the TSIG RR has been removed, the ARCOUNT decremented, and the message ID replaced by the original message ID', () => {
  assert.deepEqual(verdictOf({ originalId: 0x1234 }, { id: 0x4321 }), { ok: true });
});

test('RFC 8945 §5.1: This TSIG record MUST be the only TSIG RR in the message and MUST be the last record in the additional data section', () => {
  const records = decodeMessage(SIGNED)!.records;
  assert.deepEqual(records.map(({ section, type }) => [section, type]), [['additional', 250]]);
  assert.equal(SIGNED.readUInt16BE(10), 1);
});

test('RFC 8945 §5.2: If multiple TSIG records are detected or a TSIG record is present in any other position, the DNS message is dropped', () => {
  const plain = cannedAnswer({ bytes: REQUEST }, 0);
  const { bytes } = serverSigned(plain, { key: KEY, priorMac: REQUEST_MAC, at: AT });
  const twice = serverSigned(bytes, { key: KEY, priorMac: REQUEST_MAC, at: AT }).bytes;
  const behind = Buffer.concat([bytes, encodeRecord(zone, TYPE_NUMBERS.A, 'IN', 0, Buffer.alloc(4))]);
  behind.writeUInt16BE(2, 10);
  const elsewhere = Buffer.from(bytes);
  elsewhere.writeUInt16BE(1, 6);
  elsewhere.writeUInt16BE(0, 10);
  for (const wrong of [twice, behind, elsewhere]) assert.deepEqual(verifyAnswer(wrong, decodeMessage(wrong)!, KEY, REQUEST_MAC, AT as WallSeconds), unverified('malformed-signature'));
});

test('RFC 8945 §5.2.2.1: If the MAC Size field is greater than the keyed hash output length: if received, MUST cause the DNS message to be dropped', () => {
  assert.deepEqual(verdictOf({ alter: (mac) => Buffer.concat([mac, Buffer.of(0)]) }), unverified('malformed-signature'));
});

test('RFC 8945 §5.2.2.1: If the MAC Size field is less than the larger of 10 (octets) and half the length of the hash function in use: if received, MUST cause the DNS message to be dropped', () => {
  assert.deepEqual(verdictOf({ alter: (mac) => mac.subarray(0, 15) }), unverified('shortened-signature'));
});

test('RFC 8945 §7: Local policies MAY require the rejection of TSIGs, even though they use an algorithm for which implementation is mandatory: no MAC that is truncated', () => {
  assert.deepEqual(verdictOf({ alter: (mac) => mac.subarray(0, 31) }), unverified('shortened-signature'));
});

test('RFC 8945 §5.2.3: Time Signed plus/minus the Fudge value is the time interval in which a message is taken', () => {
  assert.deepEqual([-301, -300, 0, 300, 301].map((offset) => verdictOf({}, { now: AT + offset }).ok), [false, true, true, true, false]);
  assert.deepEqual(verdictOf({ fudgeSeconds: 1 }, { now: AT + 2 }), unverified('wrong-time'));
});

test('RFC 8945 §5.3.1: a client that receives DNS messages and verifies TSIG MUST accept up to 99 intermediary messages without a TSIG', () => {
  const run = (unsignedCount: number): (true | string)[] => {
    const verifier = new AnswerVerifier(KEY, REQUEST_MAC);
    const plain = cannedAnswer({ bytes: REQUEST }, 0);
    const first = serverSigned(plain, { key: KEY, priorMac: REQUEST_MAC, at: AT });
    const verdicts = [verifier.accept(first.bytes, decodeMessage(first.bytes)!, false, AT as WallSeconds)];
    const unsigned = Array.from({ length: unsignedCount }, () => plain);
    for (const one of unsigned) verdicts.push(verifier.accept(one, decodeMessage(one)!, false, AT as WallSeconds));
    const last = serverSigned(plain, { key: KEY, priorMac: first.mac, at: AT, unsigned, isLater: true });
    verdicts.push(verifier.accept(last.bytes, decodeMessage(last.bytes)!, true, AT as WallSeconds));
    return verdicts.map((verdict) => verdict.ok || (verdict.kind === 'unverified' ? verdict.problem : verdict.code));
  };
  assert.deepEqual(new Set(run(99)), new Set([true]));
  assert.equal(run(100)[100], 'signature-missing');
});

test('RFC 8945 §5.3.1: and MUST verify that both the first and last message contain a TSIG', () => {
  const plain = cannedAnswer({ bytes: REQUEST }, 0);
  const accept = (verifier: AnswerVerifier, bytes: Buffer, isLast: boolean): Verdict => verifier.accept(bytes, decodeMessage(bytes)!, isLast, AT as WallSeconds);
  assert.deepEqual(accept(new AnswerVerifier(KEY, REQUEST_MAC), plain, false), unverified('no-signature'));
  const verifier = new AnswerVerifier(KEY, REQUEST_MAC);
  assert.deepEqual(accept(verifier, serverSigned(plain, { key: KEY, priorMac: REQUEST_MAC, at: AT }).bytes, false), { ok: true });
  assert.deepEqual(accept(verifier, plain, true), unverified('signature-missing'));
});

test('RFC 8945 §5.3.1: the "Prior MAC" and the timers are covered from the second message on', () => {
  const plain = cannedAnswer({ bytes: REQUEST }, 0);
  const second = (change: Partial<ServerSignature>): Verdict => {
    const verifier = new AnswerVerifier(KEY, REQUEST_MAC);
    const first = serverSigned(plain, { key: KEY, priorMac: REQUEST_MAC, at: AT });
    verifier.accept(first.bytes, decodeMessage(first.bytes)!, false, AT as WallSeconds);
    const { bytes } = serverSigned(plain, { key: KEY, priorMac: first.mac, at: AT + 1, isLater: true, ...change });
    return verifier.accept(bytes, decodeMessage(bytes)!, true, AT as WallSeconds);
  };
  assert.deepEqual(second({}), { ok: true });
  for (const change of [{ priorMac: REQUEST_MAC }, { isLater: false }, { unsigned: [plain] }]) assert.deepEqual(second(change), unverified('wrong-signature'));
});

test('RFC 8945 §5.3.1: If a client TSIG verification fails, the client MUST close the connection', async (t) => {
  const { updater, zone: asked } = await withServer(t, (request) => {
    const soa = encodeRecord(zone, TYPE_NUMBERS.SOA, 'IN', 60, Buffer.alloc(22));
    const head = cannedAnswer(request, 0);
    head.writeUInt16BE(1, 6);
    const first = serverSigned(Buffer.concat([head, soa]), { key: KEY, priorMac: macOf(request.bytes), at: seconds() });
    const second = serverSigned(Buffer.concat([head, soa]), { key: KEY, priorMac: Buffer.alloc(32), at: seconds(), isLater: true });
    return [first.bytes, second.bytes];
  });
  const types: number[] = [];
  await assert.rejects(async () => {
    for await (const { type } of updater.transfer(asked)) types.push(type);
  }, { code: 'dns-transfer', message: 'answers with a wrong signature' });
  assert.deepEqual(types, [TYPE_NUMBERS.SOA]);
});

test('RFC 8945 §5.4: it first checks if the TSIG RR is present in the response. If not, the response is treated as having a format error and is discarded', () => {
  const plain = cannedAnswer({ bytes: REQUEST }, 0);
  assert.deepEqual(verifyAnswer(plain, decodeMessage(plain)!, KEY, REQUEST_MAC, AT as WallSeconds), unverified('no-signature'));
});

test('RFC 8945 §5.4: a message containing a TSIG RR that is unsigned SHOULD NOT be considered an acceptable response. Instead, the client SHOULD continue to wait for a signed response until the request times out', async (t) => {
  const { server, updater, zone: asked } = await withServer(t, (request) => {
    const sign = (change: Partial<ServerSignature>, code: number): Buffer =>
      serverSigned(cannedAnswer(request, code), { key: KEY, priorMac: macOf(request.bytes), at: seconds(), ...change }).bytes;
    return [cannedAnswer(request, 5), sign({ error: 16, alter: () => Buffer.alloc(0) }, NOTAUTH), sign({ alter: () => Buffer.alloc(32) }, 5), sign({}, 0)];
  });
  const answer = await updater.query(asked, zone, 'A');
  assert.deepEqual([answer.kind, server.requests.length, updater.stats.ignored], ['answer', 1, 3]);
});

test('RFC 8945 §5.4.1: If an RCODE on a response is 9 (NOTAUTH), but the TSIG key is different from that used on the request, then this is a key-related error', () => {
  assert.deepEqual(verdictOf({ key: { ...KEY, name: 'other.test' } }, { code: NOTAUTH }), unverified('other-key'));
  assert.deepEqual(verdictOf({ key: { ...KEY, algorithm: 'hmac-sha512' } }, { code: NOTAUTH }), unverified('other-key'));
});

test('RFC 8945 §5.4.2: If the response RCODE is 9 (NOTAUTH) and TSIG ERROR is 16 (BADSIG), this is a MAC-related error', () => {
  assert.deepEqual(verdictOf({ error: 16, alter: () => Buffer.alloc(0) }, { code: NOTAUTH }), unverified('no-signature', 'BADSIG'));
});

test('RFC 8945 §5.4.3: If TSIG ERROR is 18 (BADTIME), this is an indication that the client and server clocks are not synchronized: the server\'s time in the Other Data field SHOULD be logged', async (t) => {
  const other = Buffer.alloc(6);
  other.writeUIntBE(AT + 1000, 0, 6);
  assert.deepEqual(verdictOf({ error: 18, other }, { code: NOTAUTH }), { ok: false, kind: 'refused', code: 'BADTIME', serverTime: AT + 1000 });
  const { updater, zone: asked } = await withServer(t, (request) => {
    const ahead = Buffer.alloc(6);
    const at = request.bytes.readUIntBE(request.bytes.length - 6 - 32 - 10, 6);
    ahead.writeUIntBE(at + 1000, 0, 6);
    return [serverSigned(cannedAnswer(request, NOTAUTH), { key: KEY, priorMac: macOf(request.bytes), at, error: 18, other: ahead }).bytes];
  });
  const answer = await updater.query(asked, zone, 'A');
  assert.match(answer.kind === 'failure' ? answer.reason : '', /BADTIME: its clock is (999|1000) s ahead of this host's/);
});

test('RFC 8945 §5.4.4: If TSIG ERROR is 22 (BADTRUNC), then this is a truncation-related error', () => {
  assert.deepEqual(verdictOf({ error: 22 }, { code: NOTAUTH }), { ok: false, kind: 'refused', code: 'BADTRUNC', serverTime: undefined });
});

test('RFC 8945 §6: hmac-sha256: MUST, RECOMMENDED; HMAC-MD5.SIG-ALG.REG.INT: MUST NOT be used', () => {
  assert.deepEqual(Object.keys(TSIG_ALGORITHMS), ['hmac-sha256', 'hmac-sha384', 'hmac-sha512']);
});

test('RFC 8945 §10: The RECOMMENDED Fudge value in most situations is 300 seconds', () => {
  const { data } = decodeMessage(SIGNED)!.records.at(-1)!;
  assert.equal(data.readUInt16BE(parseDomainName('hmac-sha256')!.length + 6), 300);
});
