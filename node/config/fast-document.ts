/** What ConfigDocument is, for a text that js-yaml reads: places are looked up in the events that it makes of the text. */
import { EVENT_ID, SCALAR_STYLE } from 'js-yaml';
import type { Event } from 'js-yaml';
import { LineCounter } from 'yaml';
import { formatPath } from './error.ts';
import type { Mistake, PathPart } from './error.ts';
import { parseFast, readFast, scalarOf } from './fast-yaml.ts';

export class FastDocument {
  readonly fileName: string;
  /** Plain values. */
  readonly value: unknown;
  readonly mistakes: Mistake[] = [];
  readonly #text: string;
  /** Made for the first place that is asked for: they take the time of reading once more, and most texts have no mistake. */
  #index: EventIndex | undefined;
  #lines: LineCounter | undefined;

  private constructor(text: string, fileName: string, value: unknown) {
    this.#text = text;
    this.fileName = fileName;
    this.value = value;
  }

  /** Undefined: a text for ConfigDocument. */
  static read(text: string, fileName: string): FastDocument | undefined {
    const read = readFast(text);
    return read === undefined ? undefined : new FastDocument(text, fileName, read.value);
  }

  /** Notes a mistake at the value that lies at `path`, or where it would lie if it is missing. */
  add(path: readonly PathPart[], message: string, at: 'value' | 'key' = 'value'): void {
    this.#lines ??= linesOf(this.#text);
    const { line, col } = this.#lines.linePos(this.offsetOf(path, at));
    this.mistakes.push({ file: this.fileName, line, column: col, path: formatPath(path), message });
  }

  /** As deep as the path exists: a missing key is looked for at the map that should have it. */
  offsetOf(path: readonly PathPart[], at: 'value' | 'key' = 'value'): number {
    this.#index ??= new EventIndex(this.#text);
    return this.#index.offsetOf(path, at);
  }
}

function linesOf(text: string): LineCounter {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) lines.addNewLine(end + 1);
  return lines;
}

/** Nodes are the numbers of the events that they begin with. */
class EventIndex {
  readonly #text: string;
  readonly #events: readonly Event[];
  /** By node: the event behind its last one, which is the next node, or the end of what both are in. */
  readonly #next: Int32Array;

  constructor(text: string) {
    this.#text = text;
    this.#events = parseFast(text);
    this.#next = new Int32Array(this.#events.length);
    const open: number[] = [];
    for (const [number, { type }] of this.#events.entries()) {
      if (type === EVENT_ID.POP) this.#next[open.pop()!] = number + 1;
      else if (type === EVENT_ID.SCALAR) this.#next[number] = number + 1;
      else open.push(number);
    }
  }

  offsetOf(path: readonly PathPart[], at: 'value' | 'key'): number {
    // The first event is the document's.
    let node = 1;
    let offset = this.#start(node) ?? 0;
    for (const [depth, part] of path.entries()) {
      const child = this.#child(node, part);
      if (child === undefined) return offset;
      if (this.#events[node]!.type === EVENT_ID.MAPPING) {
        // The key stands in for a value that is not there ("pools:").
        offset = this.#start(child) ?? offset;
        if (at === 'key' && depth === path.length - 1) return offset;
        node = this.#next[child]!;
      } else {
        node = child;
      }
      offset = this.#start(node) ?? offset;
    }
    return offset;
  }

  /** A map's key, or a list's entry. */
  #child(node: number, part: PathPart): number | undefined {
    const { type } = this.#events[node]!;
    const isMap = type === EVENT_ID.MAPPING;
    if (!isMap && (type !== EVENT_ID.SEQUENCE || typeof part !== 'number')) return undefined;
    let child = node + 1;
    for (let index = 0; this.#events[child]!.type !== EVENT_ID.POP; index++) {
      if (isMap ? String(this.#scalar(child)) === String(part) : index === part) return child;
      child = this.#next[isMap ? this.#next[child]! : child]!;
    }
    return undefined;
  }

  #scalar(node: number): unknown {
    const event = this.#events[node]!;
    return event.type === EVENT_ID.SCALAR ? scalarOf(this.#text, event) : undefined;
  }

  /** Undefined: there is nothing, said or unsaid. */
  #start(node: number): number | undefined {
    const event = this.#events[node]!;
    if (event.type === EVENT_ID.MAPPING || event.type === EVENT_ID.SEQUENCE) return event.start;
    if (event.type !== EVENT_ID.SCALAR || this.#scalar(node) === null) return undefined;
    return event.style === SCALAR_STYLE.PLAIN ? event.valueStart : event.valueStart - 1;
  }
}
