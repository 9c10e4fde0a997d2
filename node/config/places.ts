/** Where the values of a file stand, as the quick reader of YAML met them. */
import { formatPath } from './error.ts';
import type { Mistake, PathPart } from './error.ts';

/** Offsets in the text. */
interface Place {
  readonly key: number;
  /** Of a value that is not there: its key's. */
  readonly value: number;
}

export class Places {
  /** By map or list, what stands under each key of it. */
  readonly #entries = new Map<object, Map<string, Place>>();
  #root: { readonly value: unknown; readonly at: number } = { value: undefined, at: 0 };

  setRoot(value: unknown, at: number): void {
    this.#root = { value, at };
  }

  add(holder: object, key: string | number, place: Place): void {
    const entries = this.#entries.get(holder);
    if (entries === undefined) this.#entries.set(holder, new Map([[String(key), place]]));
    else entries.set(String(key), place);
  }

  /** As deep as the path exists: a missing key is looked for at the map that should have it. */
  offsetOf(path: readonly PathPart[], at: 'value' | 'key'): number {
    let { value, at: offset } = this.#root;
    for (const [depth, part] of path.entries()) {
      if (typeof value !== 'object' || value === null || (Array.isArray(value) && typeof part !== 'number')) return offset;
      const place = this.#entries.get(value)?.get(String(part));
      if (place === undefined) return offset;
      if (at === 'key' && depth === path.length - 1 && !Array.isArray(value)) return place.key;
      offset = place.value;
      value = (value as Readonly<Record<PathPart, unknown>>)[part];
    }
    return offset;
  }
}

/** Makes a mistake of what is wrong at a path. */
export class MistakePlacer {
  readonly #fileName: string;
  readonly #places: Places;
  readonly #lineStarts: number[] = [0];

  constructor(text: string, fileName: string, places: Places) {
    this.#fileName = fileName;
    this.#places = places;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) this.#lineStarts.push(end + 1);
  }

  place(path: readonly PathPart[], message: string, at: 'value' | 'key' = 'value'): Mistake {
    const offset = this.#places.offsetOf(path, at);
    let low = 0;
    let high = this.#lineStarts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#lineStarts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return { file: this.#fileName, line: low + 1, column: offset - this.#lineStarts[low]! + 1, path: formatPath(path), message };
  }
}
