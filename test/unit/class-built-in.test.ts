import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_CLASSES, builtInCondition } from '../../node/classes/built-in.ts';
import { met } from './class-fixture.ts';
import { END, packet, parsed, relayedDiscover, udhcpcDiscover } from './codec-packets.ts';

const NAMES = ['ALL', 'KNOWN', 'UNKNOWN', 'BOOTP', 'VENDOR_CLASS_udhcp 1.35.0', 'VENDOR_CLASS_udhcp'];
const conditions = NAMES.map((name) => builtInCondition(name)!);
const membership = (...of: readonly number[]): readonly string[] => of.map((index) => NAMES[index]!);

test('who is in which built-in class', () => {
  assert.deepEqual(membership(...met(conditions, parsed(udhcpcDiscover()))), ['ALL', 'UNKNOWN', 'VENDOR_CLASS_udhcp 1.35.0']);
  assert.deepEqual(membership(...met(conditions, parsed(relayedDiscover()), { known: true })), ['ALL', 'KNOWN']);
  assert.deepEqual(membership(...met(conditions, parsed(packet({ options: END })))), ['ALL', 'UNKNOWN', 'BOOTP']);
});

test('names that are no built-in class', () => {
  for (const name of ['', 'all', 'Known', 'KNOWN ', 'VENDOR_CLASS', 'VENDOR_CLASS_', 'vendor_class_x', 'constructor', '__proto__']) {
    assert.equal(builtInCondition(name), undefined, name);
  }
});

test('each class of the list is there', () => {
  for (const { name, about } of BUILT_IN_CLASSES) {
    assert.notEqual(builtInCondition(name.replace('<text>', 'text')), undefined, name);
    assert.ok(about.length > 0);
  }
  assert.equal(BUILT_IN_CLASSES.length, 5);
});
