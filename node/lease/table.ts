/**
 * What is known of every binding, in memory: which client has which address, what is free, what is due.
 * Pure: no disk of its own, no clock. The records themselves lie in the store; here is what finds them,
 * rebuilt from the store at every start.
 *
 * Invariant: every record of the store, flushed or not, is in the indexes, under its own client key.
 */
import { OfferBook } from '../allocation/offers.ts';
import type { ClusterConfig, Reservation } from '../config/types.ts';
import { dnsWork } from '../ddns/entries.ts';
import { LOAD_PAGE_RECORDS, OFFER_HOLD_MS, OFFERS_MAX } from '../limits.ts';
import { wallSeconds } from '../time.ts';
import type { Now } from '../time.ts';
import { AddressPlan } from './address-plan.ts';
import { AddressStates } from './address-states.ts';
import { CircuitCounts } from './circuits.ts';
import { DnsMarks } from './dns-marks.ts';
import { fingerprint, FingerprintIndex, sameBytes } from './fingerprint.ts';
import { recordsOf } from './merged-records.ts';
import { BLOCKED, HELD } from './pages.ts';
import type { Page } from './pages.ts';
import type { SlotChoice } from './pool-lists.ts';
import {
  BindingState, isNewerRecord, isRecord, recordChaddr, recordClientKey, recordExpires, recordHasClientIdentifier, recordHtype,
  recordLastTransaction, recordState, recordStateSince,
} from './record.ts';
import { hasEnded } from './reservations.ts';
import type { ReservationSubject } from './reservations.ts';
import { reuseSeconds } from './reuse.ts';
import { StoreError } from './store-error.ts';
import type { BindingStore } from './store.ts';

export { circuitKeyOf } from './circuits.ts';
export type { SlotChoice } from './pool-lists.ts';
export type { ReservationSubject } from './reservations.ts';
export { reuseSeconds } from './reuse.ts';

/** What the table needs of the configuration. */
export type TableConfig = Pick<ClusterConfig, 'networks' | 'subnets' | 'pools' | 'reservations' | 'limits' | 'maxClockSkewMs'>;

/** Nobody else may ever get a reserved address that was found in use: its client tries again after so long. */
const RESERVATION_PROBATION_SECONDS = 600;

/** By length of the hardware address: room to put its type before it. */
const HARDWARE_KEYS = Array.from({ length: 17 }, (_, length) => new Uint8Array(1 + length));

export interface AddressCounts {
  /** Records by state, reservations included. */
  readonly active: number;
  readonly expired: number;
  readonly released: number;
  readonly abandoned: number;
  /** What `allocate` could give if all slots were owned; counts EXPIRED and RELEASED past their reuse time too. */
  readonly free: number;
}

export class LeaseTable {
  /** Holds after a DHCPOFFER; the table keeps held addresses out of its free lists. */
  readonly offers: OfferBook;
  readonly #store: BindingStore;
  readonly #seed: number;
  #config: TableConfig;
  #plan: AddressPlan;
  readonly #states: AddressStates;
  readonly #clients = new FingerprintIndex();
  /** By hardware address; only of bindings whose client key is another. */
  readonly #hardware = new FingerprintIndex();
  readonly #circuits = new CircuitCounts();
  /** Whose binding has something to be done in DNS. */
  readonly dns = new DnsMarks();
  /** Hears of every record that is stored, and of every one that goes (undefined), with the one before; not of those that `load` finds. */
  onChange: ((address: number, record: Buffer | undefined, now: Now, before: Buffer | undefined) => void) | undefined;

  /** `hashSeed`: any number that clients cannot know. */
  constructor(store: BindingStore, config: TableConfig, options: { readonly hashSeed?: number } = {}) {
    this.#store = store;
    this.#seed = options.hashSeed ?? 0;
    this.#config = config;
    this.#circuits.restart(config.limits.leasesPerCircuit > 0);
    this.#plan = new AddressPlan(config, 0);
    this.#states = new AddressStates(this.#plan, this.#seed);
    this.offers = new OfferBook(OFFERS_MAX, OFFER_HOLD_MS, {
      networkOf: (address) => this.networkOf(address),
      onHold: (address) => this.#states.hold(address),
      onEnd: (address) => this.#states.endHold(address),
    }, this.#seed);
  }

  /** Bindings with a record, those outside every subnet included. */
  get size(): number {
    return this.#states.size;
  }

  /** Forgets all indexes and holds and builds them anew from the store. Throws StoreError `corrupt` or `newer-format`. */
  load(now: Now): void {
    this.#clients.clear();
    this.#hardware.clear();
    this.offers.clear();
    this.dns.clear();
    this.#states.clear(wallSeconds(now.wall));
    this.#circuits.restart(this.#config.limits.leasesPerCircuit > 0);
    const abandoned: { address: number; due: number }[] = [];
    let after = -1;
    for (;;) {
      const page = this.records(after, LOAD_PAGE_RECORDS);
      for (const { address, record } of page) {
        if (!isRecord(record)) throw isNewerRecord(record) ? StoreError.newerRecord(address, record[0]!) : StoreError.corruptRecord(address);
        if (recordState(record) === BindingState.ABANDONED) abandoned.push({ address, due: reuseSeconds(record, this.#config.maxClockSkewMs) });
        this.#index(address, record);
        this.#circuits.change(undefined, record);
      }
      if (page.length === 0) break;
      after = page.at(-1)!.address;
    }
    abandoned.sort((a, b) => a.due - b.due);
    for (const { address } of abandoned) this.#states.requeue(this.#states.page(address), address);
    this.advance(now, Infinity);
  }

  /**
   * Another configuration, at once: bindings stay as they are, every hold ends. It reads no records, unless
   * the bindings of relay ports are counted from now on.
   */
  reconfigure(config: TableConfig, now: Now): void {
    const second = wallSeconds(now.wall);
    this.offers.endAll();
    const reuseShift = Math.ceil((config.maxClockSkewMs - this.#config.maxClockSkewMs) / 1000);
    this.#config = config;
    this.#plan = new AddressPlan(config, second);
    this.#states.replan(this.#plan, second, reuseShift);
    const counted = config.limits.leasesPerCircuit > 0;
    if (counted === this.#circuits.areKept) return;
    this.#circuits.restart(counted);
    if (counted) this.#countCircuits();
  }

  #countCircuits(): void {
    for (let after = -1; ;) {
      const page = this.records(after, LOAD_PAGE_RECORDS);
      if (page.length === 0) return;
      for (const { record } of page) this.#circuits.change(undefined, record);
      after = page.at(-1)!.address;
    }
  }

  /** Nobody is given the address, whoever has it or may have it, until it is unblocked. */
  setBlocked(address: number, blocked: boolean): void {
    if (blocked) this.offers.release(address);
    this.#states.setBlocked(address, blocked);
  }

  /** Index into the configured subnets; -1 when the address lies in none. */
  subnetOf(address: number): number {
    return this.#plan.subnetAt(address);
  }

  /** Index of the network that the address's subnet belongs to; -1 when it lies in none. */
  networkOf(address: number): number {
    return this.#plan.networkAt(address);
  }

  /** Index of the pool whose ranges the address lies in, reserved or not; -1 when there is none. */
  poolOf(address: number): number {
    return this.#plan.poolAt(address);
  }

  read(address: number): Buffer | undefined {
    return this.#store.read(address);
  }

  /** Stores and indexes a record, own change or replicated one alike; returns the store's position. `existing`: what `read` has just said, if it was asked. */
  put(address: number, record: Buffer, now: Now, existing?: Buffer): number {
    const before = existing ?? this.#readBefore(address);
    if (this.#circuits.areKept) this.#circuits.change(this.#readActive(address), record);
    const position = this.#store.put(address, record);
    const state = recordState(record);
    const moved = this.#index(address, record);
    if (state === BindingState.ACTIVE || (moved && state === BindingState.ABANDONED)) this.offers.release(address);
    this.onChange?.(address, record, now, before);
    return position;
  }

  /** The binding becomes FREE: its record goes. Returns the store's position. */
  remove(address: number, now: Now): number {
    if (this.#circuits.areKept) this.#circuits.change(this.#readActive(address), undefined);
    const before = this.#readBefore(address);
    const position = this.#store.put(address, null);
    this.onChange?.(address, undefined, now, before);
    const page = this.#states.page(address);
    const s = address & 255;
    if (page.state[s] === 0) return position;
    if (page.print[s] !== 0) this.#clients.delete(page.print[s]!, address);
    page.print[s] = 0;
    this.#indexHardware(page, address, 0);
    this.dns.set(page, address, false);
    this.#states.free(page, address, wallSeconds(now.wall));
    return position;
  }

  /** For who listens: an address without a record costs nothing. */
  #readBefore(address: number): Buffer | undefined {
    const state = this.onChange === undefined ? undefined : this.#states.peek(address)?.state[address & 255];
    return state === undefined || state === 0 ? undefined : this.#store.read(address);
  }

  /** The address's record, if it is ACTIVE. */
  #readActive(address: number): Buffer | undefined {
    return this.#states.peek(address)?.state[address & 255] === BindingState.ACTIVE ? this.#store.read(address) : undefined;
  }

  /**
   * ACTIVE bindings whose option 82 names this relay port (`circuitKeyOf`); 0 unless they are counted,
   * which `limits.leasesPerCircuit` says.
   */
  activeOnCircuit(key: string): number {
    return this.#circuits.active(key);
  }

  /**
   * The client's binding in the network: the ACTIVE one, else the one with the most recent transaction
   * among EXPIRED and RELEASED; 0 when there is none.
   */
  findByClient(clientKey: Uint8Array, networkIndex: number): number {
    const print = this.#print(clientKey);
    let best = 0;
    let bestRank = -1;
    for (let at = this.#clients.find(print); at >= 0; at = this.#clients.find(print, at)) {
      const address = this.#clients.valueAt(at);
      const page = this.#states.page(address);
      const state = page.state[address & 255]!;
      if (state === BindingState.ABANDONED || this.#plan.networkOf(page.subnet[address & 255]!) !== networkIndex) continue;
      const record = this.#store.read(address)!;
      if (!sameBytes(recordClientKey(record), clientKey)) continue;
      const rank = recordLastTransaction(record) + (state === BindingState.ACTIVE ? 2 ** 32 : 0);
      if (rank > bestRank) {
        best = address;
        bestRank = rank;
      }
    }
    return best;
  }

  /** Every binding of a client in any network and state. */
  findAllByClient(clientKey: Uint8Array): number[] {
    const print = this.#print(clientKey);
    const found: number[] = [];
    for (let at = this.#clients.find(print); at >= 0; at = this.#clients.find(print, at)) {
      const address = this.#clients.valueAt(at);
      if (sameBytes(recordClientKey(this.#store.read(address)!), clientKey)) found.push(address);
    }
    return found;
  }

  /** Every binding, in any network and state, of a client with this hardware address: htype, then chaddr. */
  findAllByHardware(hardware: Uint8Array): number[] {
    const found = this.findAllByClient(hardware).filter((address) => !recordHasClientIdentifier(this.#store.read(address)!));
    const print = this.#print(hardware);
    for (let at = this.#hardware.find(print); at >= 0; at = this.#hardware.find(print, at)) {
      const address = this.#hardware.valueAt(at);
      const record = this.#store.read(address)!;
      if (recordHtype(record) === hardware[0] && sameBytes(recordChaddr(record), hardware.subarray(1))) found.push(address);
    }
    return found;
  }

  /**
   * What is reserved for the client in the network. All identifiers that a reservation sets must match.
   * The network's own goes before a global one, more identifiers before fewer, and then one by clientId,
   * duid, hardware, circuitId, remoteId, relayId.
   */
  reservationFor(networkIndex: number, subject: ReservationSubject, now: Now): Reservation | undefined {
    return this.#plan.reservations.find(networkIndex, subject, wallSeconds(now.wall));
  }

  /** Whose reservation the address is, until `advance` finds that it has ended. */
  reservationAt(address: number): Reservation | undefined {
    return this.#plan.reservations.at(address);
  }

  /** Whether the address is somebody's by a reservation that has not ended, noticed or not. */
  isReserved(address: number, now: Now): boolean {
    const reservation = this.reservationAt(address);
    return reservation !== undefined && !hasEnded(reservation, wallSeconds(now.wall));
  }

  /**
   * Whether the address may be given to this client now. Its own earlier address always; somebody else's
   * only past its reuse time; inside a pool, or reserved for this very client; held for nobody else, not
   * ABANDONED. A client that has it ACTIVE may be given it again.
   */
  mayGive(address: number, clientKey: Uint8Array, networkIndex: number, now: Now, reservedForClient: boolean): boolean {
    if (networkIndex < 0 || this.networkOf(address) !== networkIndex) return false;
    if (!reservedForClient && (this.isReserved(address, now) || this.poolOf(address) < 0)) return false;
    const page = this.#states.peek(address);
    if (page === undefined) return true;
    const s = address & 255;
    if ((page.flags[s]! & BLOCKED) !== 0) return false;
    if ((page.flags[s]! & HELD) !== 0 && !this.offers.isHeldBy(address, clientKey)) return false;
    switch (page.state[s] as BindingState | 0) {
      case 0:
      case BindingState.FREE:
        return true;
      case BindingState.ABANDONED:
        return reservedForClient && this.#isOverProbation(address, clientKey, now);
      case BindingState.ACTIVE:
        return this.#isClient(page, address, clientKey);
      default:
        return page.due[s]! <= wallSeconds(now.wall) || this.#isClient(page, address, clientKey);
    }
  }

  /** Whoever declined it may use it all the same, if its next request overtook the DHCPDECLINE: until that lease would have ended. */
  #isOverProbation(address: number, clientKey: Uint8Array, now: Now): boolean {
    const second = wallSeconds(now.wall);
    const record = this.read(address);
    if (record === undefined || second - recordStateSince(record) < RESERVATION_PROBATION_SECONDS) return false;
    return sameBytes(recordClientKey(record), clientKey) || reuseSeconds(record, this.#config.maxClockSkewMs) <= second;
  }

  /**
   * A free address of these pools, in the order given; 0 when no owned slot has any. Slots whose home is
   * `preferredHome` go first, in all pools, then any owned one. Which address of a pool says its method:
   * - iterative: never-used ones in order, then the longest free;
   * - random: any that no client had; one that was had before only if there are no others;
   * - hashed: as random, but where to look follows from `clientHash` (32 bits) alone.
   * It marks nothing: hold it in `offers`, or put its record, before the next call.
   */
  allocate(pools: readonly number[], slots: SlotChoice, preferredHome: string, clientHash: number, now: Now): number {
    return this.#states.pools.allocate(pools, slots, preferredHome, clientHash, wallSeconds(now.wall));
  }

  /**
   * For when nothing else is free: of the abandoned addresses in owned slots of these pools that no client
   * may still go by, the one for which that is so longest; 0 when there is none.
   */
  allocateAbandoned(pools: readonly number[], slots: SlotChoice, now: Now): number {
    return this.#states.pools.oldestAbandoned(pools, slots, wallSeconds(now.wall));
  }

  /**
   * ACTIVE bindings of owned slots whose lease has ended, at most `limit`, for the caller to make
   * EXPIRED. Those that stay ACTIVE come again, after the others.
   */
  ended(now: Now, slots: SlotChoice, limit: number): number[] {
    const second = wallSeconds(now.wall);
    this.#states.advance(second, limit);
    return this.#states.ended(second, slots, limit);
  }

  /**
   * Ends holds and reservations, and lets addresses whose reuse time has come into the free lists, at most
   * `limit` of each. For every turn.
   */
  advance(now: Now, limit: number): void {
    const second = wallSeconds(now.wall);
    this.offers.expire(now);
    for (let ended = 0; ended < limit; ended++) {
      const address = this.#plan.reservations.endNext(second);
      if (address === undefined) break;
      if (address !== 0) this.#states.pools.open(address);
    }
    this.#states.advance(second, limit);
  }

  /** Of the whole subnet, in its pools or not. */
  counts(subnetIndex: number): AddressCounts {
    const { pools = [] } = this.#config.subnets[subnetIndex] ?? {};
    const free = pools.reduce((sum, { index }) => sum + this.#states.pools.freeTotal(index), 0);
    return this.#counts(free, (state) => this.#states.countInSubnet(subnetIndex, state));
  }

  poolCounts(poolIndex: number): AddressCounts {
    return this.#counts(this.#states.pools.freeTotal(poolIndex), (state) => this.#states.countInPool(poolIndex, state));
  }

  #counts(free: number, of: (state: BindingState) => number): AddressCounts {
    return {
      active: of(BindingState.ACTIVE), expired: of(BindingState.EXPIRED), released: of(BindingState.RELEASED),
      abandoned: of(BindingState.ABANDONED), free,
    };
  }

  /** Free addresses of a pool by slot, 256 entries. */
  freeBySlot(poolIndex: number): Float64Array {
    return this.freeOfPools([poolIndex]);
  }

  /** The same of several pools together: which other owner has addresses for them. */
  freeOfPools(pools: readonly number[]): Float64Array {
    const sum = new Float64Array(256);
    for (const pool of pools) if (this.#states.pools.freeTotal(pool) > 0) this.#states.pools.addFreeBySlot(pool, sum);
    return sum;
  }

  /** The newest records in order of address, those above `after` (-1: from the start); empty only at the end. */
  records(after: number, limit: number): { address: number; record: Buffer }[] {
    return recordsOf(this.#store, after, limit);
  }

  #print(clientKey: Uint8Array): number {
    return fingerprint(clientKey, this.#seed);
  }

  #isClient(page: Page, address: number, clientKey: Uint8Array): boolean {
    if (page.print[address & 255] !== this.#print(clientKey)) return false;
    return sameBytes(recordClientKey(this.#store.read(address)!), clientKey);
  }

  /** Whether the address stands elsewhere than before. */
  #index(address: number, record: Buffer): boolean {
    const page = this.#states.page(address);
    const state = recordState(record);
    this.#indexClient(page, address, recordClientKey(record));
    this.#indexHardware(page, address, recordHasClientIdentifier(record) ? this.#hardwarePrint(record) : 0);
    this.dns.set(page, address, dnsWork(record));
    return this.#states.set(page, address, state, state === BindingState.ACTIVE ? recordExpires(record) : reuseSeconds(record, this.#config.maxClockSkewMs));
  }

  /** A binding whose client key is the hardware address is found by that. */
  #indexHardware(page: Page, address: number, print: number): void {
    const s = address & 255;
    const before = page.hardwarePrint[s]!;
    if (before === print) return;
    if (before !== 0) this.#hardware.delete(before, address);
    if (print !== 0) this.#hardware.add(print, address);
    page.hardwarePrint[s] = print;
  }

  #hardwarePrint(record: Buffer): number {
    const chaddr = recordChaddr(record);
    if (chaddr.length === 0) return 0;
    const key = HARDWARE_KEYS[chaddr.length]!;
    key[0] = recordHtype(record);
    for (let i = 0; i < chaddr.length; i++) key[i + 1] = chaddr[i]!;
    return this.#print(key);
  }

  /** An empty key names nobody. */
  #indexClient(page: Page, address: number, clientKey: Uint8Array): void {
    const s = address & 255;
    const before = page.print[s]!;
    const print = clientKey.length === 0 ? 0 : this.#print(clientKey);
    if (before === print) return;
    if (before !== 0) this.#clients.delete(before, address);
    if (print !== 0) this.#clients.add(print, address);
    page.print[s] = print;
  }
}
