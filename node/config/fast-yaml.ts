/**
 * YAML by js-yaml, which takes a tenth of the time that the complete reader (document.ts) takes for a large
 * file. No file may mean two things: whatever js-yaml reads in another way than the complete reader, or
 * reads where that one sees a mistake, is the complete reader's, and so is all that few configurations have:
 * anchors, tags, directives, several documents, block texts, escapes, texts over several lines.
 */
import { COLLECTION_STYLE, constructFromEvents, CORE_SCHEMA, EVENT_ID, floatCoreTag, mapTag, NOT_RESOLVED, parseEvents, SCALAR_STYLE } from 'js-yaml';
import type { Event, ScalarEvent } from 'js-yaml';
import { CONFIG_FAST_DEPTH_MAX, CONFIG_FAST_KEY_CHARACTERS_MAX } from '../limits.ts';

/** Tabs, controls, byte order marks, carriage returns alone; spaces that bring a colon far from its key (see the limit on keys). */
const UNUSUAL = /[^\n\r\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]|\r(?!\n)| {500}/u;
/** A directive, the end of a document, or "---" in from the margin, which js-yaml takes for a document's start on a first line. */
const MARKER = /^ *(?:%|\.\.\.| ---)/m;

const SCHEMA = CORE_SCHEMA.withTags(
  {
    ...mapTag,
    // Nothing, a truth value or a list would become a name.
    addPair: (map, key, value) => (isName(key) ? mapTag.addPair(map, key, value) : 'no name'),
  },
  {
    ...floatCoreTag,
    // One that is too large is infinite for the complete reader, and text for js-yaml.
    resolve: (source, isExplicit, tagName) => {
      const number = floatCoreTag.resolve(source, isExplicit, tagName);
      if (number === NOT_RESOLVED && Math.abs(Number(source)) === Infinity) throw new RangeError('too large');
      return number;
    },
  },
);

const DOCUMENT: Event = { type: EVENT_ID.DOCUMENT, explicitStart: false, explicitEnd: false, directives: [] };
const END: Event = { type: EVENT_ID.POP };

/** Undefined: not read; the complete reader says what it is. */
export function readFast(text: string): { readonly value: unknown } | undefined {
  if (UNUSUAL.test(text) || MARKER.test(text)) return undefined;
  try {
    const events = parseFast(text);
    if (!isPlain(text, events)) return undefined;
    const [value, ...others] = constructFromEvents(events, { source: text, schema: SCHEMA });
    return value === undefined || value === null || others.length > 0 ? undefined : { value };
  } catch {
    return undefined;
  }
}

/** @throws where js-yaml finds a mistake */
export function parseFast(text: string): Event[] {
  return parseEvents(text, { maxDepth: CONFIG_FAST_DEPTH_MAX });
}

/** The text, number, truth value or null that an event of the text stands for. */
export function scalarOf(text: string, event: ScalarEvent): unknown {
  return constructFromEvents([DOCUMENT, event, END], { source: text, schema: SCHEMA })[0];
}

function isName(key: unknown): boolean {
  return typeof key === 'number' || (typeof key === 'string' && key.length <= CONFIG_FAST_KEY_CHARACTERS_MAX);
}

/** In js-yaml's events an offset of -1 stands for what is not there. */
function isPlain(text: string, events: readonly Event[]): boolean {
  /** Of everything that is open: whether it is a list whose entries begin with dashes. */
  const open: boolean[] = [];
  let afterList = false;
  for (const event of events) {
    if (event.type === EVENT_ID.POP) {
      afterList = open.pop()!;
      continue;
    }
    if (event.type === EVENT_ID.DOCUMENT) {
      open.push(false);
      continue;
    }
    if (event.type === EVENT_ID.ALIAS || event.anchorStart >= 0 || event.tagStart >= 0) return false;
    if (event.type === EVENT_ID.SCALAR) {
      if (event.valueStart >= 0 && !isOneLine(text, event)) return false;
    } else {
      open.push(event.type === EVENT_ID.SEQUENCE && event.style === COLLECTION_STYLE.BLOCK);
    }
    // js-yaml 5.5.0 reads `- "a" b: c` as a list's end and one more key of the map that the list is in.
    if (afterList && !isFirstOnLine(text, event.type === EVENT_ID.SCALAR ? event.valueStart : event.start)) return false;
    afterList = false;
  }
  return true;
}

/** And just the characters between its ends. js-yaml calls a text "fast" unless its line ends before a bracket. */
function isOneLine(text: string, { fast, style, valueStart, valueEnd }: ScalarEvent): boolean {
  return fast || (style === SCALAR_STYLE.PLAIN && !text.slice(valueStart, valueEnd).includes('\n'));
}

/** Behind nothing but spaces, dashes and its own quote; false for what is not there. */
function isFirstOnLine(text: string, start: number): boolean {
  return start >= 0 && /^[ -]*["']?$/.test(text.slice(text.lastIndexOf('\n', start - 1) + 1, start));
}
