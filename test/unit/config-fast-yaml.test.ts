/** The fast reader of YAML gives what the complete one gives, or nothing. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { load } from 'js-yaml';
import { ConfigDocument } from '../../node/config/document.ts';
import type { PathPart } from '../../node/config/error.ts';
import { FastDocument } from '../../node/config/fast-document.ts';
import { readFast } from '../../node/config/fast-yaml.ts';
import { CONFIG_FAST_DEPTH_MAX, CONFIG_FAST_KEY_CHARACTERS_MAX } from '../../node/limits.ts';
import { PROJECT } from '../support/documentation.ts';

/** The same values at the same places from a text without a mistake, or nothing; true if it was read. */
function compare(text: string): boolean {
  const fast = FastDocument.read(text, 'x');
  if (fast === undefined) return false;
  const complete = new ConfigDocument(text, 'x');
  assert.deepEqual(complete.mistakes, [], text);
  assert.deepEqual(fast.value, complete.value, text);
  for (const path of pathsIn(fast.value)) {
    for (const at of ['value', 'key'] as const) {
      fast.add(path, 'm', at);
      complete.add(path, 'm', at);
      assert.deepEqual(fast.mistakes.at(-1), complete.mistakes.at(-1), `${at} in ${JSON.stringify(text)}`);
    }
  }
  return true;
}

/** To every value, to what is not there, and past what has nothing in it. */
function pathsIn(value: unknown): PathPart[][] {
  if (typeof value !== 'object' || value === null) return [[], ['missing'], [0]];
  const entries: [PathPart, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [[], ['missing'], [7], ...entries.flatMap(([key, inner]) => pathsIn(inner).map((path) => [key, ...path]))];
}

const EXAMPLES: readonly string[] = globSync('deploy/examples/*.yaml', { cwd: PROJECT }).map((file) => readFileSync(join(PROJECT, file), 'utf8'));

test('what configurations look like is read fast', () => {
  for (const text of [
    'a: 1\nb: text\n',
    'a: 1',
    'a: 1\r\nb:\r\n- c\r\n',
    '# first\n---\n\na: x # why\n\n  # in between\nb:\n  c: d\n  e:\n  - 1\n  - 2\n  f: g\n',
    'a:\n- b: 1\n  c: 2\n- d: 3\n-\n- - 1\n  - 2\n-   e: 1\n    f: 2\ng: h\n',
    'a:\n- "b"\n"c d" : 1\ne:\n- [1, 2]\n\'f\': g\n? h\n: i\n',
    'a: [1, b, "c, d", \'e\', [], {}, { f: g, "h":1, 43: i, j },]\n',
    'a: [\n    1,   # one\n    2\n  ]\nb: {\n  c: d }\n',
    '{ "subnets": [{"subnet":"10.0.0.0/8","pools":["10.0.0.1-10.0.0.9"]}],\n"leaseTime": 60, "x": null, "y": true, "z": 1.5 }\n',
    '[]',
    'a: 52:54:00:12:34:56\nb: 10.0.0.1-10.0.0.9\nc: ./x.yaml\nd: /v\ne: 2001-01-01\n',
    'a: yes\nb: True\nc: NULL\nd: 12h\ne: a#b\nf: a b  c\ng: 1_000\nh: 010x\ni: ~\nj:\nk: 0b1\n',
    'a: [0x1F, 0o17, 017, +1, -0, .5, 1., 1e3, -.inf, .NaN, -07, 123456789012345678901234567890]\n',
    'a: -b\nc: "&d *e !f %g |h"\ni: j & k * l ! m % n | o > p\nq: \'r: @s\'\n<<: { t: u }\n__proto__: v\n',
    'a: Ärger im Büro\nb: （x） 日本\nc: 😀\n',
    `${'k'.repeat(CONFIG_FAST_KEY_CHARACTERS_MAX)}: 1`,
    `${'['.repeat(CONFIG_FAST_DEPTH_MAX - 1)}${']'.repeat(CONFIG_FAST_DEPTH_MAX - 1)}`,
  ]) assert.ok(compare(text), `not read: ${text}`);
});

test('what few configurations have is left to the complete reader', () => {
  for (const text of [
    '', '#', 'a: &x 1\nb: *x', 'a: &x 1', 'a: !t 1', 'a: !!str 1', '! a: 1', 'a: |\n  x\n', 'a: >\n  x\n', 'a: "x\\n"', 'a: \'it\'\'s\'', 'a: "x\n  y"', 'a: x\n  y', 'a: [x\n  y]',
    'a:\tb', 'a: \u0000', 'a: \u0007', 'a: \u0085', '\ufeffa: 1', 'a: 1\n...\n', '%YAML 1.1\n---\na: 1', '%TAG ! x\n---\na: 1', '%X\n---\na: 1',
    `${'k'.repeat(CONFIG_FAST_KEY_CHARACTERS_MAX + 1)}: 1`, `a${' '.repeat(500)}: 1`, `${'['.repeat(CONFIG_FAST_DEPTH_MAX + 1)}${']'.repeat(CONFIG_FAST_DEPTH_MAX + 1)}`,
  ]) assert.equal(readFast(text), undefined, JSON.stringify(text));
});

test('a text with a mistake is left to the complete reader', () => {
  for (const text of [
    'a: 1\na: 2', '{a: 1, a: 2}', 'a: 1\n"a": 2', '1: a\n0x1: b', '3: a\n"3": b', 'null: 1', '~: 1', '? a\n: b\n?', '[a]: 1', '{a: b}: 1',
    'a: 1\n---\nb: 2', '---\n---\n', 'a: b: c', 'a: "b" c', 'a: "b"#c', 'a: [1 2', 'a: ]', 'a: [1,,2]', 'a: {b: c: d}', 'a: 1\n b: 2', 'a:\n   b: 1\n  c: 2', '- a\nb: 1', 'a: 1\n- b',
    'a: @b', 'a: `b`', 'a: *', 'a: "b', 'a: "\\q"',
  ]) {
    assert.equal(readFast(text), undefined, JSON.stringify(text));
    assert.notDeepEqual(new ConfigDocument(text, 'x').mistakes, [], JSON.stringify(text));
  }
});

test('a mistake that js-yaml passes over is left to the complete reader', () => {
  for (const text of [
    'a:\n- "b" c: d', 'a:\n- [b] c: d', 'a:\n- {b: c} "d": e', 'a:\n- - \'b\' c: d', 'a:\n- "b" ? c',
    '\ta', ' ---\na: 1', '...\na: 1', '... a', '%X\n---\n- a', `a: 1\n${'k'.repeat(1100)}: 1`, 'true: 1', ': 1',
  ]) {
    assert.doesNotThrow(() => load(text), JSON.stringify(text));
    assert.equal(readFast(text), undefined, JSON.stringify(text));
    assert.notDeepEqual(new ConfigDocument(text, 'x').mistakes, [], JSON.stringify(text));
  }
});

test('what js-yaml reads in another way is left to the complete reader', () => {
  for (const [text, value] of [
    ['a: 1e400', { a: Infinity }], ['a: -1e400', { a: -Infinity }], [`a: ${'9'.repeat(400)}`, { a: Infinity }], ['1e400: a', { Infinity: 'a' }],
    ['b\rc', 'b\rc'], ['  ---', '---'],
  ] as const) {
    assert.notDeepEqual(load(text), value, JSON.stringify(text));
    assert.equal(readFast(text), undefined, JSON.stringify(text));
    const document = new ConfigDocument(text, 'x');
    assert.deepEqual([document.mistakes, document.value], [[], value]);
  }
});

test('the examples that are shipped are read fast', () => {
  assert.ok(EXAMPLES.length >= 6);
  for (const text of EXAMPLES) assert.ok(compare(text), text);
});

const SAMPLE = `# a file
leaseTime: { default: 12h, min: 1h }   # so long
nodes:
  a: { weight: 1 }
subnets:
- subnet: 10.0.0.0/8
  pools:
    - 10.1.0.0-10.2.0.0
    - { range: 10.3.0.0-10.4.0.0, exclude: [10.3.0.5,
        10.3.0.7], "allow": ["x y", 'z'] }
  options:
    routers: [10.0.0.1]
    43: "01:02"
- subnet: 11.0.0.0/8

list:
  - - a
    - b
  -
  - c: 1
    d:
      e: f
`;

const STRUCTURE = ['a', 'b', '1', ' ', ' ', '\n', '\n', '\n  ', ': ', ':', '- ', '-', '[', ']', '{', '}', ', ', ',', '"', "'", '#', ' #', '.', '?', '? ', '~', '\n- ', '\nk: '];
const RARE = [
  '\t', '\r\n', '\r', '&a ', '*a', '!x ', '!!str ', '|', '>', '|\n', '%', '---\n', '...', '\\', '\\n', '@', '`', '\ufeff', '\u0085', '\u2028', '\u0007', '😀', '<<: ', '__proto__: ', 'null', 'true',
  '0x1F', '07', '-0', '+1', '1e3', '1e400', '.inf', '.5', '1_0', '2001-01-01', '"a"', "'b'", '=', '%YAML 1.1\n', '   ', '\n\n',
];

test('whatever a file is changed into, both readers agree or the fast one gives up', () => {
  let read = 0;
  const edits = fc.array(fc.tuple(fc.nat(), fc.constantFrom('', ...STRUCTURE, ...RARE), fc.nat(4)), { minLength: 1, maxLength: 4 });
  fc.assert(fc.property(fc.constantFrom(SAMPLE, SAMPLE, ...EXAMPLES), edits, (original, changes) => {
    let text = original;
    for (const [where, insert, remove] of changes) {
      const at = where % (text.length + 1);
      text = text.slice(0, at) + insert + text.slice(at + remove);
    }
    if (compare(text)) read++;
  }), { numRuns: 700 });
  assert.ok(read > 100, `${read} were read`);
});

test('small texts of the characters that mean something are read alike', () => {
  for (const pieces of [STRUCTURE, [...STRUCTURE, ...RARE]]) {
    let read = 0;
    fc.assert(fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 14 }), (chosen) => {
      if (compare(chosen.join(''))) read++;
    }), { numRuns: 5000 });
    assert.ok(read > 50, `${read} were read`);
  }
});

test('what may be a number, a constant or a text is read alike, as a value and as a key', () => {
  const part = fc.constantFrom('0', '1', '7', '9', 'a', 'f', 'x', 'o', 'b', 'e', 'E', '.', '-', '+', '_', ':', 'inf', 'Inf', 'INF', 'nan', 'NaN', 'null', 'NULL', 'true', 'False', 'no', '~', '9'.repeat(200));
  const frame = fc.constantFrom<(text: string) => string>((text) => `a: ${text}`, (text) => `${text}: a`, (text) => `- ${text}`, (text) => `[${text}]`, (text) => `{${text}: 1}`, (text) => `{1: a, ${text}: b}`, (text) => `? ${text}`, (text) => text);
  let read = 0;
  fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 7 }), frame, (parts, framed) => {
    if (compare(framed(parts.join('')))) read++;
  }), { numRuns: 3000 });
  assert.ok(read > 1000, `${read} were read`);
});

test('JSON is read fast', () => {
  const value = fc.letrec((tie) => ({
    text: fc.string({ unit: fc.constantFrom('a', 'é', ':', ' ', ',', '[', '}', '#', '-', '1', '0', "'", '&', '*', '!') }),
    node: fc.oneof({ maxDepth: 4 }, tie('text'), fc.nat(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null),
      fc.array(tie('node'), { maxLength: 4 }), fc.dictionary(fc.stringMatching(/^[a-z ]{1,8}$/), tie('node'), { maxKeys: 4 })),
  })).node;
  fc.assert(fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), value), fc.constantFrom(undefined, 2), (map, indent) => {
    const text = JSON.stringify(map, undefined, indent);
    assert.ok(compare(text));
    assert.deepEqual(readFast(text)?.value, JSON.parse(text));
  }), { numRuns: 500 });
});
