/**
 * From when on an active query must be taken up again: the highest base time that came while nothing from
 * before was missing (RFC 7724 §7.3, §7.4.1).
 *
 * Invariant: every change before `value` has been received. So it stays where it is while the server
 * catches up, which it does in no order, and while a bulk query fills in what it could not tell any more.
 */
export class KeptTime {
  #value: number | undefined;
  #isCatchingUp = false;
  #isFilling = false;
  /** The highest base time since the filling began. */
  #meanwhile: number | undefined;

  /** `value`: UTC seconds of the server's clock; undefined: only what happens from now on is of interest. */
  constructor(value: number | undefined) {
    this.#value = value;
  }

  get value(): number | undefined {
    return this.#value;
  }

  get isCatchingUp(): boolean {
    return this.#isCatchingUp;
  }

  /** A new query begins. Returns its query-start-time; undefined: it has none, and no catch-up phase. */
  begin(): number | undefined {
    this.#isCatchingUp = this.#value !== undefined;
    this.#isFilling = false;
    this.#meanwhile = undefined;
    return this.#value;
  }

  /** Every message may bring one; undefined: this one does not. */
  onBaseTime(baseTime: number | undefined): void {
    if (baseTime === undefined || this.#isCatchingUp) return;
    if (this.#isFilling) this.#meanwhile = highest(this.#meanwhile, baseTime);
    else this.#value = highest(this.#value, baseTime);
  }

  /** CatchUpComplete, with its base time if there is one. */
  onCaughtUp(baseTime: number | undefined): void {
    this.#isCatchingUp = false;
    this.onBaseTime(baseTime);
  }

  /** DataMissing: only what happens from now on will come. `isFilled`: a bulk query gets the rest, and `onFilled` follows. */
  onDataMissing(baseTime: number | undefined, isFilled: boolean): void {
    this.#isCatchingUp = false;
    this.#isFilling = isFilled;
    this.onBaseTime(baseTime);
  }

  onFilled(): void {
    this.#isFilling = false;
    this.onBaseTime(this.#meanwhile);
  }
}

function highest(one: number | undefined, other: number): number {
  return one === undefined || other > one ? other : one;
}
