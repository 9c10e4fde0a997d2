/** The quick reader of YAML gives what the complete one gives, or nothing. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ConfigDocument } from '../../node/config/document.ts';
import type { PathPart } from '../../node/config/error.ts';
import { MistakePlacer, Places } from '../../node/config/places.ts';
import { readQuickly } from '../../node/config/quick-yaml.ts';
import { PROJECT } from '../support/documentation.ts';

/** The same values at the same places, or nothing; true if it was read. */
function compare(text: string): boolean {
  const quick = readQuickly(text);
  if (quick === undefined) return false;
  const document = new ConfigDocument(text, 'x');
  assert.deepEqual(document.mistakes, [], text);
  assert.deepEqual(quick.value, document.value, text);
  const places = new Places();
  assert.deepEqual(readQuickly(text, places)?.value, quick.value);
  const placer = new MistakePlacer(text, 'x', places);
  for (const path of pathsIn(quick.value)) {
    for (const at of ['value', 'key'] as const) {
      document.add(path, 'm', at);
      assert.deepEqual(placer.place(path, 'm', at), document.mistakes.at(-1), `${at} in ${JSON.stringify(text)}`);
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

test('what configurations look like is read quickly', () => {
  for (const text of [
    'a: 1\nb: text\n',
    'a: 1',
    '# first\n\na: x # why\n\n  # in between\nb:\n  c: d\n  e:\n  - 1\n  - 2\n  f: g\n',
    'a:\n- b: 1\n  c: 2\n- d: 3\n-\n- - 1\n  - 2\n-   e: 1\n    f: 2\ng: h\n',
    'a: [1, b, "c, d", \'e\', [], {}, { f: g, "h":1, 43: i }]\n',
    'a: [\n    1,   # one\n    2\n  ]\nb: {\n  c: d }\n',
    '{ "subnets": [{"subnet":"10.0.0.0/8","pools":["10.0.0.1-10.0.0.9"]}],\n"leaseTime": 60, "x": null, "y": true, "z": 1.5 }\n',
    '[]',
    'a: 52:54:00:12:34:56\nb: 10.0.0.1-10.0.0.9\nc: ./x.yaml\nd: /v\ne: ~x\n'.replace('e: ~x\n', ''),
    'a: yes\nb: True\nc: NULL\nd: 12h\ne: a#b\nf: a b  c\ng: 1_000\nh: 010x\n',
    'subnets:\n  - subnet: 10.0.0.0/8\n    options: { routers: [10.0.0.1] }\n    reservations:\n      - { hardware: 52:54:00:00:00:01, address: 10.0.0.1 }\n',
    '"a b": 1\n\'c\': 2\n',
    'a: -3600\nb: [-1, -1.5, -10.0.0.1]\nc:\n- -3\n- Ärger im Büro\n- (x) $y\n',
  ]) assert.ok(compare(text), `not read: ${text}`);
});

test('what it cannot know is left to the complete reader', () => {
  for (const text of [
    '', '#', 'a', '7', 'a: &x 1\nb: *x', 'a: !t 1', 'a: |\n  x\n', 'a: >\n  x\n', 'a:\tb', 'a: b\r\n', '---\na: 1', 'a: 1\n...\n', '%YAML 1.1\n---\na: 1',
    'a: "x\\n"', 'a: \'it\'\'s\'', 'a: "x\n  y"', 'a: x\n  y', 'a: [x\n  y]', 'a: 1\na: 2', '{a: 1, a: 2}', 'a: 0x10', 'a: .inf', 'a: 1e3', 'a: -07', 'a: -0', 'a: -1e3', 'a: -', 'a: -b', 'a: +1', 'a: 007',
    'true: 1', '1.5: x', '__proto__: 1', '? a', 'a: b: c', 'a: b:', 'a: [b: c]', 'a: {b}', 'a: {b:}', 'a: {b: }', 'a: [1,]', 'a: [1 2', 'a: ]', 'a: [\n1]', ' a: 1',
    'a: 1\n b: 2', 'a:\n   b: 1\n  c: 2', '- a\nb: 1', 'a: 1\n- b', 'a: "b" c', 'a: "b"#c', 'a: @b', 'a: `b`', 'a: *', 'a: ~', '\ufeffa: 1', 'a: \u0000', '"a":1\n', '<<: {a: 1}\n',
    `a: ${'['.repeat(100)}${']'.repeat(100)}`,
  ]) assert.equal(readQuickly(text), undefined, JSON.stringify(text));
});

test('the examples that are shipped are read quickly', () => {
  const files = globSync('deploy/examples/*.yaml', { cwd: PROJECT });
  assert.ok(files.length >= 6);
  for (const file of files) assert.ok(compare(readFileSync(join(PROJECT, file), 'utf8')), file);
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

test('whatever a file is changed into, both readers agree or the quick one gives up', () => {
  let read = 0;
  const piece = fc.constantFrom(
    ':', ': ', ' ', '  ', '\n', '\n  ', '-', '- ', '{', '}', '[', ']', ',', ', ', '"', "'", '#', ' #', '&a', '*a', '!x', '? ', '0', '07', 'null', '|', '>', '\\', '.', '~', 'x', '\n- ', '\nk: ', '---\n', '@',
  );
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(SAMPLE.length), piece, fc.nat(4)), { minLength: 1, maxLength: 4 }), (edits) => {
    let text = SAMPLE;
    for (const [at, insert, remove] of edits) text = text.slice(0, at) + insert + text.slice(at + remove);
    if (compare(text)) read++;
  }), { numRuns: 2000 });
  assert.ok(read > 100, `${read} were read`);
});

test('small texts of the characters that mean something are read alike', () => {
  let read = 0;
  const piece = fc.constantFrom('a', 'b', '1', ' ', ' ', '\n', '\n', ': ', ':', '- ', '[', ']', '{', '}', ', ', '"', "'", '#', ' #', '.', '-');
  fc.assert(fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
    if (compare(pieces.join(''))) read++;
  }), { numRuns: 5000 });
  assert.ok(read > 50, `${read} were read`);
});

test('JSON is read quickly', () => {
  const value = fc.letrec((tie) => ({
    text: fc.string({ unit: fc.constantFrom('a', 'é', ':', ' ', ',', '[', '}', '#', '-', '1', '0', "'") }),
    node: fc.oneof({ maxDepth: 4 }, tie('text'), fc.nat(), fc.boolean(), fc.constant(null),
      fc.array(tie('node'), { maxLength: 4 }), fc.dictionary(fc.stringMatching(/^[a-z ]{1,8}$/), tie('node'), { maxKeys: 4 })),
  })).node;
  fc.assert(fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), value), fc.constantFrom(undefined, 2), (map, indent) => {
    assert.ok(compare(JSON.stringify(map, undefined, indent)));
  }), { numRuns: 500 });
});
