/** The history of leases in a cluster: every member has it, and one that was away has it again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HistorySearch } from '../../node/history/search.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import { BindingState, withState } from '../../node/lease/record.ts';
import { wallSeconds } from '../../node/time.ts';
import { ip } from '../support/client-packets.ts';
import { Story } from '../support/story.ts';

/** What a node says of an address, newest first: "from-to end", UTC seconds. */
function told(story: Story, id: string, address: number): string[] {
  const host = story.host(id);
  const now = wallSeconds(host.now().wall);
  const search = new HistorySearch(host.tenures, host.table, { address }, { from: 0, to: 0xffff_ffff }, now);
  while (search.step());
  return search.result()!.tenures.map(({ end, exact, from, row, to }) => `${row.chaddr.toString('hex')} ${from}-${to ?? ''} ${end}${exact ? '' : '?'}`);
}

/** The owner ends the lease, as its client's DHCPRELEASE would. */
function release(story: Story, address: number): void {
  const owner = story.hosts.find((host) => host.alive && host.engine.core.owns(address & 255))!;
  const record = withState(owner.table.read(address)!, BindingState.RELEASED, wallSeconds(owner.now().wall));
  owner.input((engine) => engine.core.replication.append(address, record));
  story.run(10);
}

function agree(story: Story, ids: readonly string[], addresses: readonly number[]): void {
  for (const address of addresses) {
    const [first, ...others] = ids.map((id) => told(story, id, address));
    assert.ok(first!.length > 0, formatIpv4(address));
    for (const other of others) assert.deepEqual(other, first, formatIpv4(address));
  }
}

test('every member has the same history, and keeps it over a power cut of all', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  const addresses = [story.lease(1, 'a'), story.lease(2, 'b'), story.lease(3, 'a')];
  story.run(3000);
  for (const address of addresses.slice(0, 2)) release(story, address);
  story.run(2000);
  agree(story, ['a', 'b'], addresses);
  assert.match(told(story, 'a', addresses[0]!)[0]!, / released$/);
  assert.match(told(story, 'b', addresses[2]!)[0]!, / active$/);
  const before = told(story, 'a', addresses[1]!);
  const copies = story.told('history.copying').length;
  for (const id of ['a', 'b']) story.crash(id);
  story.run(2000);
  story.startAll();
  agree(story, ['a', 'b'], addresses);
  assert.deepEqual(told(story, 'b', addresses[1]!), before);
  assert.equal(story.told('history.copying').length, copies);
});

test('a node that was away copies what it has missed, exactly as the others have it', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  const one = story.lease(1, 'a');
  const two = story.lease(2, 'a');
  story.run(40_000);
  story.crash('b');
  story.settle(['a']);
  story.run(5000);
  release(story, one);
  const three = story.lease(3, 'a');
  story.run(2000);
  release(story, three);
  story.run(20_000);
  story.start('b');
  story.settle();
  assert.notEqual(story.host('b').tenures.gap, undefined);
  story.until('b has copied', () => story.told('history.copied').some(({ node }) => node === 'b'));
  assert.equal(story.host('b').tenures.gap, undefined);
  agree(story, ['a', 'b'], [one, two, three]);
  assert.match(told(story, 'b', one)[0]!, / released$/);
  // And hears of all that comes after.
  release(story, two);
  story.run(100);
  agree(story, ['a', 'b'], [one, two, three]);
});

test('a node with a new disk copies all of it, over links that break and a view that changes', () => {
  const story = new Story({ nodes: ['a', 'b', 'c'], subnet: { pools: [{ first: ip('10.0.1.0'), last: ip('10.0.50.255') }] } });
  for (const id of ['a', 'b']) story.start(id);
  story.settle(['a', 'b']);
  const addresses: number[] = [];
  for (let round = 0; round < 8; round++) {
    const granted = story.grants('a', 100);
    addresses.push(...granted);
    story.run(1000);
    for (const address of granted) release(story, address);
  }
  story.start('c');
  story.settle();
  let pages = 0;
  story.arrives = (_from, to, { body }) => {
    if (to !== 'c' || body?.$case !== 'historyPage') return true;
    return ++pages !== 2;
  };
  story.until('pages have come', () => pages >= 2, 20_000);
  story.breakLink('a', 'c');
  story.breakLink('b', 'c');
  // The source goes: the other one gives the rest.
  story.crash('a');
  story.settle(['b', 'c']);
  story.until('c has copied', () => story.told('history.copied').some(({ node }) => node === 'c'), 60_000);
  assert.equal(story.host('c').tenures.gap, undefined);
  assert.equal(story.host('c').tenures.since, story.host('b').tenures.since);
  agree(story, ['b', 'c'], [...new Set(addresses)]);
  assert.equal(addresses.length, 800);
});

test('a lease that nobody was told of is in no history', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  story.run(1000);
  story.hold('a', 'b');
  const address = story.grants('a', 1)[0]!;
  story.run(20);
  assert.match(told(story, 'a', address)[0]!, / active$/);
  story.crash('a');
  story.settle(['b']);
  story.flow('a', 'b');
  story.start('a');
  story.settle();
  story.run(1000);
  assert.deepEqual(told(story, 'a', address), []);
  assert.deepEqual(told(story, 'b', address), []);
});

test('nothing is asked of a node that speaks an earlier version', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  story.crash('b');
  story.settle(['a']);
  story.arrives = (_from, _to, { body }) => {
    if (body?.$case === 'hello') body.value.protocolMax = 2;
    return true;
  };
  story.run(1000);
  story.start('b');
  story.settle();
  story.run(20_000);
  assert.equal(story.sent.filter(({ kind }) => kind === 'historyRequest').length, 0);
  assert.notEqual(story.host('b').tenures.gap, undefined);
});

test('a node that was evicted without noticing it knows from when on it has missed something', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  const one = story.lease(1, 'a');
  story.run(20_000);
  // Cut off from all others, and then from etcd alone: it cannot read the view that it is not in.
  story.etcdCut.add('b');
  story.apart('a', 'b');
  story.until('a is alone', () => story.host('a').engine.core.nodeState === 'PARTNER-DOWN', 40_000);
  story.together('a', 'b');
  story.until('b believes that all is well', () => story.host('b').engine.core.nodeState === 'NORMAL', 20_000);
  const evicted = wallSeconds(story.host('b').now().wall);
  release(story, one);
  // Something to write, as DNS or a clock would be: what it knows of the time is written with it.
  for (let i = 0; i < 12; i++) {
    story.run(5000);
    story.host('b').input((engine) => engine.core.state.context.store.putMeta('of-a-test', Buffer.from(String(i))));
  }
  story.crash('b');
  story.etcdCut.delete('b');
  story.start('b');
  story.settle();
  assert.ok(story.host('b').tenures.gap!.from <= evicted);
  story.until('b has copied', () => story.told('history.copied').some(({ node }) => node === 'b'));
  agree(story, ['a', 'b'], [one]);
  assert.match(told(story, 'b', one).at(-1)!, / released$/);
});
