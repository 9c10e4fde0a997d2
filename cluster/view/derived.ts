/** What is made of some of etcd's keys, kept for as long as they stay as they are: nearly every read shows the same. */
import type { EtcdKeyValue } from '../core/ports.ts';

export class Derived<T> {
  readonly #make: (pairs: readonly EtcdKeyValue[]) => T;
  #pairs: readonly EtcdKeyValue[] = [];
  #value: T | undefined;

  constructor(make: (pairs: readonly EtcdKeyValue[]) => T) {
    this.#make = make;
  }

  of(pairs: readonly EtcdKeyValue[]): T {
    if (this.#value === undefined || !areSame(this.#pairs, pairs)) {
      this.#value = this.#make(pairs);
      this.#pairs = pairs;
    }
    return this.#value;
  }
}

/** The bytes, not the revisions: after a restore of etcd an old revision may stand for something else. */
function areSame(one: readonly EtcdKeyValue[], other: readonly EtcdKeyValue[]): boolean {
  return one.length === other.length && one.every(({ key, value }, i) => other[i]!.key === key && value.equals(other[i]!.value));
}
