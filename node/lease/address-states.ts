/**
 * Where each address stands: its state, when it is due, and the one list that it is in. 26 bytes an
 * address, in typed arrays.
 *
 * Invariants
 * - An address stands in at most one list: waiting for its time, ended, free, or abandoned.
 * - What depends on the configuration (pools, shares, their lists, counts) can be made anew from the
 *   states alone; what does not (states, times, the due wheel) stays when the configuration changes.
 */
import { INFINITE_SECONDS } from '../time.ts';
import type { AddressPlan } from './address-plan.ts';
import { DUE_LISTS, DueWheel, WHEEL_SECONDS } from './due.ts';
import { AddressLists, BLOCKED, HELD, NONE, Pages, SHARED, TOUCHED, USED } from './pages.ts';
import type { Page } from './pages.ts';
import { PoolLists } from './pool-lists.ts';
import type { SlotChoice } from './pool-lists.ts';
import { ADDRESSES_BEGIN, BindingState } from './record.ts';

// List numbers: 0 none, then one a slot for ended leases, the due lists, and those of the pools.
const ENDED_LISTS = 1;
const DUE_FIRST = ENDED_LISTS + 256;
const POOL_FIRST = DUE_FIRST + DUE_LISTS;

/** Numbers of a binding's state are below. */
const STATES = BindingState.ABANDONED + 1;

export class AddressStates {
  /** Which addresses may be given to anybody. */
  readonly pools: PoolLists;
  readonly #pages: Pages;
  readonly #lists: AddressLists;
  readonly #due: DueWheel;
  #plan: AddressPlan;
  #size = 0;
  /** Addresses that nobody is given. */
  readonly #blocked = new Set<number>();
  /** Records by state, `STATES` numbers for each pool and each subnet. */
  #byPool = new Uint32Array(0);
  #bySubnet = new Uint32Array(0);
  /** The slot that `ended` begins with, so that none is kept waiting by the limit. */
  #endedTurn = 0;
  /** False: the lists of ended ones are empty, all 256. */
  #someEnded = false;

  /** `seed`: for random allocation. */
  constructor(plan: AddressPlan, seed: number) {
    this.#plan = plan;
    this.#pages = new Pages((page, base) => this.#plan.describe(page, base));
    this.#lists = new AddressLists(this.#pages, POOL_FIRST);
    this.#due = new DueWheel(this.#pages, this.#lists, DUE_FIRST);
    this.pools = new PoolLists(this.#pages, this.#lists, this.#due, POOL_FIRST, plan, seed);
    this.clear(0);
  }

  /** Forgets everything. Bindings that are set next and were due up to a round of the wheel before `second` are walked in order. */
  clear(second: number): void {
    this.#pages.clear();
    this.#lists.clear();
    this.#size = 0;
    this.#due.reset(second - WHEEL_SECONDS + 1);
    this.#restart(this.#plan);
    for (const address of this.#blocked) this.#close(address, BLOCKED);
  }

  /** Begins what depends on the configuration anew. */
  #restart(plan: AddressPlan): void {
    this.#plan = plan;
    this.#byPool = new Uint32Array(plan.pools.length * STATES);
    this.#bySubnet = new Uint32Array(plan.subnetCount * STATES);
    this.pools.restart(plan);
  }

  /**
   * Another configuration: the same addresses in other pools. `reuseShift`: seconds by which the reuse
   * times of ended leases move, since the clock skew allowed for is another one. No address is held now.
   */
  replan(plan: AddressPlan, second: number, reuseShift: number): void {
    this.#restart(plan);
    for (const [base, page] of this.#pages.all()) {
      plan.describe(page, base);
      for (let s = 0; s < 256; s++) if ((page.flags[s]! & TOUCHED) !== 0) this.#move(page, base + s, second, reuseShift);
    }
    this.pools.settle();
  }

  /** Counts the address in its new pool, and files what is not waiting for its time. */
  #move(page: Page, address: number, second: number, reuseShift: number): void {
    const s = address & 255;
    if ((page.flags[s]! & SHARED) !== 0) this.pools.passBy(page, address);
    const state = page.state[s] as BindingState | 0;
    if (state !== 0) this.#countState(page, s, 1);
    // The pools' old lists are gone already.
    const waits = page.list[s] !== 0 && page.list[s]! < POOL_FIRST;
    if (!waits) page.list[s] = 0;
    if (state === BindingState.ACTIVE) return;
    if (isEnded(state)) {
      const before = page.due[s]!;
      const due = before === INFINITE_SECONDS ? before : Math.max(0, Math.min(before + reuseShift, INFINITE_SECONDS));
      page.due[s] = due;
      if (waits && reuseShift !== 0) this.#lists.remove(page, address);
      if (page.list[s] === 0 && due > second) this.#due.add(page, address);
    }
    if (page.list[s] === 0) this.pools.fileLater(page, address);
  }

  /** Bindings with a record. */
  get size(): number {
    return this.#size;
  }

  /** Records of the state in the pool, reservations included. */
  countInPool(pool: number, state: BindingState): number {
    return this.#byPool[pool * STATES + state] ?? 0;
  }

  /** In the subnet, also outside its pools. */
  countInSubnet(subnet: number, state: BindingState): number {
    return this.#bySubnet[subnet * STATES + state] ?? 0;
  }

  /** The address's page, if anything is kept of it or a neighbour. */
  peek(address: number): Page | undefined {
    return this.#pages.peek(address);
  }

  page(address: number): Page {
    return this.#pages.of(address);
  }

  /**
   * The binding has this state now; `due` as `Page.due` says. One that stands where it stood keeps its place in its
   * list: a change that concerns DNS alone makes an address neither longer nor shorter free. Returns whether it moved.
   */
  set(page: Page, address: number, state: BindingState, due: number): boolean {
    const s = address & 255;
    if (page.state[s] === state && page.due[s] === due) return false;
    this.pools.touch(page, address);
    this.pools.unlink(page, address);
    if (page.state[s] === 0) this.#size += address < ADDRESSES_BEGIN ? 0 : 1;
    else this.#countState(page, s, -1);
    page.state[s] = state;
    page.due[s] = due;
    page.flags[s]! |= USED;
    this.#countState(page, s, 1);
    this.#file(page, address);
    return true;
  }

  /** The binding has no record any more. */
  free(page: Page, address: number, second: number): void {
    const s = address & 255;
    this.pools.unlink(page, address);
    this.#countState(page, s, -1);
    this.#size -= address < ADDRESSES_BEGIN ? 0 : 1;
    page.state[s] = 0;
    page.due[s] = second;
    this.#file(page, address);
  }

  /** Moves the address to the end of its list. */
  requeue(page: Page, address: number): void {
    if (this.pools.unlink(page, address) !== 0) this.#file(page, address);
  }

  /** Moves what is due at `second` on: ended leases to where `ended` finds them, reusable addresses to the free ones. */
  advance(second: number, limit: number): void {
    this.#due.walk(second, limit, this.#onDue);
  }

  /** ACTIVE bindings of owned slots whose lease has ended; those returned go to the end of their list. */
  ended(second: number, slots: SlotChoice, limit: number): number[] {
    const found: number[] = [];
    if (!this.#someEnded) return found;
    let some = limit === 0;
    for (let i = 0; i < 256 && found.length < limit; i++) {
      const slot = (this.#endedTurn + i) & 255;
      const list = ENDED_LISTS + slot;
      const first = this.#lists.first(list);
      if (first === 0) continue;
      some = true;
      if (!slots.owns(slot)) continue;
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
    this.#someEnded = some;
    return found;
  }

  /** The address is held: it is free for nobody else. */
  hold(address: number): void {
    this.#close(address, HELD);
  }

  /** The address is free for nobody. */
  setBlocked(address: number, blocked: boolean): void {
    if (blocked) {
      this.#blocked.add(address);
      this.#close(address, BLOCKED);
    } else if (this.#blocked.delete(address)) this.#open(address, BLOCKED);
  }

  #close(address: number, flag: number): void {
    const page = this.#pages.of(address);
    const s = address & 255;
    this.pools.touch(page, address);
    page.flags[s]! |= flag;
    if (page.list[s]! >= POOL_FIRST) this.pools.unlink(page, address);
  }

  endHold(address: number): void {
    this.#open(address, HELD);
  }

  #open(address: number, flag: number): void {
    const page = this.#pages.of(address);
    const s = address & 255;
    page.flags[s]! &= ~flag;
    // An EXPIRED, RELEASED or ABANDONED one that waits for nothing any more has passed its reuse time.
    if (page.list[s] === 0 && page.state[s] !== BindingState.ACTIVE) this.pools.file(page, address);
  }

  #countState(page: Page, s: number, count: 1 | -1): void {
    const state = page.state[s]!;
    if (page.pool[s] !== NONE) this.#byPool[page.pool[s]! * STATES + state]! += count;
    if (page.subnet[s] !== NONE) this.#bySubnet[page.subnet[s]! * STATES + state]! += count;
  }

  /** Puts an address that is in no list into the one that its state calls for. */
  #file(page: Page, address: number): void {
    const s = address & 255;
    const state = page.state[s] as BindingState | 0;
    if (state === BindingState.ACTIVE) {
      if (page.due[s] !== INFINITE_SECONDS) this.#due.add(page, address);
    } else if (isEnded(state)) this.#due.add(page, address);
    else this.pools.file(page, address);
  }

  readonly #onDue = (page: Page, address: number): void => {
    const s = address & 255;
    if (page.state[s] === BindingState.ACTIVE) {
      this.#lists.append(ENDED_LISTS + s, page, address);
      this.#someEnded = true;
    } else this.pools.file(page, address);
  };
}

/** Waiting for its reuse time, or past it. */
function isEnded(state: BindingState | 0): boolean {
  return state === BindingState.EXPIRED || state === BindingState.RELEASED || state === BindingState.ABANDONED;
}
