/**
 * What is made of some of etcd's keys (their values and when they were created), kept for as long as that
 * stays as it is: nearly every read shows the same.
 */
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

/** By the bytes too: after a restore of etcd an old revision may stand for something else. */
function areSame(one: readonly EtcdKeyValue[], other: readonly EtcdKeyValue[]): boolean {
  return one.length === other.length && one.every(({ createRevision, key, value }, i) => {
    const pair = other[i]!;
    return pair.createRevision === createRevision && pair.key === key && pair.value.equals(value);
  });
}
