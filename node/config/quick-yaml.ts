/**
 * The YAML that configurations are written in nearly always, read fast: a file of 100,000 reservations
 * in a tenth of the time that a complete reader takes. It gives what the complete one (document.ts)
 * would give, or gives up: anchors, tags, block texts, escapes, several documents, texts over several
 * lines, numbers in unusual forms, and anything that might be a mistake are the other's. Places cost
 * time and memory: only where something is wrong a file is read again with them.
 */
import { CONFIG_QUICK_DEPTH_MAX } from '../limits.ts';
import type { Places } from './places.ts';

const SPACE = 0x20;
const NEWLINE = 0x0a;
const HASH = 0x23;
const COLON = 0x3a;
const COMMA = 0x2c;
const DASH = 0x2d;
const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_MAP = 0x7b;
const CLOSE_MAP = 0x7d;

/** Tabs, carriage returns and whatever else might mean more than it shows. */
const UNUSUAL = /[^\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe]/;
/** A text without quotes inside brackets: up to a comma, a bracket, a colon that ends a key, or a comment. */
const PLAIN_IN_FLOW = /(?:[A-Za-z0-9_./($\u00a1-\ud7ff\ue000-\ufefe]|-(?=[0-9]))(?:[^,[\]{}\n:#]|:(?=[^\s,[\]{}])|(?<=\S)#)*/y;
const PLAIN_IN_BLOCK = /(?:[A-Za-z0-9_./($\u00a1-\ud7ff\ue000-\ufefe]|-(?=[0-9]))[^\n]*/y;
const KEY = /([A-Za-z_][\w.-]{0,199}|0|[1-9][0-9]{0,8}):(?=[ \n]|$)/y;
const QUOTED_KEY = /(?:"([^"\\\n]{1,200})"|'([^'\n]{1,200})'):/y;
const CONSTANTS: ReadonlyMap<string, null | boolean> = new Map([
  ['null', null], ['Null', null], ['NULL', null], ['true', true], ['True', true], ['TRUE', true], ['false', false], ['False', false], ['FALSE', false],
]);
const WHOLE_NUMBER = /^(?:0|-?[1-9][0-9]{0,14})$/;
const DECIMAL_NUMBER = /^-?[0-9]{1,9}\.[0-9]{1,6}$/;
/** A number in any other form that YAML 1.2 has. */
const MAYBE_NUMBER = /^[-+]?(?:[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF|nan|NaN|NAN))$/;

/** Undefined: not read; the complete reader says what it is. `places`: is told where everything stands. */
export function readQuickly(text: string, places?: Places): { readonly value: unknown } | undefined {
  if (UNUSUAL.test(text)) return undefined;
  const reader = new QuickReader(text, places);
  try {
    return { value: reader.document() };
  } catch (error) {
    if (error === GIVE_UP) return undefined;
    throw error;
  }
}

/** Thrown instead of an Error: it carries nothing, and making a stack costs. */
const GIVE_UP = Symbol('not for the quick reader');

function giveUp(): never {
  // oxlint-disable-next-line typescript/only-throw-error -- see GIVE_UP
  throw GIVE_UP;
}

class QuickReader {
  readonly #text: string;
  #at = 0;
  /** Of the line that `#at` is in: the column of its first character that counts; -1 at the end of the text. */
  #indent = 0;
  #depth = 0;
  readonly #places: Places | undefined;

  constructor(text: string, places: Places | undefined) {
    this.#text = text;
    this.#places = places;
  }

  document(): unknown {
    if (!this.#nextLine()) giveUp();
    const at = this.#at;
    const value = this.#outermost();
    if (this.#at < this.#text.length) giveUp();
    this.#places?.setRoot(value, at);
    return value;
  }

  #outermost(): unknown {
    const code = this.#code();
    if (code !== OPEN_MAP && code !== OPEN_LIST) return this.#indent === 0 ? this.#block(0) : giveUp();
    const value = this.#flow(-1);
    this.#goBelow();
    return value;
  }

  /** A value stands at `at`, if it is there; otherwise its key, or the list that it is in, stands in for it. */
  #note(holder: object, name: string | number, key: number, at: number, value: unknown): void {
    this.#places?.add(holder, name, { key, value: value === null ? key : at });
  }

  #code(): number {
    return this.#text.charCodeAt(this.#at);
  }

  // ── by indentation ───────────────────────────────────────────────────────────────────────────

  /** From a line's start to its first character that is no space and no comment, or the next line's; false: there is none. */
  #nextLine(): boolean {
    const text = this.#text;
    for (;;) {
      const start = this.#at;
      this.#spaces();
      const code = this.#code();
      if (Number.isNaN(code)) {
        this.#indent = -1;
        return false;
      }
      if (code === HASH) {
        const end = text.indexOf('\n', this.#at);
        this.#at = end < 0 ? text.length : end + 1;
      } else if (code === NEWLINE) {
        this.#at++;
      } else {
        this.#indent = this.#at - start;
        return true;
      }
    }
  }

  #spaces(): void {
    while (this.#code() === SPACE) this.#at++;
  }

  /** Nothing more on this line but a comment. */
  #isLineEnd(): boolean {
    const code = this.#code();
    return code === NEWLINE || Number.isNaN(code) || (code === HASH && this.#text.charCodeAt(this.#at - 1) === SPACE);
  }

  /** To the start of the next line. */
  #lineEnd(): void {
    this.#spaces();
    if (!this.#isLineEnd()) giveUp();
    const end = this.#text.indexOf('\n', this.#at);
    this.#at = end < 0 ? this.#text.length : end + 1;
  }

  /** The list or the map whose first entry begins at `#at`, in this column; ends at the first line that is not of it. */
  #block(indent: number): unknown {
    if (++this.#depth > CONFIG_QUICK_DEPTH_MAX) giveUp();
    const value = this.#isDash() ? this.#blockList(indent) : this.#blockMap(indent);
    this.#depth--;
    // More than an entry and less than its parent: a text that goes on, or a mistake.
    return this.#indent > indent ? giveUp() : value;
  }

  #isDash(): boolean {
    if (this.#code() !== DASH) return false;
    const next = this.#text.charCodeAt(this.#at + 1);
    return next === SPACE || next === NEWLINE || Number.isNaN(next);
  }

  #blockList(indent: number): unknown[] {
    const list: unknown[] = [];
    const start = this.#at;
    do {
      const dash = this.#at++;
      this.#spaces();
      const below = this.#isLineEnd();
      const isBlock = below ? this.#goBelow() && this.#indent > indent : this.#isDash() || this.#isKey();
      // "- name: x" begins a map in the column of its first key.
      if (isBlock && !below) this.#indent = indent + this.#at - dash;
      const at = this.#at;
      const value = isBlock ? this.#block(this.#indent) : below ? null : this.#lineValue(indent);
      this.#note(list, list.length, start, at, value);
      list.push(value);
    } while (this.#indent === indent && this.#isDash());
    return list;
  }

  #blockMap(indent: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    do {
      const keyAt = this.#at;
      const key = this.#key();
      if (Object.hasOwn(map, key)) giveUp();
      // Only in brackets a value may follow its key's colon at once.
      if (this.#code() !== SPACE && !this.#isLineEnd()) giveUp();
      this.#spaces();
      const below = this.#isLineEnd();
      // A list may stand in its key's own column.
      const isBlock = below && this.#goBelow() && (this.#indent > indent || (this.#indent === indent && this.#isDash()));
      const at = this.#at;
      const value = isBlock ? this.#block(this.#indent) : below ? null : this.#lineValue(indent);
      this.#note(map, key, keyAt, at, value);
      map[key] = value;
    } while (this.#indent === indent);
    return map;
  }

  /** Past the end of this line to the next one that says something. */
  #goBelow(): boolean {
    this.#lineEnd();
    return this.#nextLine();
  }

  /** A value on the line of its key or dash, and on to the next line. */
  #lineValue(indent: number): unknown {
    const code = this.#code();
    let value: unknown;
    if (code === OPEN_LIST || code === OPEN_MAP) value = this.#flow(indent);
    else if (code === DOUBLE_QUOTE || code === SINGLE_QUOTE) value = this.#quoted(code);
    else value = this.#plainLine();
    this.#goBelow();
    return value;
  }

  #plainLine(): unknown {
    let text = this.#match(PLAIN_IN_BLOCK)[0];
    const comment = text.indexOf(' #');
    if (comment >= 0) text = text.slice(0, comment);
    text = withoutTrailingSpaces(text);
    if (text.includes(': ') || text.endsWith(':')) giveUp();
    this.#at += text.length;
    return scalar(text);
  }

  // ── in brackets ──────────────────────────────────────────────────────────────────────────────

  /** Further lines stand to the right of the column `indent`. */
  #flow(indent: number): unknown {
    if (++this.#depth > CONFIG_QUICK_DEPTH_MAX) giveUp();
    const value = this.#code() === OPEN_LIST ? this.#flowList(indent) : this.#flowMap(indent);
    this.#depth--;
    return value;
  }

  #flowList(indent: number): unknown[] {
    const list: unknown[] = [];
    const start = this.#at++;
    this.#gap(indent);
    if (this.#code() === CLOSE_LIST) {
      this.#at++;
      return list;
    }
    do {
      const at = this.#at;
      const value = this.#flowValue(indent);
      this.#note(list, list.length, start, at, value);
      list.push(value);
    } while (this.#isMore(CLOSE_LIST, indent));
    return list;
  }

  #flowMap(indent: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    this.#at++;
    this.#gap(indent);
    if (this.#code() === CLOSE_MAP) {
      this.#at++;
      return map;
    }
    do {
      const keyAt = this.#at;
      const key = this.#key();
      if (Object.hasOwn(map, key)) giveUp();
      this.#gap(indent);
      const at = this.#at;
      const value = this.#flowValue(indent);
      this.#note(map, key, keyAt, at, value);
      map[key] = value;
    } while (this.#isMore(CLOSE_MAP, indent));
    return map;
  }

  /** Past the comma to the next entry, or past the bracket. */
  #isMore(close: number, indent: number): boolean {
    this.#gap(indent);
    const code = this.#code();
    this.#at++;
    if (code === close) return false;
    if (code !== COMMA) giveUp();
    this.#gap(indent);
    return true;
  }

  #flowValue(indent: number): unknown {
    const code = this.#code();
    if (code === OPEN_LIST || code === OPEN_MAP) return this.#flow(indent);
    if (code === DOUBLE_QUOTE || code === SINGLE_QUOTE) return this.#quoted(code);
    const text = withoutTrailingSpaces(this.#match(PLAIN_IN_FLOW)[0]);
    this.#at += text.length;
    // A key without a value, or a value that is a key.
    return this.#code() === COLON ? giveUp() : scalar(text);
  }

  /** Over spaces, and over line ends and comments to a line that stands to the right of `indent`. */
  #gap(indent: number): void {
    this.#spaces();
    if (!this.#isLineEnd()) return;
    this.#lineEnd();
    if (!this.#nextLine() || this.#indent <= indent) giveUp();
  }

  // ── words ────────────────────────────────────────────────────────────────────────────────────

  #match(pattern: RegExp): RegExpExecArray {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#text) ?? giveUp();
  }

  #isKey(): boolean {
    KEY.lastIndex = this.#at;
    QUOTED_KEY.lastIndex = this.#at;
    return KEY.test(this.#text) || QUOTED_KEY.test(this.#text);
  }

  /** With its colon. */
  #key(): string {
    const code = this.#code();
    const quoted = code === DOUBLE_QUOTE || code === SINGLE_QUOTE;
    const match = this.#match(quoted ? QUOTED_KEY : KEY);
    const key = match[1] ?? match[2]!;
    if (key === '__proto__' || (!quoted && CONSTANTS.has(key))) giveUp();
    this.#at += match[0].length;
    return key;
  }

  #quoted(quote: number): string {
    const close = this.#text.indexOf(String.fromCharCode(quote), this.#at + 1);
    if (close < 0) giveUp();
    const value = this.#text.slice(this.#at + 1, close);
    this.#at = close + 1;
    // An escape, a quote in quotes, or a text over several lines.
    return value.includes('\n') || (quote === DOUBLE_QUOTE ? value.includes('\\') : this.#code() === quote) ? giveUp() : value;
  }
}

function withoutTrailingSpaces(text: string): string {
  let end = text.length;
  while (text.charCodeAt(end - 1) === SPACE) end--;
  return text.slice(0, end);
}

/** By the core schema of YAML 1.2. */
function scalar(text: string): unknown {
  const first = text.charCodeAt(0);
  const constant = text.length <= 5 ? CONSTANTS.get(text) : undefined;
  if (constant !== undefined) return constant;
  if (first > 0x39) return text;
  if (WHOLE_NUMBER.test(text) || DECIMAL_NUMBER.test(text)) return Number(text);
  return MAYBE_NUMBER.test(text) ? giveUp() : text;
}
