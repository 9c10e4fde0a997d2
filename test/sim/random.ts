/** The seed's stream of chance: everything random in a simulated world comes from here, in one order. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    this.#a = 0x9e37_79b9 ^ seed;
    this.#b = 0x243f_6a88;
    this.#c = 0xb7e1_5162 + (Math.floor(seed / 2 ** 32) | 0);
    this.#d = 1;
    for (let i = 0; i < 16; i++) this.u32();
  }

  /** sfc32. */
  u32(): number {
    const t = (this.#a + this.#b + this.#d++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t | 0;
    return t >>> 0;
  }

  /** In [0, 1). */
  unit = (): number => this.u32() / 2 ** 32;

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  int(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1));
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.unit() * items.length)]!;
  }

  /** Mostly near `typical`, sometimes far beyond: how long things take in a data centre. */
  delay(typical: number, tail: number): number {
    return this.chance(0.02) ? this.between(typical, tail) : typical * this.between(0.3, 2);
  }
}
