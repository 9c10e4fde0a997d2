/** Signatures against what a real server made of them, and against damage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import { signRequest, verifyAnswer } from '../../node/ddns/tsig.ts';
import type { TsigKey, Verdict } from '../../node/ddns/tsig.ts';
import { decodeMessage, encodeQuery } from '../../node/ddns/wire.ts';
import type { WallSeconds } from '../../node/time.ts';
import { TSIG_VECTORS, VECTOR_SECRET } from './dns-tsig-vectors.ts';
import type { TsigVector } from './dns-tsig-vectors.ts';

const QUESTION = encodeQuery(0x0102, parseDomainName('v.test')!, 'SOA');

function keyOf({ algorithm, key, wrongSecret }: TsigVector): TsigKey {
  return { name: key, algorithm, secret: wrongSecret ? Buffer.alloc(VECTOR_SECRET.length) : VECTOR_SECRET };
}

function verdictOf(vector: TsigVector, bytes: Buffer, at: number): Verdict | undefined {
  const { mac } = signRequest(QUESTION, keyOf(vector), vector.at as WallSeconds);
  const message = decodeMessage(bytes);
  return message && verifyAnswer(bytes, message, keyOf(vector), mac, at as WallSeconds);
}

const lower = (bytes: Buffer): string => bytes.toString('latin1').toLowerCase();

test('requests are signed as the server that took them found right', () => {
  for (const vector of TSIG_VECTORS) assert.equal(signRequest(QUESTION, keyOf(vector), vector.at as WallSeconds).bytes.toString('hex'), vector.request, vector.name);
});

test('what the server said is found right, and what it could not sign is not', () => {
  const found = TSIG_VECTORS.map((vector) => [vector.name, verdictOf(vector, Buffer.from(vector.answer, 'hex'), vector.at)]);
  assert.deepEqual(found, [
    ['good hmac-sha256', { ok: true }], ['good hmac-sha384', { ok: true }], ['good hmac-sha512', { ok: true }],
    ['BADSIG', { ok: false, kind: 'unverified', problem: 'no-signature', code: 'BADSIG' }],
    ['BADKEY', { ok: false, kind: 'unverified', problem: 'no-signature', code: 'BADKEY' }],
    ['BADTIME', { ok: false, kind: 'refused', code: 'BADTIME', serverTime: TSIG_VECTORS[0]!.at }],
  ]);
});

test('each byte of an answer is covered: none can be changed, and none left out', () => {
  const vector = TSIG_VECTORS[0]!;
  const answer = Buffer.from(vector.answer, 'hex');
  for (let at = 0; at < answer.length; at++) {
    const changed = Buffer.from(answer);
    changed[at]! ^= 1;
    // The id is put back to the original one, that of the request.
    if (at < 2) continue;
    assert.notEqual(verdictOf(vector, changed, vector.at)?.ok, true, `byte ${at}`);
    assert.equal(verdictOf(vector, answer.subarray(0, at), vector.at), undefined);
  }
});

test('property: whatever is changed, nothing throws and nothing is found right', () => {
  const vector = TSIG_VECTORS[0]!;
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 2, max: vector.answer.length / 2 - 1 }), fc.nat(255)), { minLength: 1, maxLength: 8 }), (changes) => {
    const bytes = Buffer.from(vector.answer, 'hex');
    for (const [at, byte] of changes) bytes[at] = byte;
    // The case of a name is covered in one form only (RFC 8945 §4.3.3).
    if (lower(bytes) !== lower(Buffer.from(vector.answer, 'hex'))) assert.notEqual(verdictOf(vector, bytes, vector.at)?.ok, true);
  }), { numRuns: 1000 });
});
