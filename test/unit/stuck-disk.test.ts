/** A node whose disk takes no writes can commit nothing and finish no view: the others go on without it. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Story } from '../support/story.ts';

/** The session TTL, and a second. */
const PROMISED_MS = 4000;

for (const who of ['the leader', 'another member'] as const) {
  test(`${who} with a disk that takes nothing is out of service as soon as a silent host would be, and comes back`, () => {
    const story = new Story({ nodes: ['a', 'b', 'c'] }).startAll();
    const stuck = who === 'the leader' ? story.leader : story.hosts.find(({ id }) => id !== story.leader)!.id;
    const others = story.hosts.map(({ id }) => id).filter((id) => id !== stuck);
    const address = story.lease(1, stuck);
    story.host(stuck).diskStuck = true;
    // A change that it cannot store, as any client of its slots would cause.
    story.requests(2, stuck);
    story.settle(others, PROMISED_MS);
    assert.ok(story.told('view.written').some(({ fields }) => fields['reason'] === `the disk of ${stuck} takes no writes`));
    assert.match(story.binding(others[0]!, address), /^ACTIVE/);
    story.lease(3, others[0]!);
    story.host(stuck).diskStuck = false;
    story.settle();
    assert.equal(story.binding(stuck, address), story.binding(others[0]!, address));
  });
}

test('a disk that is slow for less than that costs no membership', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  const { epoch } = story.view!;
  for (let i = 0; i < 4; i++) {
    story.host('b').diskStuck = true;
    story.requests(10 + i, 'b');
    story.run(2000);
    story.host('b').diskStuck = false;
    story.run(500);
  }
  assert.equal(story.view!.epoch, epoch);
});

test('the only member stays, whatever its disk does, and also when another one comes', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  story.crash('b');
  story.settle(['a']);
  story.host('a').diskStuck = true;
  story.requests(1, 'a');
  story.run(10_000);
  assert.equal(story.members, 'a');
  story.host('a').diskStuck = false;
  story.run(1000);
  story.start('b');
  story.settle();
  story.run(5000);
  assert.equal(story.members, 'a b');
});
