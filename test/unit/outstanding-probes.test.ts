import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { OutstandingProbes } from '../../node/io/outstanding-probes.ts';
import type { OutstandingProbe } from '../../node/io/outstanding-probes.ts';
import { PROBES_PENDING_MAX } from '../../node/limits.ts';
import type { ProbeRequest } from '../../node/server/ports.ts';
import type { MonotonicMs } from '../../node/time.ts';

const IDENTIFIER = 0x4c53;
const CLIENT = Buffer.from('02000000000a', 'hex');
const STRANGER = Buffer.from('02000000000b', 'hex');
const at = (ms: number): MonotonicMs => ms as MonotonicMs;

function request(id: number, address: number, changes: Partial<ProbeRequest> = {}): ProbeRequest {
  return {
    id, address, iface: { name: 'eth0', index: 2, mtu: 1500, addresses: [] }, method: 'icmp', timeoutMs: 1000, targetLocal: true, chaddr: CLIENT, ...changes,
  };
}

function replyOf(probe: OutstandingProbe): Parameters<OutstandingProbes['ofEcho']>[0] {
  return { source: probe.request.address, identifier: IDENTIFIER, sequence: probe.sequence, data: probe.nonce };
}

test('an echo reply answers its probe by identifier, sequence, source and data, all of them', () => {
  const probes = new OutstandingProbes(IDENTIFIER);
  const one = probes.add(request(1, 100), 'icmp', Buffer.from('nonce 1.'), at(0))!;
  const other = probes.add(request(2, 101), 'icmp', Buffer.from('nonce 2.'), at(0))!;
  assert.notEqual(one.sequence, other.sequence);
  assert.equal(probes.ofEcho(replyOf(one)), one);
  assert.equal(probes.ofEcho(replyOf(other)), other);
  assert.equal(probes.ofEcho({ ...replyOf(one), identifier: IDENTIFIER + 1 }), undefined, 'of another program');
  assert.equal(probes.ofEcho({ ...replyOf(one), sequence: other.sequence }), undefined);
  assert.equal(probes.ofEcho({ ...replyOf(one), source: 101 }), undefined, 'from elsewhere');
  assert.equal(probes.ofEcho({ ...replyOf(one), data: Buffer.from('nonce 2.') }), undefined, 'guessed');
  probes.remove(one);
  assert.equal(probes.ofEcho(replyOf(one)), undefined, 'late');
});

test('an ARP packet answers the probes for its sender on its interface, but not for that client itself', () => {
  const probes = new OutstandingProbes(IDENTIFIER);
  const one = probes.add(request(1, 100), 'arp', Buffer.alloc(8), at(0))!;
  probes.add(request(2, 101), 'arp', Buffer.alloc(8), at(0));
  probes.add(request(3, 102), 'icmp', Buffer.alloc(8), at(0));
  assert.deepEqual(probes.ofArp({ address: 100, hardwareAddress: STRANGER }, 2), [one]);
  assert.deepEqual(probes.ofArp({ address: 100, hardwareAddress: CLIENT }, 2), []);
  assert.deepEqual(probes.ofArp({ address: 100, hardwareAddress: STRANGER }, 3), []);
  assert.deepEqual(probes.ofArp({ address: 102, hardwareAddress: STRANGER }, 2), [], 'it asked by ICMP');
  assert.deepEqual(probes.ofArp({ address: 0, hardwareAddress: STRANGER }, 2), [], 'another host\'s probe');
});

test('a probe asks again once, halfway, and is over at its end', () => {
  const probes = new OutstandingProbes(IDENTIFIER);
  const probe = probes.add(request(1, 100), 'arp', Buffer.alloc(8), at(0))!;
  assert.deepEqual(probes.due(at(499)), { over: [], again: [] });
  assert.deepEqual(probes.due(at(500)), { over: [], again: [probe] });
  assert.deepEqual(probes.due(at(999)), { over: [], again: [] });
  assert.deepEqual(probes.due(at(1000)), { over: [probe], again: [] });
  assert.deepEqual(probes.due(at(1000)), { over: [], again: [] });
  assert.deepEqual(probes.ofArp({ address: 100, hardwareAddress: STRANGER }, 2), []);
});

test('past the limit nothing is added', () => {
  const probes = new OutstandingProbes(IDENTIFIER);
  const all = Array.from({ length: PROBES_PENDING_MAX }, (_, i) => probes.add(request(i, i), 'icmp', Buffer.alloc(8), at(0))!);
  assert.equal(probes.add(request(-1, 5000), 'icmp', Buffer.alloc(8), at(0)), undefined);
  probes.remove(all[3]!);
  assert.notEqual(probes.add(request(-1, 5000), 'icmp', Buffer.alloc(8), at(0)), undefined);
});

test('sequences come round without ever being those of two probes', () => {
  const probes = new OutstandingProbes(IDENTIFIER);
  const old = probes.add(request(1, 100), 'icmp', Buffer.alloc(8), at(0))!;
  for (let i = 0; i < 0x10000; i++) {
    const probe = probes.add(request(i, 101), 'icmp', Buffer.alloc(8), at(0))!;
    assert.notEqual(probe.sequence, old.sequence);
    assert.ok(probe.sequence >= 0 && probe.sequence <= 0xffff);
    probes.remove(probe);
  }
  assert.equal(probes.ofEcho(replyOf(old)), old);
});

test('whatever comes in whatever order, each probe ends exactly once', () => {
  const step = fc.record({
    kind: fc.constantFrom('add', 'add', 'echo', 'arp', 'due'), address: fc.integer({ min: 1, max: 4 }), method: fc.constantFrom('icmp', 'arp'),
    timeoutMs: fc.integer({ min: 0, max: 900 }), ms: fc.integer({ min: 0, max: 400 }), pick: fc.nat(), index: fc.integer({ min: 1, max: 2 }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
    const probes = new OutstandingProbes(IDENTIFIER);
    const model = new Map<number, { probe: OutstandingProbe; until: number }>();
    const ended: OutstandingProbe[] = [];
    const end = (probe: OutstandingProbe): void => {
      assert.ok(model.delete(probe.request.id), 'ended before');
      ended.push(probe);
    };
    let time = 0;
    for (const [id, { kind, address, method, timeoutMs, ms, pick, index }] of steps.entries()) {
      time += ms;
      if (kind === 'add') {
        const iface = { name: `eth${index}`, index, mtu: 1500, addresses: [] };
        const probe = probes.add(request(id, address, { timeoutMs, iface }), method, Buffer.of(id), at(time))!;
        model.set(id, { probe, until: time + timeoutMs });
      } else if (kind === 'echo') {
        const asked = [...model.values()].map(({ probe }) => probe).filter((probe) => probe.method === 'icmp');
        const probe = asked[pick % Math.max(1, asked.length)];
        if (probe !== undefined) {
          assert.equal(probes.ofEcho(replyOf(probe)), probe);
          probes.remove(probe);
          end(probe);
        }
      } else if (kind === 'arp') {
        const answered = probes.ofArp({ address, hardwareAddress: STRANGER }, index);
        const expected = [...model.values()].map(({ probe }) => probe)
          .filter((probe) => probe.method === 'arp' && probe.request.address === address && probe.request.iface.index === index);
        assert.deepEqual(answered, expected);
        for (const probe of answered) {
          probes.remove(probe);
          end(probe);
        }
      } else {
        const { over } = probes.due(at(time));
        assert.deepEqual(over.map((probe) => probe.request.id), [...model].filter(([, { until }]) => until <= time).map(([key]) => key));
        for (const probe of over) end(probe);
      }
      for (const probe of ended) {
        probes.remove(probe);
        assert.equal(probes.ofEcho(replyOf(probe)), undefined);
      }
      assert.equal(probes.size, model.size);
    }
    const { over } = probes.due(at(time + 1000));
    assert.equal(over.length, model.size);
    assert.equal(probes.size, 0);
  }));
});
