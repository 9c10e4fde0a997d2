/** Messages behind their lengths, in whatever pieces they come; and who follows changes that are kept for a while. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { framed, FrameReader } from '../../node/leasequery/framing.ts';
import { changeBytes, encodeChunk } from '../../node/leasequery/history-chunk.ts';
import type { BindingChange } from '../../node/leasequery/history-chunk.ts';
import { FollowedChanges } from '../../node/leasequery/io/followed-changes.ts';
import { secondToTell } from '../../node/leasequery/io/follower.ts';
import { BindingState } from '../../node/lease/record.ts';
import { TOLD_AHEAD_SECONDS_MAX } from '../../node/limits.ts';
import { recordOf } from './lease-model.ts';

function takeAll(reader: FrameReader): Buffer[] {
  const messages: Buffer[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next()) messages.push(Buffer.from(next));
  return messages;
}

test('frames: whatever the pieces, the messages are those that were sent, and the rest is what follows', () => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
  fc.assert(fc.property(fc.array(bytes, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 200 })), fc.uint8Array({ maxLength: 1 }), (messages, cuts, rest) => {
    const stream = Buffer.concat([...messages.map(framed), rest]);
    const reader = new FrameReader(300);
    const taken: Buffer[] = [];
    for (let at = 0, piece = 0; at < stream.length; piece++) {
      const end = Math.min(stream.length, at + (cuts[piece] ?? stream.length));
      reader.push(stream.subarray(at, end));
      taken.push(...takeAll(reader));
      at = end;
    }
    assert.deepEqual(taken, messages);
    assert.equal(reader.isWithin, rest.length > 0);
    assert.deepEqual([...reader.takeRest()], [...rest]);
    assert.equal(reader.isWithin, false);
  }));
});

test('frames: one that is longer than allowed is known by its length, before any of it has come', () => {
  for (const [length, throws] of [[300, false], [301, true], [65_535, true]] as const) {
    const reader = new FrameReader(300);
    reader.push(Buffer.of(length >> 8, length & 255));
    if (throws) assert.throws(() => reader.next(), RangeError);
    else assert.equal(reader.next(), undefined);
  }
  assert.equal(framed(Buffer.alloc(65_535, 7)).readUInt16BE(0), 65_535);
});

const change = (number: number): BindingChange => ({ number, second: 1000 + number, address: number, record: number % 3 === 0 ? undefined : Buffer.of(number & 255) });

test('followed changes: against a list of all, whichever come, are lost, or come twice', () => {
  const step = fc.oneof(fc.record({ push: fc.integer({ min: 1, max: 12 }), skip: fc.constantFrom(0, 0, 0, 0, 5) }), fc.constant('clear' as const));
  fc.assert(fc.property(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 50 }), fc.array(step, { maxLength: 40 }), (most, first, steps) => {
    const changes = new FollowedChanges(most);
    let next = first;
    /** Numbers that are kept. */
    let kept: number[] = [];
    for (const one of steps) {
      if (one === 'clear') {
        changes.clear();
        kept = [];
      } else {
        // A gap: what was before it is of no use to who goes on behind it.
        if (one.skip > 0) kept = [];
        next += one.skip;
        const pushed = Array.from({ length: one.push }, (_, n) => change(next + n));
        changes.push(next, encodeChunk(pushed, pushed.reduce((sum, each) => sum + changeBytes(each), 0)));
        kept = [...kept, ...pushed.map(({ number }) => number)].slice(-most);
        next += one.push;
      }
      assert.equal(changes.next, kept.length === 0 ? undefined : next);
      for (let number = first; number < next + 3; number++) {
        const found = changes.at(number);
        if (kept.length === 0 || number >= next) assert.equal(found, undefined);
        else if (number < kept[0]!) assert.equal(found, 'gone');
        else assert.deepEqual(found, change(number));
      }
    }
  }), { numRuns: 300 });
});

test('followed changes: what is no chunk is a hole', () => {
  const changes = new FollowedChanges(10);
  changes.push(5, encodeChunk([change(5)], changeBytes(change(5))));
  changes.push(6, Buffer.alloc(40));
  assert.equal(changes.next, undefined);
  changes.push(7, encodeChunk([change(7)], changeBytes(change(7))));
  assert.equal(changes.at(6), 'gone', 'who waited for it is sent away');
});

test('a change that another node made by a clock that is ahead is told as of when it was made, one from nowhere near as of when it came', () => {
  const record = (made: number): Buffer => recordOf({ state: BindingState.ACTIVE, client: 'c', since: made, lastTransaction: made, expires: made + 600, leaseSeconds: 600 });
  const T = 1_800_000_000;
  const told = (made: number): number => secondToTell({ number: 1, second: T, address: 1, record: record(made) });
  assert.deepEqual([T - 50, T, T + 7, T + TOLD_AHEAD_SECONDS_MAX, T + TOLD_AHEAD_SECONDS_MAX + 1].map(told), [T, T, T + 7, T + TOLD_AHEAD_SECONDS_MAX, T]);
  assert.equal(secondToTell({ number: 1, second: T, address: 1, record: undefined }), T);
});
