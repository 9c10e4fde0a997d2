/**
 * DHCP messages over TCP (RFC 6926 §6.1): each behind its length, u16 big-endian. A message is handed over
 * whole; half of one waits, and takes no more than its length says.
 */

export const LENGTH_BYTES = 2;

/** The message behind its length; at most 65,535 bytes. */
export function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + message.length);
  frame.writeUInt16BE(message.length, 0);
  message.copy(frame, LENGTH_BYTES);
  return frame;
}

export class FrameReader {
  readonly #bytesMax: number;
  #rest: Buffer = Buffer.alloc(0);

  /** `bytesMax`: of one message. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Part of a message has come, and the rest of it has not. */
  get isWithin(): boolean {
    return this.#rest.length > 0;
  }

  /** What came with the last message and is none of its own: another protocol may follow. */
  takeRest(): Buffer {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    return rest;
  }

  /** Takes what the stream brought. The caller takes messages out with `next` until there is none. */
  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
  }

  /** The next whole message; undefined: not yet. Throws RangeError for one that is longer than allowed. */
  next(): Buffer | undefined {
    if (this.#rest.length < LENGTH_BYTES) return undefined;
    const length = this.#rest.readUInt16BE(0);
    if (length > this.#bytesMax) throw new RangeError(`a message of ${length} bytes`);
    if (this.#rest.length < LENGTH_BYTES + length) return undefined;
    const message = this.#rest.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
    this.#rest = this.#rest.subarray(LENGTH_BYTES + length);
    return message;
  }
}
