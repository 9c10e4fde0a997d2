/**
 * A second reader of DHCP messages, written for being plainly right: it copies, keeps every part in order
 * and joins them at the end. The codec must agree with it about every packet, also about why one is none.
 */
import assert from 'node:assert/strict';
import { DhcpMessage } from '../../node/codec/message.ts';
import { enterpriseData, suboption, vendorSuboption } from '../../node/codec/suboptions.ts';
import type { Identity } from '../../node/config/types.ts';

export interface Reading {
  readonly bytes: Buffer;
  /** Option 53; 0 without one. */
  readonly type: number;
  readonly htype: number;
  readonly chaddr: Buffer;
  readonly xid: number;
  readonly ciaddr: number;
  readonly giaddr: number;
  /** By code, in the order in which they were met; the parts of one joined (RFC 3396 §5). */
  readonly options: ReadonlyMap<number, Buffer>;
}

/** What the packet says, or the reason why it is not one. `op`: 1 a request, 2 a reply. */
export function read(bytes: Buffer, op = 1): Reading | string {
  if (bytes.length < 240) return 'too-short';
  if (bytes[0] !== op) return 'bad-op';
  if (bytes[2]! > 16) return 'bad-hlen';
  const cookie = bytes.readUInt32BE(236);
  if (cookie !== 0 && cookie !== 0x6382_5363) return 'bad-magic';
  // A BOOTP client that leaves its vendor area empty.
  const parts = cookie === 0 ? [] : partsOf(bytes.subarray(240));
  if (parts === undefined) return 'option-truncated';
  const overload = parts.filter(({ code }) => code === 52);
  if (overload.length > 1 || (overload.length === 1 && overload[0]!.value.length !== 1)) return 'bad-option';
  const fields = overload.length === 0 ? 0 : overload[0]!.value[0]!;
  for (const [bit, from, to] of [[1, 108, 236], [2, 44, 108]] as const) {
    if ((fields & bit) === 0) continue;
    const more = partsOf(bytes.subarray(from, to));
    if (more === undefined) return 'option-truncated';
    parts.push(...more);
  }
  const options = new Map<number, Buffer>();
  const counts = new Map<number, number>();
  for (const { code, value } of parts) {
    const before = options.get(code);
    options.set(code, before === undefined ? Buffer.from(value) : Buffer.concat([before, value]));
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  const once = (code: number, length: number): boolean =>
    !options.has(code) || (counts.get(code) === 1 && options.get(code)!.length === length);
  if (!once(53, 1) || options.get(53)?.[0] === 0) return 'bad-message-type';
  if (!once(54, 4) || !once(50, 4) || !once(51, 4) || !once(57, 2)) return 'bad-option';
  if (options.get(55)?.length === 0) return 'bad-option';
  const identifier = options.get(61);
  if (identifier !== undefined && (identifier.length < 2 || identifier.length > 255)) return 'bad-option';
  return {
    bytes, type: options.get(53)?.[0] ?? 0, htype: bytes[1]!, chaddr: Buffer.from(bytes.subarray(28, 28 + bytes[2]!)),
    xid: bytes.readUInt32BE(4), ciaddr: bytes.readUInt32BE(12), giaddr: bytes.readUInt32BE(24), options,
  };
}

interface Part {
  readonly code: number;
  readonly value: Buffer;
}

/** The options of one field; undefined where one reaches past its end. */
function partsOf(field: Buffer): Part[] | undefined {
  const parts: Part[] = [];
  let rest = field;
  while (rest.length > 0 && rest[0] !== 255) {
    if (rest[0] === 0) {
      rest = rest.subarray(1);
      continue;
    }
    if (rest.length < 2 || rest.length < 2 + rest[1]!) return undefined;
    parts.push({ code: rest[0]!, value: rest.subarray(2, 2 + rest[1]!) });
    rest = rest.subarray(2 + rest[1]!);
  }
  return parts;
}

export function clientKeyOf({ htype, chaddr, options }: Reading, identity: Identity): Buffer {
  const identifier = identity === 'client-id' ? options.get(61) : undefined;
  return identifier ?? Buffer.concat([Buffer.of(htype), chaddr]);
}

/** The number that an option of 4 bytes holds. */
export function addressIn(reading: Reading, code: number): number | undefined {
  const value = reading.options.get(code);
  return value?.length === 4 ? value.readUInt32BE() : undefined;
}

// ── the codec beside it ──────────────────────────────────────────────────────────────────────────

const message = new DhcpMessage();

/** Throws where the codec reads something else than the reference; returns what both read. */
export function readTwice(bytes: Buffer, op = 1): Reading | string {
  const reading = read(bytes, op);
  const reason = message.parse(bytes, op);
  if (typeof reading === 'string') {
    assert.equal(reason, reading, 'why it is no message');
    return reading;
  }
  assert.equal(reason, undefined);
  assert.deepEqual(
    [message.type, message.htype, message.xid, message.ciaddr, message.giaddr],
    [reading.type, reading.htype, reading.xid, reading.ciaddr, reading.giaddr],
  );
  sameBytes(message.chaddr(), reading.chaddr);
  assert.deepEqual(message.codes(), [...reading.options.keys()]);
  for (const [code, value] of reading.options) {
    sameBytes(message.option(code), value);
    assert.equal(message.optionU32(code), value.length === 4 ? value.readUInt32BE() : undefined);
    assert.equal(message.optionU16(code), value.length === 2 ? value.readUInt16BE() : undefined);
    readInside(value);
  }
  for (const identity of ['client-id', 'hardware'] as const) sameBytes(message.clientKey(identity), clientKeyOf(reading, identity));
  return reading;
}

/** Any option's value as what may lie inside relay agent and vendor options. */
function readInside(container: Buffer): void {
  const code = container[0] ?? 1;
  const plain = partsWithin(container, 1, false);
  sameBytes(suboption(container, code), plain.find((part) => part.code === code)?.value);
  sameBytes(suboption(container, 11), plain.find((part) => part.code === 11)?.value);
  const padded = partsWithin(container, 1, true);
  if (code !== 0 && code !== 255) sameBytes(vendorSuboption(container, code), padded.find((part) => part.code === code)?.value);
  const enterprise = container.length >= 4 ? container.readUInt32BE() : 9;
  sameBytes(enterpriseData(container, enterprise), partsWithin(container, 4, false).find((part) => part.code === enterprise)?.value);
}

/** A sub-option of relay agent information (RFC 3046 §2.0). */
export function suboptionOf(information: Buffer | undefined, code: number): Buffer | undefined {
  return information === undefined ? undefined : partsWithin(information, 1, false).find((part) => part.code === code)?.value;
}

/** `codeBytes` of code and one of length before each value; what reaches past the end, and all behind it, is not there. */
function partsWithin(container: Buffer, codeBytes: number, padded: boolean): Part[] {
  const parts: Part[] = [];
  let rest = container;
  while (rest.length > 0) {
    if (padded && rest[0] === 255) break;
    if (padded && rest[0] === 0) {
      rest = rest.subarray(1);
      continue;
    }
    const length = rest[codeBytes];
    if (length === undefined || rest.length < codeBytes + 1 + length) break;
    parts.push({ code: rest.readUIntBE(0, codeBytes), value: rest.subarray(codeBytes + 1, codeBytes + 1 + length) });
    rest = rest.subarray(codeBytes + 1 + length);
  }
  return parts;
}

function sameBytes(actual: Buffer | undefined, expected: Buffer | undefined): void {
  if (actual === undefined || expected === undefined) assert.equal(actual, expected);
  else if (!actual.equals(expected)) assert.fail(`${actual.toString('hex')} instead of ${expected.toString('hex')}`);
}
