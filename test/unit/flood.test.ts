/** The limits against floods: exact beside a naive model, and in a client's favour where the tables are too small. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { FloodLimits, Rate } from '../../node/config/types.ts';
import { DECLINE_FLOOD_EVENT_MS, FLOOD_CLIENTS_MAX } from '../../node/limits.ts';
import { FloodGuard } from '../../node/server/flood.ts';
import { DROP_REASONS } from '../../node/telemetry/counters.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';
import { Random } from '../sim/random.ts';

const NONE: Rate = { perSecond: 0, burst: 0 };
const SEED = 0x1234_5678;

function limits(fields: Partial<FloodLimits>): FloodLimits {
  return { packetsPerClient: NONE, packetsPerRelay: NONE, declinesPerClient: NONE, queriesPerRequestor: NONE, leasesPerCircuit: 0, ...fields };
}

function at(mono: number): Now {
  return { mono: mono as MonotonicMs, wall: 1_700_000_000_000 as WallMs };
}

const key = (name: string): Buffer => Buffer.from(name);

/**
 * A token bucket by its definition: of the tokens taken in any stretch of time there are no more than the
 * burst and what came back in that time. All numbers are whole, so nothing is rounded.
 */
class Model {
  readonly #taken = new Map<string, number[]>();

  hasToken(name: string, { perSecond, burst }: Rate, now: number): boolean {
    const taken = this.#taken.get(name) ?? [];
    return taken.every((from, i) => (taken.length - i + 1) * 1000 <= burst * 1000 + (now - from) * perSecond);
  }

  take(name: string, now: number): void {
    this.#taken.set(name, [...this.#taken.get(name) ?? [], now]);
  }
}

const aRate = fc.record({ perSecond: fc.constantFrom(1, 2, 3, 7, 40, 1000), burst: fc.integer({ min: 1, max: 5 }) });
const aPacket = fc.record({
  client: fc.constantFrom('a', 'b', 'c'), relay: fc.constantFrom(0, 1, 0xffff_ffff),
  wait: fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 1200 })),
});

test('each client behind each relay, and each relay, may send its burst and what comes back with time, and not one packet more or less', () => {
  let [passed, byClient, byRelay] = [0, 0, 0];
  fc.assert(fc.property(aRate, aRate, fc.array(aPacket, { minLength: 40, maxLength: 120, size: 'max' }), fc.integer(), (packetsPerClient, packetsPerRelay, packets, seed) => {
    const guard = new FloodGuard(limits({ packetsPerClient, packetsPerRelay }), seed);
    const model = new Model();
    let now = 5000;
    for (const { client, relay, wait } of packets) {
      now += wait;
      const expected = !model.hasToken(`${client}@${relay}`, packetsPerClient, now) ? 'client-rate'
        : relay !== 0 && !model.hasToken(`@${relay}`, packetsPerRelay, now) ? 'relay-rate' : undefined;
      assert.equal(guard.packet(key(client), relay, at(now)), expected);
      if (expected === 'client-rate') byClient++;
      else if (expected === 'relay-rate') byRelay++;
      else {
        passed++;
        model.take(`${client}@${relay}`, now);
        if (relay !== 0) model.take(`@${relay}`, now);
      }
    }
  }), { numRuns: 200 });
  assert.ok(passed > 1000 && byClient > 200 && byRelay > 200, `too little happened: ${passed} ${byClient} ${byRelay}`);
});

test('a client may decline its burst and what comes back with time', () => {
  fc.assert(fc.property(aRate, fc.array(aPacket, { maxLength: 60, size: 'max' }), (declinesPerClient, declines) => {
    const guard = new FloodGuard(limits({ declinesPerClient }), SEED);
    const model = new Model();
    let now = 0;
    for (const { client, wait } of declines) {
      now += wait;
      const expected = model.hasToken(client, declinesPerClient, now) ? undefined : 'decline-rate';
      assert.equal(guard.decline(key(client), at(now)), expected);
      if (expected === undefined) model.take(client, now);
    }
  }), { numRuns: 100 });
});

test('a rate below one a second is one that takes longer', () => {
  const guard = new FloodGuard(limits({ declinesPerClient: { perSecond: 0.25, burst: 2 } }), SEED);
  const passes = (now: number): boolean => guard.decline(key('a'), at(now)) === undefined;
  assert.deepEqual([0, 0, 0, 3999, 4000, 4000, 12_000, 12_000, 12_000].map(passes), [true, true, false, false, true, false, true, true, false]);
});

test('a limit of 0 is none: nothing is counted, the client key is not even looked at', () => {
  const unread = new Proxy(new Uint8Array(6), { get: (): never => assert.fail('the key was read') });
  const guard = new FloodGuard(limits({}), SEED);
  for (let i = 0; i < 10; i++) {
    assert.equal(guard.packet(unread, 1, at(0)), undefined);
    assert.equal(guard.decline(unread, at(0)), undefined);
  }
  guard.configure(limits({ packetsPerRelay: { perSecond: 1, burst: 3 } }));
  assert.deepEqual([1, 1, 1, 1, 2, 0, 0].map((relay) => guard.packet(unread, relay, at(0))),
    [undefined, undefined, undefined, 'relay-rate', undefined, undefined, undefined]);
});

test('a burst below one packet lets one through at a time', () => {
  const guard = new FloodGuard(limits({ packetsPerClient: { perSecond: 1, burst: 0 } }), SEED);
  assert.deepEqual([0, 999, 1000].map((now) => guard.packet(key('a'), 0, at(now))), [undefined, 'client-rate', undefined]);
});

test("a packet over the client's limit takes none of the relay's, and one over the relay's none of the client's", () => {
  const guard = new FloodGuard(limits({ packetsPerClient: { perSecond: 1, burst: 2 }, packetsPerRelay: { perSecond: 1, burst: 3 } }), SEED);
  const send = (client: string): string => guard.packet(key(client), 9, at(0)) ?? 'passes';
  assert.deepEqual(['a', 'a', 'a', 'a', 'a', 'b', 'b', 'b'].map(send),
    ['passes', 'passes', 'client-rate', 'client-rate', 'client-rate', 'passes', 'relay-rate', 'relay-rate']);
  // b has one packet left, and the relay another one after a second.
  assert.deepEqual(['b', 'b'].map((client) => guard.packet(key(client), 9, at(1000)) ?? 'passes'), ['passes', 'relay-rate']);
});

test("who forges a client's identifier behind another relay takes none of its tokens", () => {
  for (const seed of [SEED, 66, 0]) {
    const guard = new FloodGuard(limits({ packetsPerClient: { perSecond: 1, burst: 3 } }), seed);
    for (let i = 0; i < 100; i++) guard.packet(key('victim'), 66, at(0));
    assert.equal(guard.packet(key('victim'), 66, at(0)), 'client-rate');
    assert.deepEqual([1, 0].map((relay) => guard.packet(key('victim'), relay, at(0))), [undefined, undefined]);
  }
});

test('new limits count what was sent under the old ones', () => {
  const guard = new FloodGuard(limits({ packetsPerClient: { perSecond: 1, burst: 10 } }), SEED);
  const send = (now: number): string | undefined => guard.packet(key('a'), 0, at(now));
  for (let i = 0; i < 10; i++) assert.equal(send(0), undefined);
  guard.configure(limits({ packetsPerClient: { perSecond: 2, burst: 4 } }));
  // Six too many for the new burst, and one to have: seven tokens at two a second.
  assert.deepEqual([3499, 3500, 3500].map(send), ['client-rate', undefined, 'client-rate']);
  guard.configure(limits({}));
  assert.equal(send(3500), undefined);
  guard.configure(limits({ packetsPerClient: { perSecond: 2, burst: 4 } }));
  assert.equal(send(3500), undefined, 'without a limit nothing is kept');
});

// ── tables that are too small ────────────────────────────────────────────────────────────────────

const NUMBER = Buffer.alloc(8);
function numbered(n: number): Buffer {
  NUMBER.writeDoubleBE(n);
  return NUMBER;
}

test('with more clients than places only such are held back as are over their limit', () => {
  const rate = { perSecond: 1, burst: 3 };
  const guard = new FloodGuard(limits({ packetsPerClient: rate }), SEED);
  const random = new Random(7);
  const clients = FLOOD_CLIENTS_MAX * 2;
  const debts = new Float64Array(clients);
  const since = new Float64Array(clients);
  let [dropped, missed] = [0, 0];
  for (let i = 0, now = 0; i < 600_000; i++, now += 0.01) {
    const client = random.chance(0.5) ? random.int(0, 99) : random.int(0, clients - 1);
    // What is missing in the client's bucket, of which the guard knows at most as much.
    const debt = Math.max(0, debts[client]! - (now - since[client]!) / 1000 * rate.perSecond);
    const over = debt + 1 > rate.burst;
    const drops = guard.packet(numbered(client), 0, at(now)) !== undefined;
    assert.ok(over || !drops, `client ${client} was under its limit`);
    if (drops) dropped++;
    else {
      if (over) missed++;
      debts[client] = debt + 1;
      since[client] = now;
    }
  }
  assert.ok(dropped > 250_000, 'the hundred busy ones are held back');
  assert.ok(missed * 1000 < dropped, `${missed} of ${dropped} went through unseen`);
});

/** A second of an attack: packets under ever new names, through one relay, and who else sends meanwhile. */
function attack(guard: FloodGuard, perSecond: number, seconds: number, others: (now: number) => void): Record<string, number> {
  const outcomes: Record<string, number> = {};
  const random = new Random(3);
  for (let i = 0; i < perSecond * seconds; i++) {
    const now = 1000 + i * 1000 / perSecond;
    const outcome = guard.packet(numbered(random.unit()), 66, at(now)) ?? 'passes';
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (i % (perSecond / 100) === 0) others(now);
  }
  return outcomes;
}

test('a flood under ever new names behind one relay holds back nobody behind another, and frees no other flood from its limit', () => {
  const guard = new FloodGuard(limits({ packetsPerClient: { perSecond: 5, burst: 20 }, packetsPerRelay: { perSecond: 500, burst: 1000 } }), SEED);
  let flooding = 0;
  let turn = 0;
  const outcomes = attack(guard, 20_000, 10, (now) => {
    // A hundred times a second: 2 packets of one that floods under its own name, 2 of two hundred honest ones in turn.
    for (let i = 0; i < 2; i++) if (guard.packet(key('flooding'), 2, at(now)) === undefined) flooding++;
    for (let i = 0; i < 2; i++) assert.equal(guard.packet(key(`honest ${turn++ % 200}`), 1, at(now)), undefined);
  });
  assert.deepEqual(outcomes, { passes: 1000 + 5000 - 1, 'relay-rate': 200_000 - 5999 });
  assert.ok(flooding >= 20 + 49 && flooding <= 20 + 50, `${flooding} of the one that floods`);
});

test('without a limit for a relay such a flood passes, and still frees no other flood from its limit', () => {
  // Each name's one token takes 5 s to come back: more of them are kept than there are places.
  const guard = new FloodGuard(limits({ packetsPerClient: { perSecond: 0.2, burst: 6 } }), SEED);
  let flooding = 0;
  const outcomes = attack(guard, 20_000, 10, (now) => { if (guard.packet(key('flooding'), 2, at(now)) === undefined) flooding++; });
  assert.deepEqual(outcomes, { passes: 200_000 });
  assert.ok(flooding >= 7 && flooding <= 8, `${flooding} of the one that floods`);
});

test('forged relay addresses push out no busy relay', () => {
  const guard = new FloodGuard(limits({ packetsPerRelay: { perSecond: 10, burst: 50 } }), SEED);
  const random = new Random(5);
  let busy = 0;
  for (let i = 0; i < 100_000; i++) {
    const now = at(i / 10);
    guard.packet(numbered(i), random.u32() || 1, now);
    if (i % 10 === 0 && guard.packet(numbered(i), 0x0a00_0001, now) === undefined) busy++;
  }
  assert.ok(busy >= 50 + 99 && busy <= 50 + 100, `${busy} of the busy relay`);
});

// ── declines ─────────────────────────────────────────────────────────────────────────────────────

test('ignored declines are reported once a minute for a network, with their number', () => {
  const guard = new FloodGuard(limits({ declinesPerClient: { perSecond: 1, burst: 1 } }), SEED);
  let asked = 0;
  const fields = (): { hardware: string } => ({ hardware: `client ${asked++}` });
  const event = (hardware: string, refused: number): unknown => ({ id: 'dhcp.decline-flood', fields: { hardware, refused } });
  assert.deepEqual(guard.declineFlood(0, at(5), fields), event('client 0', 1));
  for (let i = 1; i < 20; i++) assert.equal(guard.declineFlood(0, at(5 + i * 3000), fields), undefined);
  assert.deepEqual(guard.declineFlood(1, at(7), fields), event('client 1', 1));
  assert.equal(asked, 2, 'nothing is described that is not reported');
  assert.deepEqual(guard.declineFlood(0, at(5 + DECLINE_FLOOD_EVENT_MS), fields), event('client 2', 20));
  assert.deepEqual(guard.declineFlood(0, at(5 + 5 * DECLINE_FLOOD_EVENT_MS), fields), event('client 3', 1));
});

test('each reason is one that is counted and described', () => {
  const guard = new FloodGuard(limits({
    packetsPerClient: { perSecond: 1, burst: 1 }, packetsPerRelay: { perSecond: 1, burst: 2 }, declinesPerClient: { perSecond: 1, burst: 1 },
  }), SEED);
  const reasons = new Set([
    ...['a', 'a', 'b', 'c'].map((client) => guard.packet(key(client), 1, at(0))), ...[0, 0].map(() => guard.decline(key('a'), at(0))),
  ]);
  assert.deepEqual(reasons, new Set([undefined, 'client-rate', 'relay-rate', 'decline-rate']));
  for (const reason of reasons) if (reason !== undefined) assert.ok(DROP_REASONS[reason].length > 0);
});
