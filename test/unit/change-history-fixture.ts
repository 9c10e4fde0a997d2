/** A history on a disk in memory, and what a reader of that disk finds. */
import assert from 'node:assert/strict';
import { BindingState, writeStamp } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import type { WriteBatch } from '../../node/lease/store.ts';
import { ChangeHistory } from '../../node/leasequery/change-history.ts';
import type { HistoryLimits } from '../../node/leasequery/change-history.ts';
import { historyKey, historyNumber, readChunk } from '../../node/leasequery/history-chunk.ts';
import type { BindingChange } from '../../node/leasequery/history-chunk.ts';
import { SimDisk } from '../sim/disk.ts';
import { at, recordOf } from './lease-model.ts';

export const T = 1_800_000_000;
export const LARGE: HistoryLimits = { seconds: 1_000_000, bytes: 2 ** 40 };

export function stamped(incarnation: number, seq: number, client = `client ${seq}`): Buffer {
  const record = recordOf({ state: BindingState.ACTIVE, client, since: T, lastTransaction: T, expires: T + 600, leaseSeconds: 600 });
  writeStamp(record, { epoch: 1, incarnation, seq });
  return record;
}

export class HistoryHost {
  disk = new SimDisk();
  store = new BindingStore(this.disk);
  history: ChangeHistory;
  limits: HistoryLimits | undefined;
  second = T;
  #seq = 0;

  constructor(limits: HistoryLimits | 'off' = LARGE) {
    this.limits = limits === 'off' ? undefined : limits;
    this.history = new ChangeHistory(this.store, this.limits, at(this.second));
  }

  configure(limits: HistoryLimits | undefined): void {
    this.limits = limits;
    this.history.configure(limits, at(this.second));
  }

  /** As the table does it. */
  put(address: number, record = stamped(1, ++this.#seq)): Buffer {
    const before = this.store.read(address);
    this.store.put(address, record);
    this.history.add(address, record, at(this.second), before);
    return record;
  }

  remove(address: number): void {
    this.store.put(address, null);
    this.history.add(address, undefined, at(this.second));
  }

  /** What one flush takes; undefined: nothing is to be written. */
  flush(): WriteBatch | undefined {
    this.history.beforeWrites(at(this.second));
    const batch = this.store.takeWrites();
    if (batch === undefined) return undefined;
    this.disk.begin(batch);
    this.disk.complete();
    this.store.flushed(batch.position);
    return batch;
  }

  /** Until nothing is left to be done. */
  settle(): void {
    for (let i = 0; this.flush() !== undefined; i++) assert(i < 10_000, 'it comes to an end');
  }

  /** The process ends, or power is lost: what was not flushed is gone. */
  restart(): void {
    this.disk.crash();
    this.store = new BindingStore(this.disk);
    this.history = new ChangeHistory(this.store, this.limits, at(this.second));
  }

  /** All keys of chunks on the disk. */
  get keys(): string[] {
    return [...this.disk.copy().meta.keys()].filter((key) => historyNumber(key) !== undefined).toSorted();
  }

  /** The changes of the history, read chunk by chunk from the disk. */
  read(): BindingChange[] {
    const changes: BindingChange[] = [];
    for (let number = this.history.firstNumber; number < this.history.nextNumber;) {
      const chunk = this.history.chunkAt(number);
      if (chunk === undefined) break;
      const read = readChunk(historyKey(number), chunk);
      assert(read !== undefined && read[0]!.number === number);
      changes.push(...read);
      number += read.length;
    }
    return changes;
  }
}
