/**
 * What a request shows of all that the classes look at, each thing read once and in place. Subjects that
 * several tests share are one here, and a sub-option is found in its option, which is found once.
 *
 * Values that classes ask to equal are numbered, so that however many classes name a value of their own
 * for one subject, the request's is looked up once and each test compares two numbers.
 */
import { CHADDR_AT } from '../codec/message.ts';
import type { DhcpMessage } from '../codec/message.ts';
import { locateEnterpriseData, locateSuboption, locateVendorSuboption } from '../codec/suboptions.ts';
import type { Subject } from './types.ts';

const HTYPE_AT = 1;
const CIADDR_AT = 12;
const GIADDR_AT = 24;
const ADDRESS_BYTES = 4;
const VENDOR_SPECIFIC_INFORMATION = 43;
const RELAY_AGENT_INFORMATION = 82;
/** More than the name of an interface can have (IFNAMSIZ is 16). */
const INTERFACE_NAME_BYTES = 64;

const ABSENT = -1;
const EMPTY = Buffer.alloc(0);

/** How a thing is found: in the message, or in another thing that was found before (`within`). */
type Step =
  | { readonly kind: 'hardware' | 'htype' | 'giaddr' | 'ciaddr' | 'interface' }
  | { readonly kind: 'option'; readonly code: number }
  | { readonly kind: 'suboption' | 'vendor-suboption' | 'enterprise'; readonly within: number; readonly code: number };

export class Facts {
  /** The client has a reservation. */
  known = false;
  /** The client speaks BOOTP. */
  bootp = false;
  /** By fact: the value is `bytes` from `from` on, `length` long; a length below 0: there is none. */
  readonly bytes: Buffer[] = [];
  readonly from: number[] = [];
  readonly length: number[] = [];
  /** By fact: the number of the listed value that it equals; 0: none of them. */
  readonly value: number[] = [];
  readonly #steps: Step[] = [];
  readonly #byName = new Map<string, number>();
  readonly #values: (ValueNumbers | undefined)[] = [];
  readonly #interfaceName = Buffer.alloc(INTERFACE_NAME_BYTES);

  /** The number of the fact that tells of a subject. */
  add(subject: Subject): number {
    if (subject.from !== 'option') return this.#addStep({ kind: subject.from });
    let fact = this.#addStep({ kind: 'option', code: subject.code });
    if (subject.enterprise !== undefined) fact = this.#addStep({ kind: 'enterprise', within: fact, code: subject.enterprise });
    const kind = subject.code === VENDOR_SPECIFIC_INFORMATION ? 'vendor-suboption' : 'suboption';
    for (const code of subject.path) fact = this.#addStep({ kind, within: fact, code });
    return fact;
  }

  /** The number that `value` has when the fact equals these bytes. */
  numberOf(fact: number, bytes: Buffer): number {
    return (this.#values[fact] ??= new ValueNumbers()).add(bytes);
  }

  #addStep(step: Step): number {
    const name = JSON.stringify(step);
    const existing = this.#byName.get(name);
    if (existing !== undefined) return existing;
    const fact = this.#steps.push(step) - 1;
    this.#byName.set(name, fact);
    this.bytes.push(EMPTY);
    this.from.push(0);
    this.length.push(ABSENT);
    this.value.push(0);
    this.#values.push(undefined);
    return fact;
  }

  load(message: DhcpMessage, relayAgentInformation: Buffer | undefined, interfaceName: string, known: boolean): void {
    this.known = known;
    this.bootp = message.type === 0;
    for (let fact = 0; fact < this.#steps.length; fact++) {
      this.#find(fact, message, relayAgentInformation, interfaceName);
      const values = this.#values[fact];
      if (values === undefined) continue;
      const length = this.length[fact]!;
      this.value[fact] = length < 0 ? 0 : values.find(this.bytes[fact]!, this.from[fact]!, length);
    }
  }

  #find(fact: number, message: DhcpMessage, relayAgentInformation: Buffer | undefined, interfaceName: string): void {
    const step = this.#steps[fact]!;
    switch (step.kind) {
      case 'option': {
        const at = message.locate(step.code);
        if (at > 0) return this.#set(fact, message.bytes, at + 1, message.bytes[at]!);
        if (at === 0) {
          const kept = step.code === RELAY_AGENT_INFORMATION ? relayAgentInformation : undefined;
          return kept === undefined ? this.#set(fact, EMPTY, 0, ABSENT) : this.#set(fact, kept, 0, kept.length);
        }
        const joined = message.option(step.code)!;
        return this.#set(fact, joined, 0, joined.length);
      }
      case 'suboption': case 'vendor-suboption': case 'enterprise':
        return this.#findWithin(fact, step);
      case 'hardware':
        return this.#set(fact, message.bytes, CHADDR_AT, message.hlen === 0 ? ABSENT : message.hlen);
      case 'htype':
        return this.#set(fact, message.bytes, HTYPE_AT, 1);
      case 'giaddr':
        return this.#set(fact, message.bytes, GIADDR_AT, ADDRESS_BYTES);
      case 'ciaddr':
        return this.#set(fact, message.bytes, CIADDR_AT, ADDRESS_BYTES);
      case 'interface':
        return this.#set(fact, this.#interfaceName, 0, this.#interfaceName.write(interfaceName));
    }
  }

  #findWithin(fact: number, { kind, within, code }: Extract<Step, { readonly within: number }>): void {
    const length = this.length[within]!;
    if (length < 0) return this.#set(fact, EMPTY, 0, ABSENT);
    const bytes = this.bytes[within]!;
    const from = this.from[within]!;
    const locate = kind === 'suboption' ? locateSuboption : kind === 'enterprise' ? locateEnterpriseData : locateVendorSuboption;
    const at = locate(bytes, from, from + length, code);
    return at === 0 ? this.#set(fact, EMPTY, 0, ABSENT) : this.#set(fact, bytes, at + 1, bytes[at]!);
  }

  #set(fact: number, bytes: Buffer, from: number, length: number): void {
    this.bytes[fact] = bytes;
    this.from[fact] = from;
    this.length[fact] = length;
  }
}

/** Values that are asked for, numbered from 1, found by their bytes without making a key of them. */
class ValueNumbers {
  readonly #values: Buffer[] = [];
  readonly #byHash = new Map<number, number[]>();
  #lengthMax = 0;

  add(bytes: Buffer): number {
    const existing = this.find(bytes, 0, bytes.length);
    if (existing !== 0) return existing;
    const number = this.#values.push(bytes);
    const hash = hashOf(bytes, 0, bytes.length);
    this.#byHash.set(hash, [...(this.#byHash.get(hash) ?? []), number]);
    this.#lengthMax = Math.max(this.#lengthMax, bytes.length);
    return number;
  }

  /** 0: none of them. */
  find(bytes: Buffer, from: number, length: number): number {
    if (length > this.#lengthMax) return 0;
    const candidates = this.#byHash.get(hashOf(bytes, from, length));
    if (candidates === undefined) return 0;
    for (const number of candidates) {
      const value = this.#values[number - 1]!;
      if (value.length === length && liesAt(value, bytes, from)) return number;
    }
    return 0;
  }
}

/** FNV-1a, in the range of small integers. */
function hashOf(bytes: Buffer, from: number, length: number): number {
  let hash = 0x811c_9dc5 ^ length;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ bytes[from + i]!, 0x0100_0193);
  return hash >> 2;
}

/** Whether these bytes lie in others from a position on; there must be as many there. */
export function liesAt(value: Buffer, bytes: Buffer, from: number): boolean {
  for (let i = 0; i < value.length; i++) if (bytes[from + i] !== value[i]) return false;
  return true;
}
