/** Nothing that a peer or etcd says may end a node: messages of all kinds with values that make no sense. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { LinkEvent } from '../../cluster/core/ports.ts';
import { encodeView, SLOTS } from '../../cluster/view/view.ts';
import { BindingState, encodeRecord, writeStamp } from '../../node/lease/record.ts';
import { PeerMessage } from '../../proto/gen/replication.ts';
import type { Change, Cursor, Hello } from '../../proto/gen/replication.ts';
import { chaddrOf, discover, ip, request } from '../support/client-packets.ts';
import { Story } from '../support/story.ts';
import { Random } from '../sim/random.ts';

type Body = NonNullable<PeerMessage['body']>;

/** What may be in a message: mostly what the node knows, or just beyond what a field may hold. */
class Nonsense {
  readonly random: Random;
  readonly #incarnations: readonly number[];
  readonly #epoch: number;
  /** What was asked for last. */
  fetchId = 0;

  constructor(seed: number, incarnations: readonly number[], epoch: number) {
    this.random = new Random(seed);
    this.#incarnations = incarnations;
    this.#epoch = epoch;
  }

  number = (): number => this.random.pick([0, 1, 2, 3, 7, 255, 256, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1, 2 ** 48, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER]);
  u32 = (): number => this.random.pick([0, 1, ip('10.0.1.7'), ip('10.0.1.8'), 0x7fff_ffff, 0xffff_ffff]);
  boolean = (): boolean => this.random.chance(0.5);
  incarnation = (): number => (this.random.chance(0.7) ? this.random.pick(this.#incarnations) : this.number());
  /** Rarely a newer one: all that comes after it waits until that view is read. */
  epoch = (): number => (this.random.chance(0.85) ? this.#epoch : this.random.chance(0.7) ? this.#epoch - 1 : this.random.chance(0.5) ? this.#epoch + 1 : this.number());
  /** A newer one makes a member leave. */
  generation = (): number => (this.random.chance(0.9) ? this.random.int(0, 1) : this.number());
  list = <T>(make: () => T): T[] => Array.from({ length: this.random.int(0, 3) }, make);
  node = (): string => this.random.pick(['a', 'b', 'c', '', 'nobody', '__proto__', '../../view']);
  cursor = (): Cursor => ({ incarnation: this.incarnation(), seq: this.number(), checksum: this.u32() });

  record = (): Buffer => {
    if (this.random.chance(0.1)) return Buffer.alloc(this.random.int(0, 100), this.random.int(0, 255));
    const record = encodeRecord({
      state: this.random.pick([BindingState.FREE, BindingState.ACTIVE, BindingState.EXPIRED, BindingState.RELEASED, BindingState.ABANDONED]),
      hasClientIdentifier: this.boolean(), reserved: this.boolean(), htype: 1, chaddr: chaddrOf(this.random.int(1, 9)),
      clientKey: this.random.chance(0.1) ? Buffer.alloc(0) : chaddrOf(this.random.int(1, 9)),
      stateSince: this.u32(), lastTransaction: this.u32(), expires: this.u32(), leaseSeconds: this.u32(), xid: this.u32(),
      relayAgentInformation: Buffer.alloc(this.random.int(0, 9), 1), hostname: Buffer.alloc(0),
    });
    writeStamp(record, { epoch: this.epoch() % 2 ** 32, incarnation: this.incarnation() % 2 ** 48, seq: this.random.chance(0.8) ? this.random.int(0, 6) : this.number() % 2 ** 48 });
    return record;
  };

  forcedView = (): Buffer => {
    if (this.random.chance(0.9)) return Buffer.alloc(this.random.int(0, 1));
    const members = [{ node: 'b', incarnation: 1 + (this.incarnation() % 2 ** 47) }];
    return encodeView({
      epoch: 1 + (this.number() % 2 ** 32), generation: this.random.int(1, 3), members, slots: Array.from({ length: SLOTS }, () => 0), protocol: 1, configRevision: 1, probeUntil: 0,
    });
  };

  change = (): Change => ({ address: this.u32(), record: this.record() });

  body = (kind: Body['$case']): Body => {
    const { number, boolean, epoch, incarnation, node, u32 } = this;
    switch (kind) {
      case 'hello': return { $case: kind, value: {
        cluster: 'story', node: 'b', incarnation: incarnation(), protocolMin: 1, protocolMax: this.random.int(1, 3), software: 'x', generation: this.generation(),
        epoch: epoch(), member: boolean(), follows: boolean(), fit: boolean(), wallMs: number(), heldIncarnations: this.list(incarnation),
        cursors: this.list(this.cursor).filter(({ incarnation: origin }) => origin !== this.#incarnations[0] || this.random.chance(0.05)), acksSeen: this.list(() => ({ by: incarnation(), origin: incarnation(), seq: number() })), hasData: boolean(), forcedView: this.forcedView(),
      } };
      case 'batch': return { $case: kind, value: { epoch: epoch(), incarnation: incarnation(), changes: this.list(this.change), through: number(), committed: number(), wallMs: number() } };
      case 'ack': return { $case: kind, value: { epoch: epoch(), incarnation: incarnation(), seq: number(), ...(boolean() ? { checksum: u32() } : {}) } };
      case 'refuse': return { $case: kind, value: { epoch: epoch(), reason: this.random.pick([0, 1, 2, 3, 4]), wallMs: number() } };
      case 'adopted': return { $case: kind, value: { epoch: epoch(), incarnation: incarnation(), last: number() } };
      case 'tailRequest': return { $case: kind, value: { epoch: epoch(), incarnation: incarnation(), after: number() } };
      case 'tail': {
        const origin = incarnation();
        return { $case: kind, value: {
          epoch: epoch(), incarnation: origin, changes: this.list(this.change), through: this.random.chance(0.8) ? { ...this.cursor(), incarnation: origin } : undefined,
          done: boolean(), ...(boolean() ? { after: number() } : {}),
        } };
      }
      case 'confirmRequest': return { $case: kind, value: { id: number(), epoch: epoch() } };
      case 'confirmReply': return { $case: kind, value: { id: this.random.int(1, 4), epoch: epoch(), confirmed: boolean(), committed: number() } };
      case 'propose': return { $case: kind, value: { id: number(), address: u32(), record: this.record(), expectedEpoch: epoch(), expectedIncarnation: boolean() ? 0 : incarnation(), expectedSeq: boolean() ? 0 : number() } };
      case 'proposeResult': return { $case: kind, value: { id: number(), committed: boolean() } };
      case 'allocate': return { $case: kind, value: { id: number(), client: chaddrOf(1), clientSlot: number() % 2 ** 32, pools: this.list(u32) } };
      case 'allocateResult': return { $case: kind, value: { id: this.random.int(0, 4), address: u32() } };
      case 'fetch': return { $case: kind, value: { id: number(), cursors: this.list(this.cursor), from: u32(), byAddress: boolean(), addresses: this.list(u32) } };
      case 'fetchRecords': return { $case: kind, value: {
        id: this.fetchId, changes: this.list(this.change), done: boolean(), refused: this.random.chance(0.1), epoch: epoch(), cursors: this.list(this.cursor), next: u32(),
      } };
      case 'joinReady': return { $case: kind, value: { epoch: epoch(), incarnation: incarnation(), node: node() } };
      case 'require': return { $case: kind, value: { epoch: epoch(), node: node(), incarnation: incarnation() } };
      case 'vouch': return { $case: kind, value: { epoch: epoch(), node: node(), incarnation: incarnation() } };
      case 'evict': return { $case: kind, value: { node: node(), incarnation: incarnation(), reason: 'x' } };
      case 'status': return { $case: kind, value: {
        state: this.random.pick(['NORMAL', 'ISOLATED', '', 'x']), epoch: epoch(), finished: boolean(), dhcpReady: boolean(), serverIds: this.list(u32),
        last: number(), committed: number(), draining: boolean(), wallMs: number(), fit: boolean(),
      } };
      case 'held': return { $case: kind, value: { offers: this.list(() => ({ address: u32(), client: chaddrOf(number() % 9), xid: u32() })) } };
      case 'historyRequest': return { $case: kind, value: { id: number(), epoch: epoch(), from: u32(), to: u32(), partial: boolean(), after: this.random.pick(['', 't/', 'x', 't/---------------', '\u{10ffff}']) } };
      case 'historyPage': return { $case: kind, value: {
        id: this.random.int(1, 4), refused: boolean(), rows: this.list(() => ({ key: this.random.pick(['', 't/---------------']), value: this.record() })),
        through: this.random.pick(['', 't/---------------', 'x'.repeat(2000)]), done: boolean(), since: u32(),
      } };
      case 'forceRequest': return { $case: kind, value: { view: this.forcedView(), after: epoch(), without: this.list(node) } };
      case 'forceAnswer': return { $case: kind, value: { epoch: epoch(), refusal: this.random.pick(['', 'x']) } };
      default: return kind satisfies never;
    }
  };
}

const KINDS: readonly Body['$case'][] = [
  'hello', 'batch', 'ack', 'refuse', 'adopted', 'tailRequest', 'tail', 'confirmRequest', 'confirmReply', 'propose', 'proposeResult', 'allocate', 'allocateResult',
  'fetch', 'fetchRecords', 'joinReady', 'require', 'vouch', 'evict', 'status', 'held', 'forceRequest', 'forceAnswer', 'historyRequest', 'historyPage',
];

/** As it comes from the wire; undefined where it cannot be put there. */
function overTheWire(body: Body): PeerMessage | undefined {
  try {
    return PeerMessage.decode(PeerMessage.encode({ body }).finish());
  } catch {
    return undefined;
  }
}

function lastFetch(story: Story): number {
  const body = story.sent.findLast(({ from, kind }) => from === 'a' && kind === 'fetch')?.message.body;
  return body?.$case === 'fetch' ? body.value.id : 0;
}

/** The peer's part is played by nonsense, after a start that makes sense. */
function listenToNonsense(story: Story, nonsense: Nonsense, incarnation: number, kinds: readonly Body['$case'][]): void {
  const a = story.host('a');
  const stays = a.state.phase === 'member' ? ['member'] : ['starting', 'outside', 'learner'];
  const tell = (event: LinkEvent): void => a.input((engine, now) => engine.onLink(event, now));
  const hello: Body = { $case: 'hello', value: {
    ...nonsense.body('hello').value as Hello, incarnation, wallMs: a.now().wall, cursors: [], acksSeen: [], heldIncarnations: [incarnation], generation: 1, forcedView: Buffer.alloc(0), epoch: 0, member: true, follows: true,
  } };
  for (let round = 0; round < ROUNDS && stays.includes(a.state.phase); round++) {
    nonsense.fetchId = lastFetch(story);
    if (a.state.peers.get('b')?.connected !== true || round % 20 === 0) {
      tell({ kind: 'link-up', peer: 'b' });
      tell({ kind: 'link-message', peer: 'b', message: overTheWire(hello)! });
    }
    const message = overTheWire(nonsense.body(nonsense.random.pick(kinds)));
    if (message === undefined) continue;
    heard.set(message.body!.$case, (heard.get(message.body!.$case) ?? 0) + 1);
    try {
      tell({ kind: 'link-message', peer: 'b', message });
      if (round % 3 === 0) story.run(nonsense.random.pick([0, 1, 2, 30]));
    } catch (error) {
      throw new Error(`round ${round}: ${JSON.stringify(message.body)}`, { cause: error });
    }
  }
}

const WORLDS = 16;
const ROUNDS = 150;
const heard = new Map<string, number>();

const losesViews: Story['etcdFate'] = (_from, request) => (request.kind === 'txn' && request.then.some((op) => op.op === 'put' && op.key === 'view') ? 'lost' : 'done');

test('a member listens to nonsense', () => {
  for (let seed = 0; seed < WORLDS; seed++) {
    const story = new Story({ nodes: ['a', 'b', 'c'] }).startAll();
    story.lease(1, 'a');
    const incarnations = story.hosts.map((host) => host.engine.incarnation);
    // Half of them take over while they listen.
    if (seed % 2 === 0) {
      story.crash('c');
      story.until('a has adopted the next view', () => story.host('a').state.view!.members.length === 2);
    }
    story.crash('b');
    story.apart('a', 'b');
    story.etcdFate = losesViews;
    listenToNonsense(story, new Nonsense(seed, incarnations, story.view!.epoch), incarnations[1]!, [...KINDS, 'tail', 'tail', 'tail', 'tail', 'tail', 'tail', 'tail', 'tail']);
  }
  for (const kind of KINDS) assert.ok(heard.get(kind)! > 10, `${kind}: ${heard.get(kind)}`);
});

test('a node that fetches listens to nonsense', () => {
  for (let seed = 0; seed < WORLDS; seed++) {
    const story = new Story({ nodes: ['a', 'b', 'c'] });
    for (const id of ['b', 'c']) story.start(id);
    story.settle(['b', 'c']);
    story.lease(1, 'b');
    story.start('a');
    story.until('a fetches', () => story.sent.some(({ from, kind }) => from === 'a' && kind === 'fetch'));
    const incarnations = story.hosts.map((host) => host.engine.incarnation);
    story.apart('a', 'b');
    story.etcdFate = losesViews;
    listenToNonsense(story, new Nonsense(seed, incarnations, story.view!.epoch), incarnations[1]!, [...KINDS, 'status', 'fetchRecords', 'fetchRecords', 'fetchRecords', 'fetchRecords']);
  }
});

/** What somebody, or a broken disk, might leave under a key of the cluster. */
function strangeValue(key: string, random: Random, story: Story): Buffer {
  const numbers = [0, -1, 0.5, 1, 2, 255, 2 ** 31, 2 ** 32, 2 ** 48, 2 ** 53, 1e308];
  const number = (): number => random.pick(numbers);
  const anything = (): unknown => random.pick([null, true, '', 'a', [], {}, number(), 'x'.repeat(5000)]);
  if (random.chance(0.2)) return Buffer.from(Array.from({ length: random.int(0, 50) }, () => random.int(0, 255)));
  if (random.chance(0.2)) return Buffer.from(JSON.stringify(anything()));
  const incarnation = (): unknown => (random.chance(0.6) ? random.pick(story.hosts).engine.incarnation : anything());
  const node = (): unknown => (random.chance(0.8) ? random.pick(['a', 'b', 'c']) : anything());
  if (key === 'view') {
    const { view } = story;
    const value: Record<string, unknown> = { ...view, slots: 'a0'.repeat(128) };
    if (view !== undefined) Object.assign(value, { slots: view.slots.map((index) => index.toString(36)).join('') });
    for (let i = random.int(1, 2); i > 0; i--) value[random.pick(['epoch', 'generation', 'members', 'slots', 'protocol', 'configRevision', 'strange'])] = anything();
    if (random.chance(0.5)) value.epoch = random.chance(0.5) ? number() : (view?.epoch ?? 1) + random.int(0, 2);
    if (random.chance(0.3)) value.members = [{ node: node(), incarnation: incarnation() }, { node: node(), incarnation: incarnation() }];
    return Buffer.from(JSON.stringify(value));
  }
  return Buffer.from(JSON.stringify({
    node: node(), incarnation: incarnation(), beat: anything(), address: anything(), software: anything(), protocol: random.pick([anything(), [anything(), anything()]]), state: anything(),
    serverIds: anything(), linksDown: anything(), config: random.pick([anything(), { loaded: anything(), prepared: anything(), refused: anything() }]), revision: anything(), pieces: anything(),
  }));
}

test('a view whose epoch no record can carry is none', () => {
  const story = new Story({ nodes: ['a', 'b'] }).startAll();
  const value = encodeView({ ...story.view!, epoch: 2 ** 32 });
  story.etcd.apply({ kind: 'txn', id: 0, compares: [], then: [{ op: 'put', key: 'view', value }], otherwise: [], deadlineMs: 0 }, story.agenda.now);
  story.run(500);
  story.lease(1, 'a');
});

test('nodes live with whatever etcd holds', () => {
  for (let seed = 0; seed < WORLDS; seed++) {
    const random = new Random(seed);
    const story = new Story({ nodes: ['a', 'b', 'c'] }).startAll();
    for (let round = 0; round < 12; round++) {
      const from = random.pick(['a', 'b', 'c']);
      const key = random.pick(['view', 'view', 'leader', `nodes/${from}`, `beats/${from}`, 'nodes/', 'nodes/nobody', 'config/revision', `inbox/a/${from}/${random.chance(0.5) ? story.host('b').engine.incarnation : 'x'}/${random.int(1, 20)}`, 'inbox/b/', 'inbox/c/x']);
      const value = strangeValue(key, random, story);
      try {
        story.etcd.apply({ kind: 'txn', id: 0, compares: [], then: [{ op: 'put', key, value }], otherwise: [], deadlineMs: 0 }, story.agenda.now);
        const node = random.pick(story.hosts);
        node.receive(discover({ chaddr: chaddrOf(round), secs: 60, xid: round }));
        node.receive(request({ chaddr: chaddrOf(round), secs: 60, xid: round, requestedAddress: ip('10.0.1.0') + round, serverIdentifier: node.address }));
        story.run(random.pick([1, 5, 50, 400]));
      } catch (error) {
        throw new Error(`seed ${seed} round ${round}: ${key} ${value.toString()}`, { cause: error });
      }
    }
  }
});
