/** The reference pages say what the code says, and what the other pages point at is there. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { PROJECT, referencePages } from '../support/documentation.ts';

const read = (path: string): string => readFileSync(join(PROJECT, path), 'utf8');

for (const [path, text] of referencePages()) {
  test(`${path} is what the code makes`, () => {
    assert.ok(read(path) === text, `${path} is out of date: run  node_modules/.bin/node test/support/documentation.ts`);
  });
}

const pages = globSync(['*.md', '{deploy,node,cluster,proto,test}/**/*.md'], { cwd: PROJECT });

test('links between the pages lead to files, and to headings that are there', () => {
  const anchors = (path: string): Set<string> => new Set([...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N} -]/gu, '').replaceAll(' ', '-')));
  const broken: string[] = [];
  for (const page of pages) {
    for (const [, link] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link!)) continue;
      const [file, anchor] = link!.split('#');
      const target = file === '' ? page : join(dirname(page), file!);
      if (!existsSync(join(PROJECT, target)) || (anchor !== undefined && !anchors(target).has(anchor))) broken.push(`${page}: ${link}`);
    }
  }
  assert.ok(pages.includes('README.md') && pages.includes('ARCHITECTURE.md'));
  assert.deepEqual(broken, []);
});

test('source files that the pages name exist', () => {
  const missing = pages.flatMap((page) => [...read(page).matchAll(/`((?:proto|node|cluster|test|deploy)\/[\w./-]+)`/g)]
    .map(([, path]) => path!).filter((path) => !existsSync(join(PROJECT, path))).map((path) => `${page}: ${path}`));
  assert.deepEqual(missing, []);
});

test('what the sources cite of ARCHITECTURE.md is there', () => {
  const architecture = read('ARCHITECTURE.md').toLowerCase();
  const sources = globSync('{node,cluster,test,deploy}/**/*.ts', { cwd: PROJECT }).filter((path) => !path.includes('documentation'));
  const missing = sources.flatMap((path) => [...read(path).matchAll(/\(?ARCHITECTURE\.md, ([A-Z][\w ]+?)[):.,]/g)]
    .map(([, name]) => name!.toLowerCase()).filter((name) => !architecture.includes(`# ${name}`) && !architecture.includes(`# the ${name}`) &&
      !architecture.includes(`**${name}`)).map((name) => `${path}: ${name}`));
  assert.deepEqual(missing, []);
});

test('npm scripts that the pages name exist', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const named = pages.flatMap((page) => [...read(page).matchAll(/\bnpm (?:run (?:--silent )?)([a-z]+)/g)].map(([, name]) => name!));
  assert.ok(named.length > 0);
  assert.deepEqual(named.filter((name) => !(name in scripts)), []);
});

test('the package says its licence in full', () => {
  const { license, files } = JSON.parse(read('package.json')) as { license: string; files: string[] };
  assert.equal(license, 'Apache-2.0');
  assert.match(read('LICENSE'), /Apache License\s+Version 2\.0, January 2004[\s\S]*END OF TERMS AND CONDITIONS/);
  for (const file of ['README.md', 'CHANGELOG.md', 'LICENSE']) assert.ok(files.includes(file), file);
});
