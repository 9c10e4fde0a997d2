/**
 * A YAML file as plain values, with the place of each. YAML 1.2 core schema whatever the file's
 * directives say: `52:54:00:12:34:56` and `yes` are text, not a number in base 60 and a boolean.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, Node, Pair } from 'yaml';
import { CONFIG_ALIASES_MAX } from '../limits.ts';
import { formatPath } from './error.ts';
import type { Mistake, PathPart } from './error.ts';

export class ConfigDocument {
  readonly fileName: string;
  /** Plain values; undefined when the text is no YAML (then `mistakes` says so). */
  readonly value: unknown;
  readonly mistakes: Mistake[] = [];
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();

  constructor(text: string, fileName: string) {
    this.fileName = fileName;
    this.#document = parseDocument(text, {
      version: '1.2', schema: 'core', merge: false, strict: true, uniqueKeys: false,
      lineCounter: this.#lines, prettyErrors: false, logLevel: 'error',
    });
    for (const problem of [...this.#document.errors, ...this.#document.warnings]) {
      this.#addAt(problem.pos[0], '', problem.code === 'MULTIPLE_DOCS' ? 'expected one document in the file, found several' : problem.message);
    }
    this.#checkKeys();
    if (this.mistakes.length > 0) return;
    try {
      this.value = this.#document.toJS({ maxAliasCount: CONFIG_ALIASES_MAX });
    } catch (error) {
      this.#addAt(0, '', error instanceof Error ? error.message : String(error));
    }
  }

  /** Notes a mistake at the value that lies at `path`, or where it would lie if it is missing. */
  add(path: readonly PathPart[], message: string, at: 'value' | 'key' = 'value'): void {
    this.#addAt(this.#offsetOf(path, at), formatPath(path), message);
  }

  #addAt(offset: number, path: string, message: string): void {
    const { line, col } = this.#lines.linePos(offset);
    // An empty file has no lines at all.
    this.mistakes.push({ file: this.fileName, line: Math.max(line, 1), column: Math.max(col, 1), path, message });
  }

  /** Keys must be text or numbers, and differ as text: `3` and `"3"` would become one. */
  #checkKeys(): void {
    visit(this.#document, {
      Map: (_, map) => {
        const seen = new Set<string>();
        for (const { key } of map.items) {
          if (!isScalar(key) || (typeof key.value !== 'string' && typeof key.value !== 'number')) {
            this.#addAt((key as Node | null)?.range?.[0] ?? map.range?.[0] ?? 0, '', 'expected a name as the key');
            continue;
          }
          if (seen.has(String(key.value))) this.#addAt(key.range?.[0] ?? 0, '', `the key ${String(key.value)} stands here twice`);
          seen.add(String(key.value));
        }
      },
    });
  }

  /** As deep as the path exists: a missing key is reported at the map that should have it. */
  #offsetOf(path: readonly PathPart[], at: 'value' | 'key'): number {
    let node: unknown = this.#document.contents;
    let offset = (this.#document.contents as Node | null)?.range?.[0] ?? 0;
    for (const [depth, part] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.#document);
      let next: unknown;
      if (isMap(node)) {
        const pair: Pair | undefined = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
        if (pair === undefined) return offset;
        const key = pair.key as Node;
        if (at === 'key' && depth === path.length - 1) return key.range?.[0] ?? offset;
        // The key stands in for a value that is not there ("pools:").
        offset = key.range?.[0] ?? offset;
        next = pair.value;
      } else if (isSeq(node) && typeof part === 'number') {
        next = node.items[part];
      }
      if (next === undefined) return offset;
      node = next;
      const range = (node as Node | null)?.range;
      if (range && !(isScalar(node) && node.value === null)) offset = range[0];
    }
    return offset;
  }
}
