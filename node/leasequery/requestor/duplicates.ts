/**
 * Which changes have been seen before. A server repeats changes while it catches up, and so does another
 * one that takes over; RFC 7724 §7.4 leaves it to the requestor to know them again.
 *
 * A change is the same where address, state, client, relay agent information and the three times, made
 * absolute by the base time, are: servers count backwards from the time of sending, so that two copies of
 * one change carry different numbers.
 *
 * Two generations of identities: a new one begins when the present one is old or full, and the one before
 * the present is forgotten then. So those of the last `ageMs` are known, or the last half of `entriesMax`.
 */
import { OptionCode } from '../../codec/message.ts';
import { INFINITE_SECONDS, type MonotonicMs } from '../../time.ts';
import type { Answer } from './answer.ts';

/** Changes remembered; about 150 bytes each. */
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

export class SeenChanges {
  readonly #generationEntriesMax: number;
  readonly #ageMs: number;
  #present = new Set<string>();
  #before = new Set<string>();
  #presentSince: MonotonicMs | undefined;

  constructor({ entriesMax = REMEMBERED_CHANGES_MAX, ageMs = REMEMBERED_CHANGES_MS } = {}) {
    this.#generationEntriesMax = Math.max(1, Math.floor(entriesMax / 2));
    this.#ageMs = ageMs;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#present.size + this.#before.size;
  }

  /** Whether the change is new; from now on it is not. */
  add(identity: string, now: MonotonicMs): boolean {
    this.#presentSince ??= now;
    if (now - this.#presentSince >= this.#ageMs || this.#present.size >= this.#generationEntriesMax) {
      this.#before = this.#present;
      this.#present = new Set();
      this.#presentSince = now;
    }
    if (this.#present.has(identity)) return false;
    // Also where an older one is known: it counts from its last copy on.
    this.#present.add(identity);
    return !this.#before.has(identity);
  }
}
