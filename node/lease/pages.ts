/**
 * What is kept in memory of each address: 26 bytes in typed arrays, in pages of the 256 addresses that
 * share their upper 24 bits, made when the first of them is used. A /9 pool costs nothing until then.
 *
 * Invariant: an address is in at most one list. The links lie in the pages, so an address leaves its
 * list in constant time and a list costs nothing but its two ends.
 */

/** In `pool` and `subnet`: the address lies in none. */
export const NONE = 0xffff;

/** Something is kept of this address: the never-used cursor passes it by. */
export const TOUCHED = 1;
/** A client has had it. */
export const USED = 2;
/** Held for a client after a DHCPOFFER. */
export const HELD = 4;
/** Inside a pool and nobody's reservation: may be given to anybody. */
export const SHARED = 8;
/** Its binding has something to be done in DNS. */
export const DNS_WORK = 16;
/** Kept from everybody, by an operator's word. */
export const BLOCKED = 32;

export class Page {
  readonly state = new Uint8Array(256);
  readonly flags = new Uint8Array(256);
  /** Indexes in the configuration, or NONE. A reservation's address is in its pool too. */
  readonly pool = new Uint16Array(256);
  readonly subnet = new Uint16Array(256);
  /** UTC seconds: ACTIVE the lease's end, EXPIRED, RELEASED and ABANDONED its reuse time, FREE since when. */
  readonly due = new Uint32Array(256);
  /** Fingerprint of the record's client key; 0 where it is not in the client index. */
  readonly print = new Uint32Array(256);
  /** Of the record's hardware address; 0 where it is not in the index by hardware address. */
  readonly hardwarePrint = new Uint32Array(256);
  readonly list = new Uint32Array(256);
  readonly next = new Uint32Array(256);
  readonly previous = new Uint32Array(256);
  /** Addresses with DNS_WORK. */
  dnsWork = 0;
}

export class Pages {
  /** By each of the upper three bytes of the address: half the cost of a map's look-up. */
  readonly #areas: (((Page | undefined)[] | undefined)[] | undefined)[] = emptyArray();
  readonly #prepare: (page: Page, base: number) => void;

  /** `prepare` fills in what the configuration says of a new page's addresses. */
  constructor(prepare: (page: Page, base: number) => void) {
    this.#prepare = prepare;
  }

  /** The address's page, if any address of it was ever used. */
  peek(address: number): Page | undefined {
    const groups = this.#areas[address >>> 24];
    if (groups === undefined) return undefined;
    const group = groups[(address >>> 16) & 255];
    return group === undefined ? undefined : group[(address >>> 8) & 255];
  }

  of(address: number): Page {
    return this.peek(address) ?? this.#make(address);
  }

  #make(address: number): Page {
    const page = new Page();
    this.#prepare(page, address - (address & 255));
    const groups = (this.#areas[address >>> 24] ??= emptyArray());
    const group = (groups[(address >>> 16) & 255] ??= emptyArray());
    group[(address >>> 8) & 255] = page;
    return page;
  }

  /** Each page with its first address, in order. */
  *all(): IterableIterator<readonly [number, Page]> {
    for (const [first, groups] of this.#areas.entries()) {
      for (const [second, group] of groups?.entries() ?? []) {
        for (const [third, page] of group?.entries() ?? []) {
          if (page !== undefined) yield [first * 2 ** 24 + second * 65_536 + third * 256, page];
        }
      }
    }
  }

  clear(): void {
    this.#areas.fill(undefined);
  }
}

function emptyArray<T>(): (T | undefined)[] {
  return Array.from({ length: 256 });
}

/** Doubly linked lists of addresses, by number; list 0 means "in none". */
export class AddressLists {
  readonly #pages: Pages;
  readonly #fixed: number;
  #heads: Uint32Array;
  #tails: Uint32Array;
  #count: number;

  /** Lists 0 to `fixed` - 1 are there always, others can be added. */
  constructor(pages: Pages, fixed: number) {
    this.#pages = pages;
    this.#fixed = fixed;
    this.#heads = new Uint32Array(fixed);
    this.#tails = new Uint32Array(fixed);
    this.#count = fixed;
  }

  /** Numbers of lists are below. */
  get count(): number {
    return this.#count;
  }

  /** Makes `count` empty lists more, and returns the number of the first. */
  add(count: number): number {
    const first = this.#count;
    this.#count += count;
    if (this.#count > this.#heads.length) {
      const length = Math.max(this.#count, this.#heads.length * 2);
      this.#heads = grown(this.#heads, length);
      this.#tails = grown(this.#tails, length);
    }
    return first;
  }

  /** Forgets the lists that were added, without a word to the addresses in them. */
  forgetAdded(): void {
    if (this.#count === this.#fixed) return;
    this.#heads = this.#heads.slice(0, this.#fixed);
    this.#tails = this.#tails.slice(0, this.#fixed);
    this.#count = this.#fixed;
  }

  clear(): void {
    this.forgetAdded();
    this.#heads.fill(0);
    this.#tails.fill(0);
  }

  /** 0 where the list is empty. */
  first(list: number): number {
    return this.#heads[list]!;
  }

  last(list: number): number {
    return this.#tails[list]!;
  }

  /** The ends alone, for whoever links the addresses between them by other means. */
  setHead(list: number, address: number): void {
    this.#heads[list] = address;
  }

  setTail(list: number, address: number): void {
    this.#tails[list] = address;
  }

  append(list: number, page: Page, address: number): void {
    const s = address & 255;
    const tail = this.#tails[list]!;
    page.list[s] = list;
    page.previous[s] = tail;
    page.next[s] = 0;
    if (tail === 0) this.#heads[list] = address;
    else this.#pages.of(tail).next[tail & 255] = address;
    this.#tails[list] = address;
  }

  prepend(list: number, page: Page, address: number): void {
    const s = address & 255;
    const head = this.#heads[list]!;
    page.list[s] = list;
    page.previous[s] = 0;
    page.next[s] = head;
    if (head === 0) this.#tails[list] = address;
    else this.#pages.of(head).previous[head & 255] = address;
    this.#heads[list] = address;
  }

  /** Takes the address out of whatever list it is in; returns that list, 0 when there was none. */
  remove(page: Page, address: number): number {
    const s = address & 255;
    const list = page.list[s]!;
    if (list === 0) return 0;
    const next = page.next[s]!;
    const previous = page.previous[s]!;
    if (previous === 0) this.#heads[list] = next;
    else this.#pages.of(previous).next[previous & 255] = next;
    if (next === 0) this.#tails[list] = previous;
    else this.#pages.of(next).previous[next & 255] = previous;
    page.list[s] = 0;
    return list;
  }
}

function grown(array: Uint32Array, length: number): Uint32Array {
  const larger = new Uint32Array(length);
  larger.set(array);
  return larger;
}
