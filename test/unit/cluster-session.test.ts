import { test } from 'node:test';
import assert from 'node:assert/strict';
import { EtcdCalls, Outbox, type Context } from '../../cluster/core/context.ts';
import type { EtcdResult } from '../../cluster/core/ports.ts';
import { Session } from '../../cluster/view/session.ts';
import type { MonotonicMs, WallMs } from '../../node/time.ts';

const TTL_SECONDS = 3;

/** A session beside an etcd that answers at once and lets leases end as etcd does: only a keepalive renews one. */
class SessionWorld {
  readonly #out = new Outbox();
  readonly #context: Context;
  readonly session: Session;
  #lease = 0;
  #leaseEnds = -Infinity;
  /** How often the node found its lease gone. */
  lost = 0;
  shown = '';

  constructor() {
    this.#context = {
      options: { self: 'a', sessionTtlSeconds: TTL_SECONDS } as Context['options'],
      store: undefined as never, table: undefined as never, out: this.#out, etcd: new EtcdCalls(this.#out),
      random: () => 0, now: { mono: 0 as MonotonicMs, wall: 0 as WallMs }, incarnation: 1,
    };
    this.session = new Session(this.#context);
  }

  at(ms: number, state: string): void {
    this.#context.now = { mono: ms as MonotonicMs, wall: ms as WallMs };
    this.session.tick(() => state);
    for (const request of this.#out.etcd.splice(0)) this.#context.etcd.settle(this.#answer(request, ms));
  }

  #answer(request: Outbox['etcd'][number], ms: number): EtcdResult {
    const { id } = request;
    const alive = ms < this.#leaseEnds;
    switch (request.kind) {
      case 'grant':
        this.#leaseEnds = ms + TTL_SECONDS * 1000;
        return { id, outcome: 'granted', lease: String(++this.#lease), ttlSeconds: TTL_SECONDS };
      case 'keepalive':
        if (alive) this.#leaseEnds = ms + TTL_SECONDS * 1000;
        else this.lost++;
        return { id, outcome: 'alive', ttlSeconds: alive ? TTL_SECONDS : 0 };
      case 'txn':
        // etcd refuses a put with a lease that is gone; the client cannot tell that from a lost answer.
        if (!alive) return { id, outcome: 'unknown', error: 'requested lease not found' };
        this.shown = request.then.map((op) => ('value' in op ? op.value.toString() : '')).join();
        return { id, outcome: 'txn', succeeded: true, reads: [], revision: 1, clusterId: '1' };
      default: return { id, outcome: 'revoked' };
    }
  }
}

for (const changesEveryMs of [Infinity, 1700, 900, 100]) {
  test(`a session is kept alive while the node's state changes every ${changesEveryMs} ms`, () => {
    const world = new SessionWorld();
    for (let ms = 0; ms < 60_000; ms += 25) {
      const change = Math.floor(ms / changesEveryMs);
      if (changesEveryMs !== Infinity && ms % changesEveryMs < 25) world.session.hurry();
      world.at(ms, `state ${change}`);
    }
    assert.equal(world.lost, 0);
    assert.notEqual(world.session.lease, undefined);
  });
}

test('a change of state shows at once, and a lost session is made anew', () => {
  const world = new SessionWorld();
  world.at(0, 'one');
  world.at(25, 'one');
  assert.equal(world.shown, 'one');
  world.session.hurry();
  world.at(50, 'two');
  assert.equal(world.shown, 'two');
  // A pause beyond the TTL.
  for (let ms = 10_000; ms < 12_000; ms += 25) world.at(ms, 'three');
  assert.equal(world.lost, 1);
  assert.equal(world.shown, 'three');
  assert.equal(world.session.lease, '2');
});
