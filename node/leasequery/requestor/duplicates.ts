/**
 * Which changes have been seen before. A server repeats changes while it catches up, and so does another
 * one that takes over; RFC 7724 §7.4 leaves it to the requestor to know them again.
 *
 * A change is the same where address, state, client, relay agent information and the three times, made
 * absolute by the base time, are: servers count backwards from the time of sending, so that two copies of
 * one change carry different numbers.
 *
 * The times are whole seconds: a client that gets, releases and gets an address again within one makes two changes
 * that look the same, with another one of the address between them. So where a stream (what comes on one connection)
 * brings one again after another change of its address, that counts as one more; it is new if no stream before
 * brought as many. A server that repeats several changes of one address on one stream is thus told of twice, which
 * leaves a requestor with the right state; to leave out the last one would not.
 *
 * Two generations of identities: a new one begins when the present one is old or full, and the one before
 * the present is forgotten then. So those of the last `ageMs` are known, or the last half of `entriesMax`.
 */
import { OptionCode } from '../../codec/message.ts';
import { INFINITE_SECONDS, type MonotonicMs } from '../../time.ts';
import type { Answer } from './answer.ts';

/** Changes remembered; about 200 bytes each. */
export const REMEMBERED_CHANGES_MAX = 1_000_000;
/** How long they are remembered at least, unless there are more than that. */
export const REMEMBERED_CHANGES_MS = 600_000;

const EMPTY = Buffer.alloc(0);
/** Type, state, address, three times, hardware type and length, length of the client identifier. */
const FIXED_BYTES = 22;
const UNKNOWN_TIME = 0;

/** Undefined where the server sends no base time: then nothing can be told about two copies. */
export function changeIdentity(answer: Answer): string | undefined {
  const { baseTime } = answer;
  if (baseTime === undefined) return undefined;
  const { lastTransaction, leaseSeconds, startOfState, hardware } = answer;
  const ago = (seconds: number | undefined): number => (seconds === undefined ? UNKNOWN_TIME : (baseTime - seconds) >>> 0);
  const chaddr = hardware?.chaddr ?? EMPTY;
  const identifier = answer.option(OptionCode.CLIENT_IDENTIFIER) ?? EMPTY;
  const fixed = Buffer.allocUnsafe(FIXED_BYTES);
  fixed[0] = answer.type;
  fixed[1] = answer.stateCode;
  fixed.writeUInt32BE(answer.address, 2);
  fixed.writeUInt32BE(ago(startOfState), 6);
  fixed.writeUInt32BE(ago(lastTransaction), 10);
  fixed.writeUInt32BE(leaseSeconds === undefined ? UNKNOWN_TIME
    : leaseSeconds === INFINITE_SECONDS ? INFINITE_SECONDS : (baseTime + leaseSeconds) >>> 0, 14);
  fixed[18] = hardware?.htype ?? 0;
  fixed[19] = chaddr.length;
  fixed.writeUInt16BE(identifier.length, 20);
  const relay = answer.option(OptionCode.RELAY_AGENT_INFORMATION) ?? EMPTY;
  return Buffer.concat([fixed, chaddr, identifier, relay]).toString('latin1');
}

/** Of one identity: how often a stream brought it at most, and how often the stream that brought it last. */
interface Brought {
  readonly atMost: number;
  readonly stream: number;
  readonly onStream: number;
}

/** More of one identity are not told apart: they are all of one second. */
const BROUGHT_MAX = 15;

/** As one number, since there are many. */
function packed({ atMost, stream, onStream }: Brought): number {
  return stream * 256 + onStream * 16 + atMost;
}

function unpacked(value: number): Brought {
  return { atMost: value % 16, onStream: Math.floor(value / 16) % 16, stream: Math.floor(value / 256) };
}

export class SeenChanges {
  readonly #generationEntriesMax: number;
  readonly #ageMs: number;
  #present = new Map<string, number>();
  #before = new Map<string, number>();
  /** By address, what the stream brought last; some may be forgotten. */
  readonly #last = new Map<number, string>();
  #stream = 1;
  #presentSince: MonotonicMs | undefined;

  constructor({ entriesMax = REMEMBERED_CHANGES_MAX, ageMs = REMEMBERED_CHANGES_MS } = {}) {
    this.#generationEntriesMax = Math.max(1, Math.floor(entriesMax / 2));
    this.#ageMs = ageMs;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#present.size + this.#before.size;
  }

  /** What comes from now on may repeat all that came before. */
  beginStream(): void {
    this.#stream++;
    this.#last.clear();
  }

  /** Whether the change, of this address, is new; from now on it is not. */
  add(identity: string, address: number, now: MonotonicMs): boolean {
    const { atMost, onStream, stream } = this.#recall(identity, now);
    const last = this.#last.get(address);
    const before = stream === this.#stream ? onStream : 0;
    const brought = before === 0 || (last !== undefined && last !== identity) ? Math.min(before + 1, BROUGHT_MAX) : before;
    this.#last.set(address, identity);
    this.#present.set(identity, packed({ atMost: Math.max(atMost, brought), stream: this.#stream, onStream: brought }));
    return brought > atMost;
  }

  /** The same of a binding as it is, which may be older than what the stream has brought. */
  addFound(identity: string, now: MonotonicMs): boolean {
    const brought = this.#recall(identity, now);
    this.#present.set(identity, packed({ ...brought, atMost: Math.max(1, brought.atMost) }));
    return brought.atMost === 0;
  }

  /** Also where an older one is known: it counts from its last copy on. */
  #recall(identity: string, now: MonotonicMs): Brought {
    this.#presentSince ??= now;
    if (now - this.#presentSince >= this.#ageMs || this.#present.size >= this.#generationEntriesMax) {
      this.#before = this.#present;
      this.#present = new Map();
      this.#presentSince = now;
      this.#last.clear();
    }
    return unpacked(this.#present.get(identity) ?? this.#before.get(identity) ?? 0);
  }
}
