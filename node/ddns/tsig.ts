/**
 * Signatures of DNS messages with a secret that both sides have (TSIG, RFC 8945). Requests are signed here, and the
 * signatures of answers checked, those of transfers over several messages too.
 *
 * Nothing shorter than a whole MAC is taken, and no algorithm weaker than HMAC-SHA256.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { domainNameExtent, parseDomainName, readWireName } from '../codec/domain-name.ts';
import type { WallSeconds } from '../time.ts';
import { responseCode } from './update.ts';
import type { ResponseCode } from './update.ts';
import { CLASS_NUMBERS, encodeRecord, TYPE_NUMBERS } from './wire.ts';
import type { DnsMessage, WireRecord } from './wire.ts';

/** RFC 8945 §6 */
export const TSIG_ALGORITHMS = { 'hmac-sha256': 'sha256', 'hmac-sha384': 'sha384', 'hmac-sha512': 'sha512' } as const;
export type TsigAlgorithm = keyof typeof TSIG_ALGORITHMS;

const ALGORITHM_NAMES = Object.fromEntries(Object.keys(TSIG_ALGORITHMS).map((name) => [name, parseDomainName(name)!])) as Readonly<Record<TsigAlgorithm, Buffer>>;

/** RFC 8945 §10: the recommended value. */
const FUDGE_SECONDS = 300;
/** RFC 8945 §5.3.1 */
const UNSIGNED_MESSAGES_MAX = 99;

export interface TsigKey {
  /** As text, lower case, without a dot at its end. */
  readonly name: string;
  readonly algorithm: TsigAlgorithm;
  readonly secret: Buffer;
}

export interface SignedRequest {
  readonly bytes: Buffer;
  /** What the answer's signature covers too. */
  readonly mac: Buffer;
}

/** Why a message is no answer to a signed request. */
export type SignatureProblem =
  | 'no-signature'
  | 'malformed-signature'
  | 'other-key'
  | 'wrong-signature'
  | 'shortened-signature'
  /** By this host's clock the answer is older, or newer, than the server lets it be. */
  | 'wrong-time'
  /** Of a transfer: too many messages without a signature, or the last one has none. */
  | 'signature-missing';

export type Verdict =
  | { readonly ok: true }
  /**
   * Signed by the server: it refused the request's signature (BADTIME, BADTRUNC; RFC 8945 §5.2.3). `serverTime`: its clock,
   * in seconds since 1970, where it tells it.
   */
  | { readonly ok: false; readonly kind: 'refused'; readonly code: ResponseCode; readonly serverTime: number | undefined }
  /** Anybody can have sent it. `code`: what it says of the request's signature, such as BADKEY (RFC 8945 §5.3.2). */
  | { readonly ok: false; readonly kind: 'unverified'; readonly problem: SignatureProblem; readonly code: ResponseCode | undefined };

/** RDATA of a TSIG record (RFC 8945 §4.2). */
interface Signature {
  readonly algorithm: Buffer;
  /** Time signed and fudge, as they lie in the record. */
  readonly timers: Buffer;
  readonly timeSigned: number;
  readonly fudgeSeconds: number;
  readonly mac: Buffer;
  readonly originalId: number;
  readonly error: number;
  readonly other: Buffer;
}

/** Adds the signature to a request that has none (RFC 8945 §5.1). */
export function signRequest(request: Buffer, key: TsigKey, now: WallSeconds): SignedRequest {
  const timers = Buffer.alloc(8);
  timers.writeUIntBE(now, 0, 6);
  timers.writeUInt16BE(FUDGE_SECONDS, 6);
  const algorithm = ALGORITHM_NAMES[key.algorithm];
  const name = keyName(key);
  const mac = macOf(key, [request, ...variables(name, { algorithm, timers, error: 0, other: Buffer.alloc(0) })]);
  const data = Buffer.concat([algorithm, timers, sized(mac), request.subarray(0, 2), Buffer.alloc(4)]);
  const bytes = Buffer.concat([request, encodeRecord(name, TYPE_NUMBERS.TSIG, 'ANY', 0, data)]);
  bytes.writeUInt16BE(bytes.readUInt16BE(10) + 1, 10);
  return { bytes, mac };
}

/** Whether `message`, decoded from `bytes`, is the server's answer to the request of this MAC (RFC 8945 §5.4). */
export function verifyAnswer(bytes: Buffer, message: DnsMessage, key: TsigKey, requestMac: Buffer, now: WallSeconds): Verdict {
  const found = findSignature(message);
  if ('problem' in found) return unverified(found.problem);
  const { record, signature } = found;
  const code = signature.error === 0 ? undefined : responseCode(signature.error);
  if (!record.name.equals(keyName(key)) || !signature.algorithm.equals(ALGORITHM_NAMES[key.algorithm])) return unverified('other-key', code);
  const expected = macOf(key, [sized(requestMac), unsigned(bytes, record, signature), ...variables(record.name, signature)]);
  return judge(signature, expected, now, code);
}

/** Checks the messages of an answer that may have several, as a transfer has (RFC 8945 §5.3.1). */
export class AnswerVerifier {
  readonly #key: TsigKey;
  #priorMac: Buffer;
  #isFirst = true;
  #unsigned: Buffer[] = [];

  constructor(key: TsigKey, requestMac: Buffer) {
    this.#key = key;
    this.#priorMac = requestMac;
  }

  /** The next message. After one that is not ok the connection is of no use any more. */
  accept(bytes: Buffer, message: DnsMessage, isLast: boolean, now: WallSeconds): Verdict {
    const found = findSignature(message);
    if ('problem' in found) {
      if (this.#isFirst || found.problem !== 'no-signature') return unverified(found.problem);
      // "Between" two signatures: the last message has one.
      if (isLast || this.#unsigned.length === UNSIGNED_MESSAGES_MAX) return unverified('signature-missing');
      this.#unsigned.push(bytes);
      return { ok: true };
    }
    if (this.#isFirst) return this.#acceptFirst(bytes, message, found.signature, now);
    const { record, signature } = found;
    if (!record.name.equals(keyName(this.#key))) return unverified('other-key');
    const expected = macOf(this.#key, [sized(this.#priorMac), ...this.#unsigned, unsigned(bytes, record, signature), signature.timers]);
    const verdict = judge(signature, expected, now, undefined);
    this.#unsigned = [];
    this.#priorMac = signature.mac;
    return verdict;
  }

  #acceptFirst(bytes: Buffer, message: DnsMessage, { mac }: Signature, now: WallSeconds): Verdict {
    const verdict = verifyAnswer(bytes, message, this.#key, this.#priorMac, now);
    this.#isFirst = false;
    this.#priorMac = mac;
    return verdict;
  }
}

/** RFC 8945 §5.2: key, MAC, time, truncation; the key has been looked at. A policy of whole MACs is kept from the start. */
function judge(signature: Signature, expected: Buffer, now: WallSeconds, code: ResponseCode | undefined): Verdict {
  const { mac } = signature;
  // RFC 8945 §5.3.2: an error about the key or the MAC has none.
  if (mac.length === 0) return unverified('no-signature', code);
  if (mac.length !== expected.length) return unverified(mac.length < expected.length ? 'shortened-signature' : 'malformed-signature', code);
  if (!timingSafeEqual(mac, expected)) return unverified('wrong-signature', code);
  // Before the time: a server says BADTIME with the time of the request (RFC 8945 §5.2.3).
  if (code !== undefined) return { ok: false, kind: 'refused', code, serverTime: signature.other.length === 6 ? signature.other.readUIntBE(0, 6) : undefined };
  return Math.abs(now - signature.timeSigned) <= signature.fudgeSeconds ? { ok: true } : unverified('wrong-time');
}

function unverified(problem: SignatureProblem, code?: ResponseCode): Verdict {
  return { ok: false, kind: 'unverified', problem, code };
}

/** RFC 8945 §5.1: the only one, and the last record. */
function findSignature({ records }: DnsMessage): { record: WireRecord; signature: Signature } | { problem: SignatureProblem } {
  const record = records.find(({ type }) => type === TYPE_NUMBERS.TSIG);
  if (record === undefined) return { problem: 'no-signature' };
  const signature = record === records.at(-1) && record.section === 'additional' && record.class === CLASS_NUMBERS.ANY && record.ttlSeconds === 0
    ? readSignature(record.data) : undefined;
  return signature === undefined ? { problem: 'malformed-signature' } : { record, signature };
}

function readSignature(data: Buffer): Signature | undefined {
  const at = domainNameExtent(data, 0);
  if (at === undefined || at + 10 > data.length) return undefined;
  const macEnd = at + 10 + data.readUInt16BE(at + 8);
  if (macEnd + 6 > data.length || macEnd + 6 + data.readUInt16BE(macEnd + 4) !== data.length) return undefined;
  return {
    algorithm: readWireName(data, 0)!.name,
    timers: data.subarray(at, at + 8), timeSigned: data.readUIntBE(at, 6), fudgeSeconds: data.readUInt16BE(at + 6), mac: data.subarray(at + 10, macEnd),
    originalId: data.readUInt16BE(macEnd), error: data.readUInt16BE(macEnd + 2), other: data.subarray(macEnd + 6),
  };
}

/** RFC 8945 §4.3.2: the message as it was before it was signed. */
function unsigned(bytes: Buffer, record: WireRecord, { originalId }: Signature): Buffer {
  const plain = Buffer.from(bytes.subarray(0, record.start));
  plain.writeUInt16BE(originalId, 0);
  plain.writeUInt16BE(plain.readUInt16BE(10) - 1, 10);
  return plain;
}

/** RFC 8945 §4.3.3. `name` in canonical form, as that of the algorithm. */
function variables(name: Buffer, { algorithm, error, other, timers }: Pick<Signature, 'algorithm' | 'error' | 'other' | 'timers'>): Buffer[] {
  const head = Buffer.alloc(6);
  head.writeUInt16BE(CLASS_NUMBERS.ANY, 0);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(error, 0);
  tail.writeUInt16BE(other.length, 2);
  return [name, head, algorithm, timers, tail, other];
}

function macOf(key: TsigKey, parts: readonly Buffer[]): Buffer {
  return createHmac(TSIG_ALGORITHMS[key.algorithm], prepared(key).secret).update(Buffer.concat(parts)).digest();
}

/** With its length before it, in two bytes (RFC 8945 §4.3.1). */
function sized(mac: Buffer): Buffer {
  const size = Buffer.alloc(2);
  size.writeUInt16BE(mac.length);
  return Buffer.concat([size, mac]);
}

function keyName(key: TsigKey): Buffer {
  return prepared(key).name;
}

interface PreparedKey {
  readonly name: Buffer;
  readonly secret: KeyObject;
}

/** Keys are few and signatures many: with a plain secret a signature takes four times as long. */
const PREPARED = new WeakMap<TsigKey, PreparedKey>();

function prepared(key: TsigKey): PreparedKey {
  let found = PREPARED.get(key);
  if (found === undefined) {
    found = { name: parseDomainName(key.name)!, secret: createSecretKey(key.secret) };
    PREPARED.set(key, found);
  }
  return found;
}
