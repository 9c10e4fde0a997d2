/** DHCPACKs a second over the last seconds, from a counter that is looked at now and then. */
const WINDOW_MS = 5000;
const SAMPLE_MS = 250;

export class ExchangeRate {
  #samples: { readonly at: number; readonly acks: number }[] = [];

  /** `at` in monotonic milliseconds. */
  sample(at: number, acks: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && at - last.at < SAMPLE_MS) return;
    this.#samples.push({ at, acks });
    while (this.#samples[0]!.at < at - WINDOW_MS) this.#samples.shift();
  }

  perSecond(): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    const seconds = first === undefined || last === undefined ? 0 : (last.at - first.at) / 1000;
    return seconds > 0 ? Math.round((last!.acks - first!.acks) / seconds) : 0;
  }
}
