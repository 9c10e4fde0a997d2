/**
 * The classes that a client is in, and what they say together. Equal sets are one object as long as the
 * table remembers them, so that what is made for a set can be kept under its id. An id is never used twice.
 */
import type { BootFields, ClassGuard, ConfiguredOption, Identity, LeaseTimes, Overlay } from '../config/types.ts';
import { CLASS_SETS_MAX } from '../limits.ts';
import type { ClassConfig } from './types.ts';

export interface ClassSet {
  /** Of this matcher, and of no other set of it; 0: no class. */
  readonly id: number;
  has(index: number): boolean;
  /** Ascending. */
  readonly indexes: readonly number[];
  /** One of the classes wants no answer for its clients. */
  readonly drop: boolean;
  /** The first one that any of the classes sets. */
  readonly identity: Identity | undefined;
  /** Only where these classes are named as let in its clients get an address: see `isLetIn`. */
  readonly confined: boolean;
  /** Of what several classes set the earliest one's value; options in order of code. */
  readonly overlay: Overlay;
}

export const NO_CLASSES: ClassSet = {
  id: 0, has: () => false, indexes: [], drop: false, identity: undefined, confined: false, overlay: { options: [] },
};

/** Whether a client of these classes may have an address behind the guard. */
export function mayPass(set: ClassSet, { allow, deny }: ClassGuard): boolean {
  for (let i = 0; i < deny.length; i++) if (set.has(deny[i]!)) return false;
  if (allow === undefined) return true;
  for (let i = 0; i < allow.length; i++) if (set.has(allow[i]!)) return true;
  return false;
}

/** The same for an address behind the guards of its subnet and its pool: a confined client must be named by one of them. */
export function isLetIn(set: ClassSet, subnet: ClassGuard, pool: ClassGuard): boolean {
  return mayPass(set, subnet) && mayPass(set, pool) && (!set.confined || subnet.allow !== undefined || pool.allow !== undefined);
}

class MatchedClasses implements ClassSet {
  readonly id: number;
  readonly indexes: readonly number[];
  readonly drop: boolean;
  readonly identity: Identity | undefined;
  readonly confined: boolean;
  readonly overlay: Overlay;
  /** A bit a class. */
  readonly #bits: Uint32Array;

  constructor(id: number, indexes: readonly number[], classes: readonly ClassConfig[], confined = false) {
    const matched = indexes.map((index) => classes[index]!);
    this.id = id;
    this.indexes = indexes;
    this.confined = confined;
    this.drop = matched.some(({ drop }) => drop);
    this.identity = matched.find(({ identity }) => identity !== undefined)?.identity;
    this.overlay = mergeOverlays(matched.map(({ overlay }) => overlay));
    this.#bits = new Uint32Array((classes.length + 31) >>> 5);
    for (const index of indexes) this.#bits[index >>> 5]! |= 1 << (index & 31);
  }

  has(index: number): boolean {
    return ((this.#bits[index >>> 5] ?? 0) & (1 << (index & 31))) !== 0;
  }
}

/** All sets that were met lately, by the hash of their indexes. */
export class ClassSets {
  readonly #classes: readonly ClassConfig[];
  readonly #byHash = new Map<number, ClassSet[]>();
  readonly #confined = new Map<number, ClassSet>();
  #size = 0;
  #lastId = 0;

  constructor(classes: readonly ClassConfig[]) {
    this.#classes = classes;
  }

  /** The set of the first `count` of these indexes, which ascend. */
  find(indexes: Uint32Array, count: number): ClassSet {
    if (count === 0) return NO_CLASSES;
    let hash = count;
    for (let i = 0; i < count; i++) hash = Math.imul(hash ^ indexes[i]!, 0x9e37_79b1) ^ (hash >>> 15);
    const known = this.#byHash.get(hash);
    if (known !== undefined) {
      for (let i = 0; i < known.length; i++) if (isSame(known[i]!.indexes, indexes, count)) return known[i]!;
    }
    return this.#make(hash, Array.from(indexes.subarray(0, count)));
  }

  /** This class alone, whose clients get an address nowhere else than where it is let in. */
  confinedTo(index: number): ClassSet {
    let set = this.#confined.get(index);
    if (set === undefined) this.#confined.set(index, set = new MatchedClasses(++this.#lastId, [index], this.#classes, true));
    return set;
  }

  #make(hash: number, indexes: readonly number[]): ClassSet {
    if (this.#size === CLASS_SETS_MAX) {
      this.#byHash.clear();
      this.#size = 0;
    }
    const made = new MatchedClasses(++this.#lastId, indexes, this.#classes);
    const others = this.#byHash.get(hash);
    if (others === undefined) this.#byHash.set(hash, [made]);
    else others.push(made);
    this.#size++;
    return made;
  }
}

function isSame(known: readonly number[], indexes: Uint32Array, count: number): boolean {
  if (known.length !== count) return false;
  for (let i = 0; i < count; i++) if (known[i] !== indexes[i]) return false;
  return true;
}

/** The first overlay that sets something wins. */
function mergeOverlays(overlays: readonly Overlay[]): Overlay {
  let lease: Partial<LeaseTimes> | undefined;
  let boot: Partial<BootFields> | undefined;
  const options = new Map<number, ConfiguredOption>();
  for (const overlay of overlays.toReversed()) {
    if (overlay.lease !== undefined) lease = { ...lease, ...overlay.lease };
    if (overlay.boot !== undefined) boot = { ...boot, ...overlay.boot };
    for (const option of overlay.options) options.set(option.code, option);
  }
  return {
    ...(lease === undefined ? {} : { lease }),
    ...(boot === undefined ? {} : { boot }),
    options: [...options.values()].sort((a, b) => a.code - b.code),
  };
}
