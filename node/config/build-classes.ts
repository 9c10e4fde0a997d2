/** The classes of the file, and after them those built-in ones that a subnet or a pool names. */
import { builtInCondition } from '../classes/built-in.ts';
import type { ClassConfig, Condition } from '../classes/types.ts';
import { buildOverlay, NO_OVERLAY } from './build-scopes.ts';
import { readCondition } from './condition.ts';
import type { ClassFile } from './schema.ts';
import type { OptionCatalogue } from '../codec/options.ts';

/** Clients are put into it otherwise. */
const NOBODY: Condition = { kind: 'any', of: [] };

export class ClassTable {
  readonly classes: ClassConfig[] = [];
  readonly #indexes = new Map<string, number>();

  constructor(files: readonly ClassFile[], catalogue: OptionCatalogue) {
    const names = files.map(({ name }) => name);
    for (const { name, match, identity, drop, ...settings } of files) {
      const condition = match === undefined ? NOBODY : readCondition(match, [], {
        catalogue, names, earlier: this.#indexes,
        report: (path, message) => { throw new Error(`a condition that was found right is not: ${path.join('.')}: ${message}`); },
      })!;
      const index = this.classes.length;
      this.classes.push({ index, name, condition, overlay: buildOverlay(settings, catalogue), ...(identity === undefined ? {} : { identity }), drop });
      this.#indexes.set(name, index);
    }
  }

  /** Of a class of the file, or a built-in one, which becomes a class of its own here. */
  indexOf(name: string): number {
    const known = this.#indexes.get(name);
    if (known !== undefined) return known;
    const index = this.classes.length;
    this.classes.push({ index, name, condition: builtInCondition(name)!, overlay: NO_OVERLAY, drop: false });
    this.#indexes.set(name, index);
    return index;
  }
}
