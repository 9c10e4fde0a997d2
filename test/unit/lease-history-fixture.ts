/** A history of leases on a disk in memory, fed as the table feeds it. */
import assert from 'node:assert/strict';
import type { LeaseHistoryLimits } from '../../node/config/types.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import { LeaseHistory } from '../../node/history/lease-history.ts';
import { HistorySearch } from '../../node/history/search.ts';
import type { CurrentBindings, HistoryPeriod, HistorySubject, Tenure } from '../../node/history/search.ts';
import { sameBytes } from '../../node/lease/fingerprint.ts';
import { BindingState, recordClientKey, withState, writeStamp } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { SimDisk } from '../sim/disk.ts';
import { at, ip, recordOf } from './lease-model.ts';

/** A midday, UTC. */
export const T = 1_800_014_400;
export const DAY = 86_400;
export const A = ip('10.0.0.1');
export const B = ip('10.0.0.2');
export const ALWAYS: HistoryPeriod = { from: 0, to: 0xffff_ffff };

export class TenureHost implements CurrentBindings {
  disk = new SimDisk();
  store = new BindingStore(this.disk);
  history: LeaseHistory;
  limits: LeaseHistoryLimits | undefined;
  second = T;
  addresses = new Set<number>();
  #mono = 0;
  #seq = 0;

  constructor(limits: LeaseHistoryLimits | 'off' = { days: 90, bytes: 1e9 }) {
    this.limits = limits === 'off' ? undefined : limits;
    this.history = new LeaseHistory(this.store, this.limits, at(this.second - 1));
  }

  /** As the table does it. */
  put(address: number, record: Buffer): Buffer {
    const before = this.store.read(address);
    writeStamp(record, { epoch: 1, incarnation: 1, seq: ++this.#seq });
    this.store.put(address, record);
    this.addresses.add(address);
    this.history.add(address, before, record, at(this.second));
    return record;
  }

  grant(address: number, client: string, seconds = 600, circuit?: string): Buffer {
    const more = circuit === undefined ? {} : { circuit };
    return this.put(address, recordOf({
      state: BindingState.ACTIVE, client, since: this.second, lastTransaction: this.second, expires: this.second + seconds, leaseSeconds: seconds, ...more,
    }));
  }

  renew(address: number, client: string, since: number, circuit?: string): Buffer {
    const more = circuit === undefined ? {} : { circuit };
    return this.put(address, recordOf({
      state: BindingState.ACTIVE, client, since, lastTransaction: this.second, expires: this.second + 600, leaseSeconds: 600, ...more,
    }));
  }

  end(address: number, state: BindingState): Buffer {
    return this.put(address, withState(this.store.read(address)!, state, this.second));
  }

  /** What one flush takes; false: nothing. */
  flush(isLevel = true): boolean {
    this.#mono += 1000;
    this.history.beforeWrites(at(this.second, this.#mono), isLevel ? this.second : undefined);
    const batch = this.store.takeWrites();
    if (batch === undefined) return false;
    this.disk.begin(batch);
    this.disk.complete();
    this.store.flushed(batch.position);
    return true;
  }

  restart(limits = this.limits): void {
    this.disk.crash();
    this.store = new BindingStore(this.disk);
    this.limits = limits;
    this.history = new LeaseHistory(this.store, limits, at(this.second));
  }

  read(address: number): Buffer | undefined {
    return this.store.read(address);
  }

  findAllByClient(clientKey: Uint8Array): number[] {
    return [...this.addresses].filter((address) => {
      const record = this.store.read(address);
      return record !== undefined && sameBytes(recordClientKey(record), clientKey);
    });
  }

  findAllByHardware(): number[] {
    return [];
  }

  search(subject: HistorySubject, period: HistoryPeriod = ALWAYS, goOnAt = 0): Tenure[] {
    const search = new HistorySearch(this.history, this, subject, period, this.second, goOnAt);
    while (search.step());
    const found = search.result();
    assert(found !== undefined, 'not too much for one day');
    return [...found.tenures, ...(found.goesOnAt === undefined ? [] : this.search(subject, period, found.goesOnAt))];
  }

  /** Newest first: "client address from-to end", in seconds after T. */
  told(subject: HistorySubject, period: HistoryPeriod = ALWAYS): string[] {
    return this.search(subject, period).map(tenureText);
  }

  at(address: number, second: number): string[] {
    return this.told({ address }, { from: second, to: second });
  }

  keys(): string[] {
    return this.store.metaRange('t', 'u', 1e6).map(({ key }) => key);
  }
}

export function tenureText({ end, exact, from, row, to }: Tenure): string {
  return `${row.clientKey.toString()} ${formatIpv4(row.address)} ${from - T}-${to === undefined ? '' : to - T} ${end}${exact ? '' : '?'}`;
}

export function client(name: string): HistorySubject {
  return { client: Buffer.from(name), isHardware: false };
}
