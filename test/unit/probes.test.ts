import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PROBED_FREE_MAX, PROBES_IN_USE_PER_DISCOVER_MAX, PROBES_PENDING_MAX, REPLY_AGE_MS_MAX } from '../../node/limits.ts';
import { Probes } from '../../node/server/probes.ts';
import type { Asking } from '../../node/server/probes.ts';
import type { ReceivedPacket } from '../../node/server/ports.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';

const at = (ms: number): Now => ({ mono: ms as MonotonicMs, wall: ms as WallMs });

function asking(address: number, client: string | number, changes: Partial<Asking> = {}): Asking {
  const packet: ReceivedPacket = {
    bytes: Buffer.from(`discover of ${client}`), iface: { name: 'eth0', index: 2, mtu: 1500, addresses: [] },
    sourceAddress: 0, sourcePort: 68, unicast: false, receivedAt: 0 as MonotonicMs,
  };
  return { packet, address, record: undefined, networkIndex: 0, clientKey: Buffer.from(String(client)), foundInUse: 0, ...changes };
}

test('a packet that waits is taken once, with its bytes and its client as they were', () => {
  const probes = new Probes();
  const one = asking(100, 'a', { foundInUse: 1 });
  const id = probes.add(one, at(0)) as number;
  one.packet.bytes.fill(0);
  one.clientKey.fill(0);
  const taken = probes.take(id);
  assert.equal(taken?.packet.bytes.toString(), 'discover of a');
  assert.equal(taken.clientKey.toString(), 'a');
  assert.deepEqual([taken.address, taken.foundInUse, probes.size], [100, 1, 0]);
  assert.equal(probes.take(id), undefined);
  assert.equal(probes.take(id + 1), undefined);
});

test('a client that retransmits while its probe runs starts no second one, for whatever address', () => {
  const probes = new Probes();
  const id = probes.add(asking(100, 'a'), at(0)) as number;
  assert.equal(probes.isAsking(0, Buffer.from('a')), true);
  assert.equal(probes.add(asking(100, 'a'), at(1)), 'duplicate');
  assert.equal(probes.add(asking(101, 'a'), at(1)), 'duplicate');
  probes.take(id);
  assert.equal(probes.isAsking(0, Buffer.from('a')), false);
  assert.equal(typeof probes.add(asking(101, 'a'), at(1)), 'number');
});

test('the same client of another network is another client, and no key is taken for another network\'s', () => {
  const probes = new Probes();
  probes.add(asking(100, '1 a', { networkIndex: 1 }), at(0));
  assert.equal(probes.isAsking(11, Buffer.from(' a')), false);
  assert.equal(typeof probes.add(asking(101, '1 a', { networkIndex: 2 }), at(0)), 'number');
  assert.equal(typeof probes.add(asking(102, 'a', { networkIndex: 1 }), at(0)), 'number');
});

test('two clients that are led to one address start one probe for it', () => {
  const probes = new Probes();
  const id = probes.add(asking(100, 'a'), at(0)) as number;
  assert.equal(probes.add(asking(100, 'b'), at(0)), 'duplicate');
  assert.equal(probes.isAsking(0, Buffer.from('b')), false);
  probes.take(id);
  assert.equal(typeof probes.add(asking(100, 'b'), at(0)), 'number');
});

test('past the limit a packet is refused, and none that waits gives way', () => {
  const probes = new Probes();
  const ids = Array.from({ length: PROBES_PENDING_MAX }, (_, i) => probes.add(asking(i, i), at(0)));
  assert.equal(probes.add(asking(5000, 'late'), at(0)), 'overload');
  assert.equal(probes.size, PROBES_PENDING_MAX);
  probes.take(ids[7] as number);
  assert.equal(typeof probes.add(asking(5000, 'late'), at(0)), 'number');
});

test('one packet takes only a few addresses out of use, however many answers there are', () => {
  const probes = new Probes();
  let foundInUse = 0;
  for (;;) {
    const id = probes.add(asking(100 + foundInUse, 'a', { foundInUse }), at(0));
    if (typeof id === 'string') {
      assert.equal(id, 'addresses-in-use');
      break;
    }
    foundInUse = probes.take(id)!.foundInUse + 1;
  }
  assert.equal(foundInUse, PROBES_IN_USE_PER_DISCOVER_MAX);
  assert.equal(typeof probes.add(asking(100, 'a'), at(1)), 'number', 'the next packet begins anew');
});

test('what got no answer until no reply may leave any more is handed back, and only that', () => {
  const probes = new Probes();
  probes.add(asking(100, 'a'), at(0));
  const late = probes.add(asking(101, 'b'), at(1)) as number;
  assert.deepEqual(probes.expire(at(REPLY_AGE_MS_MAX - 1)), []);
  assert.deepEqual(probes.expire(at(REPLY_AGE_MS_MAX)).map(({ address }) => address), [100]);
  assert.deepEqual(probes.expire(at(REPLY_AGE_MS_MAX)), []);
  assert.equal(probes.take(late)?.address, 101);
  assert.equal(typeof probes.add(asking(100, 'a'), at(REPLY_AGE_MS_MAX)), 'number');
});

test('an address found free needs no probe until its time is over, or it is given away', () => {
  const probes = new Probes();
  assert.equal(probes.mayOfferUnprobed(100, at(0)), false);
  probes.noteFree(100, 30, at(1000));
  assert.equal(probes.mayOfferUnprobed(100, at(30_999)), true);
  assert.equal(probes.mayOfferUnprobed(101, at(1000)), false);
  assert.equal(probes.mayOfferUnprobed(100, at(31_000)), false);
  probes.noteFree(100, 30, at(40_000));
  probes.forget(100);
  assert.equal(probes.mayOfferUnprobed(100, at(40_000)), false);
});

test('with nothing to be remembered an address is probed each time', () => {
  const probes = new Probes();
  probes.noteFree(100, 30, at(0));
  probes.noteFree(100, 0, at(1));
  assert.equal(probes.mayOfferUnprobed(100, at(1)), false);
});

test('of too many free addresses the one found first is forgotten', () => {
  const probes = new Probes();
  for (let address = 0; address < PROBED_FREE_MAX; address++) probes.noteFree(address, 60, at(0));
  probes.noteFree(0, 60, at(1));
  probes.noteFree(PROBED_FREE_MAX, 60, at(2));
  assert.deepEqual([0, 1, 2, PROBED_FREE_MAX].map((address) => probes.mayOfferUnprobed(address, at(3))), [true, false, true, true]);
});

test('never two probes for one address or client, and each one leaves once', () => {
  const step = fc.record({
    kind: fc.constantFrom('add', 'add', 'add', 'take', 'take again', 'expire', 'note', 'forget'),
    address: fc.integer({ min: 1, max: 6 }), client: fc.constantFrom('a', 'b', 'c', 'd'), networkIndex: fc.integer({ min: 0, max: 1 }),
    foundInUse: fc.integer({ min: 0, max: PROBES_IN_USE_PER_DISCOVER_MAX }), ms: fc.integer({ min: 0, max: 2500 }), pick: fc.nat(),
    seconds: fc.integer({ min: 0, max: 5 }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
    const probes = new Probes();
    const waiting = new Map<number, { address: number; client: string; since: number }>();
    const left = new Set<number>();
    const free = new Map<number, number>();
    let time = 0;
    for (const { kind, address, client, networkIndex, foundInUse, ms, pick, seconds } of steps) {
      time += ms;
      const name = `${networkIndex}/${client}`;
      const values = [...waiting.values()];
      if (kind === 'add') {
        const id = probes.add(asking(address, client, { networkIndex, foundInUse }), at(time));
        const taken = values.some((other) => other.address === address || other.client === name);
        const expected = taken ? 'duplicate' : foundInUse >= PROBES_IN_USE_PER_DISCOVER_MAX ? 'addresses-in-use' : 'number';
        assert.equal(typeof id === 'number' ? 'number' : id, expected);
        if (typeof id === 'number') {
          assert.ok(!waiting.has(id) && !left.has(id), 'an id of its own');
          waiting.set(id, { address, client: name, since: time });
        }
      } else if (kind === 'take') {
        const id = [...waiting.keys()][pick % Math.max(1, waiting.size)];
        if (id !== undefined) {
          assert.equal(probes.take(id)?.address, waiting.get(id)!.address);
          waiting.delete(id);
          left.add(id);
        }
      } else if (kind === 'take again') {
        for (const id of left) assert.equal(probes.take(id), undefined);
      } else if (kind === 'expire') {
        const overdue = [...waiting].filter(([, { since }]) => time - since >= REPLY_AGE_MS_MAX).map(([id]) => id);
        assert.deepEqual(probes.expire(at(time)).map(({ id }) => id), overdue);
        for (const id of overdue) {
          waiting.delete(id);
          left.add(id);
        }
      } else if (kind === 'note') {
        probes.noteFree(address, seconds, at(time));
        free.set(address, time + seconds * 1000);
      } else {
        probes.forget(address);
        free.delete(address);
      }
      assert.equal(probes.size, waiting.size);
      assert.equal(probes.isAsking(networkIndex, Buffer.from(client)), [...waiting.values()].some((other) => other.client === name));
      assert.equal(probes.mayOfferUnprobed(address, at(time)), (free.get(address) ?? 0) > time);
    }
  }));
});
