/** The history of changes in a cluster: what a node that restarts, fetches or goes on has of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BINDING_STATE_NAMES, recordState } from '../../node/lease/record.ts';
import { historyKey, readChunk } from '../../node/leasequery/history-chunk.ts';
import type { BindingChange } from '../../node/leasequery/history-chunk.ts';
import { wallSeconds } from '../../node/time.ts';
import { Story } from '../support/story.ts';

const LIMITS = { seconds: 3600, bytes: 2 ** 24 };

function story(nodes: readonly string[]): Story {
  const made = new Story({ nodes });
  for (const host of made.hosts) host.historyLimits = LIMITS;
  return made;
}

function read(told: Story, id: string): BindingChange[] {
  const history = told.host(id).history!;
  const changes: BindingChange[] = [];
  for (let number = history.firstNumber; number < history.nextNumber;) {
    const found = readChunk(historyKey(number), history.chunkAt(number)!)!;
    changes.push(...found);
    number += found.length;
  }
  return changes;
}

function states(told: Story, id: string): string[] {
  return read(told, id).map(({ address, record }) => `${address} ${record === undefined ? 'FREE' : BINDING_STATE_NAMES[recordState(record)]}`);
}

test('every member has the changes of all, and hands them out as they are committed', () => {
  const told = story(['a', 'b']).startAll();
  for (const host of told.hosts) host.history!.listening = true;
  const addresses = [told.lease(1, 'a'), told.lease(2, 'b'), told.lease(3, 'a')];
  // Without a further change the other says within a quarter of a second how far it has committed.
  told.run(300);
  for (const id of ['a', 'b']) {
    assert.deepEqual(states(told, id).toSorted(), addresses.map((address) => `${address} ACTIVE`).toSorted());
    const taken = told.host(id).engine.takeCommittedChanges(100);
    assert(!taken.lost);
    assert.deepEqual(taken.changes.map(({ number, record }) => [number, record]), read(told, id).map(({ number, record }) => [number, record]));
    assert.equal(taken.through, 3);
  }
});

test('what is not committed is in the history and is not handed out', () => {
  const told = story(['a', 'b']).startAll();
  told.run(200);
  const a = told.host('a');
  a.history!.listening = true;
  told.hold('b', 'a');
  told.requests(1, 'a');
  told.run(20);
  assert.equal(read(told, 'a').length, 1);
  assert.deepEqual(a.engine.takeCommittedChanges(9), { lost: false, changes: [], through: 0 });
  told.flow('b', 'a');
  told.run(100);
  assert.equal((a.engine.takeCommittedChanges(9) as { through?: number }).through, 1);
});

test('a node that has fetched begins anew as a member; those that went on miss nothing', () => {
  const told = story(['a', 'b', 'c']).startAll();
  told.lease(1, 'a');
  told.crash('c');
  told.settle(['a', 'b']);
  told.lease(2, 'a');
  const [since] = told.hosts.map(({ history }) => history!.since);
  told.run(5000);
  told.start('c');
  told.until('c has fetched', () => told.told('recover.fetched').some(({ node, at }) => node === 'c' && at > 5000));
  assert.equal(told.host('c').history!.since, undefined);
  const outside = wallSeconds(told.host('c').now().wall);
  told.settle();
  assert.ok(told.host('c').history!.since! > outside);
  assert.deepEqual(states(told, 'c'), []);
  told.lease(3, 'a');
  told.run(200);
  assert.equal(states(told, 'c').length, 1);
  assert.equal(states(told, 'a').length, 3);
  assert.equal(told.host('a').history!.since, since);
});

test('nodes that all lose power go on with what their disks have', () => {
  const told = story(['a', 'b']).startAll();
  told.lease(1, 'a');
  told.lease(2, 'b');
  told.run(200);
  const before = ['a', 'b'].map((id) => ({ since: told.host(id).history!.since, states: states(told, id) }));
  for (const id of ['a', 'b']) told.crash(id);
  told.run(2000);
  told.startAll();
  told.lease(3, 'a');
  told.run(200);
  ['a', 'b'].forEach((id, i) => {
    assert.equal(told.host(id).history!.since, before[i]!.since);
    assert.deepEqual(states(told, id).slice(0, 2), before[i]!.states);
    assert.equal(states(told, id).length, 3);
  });
});
