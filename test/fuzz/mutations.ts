/** What can go wrong with a packet on its way, and what somebody may do to it. Each makes a new packet. */
import type { Random } from '../sim/random.ts';

const OPTIONS_AT = 240;
/** The fields of the header, where a change of one byte means most. */
const HEADER_BYTES = [0, 1, 2, 3, 8, 9, 10, 12, 15, 16, 20, 24, 27, 28, 33, 236, 239];
const TELLING = [0, 1, 2, 4, 15, 16, 17, 127, 128, 254, 255];
const CODES = [0, 12, 50, 51, 52, 53, 54, 55, 57, 61, 77, 80, 82, 118, 124, 125, 255];
const LENGTH_MAX = 1600;

type Mutation = (bytes: Buffer, random: Random, other: Buffer) => Buffer;

function changed(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length > 0) change(copy);
  return copy;
}

/** Where the options of the options field begin, as far as they can be told apart. */
function optionStarts(bytes: Buffer): number[] {
  const starts: number[] = [];
  for (let at = OPTIONS_AT; at + 1 < bytes.length && bytes[at] !== 255;) {
    if (bytes[at] === 0) {
      at++;
      continue;
    }
    starts.push(at);
    at += 2 + bytes[at + 1]!;
  }
  return starts;
}

const anOption = (bytes: Buffer, random: Random): number => {
  const starts = optionStarts(bytes);
  return starts.length === 0 ? Math.min(OPTIONS_AT, bytes.length) : random.pick(starts);
};

const endOf = (bytes: Buffer, start: number): number => Math.min(bytes.length, start + 2 + (bytes[start + 1] ?? 0));

const insert = (bytes: Buffer, at: number, piece: Buffer): Buffer => Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'a bit flips': (bytes, random) => changed(bytes, (copy) => { copy[random.int(0, copy.length - 1)]! ^= 1 << random.int(0, 7); }),
  'a byte changes': (bytes, random) => changed(bytes, (copy) => { copy[random.int(0, copy.length - 1)] = random.int(0, 255); }),
  'a byte of the header changes': (bytes, random) => changed(bytes, (copy) => {
    const at = random.pick(HEADER_BYTES);
    if (at < copy.length) copy[at] = random.chance(0.7) ? random.pick(TELLING) : random.int(0, 255);
  }),
  'the end is cut off': (bytes, random) => bytes.subarray(0, random.int(0, bytes.length)),
  'the options are cut': (bytes, random) => bytes.subarray(0, random.int(Math.min(OPTIONS_AT, bytes.length), bytes.length)),
  'something is added at the end': (bytes, random) =>
    Buffer.concat([bytes, Buffer.from(Array.from({ length: random.int(1, 64) }, () => random.chance(0.5) ? random.pick(TELLING) : random.int(0, 255)))]),
  'the packet is filled up': (bytes, random) => Buffer.concat([bytes, Buffer.alloc(random.pick([1, 300, 1200]), random.pick([0, 1, 255]))]),
  'an option gets another length': (bytes, random) => changed(bytes, (copy) => {
    const at = anOption(copy, random) + 1;
    if (at < copy.length) copy[at] = random.chance(0.5) ? (copy[at]! + random.pick([-1, 1]) & 255) : random.pick(TELLING);
  }),
  'an option becomes another': (bytes, random) => changed(bytes, (copy) => {
    const at = anOption(copy, random);
    if (at < copy.length) copy[at] = random.pick(CODES);
  }),
  'an option comes twice': (bytes, random) => {
    const from = anOption(bytes, random);
    const piece = Buffer.from(bytes.subarray(from, endOf(bytes, from)));
    if (piece.length > 2 && random.chance(0.3)) piece[2 + random.int(0, piece.length - 3)] = random.int(0, 255);
    return insert(bytes, anOption(bytes, random), piece);
  },
  'an option is left out': (bytes, random) => {
    const from = anOption(bytes, random);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(endOf(bytes, from))]);
  },
  'an option is split': (bytes, random) => {
    const from = anOption(bytes, random);
    const end = endOf(bytes, from);
    if (end - from < 3) return bytes;
    const cut = random.int(from + 2, end);
    const head = Buffer.concat([Buffer.of(bytes[from]!, cut - from - 2), bytes.subarray(from + 2, cut)]);
    const tail = Buffer.concat([Buffer.of(bytes[from]!, end - cut), bytes.subarray(cut, end)]);
    return Buffer.concat([bytes.subarray(0, from), head, tail, bytes.subarray(end)]);
  },
  'something inside an option changes': (bytes, random) => changed(bytes, (copy) => {
    const from = anOption(copy, random);
    const end = endOf(copy, from);
    if (end - from > 2) copy[random.int(from + 2, end - 1)] = random.pick(TELLING);
  }),
  'the end option comes early': (bytes, random) => insert(bytes, anOption(bytes, random), Buffer.of(255)),
  'the options of another packet follow': (bytes, random, other) => {
    const from = random.chance(0.7) ? OPTIONS_AT : random.int(0, Math.max(bytes.length, other.length));
    return Buffer.concat([bytes.subarray(0, from), other.subarray(from)]);
  },
  'an option of another packet is put in': (bytes, random, other) => {
    const from = anOption(other, random);
    return insert(bytes, anOption(bytes, random), other.subarray(from, endOf(other, from)));
  },
  'the hardware address is another client\'s': (bytes, _random, other) => withField(bytes, other, 28, 44),
  'the address is another client\'s': (bytes, _random, other) => withField(bytes, other, 12, 16),
  'file and sname hold options': (bytes, random, other) => overloaded(bytes, random, other),
};

/** Bytes `from` to `to` are those of the other packet, as far as both have them. */
function withField(bytes: Buffer, other: Buffer, from: number, to: number): Buffer {
  return changed(bytes, (copy) => copy.subarray(from, to).set(other.subarray(from, Math.min(to, copy.length))));
}

/** Some of the options go into 'file' and 'sname' (RFC 2132 §9.3), or some of another packet do; well made or not. */
function overloaded(bytes: Buffer, random: Random, other: Buffer): Buffer {
  if (bytes.length < OPTIONS_AT) return bytes;
  let packet = Buffer.from(bytes);
  for (const [from, to] of [[108, 236], [44, 108]] as const) {
    if (random.chance(0.4)) continue;
    const own = random.chance(0.6);
    const source = own ? packet : other;
    const start = anOption(source, random);
    const end = endOf(source, start);
    const piece = Buffer.from(source.subarray(start, end));
    const field = packet.subarray(from, to).fill(0);
    const last = Math.max(0, field.length - piece.length);
    const at = random.chance(0.6) ? 0 : random.chance(0.5) ? last : random.int(0, last);
    piece.copy(field, at);
    if (random.chance(0.9) && at + piece.length < field.length) field[at + piece.length] = 255;
    // Else it comes twice, and its parts are joined.
    if (own && start > OPTIONS_AT && random.chance(0.7)) packet = Buffer.concat([packet.subarray(0, start), packet.subarray(end)]);
  }
  return insert(packet, OPTIONS_AT, Buffer.of(52, 1, random.chance(0.9) ? random.pick([1, 2, 3]) : random.int(0, 255)));
}

const ALL = Object.values(MUTATIONS);

/** One to four mutations; not longer than what a network may bring. */
export function mutate(bytes: Buffer, random: Random, other: Buffer): Buffer {
  let mutated = bytes;
  for (let n = random.pick([1, 1, 1, 2, 2, 3, 4]); n > 0; n--) mutated = random.pick(ALL)(mutated, random, other);
  return Buffer.from(mutated.subarray(0, LENGTH_MAX));
}
