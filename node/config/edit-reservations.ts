/**
 * Adds, replaces and removes reservations in the text of a configuration, and leaves everything else in
 * it as it is, comments and layout included. What is usual (lists with an entry a line or several) is
 * cut and pasted where it stands, so that a file of 100,000 takes no time; the rest goes through the
 * complete reader of YAML, which keeps comments and may lay out anew. Either way the result is read
 * again and compared with what was meant.
 */
import { isSeq, parseDocument } from 'yaml';
import { same } from './diff.ts';
import type { PathPart } from './error.ts';
import { FastDocument } from './fast-document.ts';
import { plainValue } from './plain-text.ts';
import { asMap } from './plain-values.ts';
import type { PlainMap } from './plain-values.ts';

/** `list`: the path of a list of reservations, which may not be there yet when one is added. */
export type ReservationEdit =
  | { readonly kind: 'add'; readonly list: readonly PathPart[]; readonly entry: PlainMap }
  | { readonly kind: 'replace'; readonly list: readonly PathPart[]; readonly index: number; readonly entry: PlainMap }
  | { readonly kind: 'remove'; readonly list: readonly PathPart[]; readonly index: number };

export interface EditedText {
  readonly text: string;
  /** The plain values of it. */
  readonly value: unknown;
}

/** `value`: what the text says. Each place of it is edited once. Undefined: neither way gives what was meant. */
export function editReservations(text: string, value: unknown, edits: readonly ReservationEdit[]): EditedText | undefined {
  const meant = edited(value, edits);
  for (const attempt of [pasted, rewritten]) {
    const result = attempt(text, edits);
    if (result !== undefined && same(plainValue(result), meant)) return { text: result, value: meant };
  }
  return undefined;
}

// ── what is meant ──────────────────────────────────────────────────────────────────────────────

/** The edits list by list; entries keep their numbers until all of them are done. */
function byList(edits: readonly ReservationEdit[]): { readonly path: readonly PathPart[]; readonly edits: ReservationEdit[] }[] {
  const lists = new Map<string, { path: readonly PathPart[]; edits: ReservationEdit[] }>();
  for (const edit of edits) {
    const key = JSON.stringify(edit.list);
    const list = lists.get(key) ?? { path: edit.list, edits: [] };
    lists.set(key, list);
    list.edits.push(edit);
  }
  return [...lists.values()];
}

function edited(file: unknown, edits: readonly ReservationEdit[]): unknown {
  let result = file;
  for (const { path, edits: own } of byList(edits)) result = withList(result, path, (list) => editedList(list, own));
  return result;
}

function editedList(list: readonly unknown[], edits: readonly ReservationEdit[]): unknown[] {
  const replaced = new Map(edits.flatMap((edit) => (edit.kind === 'replace' ? [[edit.index, edit.entry] as const] : [])));
  const removed = new Set(edits.flatMap((edit) => (edit.kind === 'remove' ? [edit.index] : [])));
  const kept = list.map((entry, index) => replaced.get(index) ?? entry).filter((_, index) => !removed.has(index));
  return [...kept, ...edits.flatMap((edit) => (edit.kind === 'add' ? [edit.entry] : []))];
}

/** The same file with another list at the path; what is not on the way to it is shared. */
function withList(value: unknown, path: readonly PathPart[], edit: (list: readonly unknown[]) => unknown[]): unknown {
  const [part, ...rest] = path;
  if (part === undefined) return edit(Array.isArray(value) ? value : []);
  if (Array.isArray(value)) return value.map((entry, index) => (index === part ? withList(entry, rest, edit) : entry));
  const map = asMap(value);
  return { ...map, [part]: withList(map[part], rest, edit) };
}

// ── cut and pasted ─────────────────────────────────────────────────────────────────────────────

interface Splice {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

function pasted(text: string, edits: readonly ReservationEdit[]): string | undefined {
  const document = FastDocument.read(text, '');
  if (document === undefined) return undefined;
  const paste = new Paste(text, document);
  const splices: Splice[] = [];
  for (const { path, edits: own } of byList(edits)) {
    const spliced = paste.splices(path, own);
    if (spliced === undefined) return undefined;
    splices.push(...spliced);
  }
  splices.sort((a, b) => a.from - b.from);
  const parts: string[] = [];
  let at = 0;
  for (const splice of splices) {
    parts.push(text.slice(at, splice.from), splice.text);
    at = splice.to;
  }
  return parts.join('') + text.slice(at);
}

class Paste {
  readonly #text: string;
  readonly #document: FastDocument;

  constructor(text: string, document: FastDocument) {
    this.#text = text;
    this.#document = document;
  }

  /** Undefined: the list is not laid out in the usual way. */
  splices(path: readonly PathPart[], edits: readonly ReservationEdit[]): Splice[] | undefined {
    const list = path.reduce<unknown>((value, part) => (value as Readonly<Record<PathPart, unknown>> | undefined)?.[part], this.#document.value);
    const added = edits.flatMap((edit) => (edit.kind === 'add' ? [edit.entry] : []));
    if (list === undefined) return this.#newList(path, added);
    if (!Array.isArray(list) || list.length === 0) return undefined;
    const dash = this.#dashOf(path, 0);
    if (dash === undefined) return undefined;
    const removed = edits.filter(({ kind }) => kind === 'remove').length;
    // An empty list wants brackets.
    if (removed === list.length && added.length === 0) return undefined;
    const indent = ' '.repeat(dash - this.#lineStart(dash));
    const splices: Splice[] = [];
    for (const edit of edits) {
      if (edit.kind === 'add') continue;
      const from = this.#dashOf(path, edit.index);
      if (from === undefined) return undefined;
      const start = this.#lineStart(from);
      const to = this.#entryEnd(from);
      splices.push({ from: start, to, text: edit.kind === 'remove' ? '' : `${indent}- ${flow(edit.entry)}\n` });
    }
    if (added.length > 0) {
      const last = this.#dashOf(path, list.length - 1);
      if (last === undefined) return undefined;
      const end = this.#entryEnd(last);
      splices.push({ from: end, to: end, text: this.#lines(end, added.map((entry) => `${indent}- ${flow(entry)}`)) });
    }
    return splices;
  }

  /** Below the first key of the map that is to have it, which stands on a line with its value. */
  #newList(path: readonly PathPart[], added: readonly PlainMap[]): Splice[] | undefined {
    const holder = path.slice(0, -1);
    const key = holder[0] === 'sharedNetworks' && holder.length === 2 ? 'name' : 'subnet';
    if (holder.length === 0) {
      const end = this.#text.length;
      return [{ from: end, to: end, text: this.#lines(end, ['reservations:', ...added.map((entry) => `  - ${flow(entry)}`)]) }];
    }
    const at = this.#document.offsetOf([...holder, key], 'key');
    const before = this.#text.slice(this.#lineStart(at), at);
    if (!/^ *(?:- )?$/.test(before)) return undefined;
    const end = this.#lineEnd(at);
    const indent = ' '.repeat(before.length);
    return [{ from: end, to: end, text: this.#lines(end, [`${indent}reservations:`, ...added.map((entry) => `${indent}  - ${flow(entry)}`)]) }];
  }

  /** Where an entry's "- " stands, with nothing before it on its line. */
  #dashOf(path: readonly PathPart[], index: number): number | undefined {
    const at = this.#document.offsetOf([...path, index], 'value');
    const start = this.#lineStart(at);
    const dash = /^( *)- +$/.exec(this.#text.slice(start, at));
    return dash === null ? undefined : start + dash[1]!.length;
  }

  /** The end of an entry's last line, the line end included: what follows is indented less, or is no part of it. */
  #entryEnd(dash: number): number {
    const column = dash - this.#lineStart(dash);
    let end = this.#lineEnd(dash);
    for (let at = end; at < this.#text.length; at = this.#lineEnd(at)) {
      const line = this.#text.slice(at, this.#lineEnd(at));
      const width = line.length - line.trimStart().length;
      if (line.trim() === '') continue;
      if (width <= column) break;
      // Comments between two entries stay; those inside one go with it.
      if (!line.trimStart().startsWith('#')) end = this.#lineEnd(at);
    }
    return end;
  }

  #lineStart(at: number): number {
    return this.#text.lastIndexOf('\n', at - 1) + 1;
  }

  #lineEnd(at: number): number {
    const end = this.#text.indexOf('\n', at);
    return end < 0 ? this.#text.length : end + 1;
  }

  /** The text may end without a line end. */
  #lines(at: number, lines: readonly string[]): string {
    const missing = at > 0 && this.#text[at - 1] !== '\n' ? '\n' : '';
    return `${missing}${lines.join('\n')}\n`;
  }
}

/** What YAML would read as something else than text, or not at all. */
const PLAIN = /^[A-Za-z_][\w./-]*$|^[0-9]+(?:\.[0-9]+){3}$/;
const WORDS = new Set(['null', 'true', 'false']);

/** On one line; texts in quotes where they could be taken for something else. */
function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{ ${Object.entries(value).map(([key, entry]) => `${PLAIN.test(key) ? key : JSON.stringify(key)}: ${flow(entry)}`).join(', ')} }`;
  }
  if (typeof value !== 'string') return JSON.stringify(value);
  if (PLAIN.test(value) && !WORDS.has(value.toLowerCase())) return value;
  // Escapes are not for the fast reader, which would leave the whole file to the complete one.
  return /["\\]/.test(value) && /^[^'\p{Cc}]*$/u.test(value) ? `'${value}'` : JSON.stringify(value);
}

// ── by the complete reader ─────────────────────────────────────────────────────────────────────

function rewritten(text: string, edits: readonly ReservationEdit[]): string | undefined {
  const document = parseDocument(text, { version: '1.2', schema: 'core', merge: false, strict: true, logLevel: 'error' });
  if (document.errors.length > 0) return undefined;
  for (const { path, edits: own } of byList(edits)) {
    for (const edit of own) if (edit.kind === 'replace') document.setIn([...path, edit.index], document.createNode(edit.entry, { flow: true }));
    const removed = own.flatMap((edit) => (edit.kind === 'remove' ? [edit.index] : [])).sort((a, b) => b - a);
    for (const index of removed) document.deleteIn([...path, index]);
    for (const edit of own) if (edit.kind === 'add') addTo(document, path, edit.entry);
  }
  return document.toString({ lineWidth: 0 });
}

function addTo(document: ReturnType<typeof parseDocument>, path: readonly PathPart[], entry: PlainMap): void {
  const node = document.createNode(entry, { flow: true });
  if (isSeq(document.getIn(path, true))) document.addIn(path, node);
  else document.setIn(path, document.createNode([entry]));
}
