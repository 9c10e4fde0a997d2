/**
 * Where each address stands: its state, when it is due, and the one list that it is in. 24 bytes an
 * address, in typed arrays.
 *
 * Invariants
 * - An address stands in at most one list: waiting for its time, ended, free, or abandoned.
 * - An address is in a free list, or is never touched, exactly if it may be given to anybody: inside a
 *   pool, nobody's reservation, held for nobody, and without a record or past its reuse time.
 * - The lists of all 256 slots are kept; who owns a slot is asked only when an address is taken.
 */
import { SubnetShare } from '../allocation/share.ts';
import type { SubnetConfig } from '../config/types.ts';
import { INFINITE_SECONDS } from '../time.ts';
import { DUE_LISTS, DueWheel, WHEEL_SECONDS } from './due.ts';
import { AddressLists, HELD, NO_SUBNET, Pages, SHARED, TOUCHED, USED } from './pages.ts';
import type { Page } from './pages.ts';
import { BindingState } from './record.ts';
import type { Reservations } from './reservations.ts';
import type { SubnetFinder } from './subnet-finder.ts';

/** Which slots may be given from now, and where they are at home. */
export interface SlotChoice {
  owns(slot: number): boolean;
  homeOf(slot: number): string;
}

// List numbers: 0 none, then one a slot for ended leases, the due lists, and three a slot and subnet.
const ENDED_LISTS = 1;
const DUE_FIRST = ENDED_LISTS + 256;
const SUBNET_FIRST = DUE_FIRST + DUE_LISTS;
const SUBNET_LISTS = 3 * 256;
/** Never used, but passed by already: its hold ended without a lease. */
const FRESH = 0;
/** Used before and free again, longest free first. */
const FREED = 256;
const ABANDONED = 512;

export class AddressStates {
  readonly #subnets: readonly SubnetConfig[];
  readonly #finder: SubnetFinder;
  readonly #reservations: Reservations;
  readonly #pages: Pages;
  readonly #lists: AddressLists;
  readonly #due: DueWheel;
  #shares: SubnetShare[] = [];
  #size = 0;
  /** The slot that `ended` begins with, so that none is kept waiting by the limit. */
  #endedTurn = 0;

  constructor(subnets: readonly SubnetConfig[], finder: SubnetFinder, reservations: Reservations) {
    this.#subnets = subnets;
    this.#finder = finder;
    this.#reservations = reservations;
    this.#pages = new Pages((page, base) => this.#preparePage(page, base));
    this.#lists = new AddressLists(this.#pages, SUBNET_FIRST + subnets.length * SUBNET_LISTS);
    this.#due = new DueWheel(this.#pages, this.#lists, DUE_FIRST);
    this.clear(0);
  }

  /** Forgets everything. Bindings that are set next and were due up to a round of the wheel before `second` are walked in order. */
  clear(second: number): void {
    this.#pages.clear();
    this.#lists.clear();
    this.#size = 0;
    this.#due.reset(second - WHEEL_SECONDS + 1);
    this.#shares = this.#subnets.map(
      (subnet) => new SubnetShare(subnet.pools, subnet.reservations.map((reservation) => reservation.address)),
    );
  }

  /** Bindings with a record. */
  get size(): number {
    return this.#size;
  }

  share(subnetIndex: number): SubnetShare {
    return this.#shares[subnetIndex]!;
  }

  /** The address's page, if anything is kept of it or a neighbour. */
  peek(address: number): Page | undefined {
    return this.#pages.peek(address);
  }

  page(address: number): Page {
    return this.#pages.of(address);
  }

  /** The binding has this state now; `due` as `Page.due` says. */
  set(page: Page, address: number, state: BindingState, due: number): void {
    const s = address & 255;
    this.#touch(page, s);
    this.#unlink(page, address);
    if (page.state[s] === 0) this.#size++;
    else this.#countState(page, s, -1);
    page.state[s] = state;
    page.due[s] = due;
    page.flags[s]! |= USED;
    this.#countState(page, s, 1);
    this.#file(page, address);
  }

  /** The binding has no record any more. */
  free(page: Page, address: number, second: number): void {
    const s = address & 255;
    this.#unlink(page, address);
    this.#countState(page, s, -1);
    this.#size--;
    page.state[s] = 0;
    page.due[s] = second;
    this.#file(page, address);
  }

  /** Moves the address to the end of its list. */
  requeue(page: Page, address: number): void {
    if (this.#lists.remove(page, address) !== 0) this.#file(page, address);
  }

  /** Moves what is due at `second` on: ended leases to where `ended` finds them, reusable addresses to the free ones. */
  advance(second: number, limit: number): void {
    this.#due.walk(second, limit, this.#onDue);
  }

  /** ACTIVE bindings of owned slots whose lease has ended; those returned go to the end of their list. */
  ended(second: number, slots: SlotChoice, limit: number): number[] {
    const found: number[] = [];
    for (let i = 0; i < 256 && found.length < limit; i++) {
      const slot = (this.#endedTurn + i) & 255;
      const list = ENDED_LISTS + slot;
      const first = this.#lists.first(list);
      if (first === 0 || !slots.owns(slot)) continue;
      const last = this.#lists.last(list);
      for (let address = first, ended = false; !ended && found.length < limit;) {
        const page = this.#pages.of(address);
        const next = page.next[slot]!;
        this.#lists.remove(page, address);
        if (page.due[slot]! > second) {
          this.#due.add(page, address); // The wall clock stepped back.
        } else {
          this.#lists.append(list, page, address);
          found.push(address);
        }
        ended = address === last;
        address = next;
      }
    }
    this.#endedTurn = (this.#endedTurn + 1) & 255;
    return found;
  }

  /** A never-used address of an owned slot at `home` (undefined: at any), 0 when there is none. */
  neverUsed(subnetIndex: number, slots: SlotChoice, home: string | undefined): number {
    const share = this.#shares[subnetIndex]!;
    if (share.unusedTotal === 0) return 0;
    for (let i = 0; i < 256; i++) {
      const slot = (share.turn + i) & 255;
      if (share.unused[slot] === 0 || !mayTake(slots, slot, home)) continue;
      share.turn = (slot + 1) & 255;
      return this.#lists.first(this.#subnetList(subnetIndex, FRESH, slot)) || share.neverUsed(slot, this.#isTouched);
    }
    return 0;
  }

  /** The same for used ones past their reuse time; the one free for longest, by the heads of the slots' lists. */
  longestFree(subnetIndex: number, slots: SlotChoice, home: string | undefined, second: number): number {
    const share = this.#shares[subnetIndex]!;
    for (;;) {
      let best = -1;
      for (let slot = 0; slot < 256; slot++) {
        if (share.free[slot] === share.unused[slot] || !mayTake(slots, slot, home)) continue;
        if (best < 0 || share.freedSince[slot]! < share.freedSince[best]!) best = slot;
      }
      if (best < 0) return 0;
      const address = this.#lists.first(this.#subnetList(subnetIndex, FREED, best));
      const page = this.#pages.of(address);
      if (page.state[best] === 0 || page.due[best]! <= second) return address;
      // The wall clock stepped back: its reuse time lies ahead again.
      this.#unlink(page, address);
      this.#due.add(page, address);
    }
  }
  /** Of the owned slots' ABANDONED addresses the oldest, by the heads of their lists. */
  oldestAbandoned(subnetIndex: number, slots: SlotChoice): number {
    let best = 0;
    let bestSince = Infinity;
    for (let slot = 0; slot < 256; slot++) {
      const address = this.#lists.first(this.#subnetList(subnetIndex, ABANDONED, slot));
      if (address === 0 || !slots.owns(slot)) continue;
      const since = this.#pages.of(address).due[slot]!;
      if (since < bestSince) {
        best = address;
        bestSince = since;
      }
    }
    return best;
  }

  readonly #isTouched = (address: number): boolean =>
    ((this.#pages.peek(address)?.flags[address & 255] ?? 0) & TOUCHED) !== 0 ||
    this.#reservations.at(address) !== undefined;

  #subnetList(subnetIndex: number, kind: number, slot: number): number {
    return SUBNET_FIRST + subnetIndex * SUBNET_LISTS + kind + slot;
  }

  #countState(page: Page, s: number, count: 1 | -1): void {
    const subnet = page.subnet[s]!;
    if (subnet !== NO_SUBNET) this.#shares[subnet]!.states[page.state[s]!]! += count;
  }

  /** Puts an address that is in no list into the one that its state calls for. */
  #file(page: Page, address: number): void {
    const s = address & 255;
    switch (page.state[s] as BindingState | 0) {
      case BindingState.ACTIVE:
        if (page.due[s] !== INFINITE_SECONDS) this.#due.add(page, address);
        break;
      case BindingState.EXPIRED:
      case BindingState.RELEASED:
        this.#due.add(page, address);
        break;
      case BindingState.ABANDONED:
        if (isOpen(page, s)) this.#lists.append(this.#subnetList(page.subnet[s]!, ABANDONED, s), page, address);
        break;
      default:
        this.#fileFree(page, address);
    }
  }

  #fileFree(page: Page, address: number): void {
    const s = address & 255;
    if (!isOpen(page, s)) return;
    const subnet = page.subnet[s]!;
    const share = this.#shares[subnet]!;
    if ((page.flags[s]! & USED) === 0) {
      this.#lists.append(this.#subnetList(subnet, FRESH, s), page, address);
      share.addUnused(s, 1);
      return;
    }
    const list = this.#subnetList(subnet, FREED, s);
    // What comes back from a hold was first in its list, and takes that place again.
    if (this.#lists.first(list) !== 0 && page.due[s]! < share.freedSince[s]!) this.#lists.prepend(list, page, address);
    else this.#lists.append(list, page, address);
    share.addFreed(s, 1);
    this.#noteFreedSince(share, list, s);
  }

  #noteFreedSince(share: SubnetShare, list: number, s: number): void {
    const first = this.#lists.first(list);
    if (first !== 0) share.freedSince[s] = this.#pages.of(first).due[s]!;
  }

  #unlink(page: Page, address: number): void {
    const list = this.#lists.remove(page, address);
    if (list < SUBNET_FIRST) return;
    const s = address & 255;
    const share = this.#shares[page.subnet[s]!]!;
    const kind = ((list - SUBNET_FIRST) % SUBNET_LISTS) - s;
    if (kind === FRESH) share.addUnused(s, -1);
    if (kind !== FREED) return;
    share.addFreed(s, -1);
    this.#noteFreedSince(share, list, s);
  }

  /** The never-used cursor need not look at this address any more. */
  #touch(page: Page, s: number): void {
    if ((page.flags[s]! & TOUCHED) !== 0) return;
    page.flags[s]! |= TOUCHED;
    if ((page.flags[s]! & SHARED) !== 0) this.#shares[page.subnet[s]!]!.addUnused(s, -1);
  }

  readonly #onDue = (page: Page, address: number): void => {
    const s = address & 255;
    if (page.state[s] === BindingState.ACTIVE) this.#lists.append(ENDED_LISTS + s, page, address);
    else this.#fileFree(page, address);
  };

  /** The address is held: it is free for nobody else. */
  hold(address: number): void {
    const page = this.#pages.of(address);
    const s = address & 255;
    this.#touch(page, s);
    page.flags[s]! |= HELD;
    if (page.list[s]! >= SUBNET_FIRST) this.#unlink(page, address);
  }

  endHold(address: number): void {
    const page = this.#pages.of(address);
    const s = address & 255;
    page.flags[s]! &= ~HELD;
    if (page.list[s] !== 0) return;
    const state = page.state[s] as BindingState | 0;
    if (state === BindingState.ABANDONED && isOpen(page, s)) {
      this.#lists.prepend(this.#subnetList(page.subnet[s]!, ABANDONED, s), page, address);
    } else if (state !== BindingState.ACTIVE && state !== BindingState.ABANDONED) {
      // An EXPIRED or RELEASED one that waits for nothing any more has passed its reuse time.
      this.#fileFree(page, address);
    }
  }

  #preparePage(page: Page, base: number): void {
    const first = this.#finder.find(base);
    const uniform = first >= 0 && this.#finder.find(base + 255) === first;
    for (let s = 0; s < 256; s++) {
      const subnet = uniform ? first : this.#finder.find(base + s);
      page.subnet[s] = subnet < 0 ? NO_SUBNET : subnet;
      if (subnet >= 0 && this.#shares[subnet]!.inPool(base + s) && this.#reservations.at(base + s) === undefined) page.flags[s] = SHARED;
    }
  }
}

function mayTake(slots: SlotChoice, slot: number, home: string | undefined): boolean {
  return slots.owns(slot) && (home === undefined || slots.homeOf(slot) === home);
}

/** Inside a pool, nobody's reservation, and held for nobody. */
function isOpen(page: Page, s: number): boolean {
  return (page.flags[s]! & (SHARED | HELD)) === SHARED;
}
