/**
 * By what else than its address a binding is found: hardware address, client identifier, and the relay agent's
 * remote-id and relay-id (the queries of RFC 6926). What a record has of them, and its keys in an index.
 *
 * Index key, 11 bytes: u8 kind, 6 bytes hash of the identifier, u32 address, big-endian. Keys of one identifier
 * lie side by side in order of address. The hash is no proof: whoever finds a key compares the record itself.
 * Who changes the hash or the layout gives the index a new version (INDEX_VERSION), so that it is built anew.
 */
import { suboption } from '../codec/suboptions.ts';
import {
  RECORD_HEADER_BYTES, RECORD_VERSION, recordChaddr, recordClientKey, recordHasClientIdentifier, recordHtype, recordSection, SectionKind,
} from './record.ts';

export const IDENTIFIER_KINDS = ['hardware', 'client-id', 'remote-id', 'relay-id'] as const;
export type IdentifierKind = (typeof IDENTIFIER_KINDS)[number];

export const INDEX_KEY_BYTES = 11;
const ADDRESS_AT = 7;
const CHADDR_AT = 44;

/** RFC 3046 §2.0, RFC 6925 §5. */
const SUBOPTION_REMOTE_ID = 2;
const SUBOPTION_RELAY_ID = 12;

/** Part of the keys on the disk: append-only. */
const KIND_NUMBERS: Readonly<Record<IdentifierKind, number>> = { hardware: 1, 'client-id': 2, 'remote-id': 3, 'relay-id': 4 };

const relayAgentSuboption = (record: Buffer, code: number): Buffer | undefined =>
  suboption(recordSection(record, SectionKind.relayAgentInformation), code);

const BYTES_OF: Readonly<Record<IdentifierKind, (record: Buffer) => Buffer | undefined>> = {
  hardware: (record) => {
    const chaddr = recordChaddr(record);
    return chaddr.length === 0 ? undefined : Buffer.concat([Buffer.of(recordHtype(record)), chaddr]);
  },
  'client-id': (record) => (recordHasClientIdentifier(record) ? recordClientKey(record) : undefined),
  'remote-id': (record) => relayAgentSuboption(record, SUBOPTION_REMOTE_ID),
  'relay-id': (record) => relayAgentSuboption(record, SUBOPTION_RELAY_ID),
};

/**
 * The bytes of a record's identifier, hardware as htype followed by chaddr; the others' lie in the record.
 * Undefined where the record has none, or is of a layout that is not known.
 */
export function identifierOf(kind: IdentifierKind, record: Buffer): Buffer | undefined {
  if (record.length < RECORD_HEADER_BYTES || record[0] !== RECORD_VERSION) return undefined;
  const bytes = BYTES_OF[kind](record);
  return bytes === undefined || bytes.length === 0 ? undefined : bytes;
}

export function hasIdentifier(kind: IdentifierKind, record: Buffer, identifier: Buffer): boolean {
  return identifierOf(kind, record)?.equals(identifier) === true;
}

/**
 * Whether two records are under the same keys; may say no where they are. Of a renewal all bytes from chaddr on
 * are those of the record before, which is all that is looked at on the packet's path.
 */
export function sameIdentifiers(one: Buffer, other: Buffer): boolean {
  const { length } = one;
  if (length !== other.length || one[0] !== other[0] || one[3] !== other[3] || one[4] !== other[4]) return false;
  if (length < RECORD_HEADER_BYTES || recordHasClientIdentifier(one) !== recordHasClientIdentifier(other)) return false;
  for (let at = CHADDR_AT; at < length; at++) if (one[at] !== other[at]) return false;
  return true;
}

/** Writes the key of an identifier at an address, at the start of `into`. */
export function writeIndexKey(into: Buffer, kind: IdentifierKind, identifier: Buffer, address: number): void {
  // Two lanes of 32-bit multiplications over the bytes, stirred at the end: nothing but spread is asked of them.
  let one = 0x811c_9dc5;
  let other = 0x9e37_79b1 ^ identifier.length;
  for (let at = 0; at < identifier.length; at++) {
    const byte = identifier[at]!;
    one = Math.imul(one ^ byte, 0x0100_0193);
    other = Math.imul(other ^ byte, 0x85eb_ca6b) ^ (other >>> 13);
  }
  const mixed = Math.imul(one ^ (one >>> 16) ^ other, 0xc2b2_ae35);
  other = Math.imul(other ^ (other >>> 15), 0x27d4_eb2f);
  const low = mixed ^ (mixed >>> 13);
  const high = other ^ (other >>> 16) ^ (mixed >>> 16);
  into[0] = KIND_NUMBERS[kind];
  into.writeUInt16BE(high & 0xffff, 1);
  into.writeUInt32BE(low >>> 0, 3);
  into.writeUInt32BE(address, ADDRESS_AT);
}

export function indexKeyAddress(key: Buffer): number {
  return key.readUInt32BE(ADDRESS_AT);
}

const scratchKey = Buffer.alloc(INDEX_KEY_BYTES);

/** Each key of a record; it is valid only during the call. */
export function eachIndexKey(address: number, record: Buffer, use: (key: Buffer) => void): void {
  for (const kind of IDENTIFIER_KINDS) {
    const identifier = identifierOf(kind, record);
    if (identifier === undefined) continue;
    writeIndexKey(scratchKey, kind, identifier, address);
    use(scratchKey);
  }
}

/** Index keys one after the other in one buffer: millions of them are no objects. */
export class IndexKeys {
  #bytes = Buffer.alloc(0);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(key: Buffer): void {
    const at = this.#count * INDEX_KEY_BYTES;
    if (at + INDEX_KEY_BYTES > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(64 * INDEX_KEY_BYTES, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    key.copy(this.#bytes, at);
    this.#count++;
  }

  clear(): void {
    this.#count = 0;
  }

  /** For a few keys. */
  has(key: Buffer): boolean {
    for (let i = 0; i < this.#count; i++) if (this.at(i).equals(key)) return true;
    return false;
  }

  /** In place. */
  at(index: number): Buffer {
    return this.#bytes.subarray(index * INDEX_KEY_BYTES, (index + 1) * INDEX_KEY_BYTES);
  }
}
