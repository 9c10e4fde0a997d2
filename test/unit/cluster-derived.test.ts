/** What is read from etcd again and again is made into something only when it has changed. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Derived } from '../../cluster/view/derived.ts';
import type { EtcdKeyValue } from '../../cluster/core/ports.ts';

function pair(key: string, value: string, createRevision = 1, modRevision = 1): EtcdKeyValue {
  return { key, value: Buffer.from(value), createRevision, modRevision, lease: '0' };
}

function counted(): { derived: Derived<string>; made: () => number } {
  let made = 0;
  const derived = new Derived((pairs) => `${++made}: ${pairs.map(({ key, value, createRevision }) => `${key}=${value.toString()}@${createRevision}`).join(' ')}`);
  return { derived, made: () => made };
}

test('the same keys with the same bytes are not looked at again', () => {
  const { derived, made } = counted();
  assert.equal(derived.of([pair('a', '1'), pair('b', '2')]), '1: a=1@1 b=2@1');
  assert.equal(derived.of([pair('a', '1', 1, 7), pair('b', '2')]), '1: a=1@1 b=2@1');
  assert.equal(made(), 1);
});

test('another value, another key, one more or one less, and a key created anew are looked at', () => {
  const { derived, made } = counted();
  derived.of([pair('a', '1'), pair('b', '2')]);
  assert.equal(derived.of([pair('a', '1'), pair('b', '3')]), '2: a=1@1 b=3@1');
  assert.equal(derived.of([pair('a', '1'), pair('c', '3')]), '3: a=1@1 c=3@1');
  assert.equal(derived.of([pair('a', '1')]), '4: a=1@1');
  assert.equal(derived.of([pair('a', '1', 9)]), '5: a=1@9');
  assert.equal(derived.of([]), '6: ');
  assert.equal(made(), 6);
});

test('an election key that was deleted and written again by the same node is another one', () => {
  const derived = new Derived((pairs) => pairs[0]?.createRevision);
  assert.equal(derived.of([pair('leader', 'a', 5, 5)]), 5);
  assert.equal(derived.of([pair('leader', 'a', 8, 8)]), 8);
});

test('nothing at all, first', () => {
  const { derived } = counted();
  assert.equal(derived.of([]), '1: ');
});
