/**
 * Which addresses have something to be done in DNS: one bit of an address's flags, a count a page, and the pages that
 * have any. Made from the records alone, so it is right after a load, a takeover and a restart, and a name server that
 * is dead makes nothing grow but the number of bits that are set.
 *
 * Addresses that have just been marked are handed out first, as many as are remembered; the rest is found by going
 * round the pages.
 */
import { DNS_FRESH_MAX, DNS_PAGES_PER_LOOK_MAX } from '../ddns/limits.ts';
import { DNS_WORK } from './pages.ts';
import type { Page } from './pages.ts';

export class DnsMarks {
  /** By first address, in the order in which they are looked at. */
  readonly #pages = new Map<number, Page>();
  #fresh: number[] = [];
  /** In the first page of the order. */
  #next = 0;
  #size = 0;

  /** Addresses with work, whoever owns them. */
  get size(): number {
    return this.#size;
  }

  clear(): void {
    this.#pages.clear();
    this.#fresh = [];
    this.#next = 0;
    this.#size = 0;
  }

  set(page: Page, address: number, work: boolean): void {
    const s = address & 255;
    if (work) {
      if (this.#fresh.length < DNS_FRESH_MAX) this.#fresh.push(address);
      if ((page.flags[s]! & DNS_WORK) !== 0) return;
      page.flags[s]! |= DNS_WORK;
      page.dnsWork++;
      this.#size++;
      this.#pages.set(address - s, page);
    } else if ((page.flags[s]! & DNS_WORK) !== 0) {
      page.flags[s]! &= ~DNS_WORK;
      this.#size--;
      if (--page.dnsWork === 0) this.#forget(address - s);
    }
  }

  #forget(base: number): void {
    if (this.#pages.keys().next().value === base) this.#next = 0;
    this.#pages.delete(base);
  }

  /** At most `limit` addresses that were marked lately, with those among them that have no work any more. */
  takeFresh(limit: number): readonly number[] {
    if (this.#fresh.length === 0) return this.#fresh;
    return this.#fresh.splice(0, limit);
  }

  /** Goes on round the pages: up to `limit` addresses with work in slots that `wanted` takes; empty does not mean that there are no more. */
  look(limit: number, wanted: (slot: number) => boolean): number[] {
    const found: number[] = [];
    const pages = Math.min(DNS_PAGES_PER_LOOK_MAX, this.#pages.size);
    for (let looked = 0; looked < pages && found.length < limit; looked++) {
      const [base, page] = this.#pages.entries().next().value!;
      for (; this.#next < 256 && found.length < limit; this.#next++) {
        if ((page.flags[this.#next]! & DNS_WORK) !== 0 && wanted(this.#next)) found.push(base + this.#next);
      }
      if (this.#next < 256) break;
      this.#next = 0;
      this.#pages.delete(base);
      this.#pages.set(base, page);
    }
    return found;
  }

  /** The first ones, in no order, at most `limit`; the round is not concerned. */
  some(limit: number, wanted: (slot: number) => boolean): number[] {
    const found: number[] = [];
    for (const [base, { flags }] of this.#pages) {
      for (let s = 0; s < 256 && found.length < limit; s++) if ((flags[s]! & DNS_WORK) !== 0 && wanted(s)) found.push(base + s);
      if (found.length === limit) break;
    }
    return found;
  }

  /** How many addresses with work lie in slots that `wanted` takes. Costs the pages that have any. */
  count(wanted: (slot: number) => boolean): number {
    let count = 0;
    for (const { flags } of this.#pages.values()) {
      for (let s = 0; s < 256; s++) if ((flags[s]! & DNS_WORK) !== 0 && wanted(s)) count++;
    }
    return count;
  }
}
