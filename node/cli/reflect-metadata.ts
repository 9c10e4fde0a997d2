/**
 * The three functions of the Reflect metadata proposal that the container within @peculiar/x509 wants to find when it
 * is loaded: notes about classes, found also at what they extend. Imported before it, for the side effect.
 */
type Notes = Map<unknown, unknown>;

const notes = new WeakMap<object, Notes>();

function own(key: unknown, target: object): unknown {
  return notes.get(target)?.get(key);
}

function inherited(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    if (notes.get(at)?.has(key) === true) return own(key, at);
  }
  return undefined;
}

function define(key: unknown, value: unknown, target: object): void {
  const found: Notes = notes.get(target) ?? new Map();
  notes.set(target, found.set(key, value));
}

if (!('getMetadata' in Reflect)) Object.assign(Reflect, { getMetadata: inherited, getOwnMetadata: own, defineMetadata: define });
