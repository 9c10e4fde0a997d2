/** The outbox of DNS: what it begins, when, and what it writes into the records. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { DNS_UNDER_WAY_MAX } from '../../node/ddns/limits.ts';
import { BindingState, recordState } from '../../node/lease/record.ts';
import type { MonotonicMs } from '../../node/time.ts';
import { addressData } from '../../node/ddns/update.ts';
import { entry, OutboxStage } from './dns-outbox-fixture.ts';

test('a name gets its A and its PTR record, and one change says so', () => {
  const stage = new OutboxStage();
  const address = stage.lease('10.0.0.1', [entry('pc')]);
  stage.run();
  assert.deepEqual(stage.held(), ['pc.example.test A 10.0.0.1', '1.0.0.10.in-addr.arpa PTR']);
  assert.equal(stage.changes, 1);
  const [only] = stage.entries(address);
  assert.ok(only!.forwardSettled && only!.reverseSettled);
  assert.equal(stage.table.dns.size, 0);
});

for (const state of ['EXPIRED', 'RELEASED', 'ABANDONED'] as const) {
  test(`of a binding that is ${state} both records go, and the entry with them`, () => {
    const stage = new OutboxStage();
    const address = stage.lease('10.0.0.1', [entry('pc')]);
    stage.run();
    stage.become(address, BindingState[state]);
    stage.run();
    assert.deepEqual(stage.held(), []);
    assert.deepEqual(stage.entries(address), []);
    assert.equal(recordState(stage.table.read(address)!), BindingState[state]);
    assert.equal(stage.changes, 2);
  });
}

test('a client that changes its name: the old one goes, and its PTR record is replaced without a removal', () => {
  const stage = new OutboxStage();
  stage.lease('10.0.0.1', [entry('old')]);
  stage.run();
  stage.lease('10.0.0.1', [entry('new'), entry('old', { current: false })]);
  const actions: string[] = [];
  for (let i = 0; i < 8; i++) {
    actions.push(...stage.turn().map(({ action }) => action));
    stage.carryOut();
  }
  assert.deepEqual(actions, ['remove-forward', 'add-forward', 'add-reverse']);
  assert.deepEqual(stage.held(), ['new.example.test A 10.0.0.1', '1.0.0.10.in-addr.arpa PTR']);
});

test('a client that comes back while its name is taken out has it in the end', () => {
  const stage = new OutboxStage();
  const address = stage.lease('10.0.0.1', [entry('pc')]);
  stage.run();
  stage.become(address, BindingState.EXPIRED);
  stage.turn();
  stage.turn();
  assert.deepEqual(stage.jobs.map(({ action }) => action), ['remove-forward']);
  stage.lease('10.0.0.1', [entry('pc', { forwardSettled: true, reverseSettled: true })]);
  stage.run();
  assert.ok(stage.held().includes('pc.example.test A 10.0.0.1'), 'what was taken out is put in again');
});

test('a name that was put in for an entry that the record has lost is taken out', () => {
  const stage = new OutboxStage();
  stage.lease('10.0.0.1', [entry('pc')]);
  stage.turn();
  stage.turn();
  assert.equal(stage.jobs[0]!.action, 'add-forward');
  stage.lease('10.0.0.1', []);
  stage.run();
  assert.deepEqual(stage.held(), []);
});

test('nothing begins before the record is committed and this node confirmed, nor for the addresses of others', () => {
  const hinder: ((stage: OutboxStage, hindered: boolean) => void)[] = [
    (stage, hindered) => { stage.committed = !hindered; },
    (stage, hindered) => { stage.confirms = !hindered; },
    (stage, hindered) => { stage.owns = () => !hindered; },
    (stage, hindered) => { stage.works = !hindered; },
  ];
  for (const how of hinder) {
    const stage = new OutboxStage();
    how(stage, true);
    stage.lease('10.0.0.1', [entry('pc')]);
    stage.run(5);
    assert.equal(stage.held().length, 0);
    how(stage, false);
    stage.run(200);
    assert.equal(stage.held().length, 2);
  }
});

test('a node that stood still may send nothing until it is confirmed again', () => {
  const stage = new OutboxStage();
  stage.lease('10.0.0.1', [entry('pc')]);
  stage.turn();
  stage.turn();
  const [job] = stage.jobs;
  assert.ok(stage.outbox.mayGoOn(job!.id, stage.now as MonotonicMs));
  stage.now += 5000;
  assert.ok(!stage.outbox.mayGoOn(job!.id, stage.now as MonotonicMs));
  stage.turn();
  stage.turn();
  stage.turn();
  assert.ok(stage.outbox.mayGoOn(job!.id, stage.now as MonotonicMs), 'a round that began after the pause');
  stage.owns = () => false;
  assert.ok(!stage.outbox.mayGoOn(job!.id, stage.now as MonotonicMs));
});

test('an outcome that comes after the node has left the view changes nothing', () => {
  const stage = new OutboxStage();
  stage.lease('10.0.0.1', [entry('pc')]);
  stage.turn();
  stage.turn();
  stage.outbox.forget();
  stage.carryOut();
  assert.equal(stage.changes, 0);
  stage.run(200);
  assert.equal(stage.held().length, 2, 'it is found in the record again');
});

test('a dead zone waits as a whole, tries with one update, and holds up no other zone; memory stays bounded', () => {
  const stage = new OutboxStage();
  stage.fails.set('example.test.', { kind: 'unavailable', reason: 'no answer' });
  for (let i = 0; i < 1000; i++) stage.lease(`10.0.${i >> 8}.${i & 255}`, [entry(`pc-${i}`)]);
  for (let i = 0; i < 1000; i++) stage.lease(`10.0.${(i >> 8) + 10}.${i & 255}`, [entry(`nas-${i}`, { forward: false })]);
  let most = 0;
  for (let i = 0; i < 400; i++) {
    most = Math.max(most, stage.turn().length);
    stage.carryOut();
  }
  assert.ok(most <= DNS_UNDER_WAY_MAX);
  assert.equal(stage.held().length, 1000, 'PTR records of the others');
  assert.deepEqual(stage.events.map(({ id }) => id), ['dns.zone-failing']);
  const tried = stage.counters.ended('add-forward', 'unavailable');
  assert.ok(tried <= DNS_UNDER_WAY_MAX + 5, `${tried} updates in 12 s`);
  const status = stage.outbox.describe(stage.now as MonotonicMs);
  assert.equal(status.pending, 1000);
  assert.deepEqual(status.zones.map(({ failing, pending, zone }) => ({ failing, pending, zone })), [{ failing: 'no answer', pending: 1000, zone: 'example.test.' }]);
  stage.fails.clear();
  stage.run(3000);
  assert.equal(stage.held().length, 3000);
  assert.equal(stage.events.at(-1)!.id, 'dns.zone-recovered');
});

test('a name that a server refuses while it takes others is settled after a few tries; a zone that refuses everything is not', () => {
  const stage = new OutboxStage();
  const refused = stage.lease('10.0.0.1', [entry('bad', { reverse: false })]);
  const outcomeOf = stage.outcomeOf.bind(stage);
  stage.outcomeOf = (job) => (job.name.includes('bad') ? { kind: 'refused', code: 'REFUSED' } : outcomeOf(job));
  for (let i = 2; i < 40; i++) {
    stage.lease(`10.0.0.${i}`, [entry(`pc-${i}`, { reverse: false })]);
    stage.run(20, 100);
  }
  assert.equal(stage.entries(refused)[0]!.refusal, 'refused');
  assert.equal(stage.held().length, 38);
  assert.deepEqual(stage.events.map(({ id }) => id), ['dns.refused']);

  const closed = new OutboxStage();
  closed.fails.set('example.test.', { kind: 'refused', code: 'REFUSED' });
  const address = closed.lease('10.0.0.1', [entry('pc', { reverse: false })]);
  closed.run(600, 100);
  assert.equal(closed.entries(address)[0]!.refusal, 'none');
  assert.deepEqual(closed.events.map(({ id }) => id), ['dns.zone-failing']);
  closed.fails.clear();
  closed.run(1000, 100);
  assert.deepEqual(closed.held(), ['pc.example.test A 10.0.0.1']);
});

test('a wrong key fails the zone at once, and nothing is refused for good', () => {
  const stage = new OutboxStage();
  stage.fails.set('example.test.', { kind: 'refused', code: 'BADKEY' });
  const address = stage.lease('10.0.0.1', [entry('pc')]);
  stage.run(100, 100);
  assert.deepEqual(stage.events.map(({ id, fields }) => [id, fields['reason']]), [['dns.zone-failing', 'BADKEY']]);
  assert.equal(stage.entries(address)[0]!.refusal, 'none');
});

test('the name of somebody else stays theirs, and its client gets no PTR record', () => {
  const stage = new OutboxStage();
  stage.zones.get('example.test.')!.put({ name: 'www.example.test', type: 'A', ttlSeconds: 60, data: addressData(1) });
  const address = stage.lease('10.0.0.1', [entry('www')]);
  stage.run();
  assert.equal(stage.entries(address)[0]!.refusal, 'conflict');
  assert.deepEqual(stage.held(), ['www.example.test A 0.0.0.1']);
  assert.equal(stage.table.dns.size, 0);
  stage.become(address, BindingState.EXPIRED);
  stage.run();
  assert.deepEqual(stage.held(), ['www.example.test A 0.0.0.1']);
});

test('a name that lies in no zone is settled as such', () => {
  const stage = new OutboxStage();
  const address = stage.lease('10.0.0.1', [entry('pc', { name: Buffer.from('\x02pc\x05other\0') })]);
  stage.run();
  assert.equal(stage.entries(address)[0]!.refusal, 'no-zone');
  assert.deepEqual(stage.held(), ['1.0.0.10.in-addr.arpa PTR'], 'the PTR record does not depend on it');
  stage.become(address, BindingState.EXPIRED);
  stage.run();
  assert.deepEqual(stage.held(), []);
  assert.equal(stage.counters.givenUp, 1);
});

test('a client that has taken its name along: the lease that it left does not take it back', () => {
  const stage = new OutboxStage();
  stage.fails.set('example.test.', { kind: 'unavailable', reason: 'no answer' });
  const left = stage.lease('10.0.0.1', [entry('pc')], { client: 'one' });
  stage.run(10);
  stage.lease('10.0.0.2', [entry('pc')], { client: 'one', lastTransaction: 1500 });
  stage.fails.clear();
  stage.run(500);
  assert.ok(stage.held().includes('pc.example.test A 10.0.0.2'));
  assert.equal(stage.entries(left)[0]!.refusal, 'conflict');
  stage.become(0x0a000002, BindingState.RELEASED);
  stage.run(100);
  assert.ok(stage.held().includes('pc.example.test A 10.0.0.1'), 'and has it again when the other one is given up');
  assert.ok(stage.held().includes('1.0.0.10.in-addr.arpa PTR'), 'with the pointer that it did not get as long as the name was away');
});

test('a name that is missed while its address is seen to is put in after that', () => {
  const stage = new OutboxStage();
  const address = stage.lease('10.0.0.1', [entry('pc', { forwardSettled: true })]);
  stage.turn();
  stage.turn();
  assert.deepEqual(stage.jobs.map(({ action }) => action), ['add-reverse']);
  assert.ok(stage.outbox.askAnew(address, true, false));
  stage.turn();
  stage.run();
  assert.ok(stage.held().includes('pc.example.test A 10.0.0.1'));
  assert.ok(stage.outbox.isIdle);
});

test('a record that must stay as old as it is waits, and is not written', () => {
  const stage = new OutboxStage();
  stage.mayRewrite = false;
  const address = stage.lease('10.0.0.1', [entry('pc')]);
  stage.run();
  assert.equal(stage.changes, 0);
  assert.deepEqual(stage.held(), []);
  assert.equal(stage.table.dns.size, 1);
  stage.mayRewrite = true;
  stage.run();
  stage.mayRewrite = false;
  assert.ok(stage.outbox.askAnew(address, true, true));
  stage.run();
  assert.equal(stage.changes, 1, 'nor is it because of what a comparison finds');
});

test('a client that has gone to an address without a zone: the lease that it left keeps the name, whichever is seen to first', () => {
  for (const isSettled of [false, true]) {
    const stage = new OutboxStage();
    stage.fails.set('example.test.', { kind: 'unavailable', reason: 'no answer' });
    stage.lease('10.0.0.1', [entry('pc')], { client: 'one' });
    // No subnet has this address any more.
    stage.lease('11.0.0.1', [entry('pc', isSettled ? { forwardSettled: true, reverseSettled: true, refusal: 'no-zone' } : {})], { client: 'one', lastTransaction: 1500 });
    stage.fails.clear();
    stage.run(500);
    assert.deepEqual(stage.held(), ['pc.example.test A 10.0.0.1', '1.0.0.10.in-addr.arpa PTR']);
  }
});
