/**
 * Which addresses of each pool may be given to anybody: the pools' shares, and the lists of what was
 * used before. Made for a pool when the first of its addresses is used; until then it costs nothing.
 *
 * Invariants
 * - An address is in a free list, or is never touched, exactly if it may be given to anybody: inside a
 *   pool, nobody's reservation, held for nobody, not blocked, and without a record or past its reuse time.
 * - Lists are kept for all slots; who owns a slot is asked only when an address is taken.
 */
import { candidateHash } from '../allocation/candidates.ts';
import { PoolShare } from '../allocation/share.ts';
import { ALLOCATION_PROBES_MAX } from '../limits.ts';
import type { AddressPlan } from './address-plan.ts';
import type { DueWheel } from './due.ts';
import { linkAll } from './link-all.ts';
import { BLOCKED, HELD, SHARED, TOUCHED, USED } from './pages.ts';
import type { AddressLists, Page, Pages } from './pages.ts';
import { BindingState } from './record.ts';

/** Which slots may be given from now, and where they are at home. */
export interface SlotChoice {
  owns(slot: number): boolean;
  homeOf(slot: number): string;
}

// The kinds of lists, one of each for every entry of a share.
/** Never used, but passed by already: its hold ended without a lease. */
const FRESH = 0;
/** Used before and free again, longest free first. */
const FREED = 1;
/** Oldest first. */
const ABANDONED = 2;
const KINDS = 3;

export class PoolLists {
  readonly #pages: Pages;
  readonly #lists: AddressLists;
  readonly #due: DueWheel;
  /** Lists from here on are those of pools. */
  readonly #firstList: number;
  #plan: AddressPlan;
  #shares: (PoolShare | undefined)[] = [];
  /** Where random allocation starts, and how often it drew. */
  readonly #seed: number;
  #drawn = 0;

  constructor(pages: Pages, lists: AddressLists, due: DueWheel, firstList: number, plan: AddressPlan, seed: number) {
    this.#pages = pages;
    this.#lists = lists;
    this.#due = due;
    this.#firstList = firstList;
    this.#plan = plan;
    this.#seed = seed;
  }

  /** Forgets all shares and lists; their addresses are to be filed anew. */
  restart(plan: AddressPlan): void {
    this.#plan = plan;
    this.#shares = [];
    this.#lists.forgetAdded();
  }

  // ── counts ───────────────────────────────────────────────────────────────────────────────────

  freeTotal(pool: number): number {
    return this.#shares[pool]?.freeTotal ?? this.#plan.unreserved[pool] ?? 0;
  }

  /** Adds the pool's free addresses to those of each of the 256 slots. */
  addFreeBySlot(pool: number, sum: Float64Array): void {
    const config = this.#plan.pools[pool];
    if (config === undefined) return;
    const share = this.#shares[pool] ?? new PoolShare(config.ranges, this.#plan.reservedIn(pool));
    for (let entry = 0; entry < share.width; entry++) sum[share.slotOf(entry)]! += share.free[entry]!;
  }

  // ── filing ───────────────────────────────────────────────────────────────────────────────────

  /** The never-used cursor need not look at this address any more. */
  touch(page: Page, address: number): void {
    const s = address & 255;
    if ((page.flags[s]! & TOUCHED) !== 0) return;
    page.flags[s]! |= TOUCHED;
    if ((page.flags[s]! & SHARED) !== 0) this.#share(page.pool[s]!).addUnused(address, -1);
  }

  /** The same for an address that was touched before the shares were made anew. */
  passBy(page: Page, address: number): void {
    this.#share(page.pool[address & 255]!).addUnused(address, -1);
  }

  /** Puts a free or an ABANDONED address that is in no list where it is found again, if anybody may have it. */
  file(page: Page, address: number): void {
    const s = address & 255;
    if (!isOpen(page, s)) return;
    const share = this.#share(page.pool[s]!);
    const list = this.#listFor(share, page, address);
    const kind = kindOf(share, list);
    // What comes back from a hold was first in its list, and takes that place again.
    const first = kind === FRESH ? 0 : this.#lists.first(list);
    if (first !== 0 && page.due[s]! < this.#dueOf(first)) this.#lists.prepend(list, page, address);
    else this.#lists.append(list, page, address);
    this.#count(share, kind, address, 1);
    this.#noteFirst(share, kind, list);
  }

  /** The same for very many: they are counted, and in their lists after `settle`. Nothing else may come between. */
  fileLater(page: Page, address: number): void {
    const s = address & 255;
    if (!isOpen(page, s)) return;
    const share = this.#share(page.pool[s]!);
    const list = this.#listFor(share, page, address);
    this.#count(share, kindOf(share, list), address, 1);
    page.list[s] = list;
  }

  settle(): void {
    linkAll(this.#pages, this.#lists, this.#firstList);
    for (const share of this.#shares) {
      for (let entry = 0; entry < (share?.width ?? 0); entry++) this.#noteFirst(share!, FREED, listOf(share!, FREED, entry));
    }
  }

  /** Takes the address out of whatever list it is in; returns that list, 0 when there was none. */
  unlink(page: Page, address: number): number {
    const list = this.#lists.remove(page, address);
    if (list < this.#firstList) return list;
    const share = this.#shares[page.pool[address & 255]!]!;
    const kind = kindOf(share, list);
    this.#count(share, kind, address, -1);
    this.#noteFirst(share, kind, list);
    return list;
  }

  /** The address's reservation has ended. */
  open(address: number): void {
    const pool = this.#plan.poolAt(address);
    if (pool < 0) return;
    this.#plan.unreserved[pool]!++;
    let page = this.#pages.peek(address);
    const s = address & 255;
    const touched = page !== undefined && (page.flags[s]! & TOUCHED) !== 0;
    if (page !== undefined) page.flags[s]! |= SHARED;
    const share = this.#shares[pool];
    if (share === undefined) {
      if (!touched) return;
      // The share is made now and takes the address for never used.
      this.#share(pool).addUnused(address, -1);
    } else if (!touched) {
      if (!share.hasPassed(address)) {
        share.addUnused(address, 1);
        return;
      }
      page ??= this.#pages.of(address);
      page.flags[s]! |= TOUCHED;
    }
    if (page!.list[s] === 0 && page!.state[s] !== BindingState.ACTIVE) this.file(page!, address);
  }

  // ── taking ───────────────────────────────────────────────────────────────────────────────────

  /** As `LeaseTable.allocate`. */
  allocate(pools: readonly number[], slots: SlotChoice, preferredHome: string, clientHash: number, second: number): number {
    for (const home of [preferredHome, undefined]) {
      for (const pool of pools) {
        if (this.freeTotal(pool) === 0) continue;
        const address = this.#take(pool, slots, home, clientHash, second);
        if (address !== 0) return address;
      }
    }
    return 0;
  }

  #take(pool: number, slots: SlotChoice, home: string | undefined, clientHash: number, second: number): number {
    const share = this.#share(pool);
    const { allocation } = this.#plan.pools[pool]!;
    let candidate = 0;
    if (allocation !== 'iterative') {
      const start = allocation === 'random' ? candidateHash(this.#seed, this.#drawn++) : clientHash;
      candidate = this.#candidate(share, slots, home, start, second);
      if (candidate !== 0 && !this.#hasRecord(candidate)) return candidate;
    }
    // An address that another client had, and may want again, only when there is nothing else.
    return this.#neverUsed(share, slots, home) || candidate || this.#longestFree(share, slots, home, second);
  }

  /**
   * Of the addresses that follow from `start`, whoever asks and whatever is taken, the first that is free
   * and nobody's; else the first that is free; 0 when none of them is.
   */
  #candidate(share: PoolShare, slots: SlotChoice, home: string | undefined, start: number, second: number): number {
    let freed = 0;
    for (let i = 0; i < ALLOCATION_PROBES_MAX; i++) {
      const address = share.addressAt(Math.floor((candidateHash(start, i) * share.size) / 2 ** 32));
      if (!mayTake(slots, address & 255, home) || !this.#isFree(share, address, second)) continue;
      if (!this.#hasRecord(address)) return address;
      freed ||= address;
    }
    return freed;
  }

  #hasRecord(address: number): boolean {
    return (this.#pages.peek(address)?.state[address & 255] ?? 0) !== 0;
  }

  #isFree(share: PoolShare, address: number, second: number): boolean {
    const page = this.#pages.peek(address);
    if (page === undefined) return !this.#plan.isReserved(address);
    const s = address & 255;
    if ((page.flags[s]! & TOUCHED) === 0) return isOpen(page, s);
    const list = page.list[s]!;
    if (list < this.#firstList || kindOf(share, list) === ABANDONED) return false;
    return page.state[s] === 0 || page.due[s]! <= second;
  }

  /** A never-used address of an owned slot at `home` (undefined: at any), 0 when there is none. */
  #neverUsed(share: PoolShare, slots: SlotChoice, home: string | undefined): number {
    if (share.unusedTotal === 0) return 0;
    for (let i = 0; i < share.width; i++) {
      const entry = (share.turn + i) % share.width;
      if (share.unused[entry] === 0 || !mayTake(slots, share.slotOf(entry), home)) continue;
      share.turn = (entry + 1) % share.width;
      return this.#lists.first(listOf(share, FRESH, entry)) || share.neverUsed(entry, this.#isTouched);
    }
    return 0;
  }

  readonly #isTouched = (address: number): boolean =>
    ((this.#pages.peek(address)?.flags[address & 255] ?? 0) & TOUCHED) !== 0 || this.#plan.isReserved(address);

  /** The same for used ones past their reuse time; the one free for longest, by the heads of the slots' lists. */
  #longestFree(share: PoolShare, slots: SlotChoice, home: string | undefined, second: number): number {
    for (;;) {
      let best = -1;
      for (let entry = 0; entry < share.width; entry++) {
        if (share.free[entry] === share.unused[entry] || !mayTake(slots, share.slotOf(entry), home)) continue;
        if (best < 0 || share.freedSince[entry]! < share.freedSince[best]!) best = entry;
      }
      if (best < 0) return 0;
      const address = this.#lists.first(listOf(share, FREED, best));
      const page = this.#pages.of(address);
      const s = address & 255;
      if (page.state[s] === 0 || page.due[s]! <= second) return address;
      this.#waitAgain(address);
    }
  }

  /** Of the owned slots' ABANDONED addresses in these pools past their reuse time the oldest, by the heads of their lists. */
  oldestAbandoned(pools: readonly number[], slots: SlotChoice, second: number): number {
    for (;;) {
      let best = 0;
      for (const pool of pools) {
        const share = this.#shares[pool];
        if (share === undefined || share.abandonedTotal === 0) continue;
        for (let entry = 0; entry < share.width; entry++) {
          const address = this.#lists.first(listOf(share, ABANDONED, entry));
          if (address === 0 || !slots.owns(address & 255)) continue;
          if (best === 0 || this.#dueOf(address) < this.#dueOf(best)) best = address;
        }
      }
      if (best === 0 || this.#dueOf(best) <= second) return best;
      this.#waitAgain(best);
    }
  }

  /** The wall clock stepped back: the address's reuse time lies ahead again. */
  #waitAgain(address: number): void {
    const page = this.#pages.of(address);
    this.unlink(page, address);
    this.#due.add(page, address);
  }

  // ── shares and their lists ───────────────────────────────────────────────────────────────────

  #share(pool: number): PoolShare {
    let share = this.#shares[pool];
    if (share === undefined) {
      const { ranges } = this.#plan.pools[pool]!;
      share = new PoolShare(ranges, this.#plan.reservedIn(pool));
      share.firstList = this.#lists.add(KINDS * share.width);
      this.#shares[pool] = share;
    }
    return share;
  }

  /** The list that an open address goes into. */
  #listFor(share: PoolShare, page: Page, address: number): number {
    const s = address & 255;
    const free = (page.flags[s]! & USED) === 0 ? FRESH : FREED;
    return listOf(share, page.state[s] === BindingState.ABANDONED ? ABANDONED : free, share.entryOf(address));
  }

  /** The address has come into a list of this kind, or has left it. */
  #count(share: PoolShare, kind: number, address: number, count: 1 | -1): void {
    if (kind === FRESH) share.addUnused(address, count);
    else if (kind === FREED) share.addFreed(address, count);
    else share.abandonedTotal += count;
  }

  /** The list may begin with another address. */
  #noteFirst(share: PoolShare, kind: number, list: number): void {
    const first = kind === FREED ? this.#lists.first(list) : 0;
    if (first !== 0) share.freedSince[share.entryOf(first)] = this.#dueOf(first);
  }

  #dueOf(address: number): number {
    return this.#pages.of(address).due[address & 255]!;
  }
}

function mayTake(slots: SlotChoice, slot: number, home: string | undefined): boolean {
  return slots.owns(slot) && (home === undefined || slots.homeOf(slot) === home);
}

/** Inside a pool, nobody's reservation, held for nobody and not kept from everybody. */
function isOpen(page: Page, s: number): boolean {
  return (page.flags[s]! & (SHARED | HELD | BLOCKED)) === SHARED;
}

function listOf(share: PoolShare, kind: number, entry: number): number {
  return share.firstList + kind * share.width + entry;
}

function kindOf(share: PoolShare, list: number): number {
  return Math.floor((list - share.firstList) / share.width);
}
