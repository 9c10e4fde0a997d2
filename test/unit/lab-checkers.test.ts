import { test } from 'node:test';
import assert from 'node:assert/strict';
import { AddressChecker } from '../../deploy/lab/address-checker.ts';
import { MessageType, readServerMessage, writeClientMessage } from '../../deploy/lab/client-wire.ts';
import { compareStores } from '../../deploy/lab/compare-stores.ts';
import { parseReport } from '../../deploy/lab/load.ts';
import type { HistoryEntry } from '../../deploy/lab/real-clients.ts';
import { DhcpMessage } from '../../node/codec/message.ts';

test('two clients that hold one address at one time are found, whatever the order in which they were told', () => {
  const checker = new AddressChecker();
  checker.held('late', '10.0.0.1', 2000, 9000);
  checker.held('early', '10.0.0.1', 1000, 3000);
  assert.equal(checker.conflicts().length, 1);
  assert.match(checker.conflicts()[0]!, /^10\.0\.0\.1 was early's until .* and late's from /);
});

test('one client after the other, and one that renews, are no conflict', () => {
  const checker = new AddressChecker();
  checker.held('first', '10.0.0.1', 1000, 3000);
  checker.held('first', '10.0.0.1', 2000, 4000);
  checker.held('second', '10.0.0.1', 4000, 6000);
  checker.held('second', '10.0.0.2', 4500, 6000);
  assert.deepEqual(checker.conflicts(), []);
});

test('an address that was given back early may be another client\'s from then on, and not before', () => {
  const checker = new AddressChecker();
  checker.held('first', '10.0.0.1', 1000, 9000);
  checker.ended('first', '10.0.0.1', 2000);
  checker.held('second', '10.0.0.1', 2000, 9000);
  assert.deepEqual(checker.conflicts(), []);
  checker.held('third', '10.0.0.1', 1999, 2001);
  assert.equal(checker.conflicts().length, 2);
});

test('a renewal after the end, that another client\'s lease lies before, is found', () => {
  const checker = new AddressChecker();
  checker.held('first', '10.0.0.1', 1000, 2000);
  checker.held('second', '10.0.0.1', 2500, 6000);
  checker.held('first', '10.0.0.1', 3000, 4000);
  assert.equal(checker.conflicts().length, 1);
});

test('histories of real clients, events of scripted ones and what another checker saw count alike', () => {
  const entry = (event: HistoryEntry['event'], seconds: number): HistoryEntry => ({
    timeNs: BigInt(seconds) * 1_000_000_000n, client: 'udhcpc', event, reason: event, interface: 'eth0',
    address: '10.0.0.1', leaseSeconds: event === 'ended' ? 0 : 30, serverId: '10.0.0.9',
  });
  const real = new AddressChecker();
  real.addHistory([entry('bound', 100), entry('renewed', 110)]);
  const all = new AddressChecker();
  all.addScripted({ event: 'bound', client: 'scripted', address: '10.0.0.1', serverId: '10.0.0.9', at: 135_000, until: 165_000, tookMs: 5 });
  assert.deepEqual(all.conflicts(), []);
  all.addAll(real);
  assert.equal(all.conflicts().length, 1);
  assert.deepEqual([all.clients, all.leases, all.addresses], [2, 3, 1]);
});

function storeWith(leases: readonly { address: string; seq: number }[]): { fetch(path: string): Promise<string> } {
  return {
    fetch: (path) => Promise.resolve(leases
      .filter(({ address }) => !path.includes('address=') || path.endsWith(`=${address}`))
      .map(({ address, seq }) => `${JSON.stringify({ address, state: 'ACTIVE', client: '01', expires: 'never', stamp: { epoch: 1, incarnation: 'a', seq } })}\n`)
      .join('')),
  };
}

test('stores are compared binding by binding', async () => {
  const one = storeWith([{ address: '10.0.0.1', seq: 1 }, { address: '10.0.0.2', seq: 2 }]);
  const same = await compareStores(one, storeWith([{ address: '10.0.0.2', seq: 2 }, { address: '10.0.0.1', seq: 1 }]));
  assert.deepEqual(same, { bindings: 2, states: { ACTIVE: 2 }, differences: [] });
  const stale = await compareStores(one, storeWith([{ address: '10.0.0.1', seq: 1 }, { address: '10.0.0.2', seq: 1 }]));
  assert.equal(stale.differences.length, 1);
  const less = await compareStores(one, storeWith([{ address: '10.0.0.1', seq: 1 }]));
  assert.match(less.differences.join(), /10\.0\.0\.2 absent/);
});

test('a binding that changes while the stores are read is asked for again', async () => {
  let seq = 1;
  const moving = { fetch: (path: string) => storeWith([{ address: '10.0.0.1', seq: seq < 4 ? seq++ : seq }]).fetch(path) };
  const settled = await compareStores(moving, storeWith([{ address: '10.0.0.1', seq: 4 }]));
  assert.deepEqual(settled.differences, []);
});

test('what a scripted client writes is what the server reads', () => {
  const bytes = writeClientMessage({
    type: MessageType.request, xid: 7, chaddr: Buffer.from('024c43000001', 'hex'), broadcast: true, requested: '10.0.0.5', serverId: '10.0.0.1',
  });
  const message = new DhcpMessage();
  assert.equal(message.parse(bytes), undefined);
  assert.equal(message.type, 3);
});

test('a reply that is cut short or malformed is none', () => {
  const reply = Buffer.alloc(300);
  reply.writeUInt8(2, 0);
  reply.writeUInt32BE(0x6382_5363, 236);
  reply.set([53, 1, 5, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 0, 30, 255], 240);
  assert.deepEqual(readServerMessage(reply), {
    type: 5, xid: 0, chaddr: '000000000000', yiaddr: '0.0.0.0', serverId: '10.0.0.1', leaseSeconds: 30,
  });
  assert.equal(readServerMessage(reply.subarray(0, 240)), undefined);
  assert.equal(readServerMessage(reply.subarray(0, 246)), undefined);
  reply.writeUInt8(1, 0);
  assert.equal(readServerMessage(reply), undefined);
});

test('the report of perfdhcp is summed over its sections', () => {
  const section = (name: string, sent: number, received: number): string =>
    `***Statistics for: ${name}***\nsent packets: ${sent}\nreceived packets: ${received}\ndrops: ${sent - received}\n\navg delay: 1.500 ms\nmax delay: 9.250 ms\n`;
  const report = [section('DISCOVER-OFFER', 100, 98), section('REQUEST-ACK', 98, 97), section('REQUEST-ACK (renewal)', 10, 10)].join('\n');
  assert.deepEqual(parseReport(report), { sent: 208, received: 205, drops: 3, ackMeanMs: 1.5, ackMaxMs: 9.25 });
  assert.throws(() => parseReport('usage: perfdhcp'), /no report/);
});
