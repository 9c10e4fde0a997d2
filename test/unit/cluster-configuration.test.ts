/** Which revision is in force on a node, and when the leader may name the next: by itself, without a cluster around it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdCalls, Outbox } from '../../cluster/core/context.ts';
import type { Context } from '../../cluster/core/context.ts';
import type { ClusterState, Phase } from '../../cluster/core/state.ts';
import { Configuration } from '../../cluster/view/configuration.ts';
import type { ConfigStanding } from '../../cluster/view/configuration.ts';
import type { ClusterRead } from '../../cluster/view/coordination.ts';
import type { View } from '../../cluster/view/view.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import { CONFIG_ERROR_CHARACTERS_MAX } from '../../node/limits.ts';
import type { MonotonicMs, WallMs } from '../../node/time.ts';

const A = { node: 'a', incarnation: 1 };
const B = { node: 'b', incarnation: 2 };

function configOf(revision: number): ClusterConfig {
  return { nodes: [{ id: `of revision ${revision}`, weight: 1 }] } as unknown as ClusterConfig;
}

/** Node a, which has loaded revision 1. */
class NodeA {
  readonly out = new Outbox();
  readonly context: Context;
  readonly state: ClusterState;
  readonly configuration: Configuration;
  readonly applied: number[] = [];
  changes = 0;
  newest = 1;
  b: ConfigStanding | undefined = { loaded: 1, prepared: 1 };
  bIncarnation = 2;

  constructor(phase: Phase = 'member') {
    this.context = {
      options: { self: 'a' } as Context['options'], store: undefined as never, table: undefined as never, out: this.out,
      etcd: new EtcdCalls(this.out), random: () => 0, now: { mono: 0 as MonotonicMs, wall: 0 as WallMs }, incarnation: 1,
    };
    this.state = { context: this.context, phase, view: undefined } as unknown as ClusterState;
    if (phase === 'member') this.state.view = this.view(1, 1);
    this.configuration = new Configuration(this.state, 1, {
      onApply: (config) => this.applied.push(Number(/\d+/.exec(config.nodes[0]!.id)![0])),
      onChange: () => this.changes++,
    });
  }

  view(epoch: number, configRevision: number): View {
    return { epoch, generation: 1, members: [A, B], slots: [], protocol: 1, configRevision, probeUntil: 0 };
  }

  read(view: View | undefined = this.state.view): ClusterRead {
    return {
      view, viewRevision: 1, leader: undefined, sessions: new Map([['a', 1], ['b', this.bIncarnation]]), beats: new Map(), addresses: new Map(),
      newestConfig: this.newest, configs: new Map(this.b === undefined ? [] : [['b', this.b]]), versions: new Map(), leaving: new Map(), audit: [], drains: new Map(),
      states: new Map(), wentBack: new Map(), clusterId: '1', revision: 1, askedAt: 0, readAt: 0,
      expected: { view: undefined, peers: [] },
    };
  }

  /** What it asks its driver for in the next turn. */
  asks(ms = 0, read = this.read()): number | undefined {
    this.context.now = { mono: (this.context.now.mono + ms) as MonotonicMs, wall: 0 as WallMs };
    this.out.prepareConfig = undefined;
    this.configuration.step(read);
    return this.out.prepareConfig;
  }

  ready(revision: number): void {
    this.configuration.onPrepared(revision, { ok: true, config: configOf(revision) });
  }

  adopt(view: View): void {
    this.state.view = view;
    this.configuration.onAdopted(view);
  }

  events(): string[] {
    return this.out.events.splice(0).map(({ id }) => id);
  }
}

test('a newer revision is asked for once, and what is ready is said', () => {
  const node = new NodeA();
  assert.equal(node.asks(), undefined);
  node.newest = 2;
  assert.equal(node.asks(), 2);
  assert.equal(node.asks(), undefined, 'it is under way');
  node.ready(2);
  assert.deepEqual(node.configuration.standing(), { loaded: 1, prepared: 2 });
  assert.equal(node.asks(), undefined);
  assert.deepEqual(node.events(), ['config.prepared']);
  assert.deepEqual(node.applied, []);
});

test('it comes into force in the step in which the view that names it is adopted', () => {
  const node = new NodeA();
  node.newest = 2;
  node.asks();
  node.ready(2);
  node.adopt(node.view(2, 2));
  assert.deepEqual(node.applied, [2]);
  assert.equal(node.configuration.loaded, 2);
  assert.ok(node.configuration.inForce(node.state.view!));
  node.adopt(node.view(3, 2));
  assert.deepEqual(node.applied, [2], 'another view that names it changes nothing');
});

test('a member whose view names what is not ready serves nobody until it is', () => {
  const node = new NodeA();
  node.newest = 2;
  node.adopt(node.view(2, 2));
  assert.equal(node.configuration.inForce(node.state.view!), false);
  assert.deepEqual(node.events(), ['config.missing']);
  assert.equal(node.asks(), 2);
  node.ready(2);
  assert.deepEqual(node.applied, [2]);
  assert.ok(node.configuration.inForce(node.state.view!));
});

test('what the view names goes before what comes after it', () => {
  const node = new NodeA();
  node.newest = 3;
  node.adopt(node.view(2, 2));
  assert.equal(node.asks(), 2);
  node.ready(2);
  assert.equal(node.asks(), 3);
});

test('a read from before the adopted view does not count', () => {
  const node = new NodeA();
  const old = node.read();
  node.adopt(node.view(2, 2));
  assert.equal(node.asks(0, old), 2);
});

test('an etcd that shows an older newest revision than is in force changes nothing', () => {
  const node = new NodeA();
  node.newest = 2;
  node.adopt(node.view(2, 2));
  node.asks();
  node.ready(2);
  node.newest = 1;
  assert.equal(node.asks(), undefined);
  assert.equal(node.configuration.nextFor(node.state.view!, node.read()), 2);
});

test('a view of the first version names none: whatever is loaded is in force', () => {
  const node = new NodeA();
  node.adopt(node.view(2, 0));
  assert.ok(node.configuration.inForce(node.state.view!));
  assert.deepEqual(node.events(), []);
});

test('outside the view a node goes along with those who serve at once', () => {
  const node = new NodeA('outside');
  node.newest = 2;
  const read = node.read(node.view(5, 2));
  assert.equal(node.asks(0, read), 2);
  node.ready(2);
  assert.deepEqual(node.applied, []);
  node.asks(0, read);
  assert.deepEqual(node.applied, [2]);
  // Also where theirs is an older one: the newest was taken back, or the view was not ready for it.
  node.asks(0, node.read(node.view(6, 1)));
  node.ready(1);
  node.asks(0, node.read(node.view(6, 1)));
  assert.equal(node.configuration.loaded, 1);
});

test('a revision that was refused is asked for no more, and what is wrong with it is said', () => {
  const node = new NodeA();
  node.newest = 2;
  node.asks();
  node.configuration.onPrepared(2, { ok: false, error: 'x'.repeat(5000), retry: false });
  assert.equal(node.asks(60_000), undefined);
  const { prepared, refused } = node.configuration.standing();
  assert.equal(prepared, 1);
  assert.deepEqual({ revision: refused!.revision, characters: refused!.error.length }, { revision: 2, characters: CONFIG_ERROR_CHARACTERS_MAX });
  assert.deepEqual(node.events(), ['config.refused']);
  node.newest = 3;
  assert.equal(node.asks(), 3, 'a corrected one is another one');
  node.ready(3);
  assert.deepEqual(node.configuration.standing(), { loaded: 1, prepared: 3, refused });
  node.adopt(node.view(2, 3));
  assert.equal(node.configuration.standing().refused, undefined, 'it is past');
});

test('what could not be read is asked for again, and told once', () => {
  const node = new NodeA();
  node.newest = 2;
  for (let tries = 0; tries < 3; tries++) {
    assert.equal(node.asks(2000), 2);
    node.configuration.onPrepared(2, { ok: false, error: 'a piece is missing', retry: true });
    assert.equal(node.asks(100), undefined);
  }
  assert.deepEqual(node.events(), ['config.unreadable']);
  assert.equal(node.asks(2000), 2);
  node.ready(2);
  assert.deepEqual(node.configuration.standing(), { loaded: 1, prepared: 2 });
});

test('of revisions that come fast the last two are kept ready', () => {
  const node = new NodeA();
  for (const revision of [2, 3, 4]) {
    node.newest = revision;
    assert.equal(node.asks(), revision);
    node.ready(revision);
  }
  assert.deepEqual([2, 3, 4].map((revision) => node.configuration.has(revision)), [false, true, true]);
  // The leader had seen 3 ready everywhere before 4 was written.
  node.adopt(node.view(2, 3));
  assert.deepEqual(node.applied, [3]);
  assert.ok(node.configuration.has(4));
  node.adopt(node.view(3, 4));
  assert.deepEqual(node.applied, [3, 4]);
});

test('the leader names the newest once every member has it, in this incarnation', () => {
  const node = new NodeA();
  const next = (): number => node.configuration.nextFor(node.state.view!, node.read());
  assert.equal(next(), 1);
  node.newest = 2;
  node.asks();
  assert.equal(next(), 1);
  node.ready(2);
  assert.equal(next(), 1, 'b has not said so');
  node.b = { loaded: 1, prepared: 2 };
  assert.equal(next(), 2);
  node.bIncarnation = 7;
  assert.equal(next(), 1, 'that was an earlier b');
  node.bIncarnation = 2;
  node.newest = 3;
  assert.equal(next(), 1, 'not the newest any more');
  node.b = undefined;
  assert.equal(next(), 1, 'an earlier version says nothing');
});

test('who is waited for, and why', () => {
  const node = new NodeA();
  node.newest = 2;
  const waiting = (): unknown => node.configuration.waitingFor([A, B], node.read());
  assert.deepEqual(waiting(), [{ node: 'a', error: '' }, { node: 'b', error: '' }]);
  node.asks();
  node.ready(2);
  node.b = { loaded: 1, prepared: 1, refused: { revision: 2, error: 'unknown key "vlan"' } };
  assert.deepEqual(waiting(), [{ node: 'b', error: 'unknown key "vlan"' }]);
  node.b = { loaded: 1, prepared: 1, refused: { revision: 1, error: 'of another revision' } };
  assert.deepEqual(waiting(), [{ node: 'b', error: '' }]);
});

test('without a cluster each reading of the file counts as a revision', () => {
  const node = new NodeA();
  node.state.view = undefined;
  node.configuration.replace(configOf(9));
  assert.equal(node.configuration.loaded, 2);
  assert.deepEqual(node.applied, [9]);
});

test('where etcd has lost what the view names, the first view after a power cut names what was applied since and is ready', () => {
  const node = new NodeA('outside');
  const view = node.view(9, 5);
  assert.equal(node.configuration.forFirstView(5, node.read(view)), undefined, 'it is not known yet whether etcd has it');
  assert.equal(node.asks(0, node.read(view)), 5);
  node.configuration.onPrepared(5, { ok: false, error: 'etcd lacks configuration revision 5', retry: true });
  node.newest = 4;
  assert.equal(node.configuration.forFirstView(5, node.read(view)), undefined, 'nothing newer is there');
  node.newest = 6;
  assert.equal(node.configuration.forFirstView(5, node.read(view)), undefined, 'it is not ready');
  node.ready(6);
  assert.equal(node.configuration.forFirstView(5, node.read(view)), 6, 'although the node was started with another one');
  node.newest = 7;
  assert.equal(node.configuration.forFirstView(5, node.read(view)), undefined);
});
