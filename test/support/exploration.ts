/**
 * Random executions of the protocol alone, message by message: changes are made directly, without clients, at
 * few addresses, so that much happens in little time. What must hold is looked at from the inside.
 *
 * - Order: the committed changes of an address form a chain, each made on top of the one before. Two owners at
 *   once, or an heir that did not know all, would break it.
 * - Durability: what was committed is in every store in the end, or what was made on top of it.
 * - Confirmation: whoever is confirmed knows all that was committed when it asked.
 * - Agreement: in the end all are in one view, with equal stores.
 */
import assert from 'node:assert/strict';
import { BindingState, encodeRecord, recordState, recordStamp } from '../../node/lease/record.ts';
import type { Stamp } from '../../node/lease/record.ts';
import { chaddrOf, ip } from './client-packets.ts';
import { Story } from './story.ts';
import type { EtcdFate } from './story.ts';
import type { StoryHost } from './story-host.ts';
import type { DiskCopy } from '../sim/disk.ts';
import { Random } from '../sim/random.ts';

const FIRST = ip('10.0.1.0');
const ADDRESSES = 24;
const ACTIONS = 200;
const CONVERGE_MS = 60_000;
/** Between two actions: often nothing, sometimes as long as a session lasts. */
const WAITS_MS = [0, 0, 0, 0, 1, 1, 2, 3, 5, 10, 20, 40, 100, 300, 1000, 3200];

/** What may happen, and how often. */
const ACTION_WEIGHTS = {
  change: 30, ask: 5, hold: 4, flow: 8, break: 1, apart: 2, together: 5, crash: 2, start: 8, pause: 1, resume: 4, etcd: 2, 'etcd-back': 5,
  'etcd-late': 3, 'last-words': 3, 'at-the-join': 3, unaware: 1, 'etcd-cut': 1, 'etcd-joined': 3, watch: 1, disk: 1, 'disk-back': 3,
  serves: 2, resign: 2, session: 1, power: 1, wipe: 1, restore: 1, copy: 2, drain: 1, clock: 1, 'clock-mended': 2,
} as const;
type Action = keyof typeof ACTION_WEIGHTS;
const MENU: readonly Action[] = (Object.keys(ACTION_WEIGHTS) as Action[]).flatMap((action) => Array.from({ length: ACTION_WEIGHTS[action] }, () => action));

interface Made {
  readonly address: number;
  readonly stamp: Stamp;
  /** Of the record that it replaced; undefined where there was none. */
  readonly base: Stamp | undefined;
  committed: boolean;
}

interface Question {
  readonly host: StoryHost;
  readonly start: number;
  readonly incarnation: number;
  readonly ticket: number;
  /** What was committed when it was asked, by address. */
  readonly known: ReadonlyMap<number, Made>;
}

export interface ExplorationResult {
  readonly made: number;
  readonly committed: number;
  readonly confirmed: number;
  readonly done: ReadonlyMap<string, number>;
}

export class Exploration {
  readonly story: Story;
  readonly #random: Random;
  readonly #nodes: readonly string[];
  /** By "incarnation seq". */
  readonly #made = new Map<string, Made>();
  /** By address, in order of their stamps. */
  readonly #committed = new Map<number, Made[]>();
  readonly #seen = new Map<number, number>();
  #questions: Question[] = [];
  #confirmed = 0;
  readonly #done = new Map<string, number>();
  readonly #fates = new Map<string, EtcdFate>();
  readonly #copies = new Map<string, { readonly copy: DiskCopy; readonly at: number }>();
  readonly log: string[] = [];

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#nodes = ['a', 'b', 'c', 'd'].slice(0, this.#random.pick([2, 3, 3, 3, 4]));
    this.story = new Story({
      nodes: this.#nodes, seed, config: { coldStartWaitMs: 2000, evictAfterMs: 5000 },
      subnet: { pools: [{ first: FIRST, last: FIRST + ADDRESSES - 1 }] },
    });
    this.story.etcdFate = (from) => this.#fates.get(from) ?? 'done';
    this.story.after = () => this.#look();
    this.story.onExit = (host) => this.story.agenda.after(1000, () => this.#start(host));
  }

  run(): ExplorationResult {
    const { story } = this;
    try {
      story.startAll();
      for (let i = 0; i < ACTIONS; i++) {
        this.#act();
        story.run(this.#random.pick(WAITS_MS));
      }
      this.#mend();
      story.settle(this.#nodes, CONVERGE_MS);
      story.run(3000);
      this.#assertAgreement();
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.log.join('\n')}`, { cause: error });
    }
    const committed = [...this.#committed.values()].reduce((sum, list) => sum + list.length, 0);
    return { made: this.#made.size, committed, confirmed: this.#confirmed, done: this.#done };
  }

  #say(text: string): void {
    this.log.push(`${this.story.agenda.now} ${text}`);
    const [what] = text.split(' ');
    this.#done.set(what!, (this.#done.get(what!) ?? 0) + 1);
  }

  // ── what happens ─────────────────────────────────────────────────────────────────────────────

  #act(): void {
    const random = this.#random;
    const host = random.pick(this.story.hosts);
    const owners = this.story.hosts.filter((each) => each.alive && !each.paused && each.state.phase === 'member');
    const other = random.pick(this.story.hosts.filter((each) => each !== host));
    const kind = random.pick(MENU);
    switch (kind) {
      case 'change': return owners.length > 0 ? this.#change(random.pick(owners), random.int(1, 3)) : undefined;
      case 'ask': return owners.length > 0 ? this.#ask(random.pick(owners)) : undefined;
      case 'hold': this.#say(`hold ${host.id}>${other.id}`); return this.story.hold(host.id, other.id);
      case 'flow': this.#say(`flow ${host.id}>${other.id}`); return this.story.flow(host.id, other.id);
      case 'break': this.#say(`break ${host.id} ${other.id}`); return this.story.breakLink(host.id, other.id);
      case 'apart': this.#say(`apart ${host.id} ${other.id}`); return this.story.apart(host.id, other.id);
      case 'together': this.#say(`together ${host.id} ${other.id}`); return this.story.together(host.id, other.id);
      case 'crash': return this.#crash(host);
      case 'start': return this.#start(host);
      case 'pause': this.#say(`pause ${host.id}`); return host.alive ? host.pause() : undefined;
      case 'resume': this.#say(`resume ${host.id}`); return host.resume();
      case 'etcd': {
        const fate = random.pick(['lost', 'answer-lost', 'held', 'answer-held'] as const);
        this.#say(`etcd ${fate} ${host.id}`);
        this.#fates.set(host.id, fate);
        return undefined;
      }
      case 'etcd-back': this.#say(`etcd-back ${host.id}`); this.#fates.delete(host.id); return undefined;
      case 'etcd-late': this.#say(`etcd-late ${host.id}`); return this.story.releaseEtcd([host.id]);
      case 'etcd-cut': this.#say(`etcd-cut ${host.id}`); this.story.etcdCut.add(host.id); return undefined;
      case 'etcd-joined': this.#say(`etcd-joined ${host.id}`); this.story.etcdCut.delete(host.id); return undefined;
      case 'watch': {
        this.#say(`watch ${host.id}`);
        if (!this.story.hintless.delete(host.id)) this.story.hintless.add(host.id);
        return undefined;
      }
      case 'disk': this.#say(`disk ${host.id}`); host.diskStuck = true; return undefined;
      case 'disk-back': this.#say(`disk-back ${host.id}`); host.diskStuck = false; return undefined;
      case 'serves': {
        const yes = random.chance(0.6);
        this.#say(`serves ${host.id} ${yes}`);
        return host.alive ? host.serves(yes) : undefined;
      }
      case 'resign': this.#say(`resign ${host.id}`); return host.alive ? host.input((engine) => engine.core.leader.resign()) : undefined;
      case 'session': this.#say('session'); return this.story.endSession(host.id);
      case 'drain': this.#say(`drain ${host.id}`); return host.alive ? host.input((engine, now) => engine.drain(now)) : undefined;
      case 'clock': this.#say(`clock ${host.id}`); host.wallOffsetMs = random.pick([-60_000, 60_000]); return undefined;
      case 'clock-mended': this.#say(`clock-mended ${host.id}`); host.wallOffsetMs = 0; return undefined;
      case 'last-words': return this.#lastWords(other);
      case 'at-the-join': return this.#atTheJoin();
      case 'unaware': return this.#unaware(other);
      case 'power': return this.#power();
      case 'wipe': return this.#replaceDisk(host, undefined);
      case 'restore': return this.#replaceDisk(host, this.#copies.get(host.id));
      case 'copy': this.#copies.set(host.id, { copy: host.disk.copy(), at: this.story.agenda.now }); return undefined;
      default: return kind satisfies never;
    }
  }

  #crash(host: StoryHost): void {
    if (!host.alive) return;
    this.#say(`crash ${host.id}`);
    this.story.crash(host.id);
  }

  #start(host: StoryHost): void {
    if (host.alive) return;
    this.#say(`start ${host.id}`);
    host.diskStuck = false;
    host.wallOffsetMs = 0;
    this.story.start(host.id);
  }

  #power(): void {
    if (this.#random.chance(0.5)) return;
    this.#say('power');
    for (const host of this.story.hosts) if (host.alive) this.story.crash(host.id);
  }

  /** An owner makes a change that some others do not hear of, over one way or another, and is gone, or stands still. */
  #lastWords(owner: StoryHost): void {
    if (!owner.alive || owner.paused) return;
    this.#say(`last-words ${owner.id}`);
    for (const other of this.story.hosts) if (other !== owner && this.#random.chance(0.5)) this.story.hold(owner.id, other.id);
    if (this.#random.chance(0.4)) this.#fates.set(owner.id, this.#random.pick(['answer-lost', 'held', 'answer-held'] as const));
    this.#change(owner, 2);
    this.story.run(this.#random.pick([0, 1, 2, 3, 5, 300, 600]));
    if (this.#random.chance(0.6)) this.#crash(owner);
    else if (this.#random.chance(0.5)) owner.pause();
    else this.story.etcdCut.add(owner.id);
  }

  /** A member is evicted and does not hear of it; what it says reaches the others late. */
  #unaware(owner: StoryHost): void {
    const others = this.story.hosts.filter((host) => host !== owner && host.alive && !host.paused);
    if (!owner.alive || owner.paused || others.length === 0) return;
    this.#say(`unaware ${owner.id}`);
    this.story.etcdCut.add(owner.id);
    for (const other of others) this.story.hold(owner.id, other.id);
    if (this.#random.chance(0.5)) this.#change(owner, 4);
    for (let i = 0; i < 9; i++) {
      this.story.run(500);
      this.#change(this.#random.pick(others), 6);
    }
    this.#change(owner, 6);
    for (const other of others) this.story.flow(owner.id, other.id);
    this.story.run(this.#random.pick([1, 3, 30]));
    this.#change(owner, 6);
    this.#change(this.#random.pick(others), 6);
  }

  /** Something goes wrong while a node is being let in. */
  #atTheJoin(): void {
    const learner = this.story.hosts.find((host) => host.alive && !host.paused && host.state.phase === 'learner');
    if (learner === undefined) return;
    this.#say(`at-the-join ${learner.id}`);
    for (let i = this.#random.int(0, 14); i > 0; i--) {
      this.story.run(1);
      const host = this.#random.pick(this.story.hosts.filter((each) => each !== learner));
      if (this.#random.chance(0.15)) this.story.hold(host.id, learner.id);
      if (this.#random.chance(0.4)) this.#change(host, 1);
    }
    const host = this.#random.pick(this.story.hosts);
    if (this.#random.chance(0.4)) this.#crash(host);
    else if (this.#random.chance(0.45)) this.#fates.set(host.id, this.#random.pick(['answer-lost', 'held', 'answer-held'] as const));
    else if (host.alive) host.pause();
  }

  /**
   * One machine gets another disk while others serve, and go on to: that is one fault. So not while a view that
   * evicts them may still be written by it. A copy is older than the last beat that etcd has.
   */
  #replaceDisk(host: StoryHost, old: { readonly copy: DiskCopy; readonly at: number } | undefined): void {
    const { view } = this.story;
    const serve = this.story.hosts.some((other) => other !== host && other.alive && !other.paused && other.state.phase === 'member' && other.state.finished && other.state.view?.epoch === view?.epoch);
    if (!host.alive || !serve || host.engine.core.leader.leads || this.story.hasHeldEtcd(host.id) || (old !== undefined && this.story.agenda.now - old.at < 12_000)) return;
    this.#say(`${old === undefined ? 'wipe' : 'restore'} ${host.id}`);
    this.story.crash(host.id);
    if (old === undefined) host.disk.wipe();
    else host.disk.restore(old.copy);
  }

  /** As whoever owns the slot: grants, renews, ends, whatever the binding allows. */
  #change(host: StoryHost, count: number): void {
    if (!host.alive || host.paused) return;
    host.input((engine) => {
      for (let i = 0; i < count; i++) {
        const address = FIRST + this.#random.int(0, ADDRESSES - 1);
        if (!engine.core.serving() || !engine.core.owns(address & 255)) continue;
        const before = host.table.read(address);
        const state = before !== undefined && recordState(before) === BindingState.ACTIVE && this.#random.chance(0.5) ? BindingState.EXPIRED : BindingState.ACTIVE;
        const record = encodeRecord({
          state, hasClientIdentifier: false, reserved: false, htype: 1, chaddr: chaddrOf(this.#random.int(1, 999)), clientKey: chaddrOf(this.#random.int(1, 999)),
          stateSince: 1, lastTransaction: 1, expires: 0xffff_fff0, leaseSeconds: 1, xid: 1, relayAgentInformation: Buffer.alloc(0), hostname: Buffer.alloc(0),
        });
        const base = before === undefined ? undefined : recordStamp(before);
        const seq = engine.core.replication.append(address, record);
        const stamp = recordStamp(record);
        this.#say(`change ${host.id} ${address & 255} ${stamp.epoch}/${seq}`);
        this.#made.set(`${engine.incarnation} ${seq}`, { address, stamp, base, committed: false });
      }
    });
  }

  #ask(host: StoryHost): void {
    if (!host.alive || host.paused) return;
    this.#say(`ask ${host.id}`);
    const known = new Map([...this.#committed].map(([address, list]) => [address, list.at(-1)!]));
    host.input((engine) => {
      this.#questions.push({ host, start: host.start, incarnation: engine.incarnation, ticket: engine.core.confirmations.ask(), known });
    });
  }

  #mend(): void {
    const { story } = this;
    this.#say('mend');
    this.#fates.clear();
    story.etcdCut.clear();
    story.hintless.clear();
    for (const host of story.hosts) {
      host.diskStuck = false;
      host.wallOffsetMs = 0;
      host.resume();
      for (const other of story.hosts) if (other !== host) {
        story.together(host.id, other.id);
        story.flow(host.id, other.id);
      }
      if (!host.alive) story.start(host.id);
      host.serves(true);
    }
    story.releaseEtcd();
  }

  // ── what must hold ───────────────────────────────────────────────────────────────────────────

  /** After each turn of a node. */
  #look(): void {
    for (const host of this.story.hosts) {
      if (!host.alive) continue;
      const { context, committedSeq } = host.state;
      for (let seq = (this.#seen.get(context.incarnation) ?? 0) + 1; seq <= committedSeq; seq++) this.#onCommitted(host, context.incarnation, seq);
      this.#seen.set(context.incarnation, Math.max(committedSeq, this.#seen.get(context.incarnation) ?? 0));
    }
    this.#questions = this.#questions.filter((question) => !this.#isAnswered(question));
  }

  #onCommitted(host: StoryHost, incarnation: number, seq: number): void {
    const made = this.#made.get(`${incarnation} ${seq}`);
    assert(made !== undefined, `${host.id} commits what nobody made: ${seq}`);
    made.committed = true;
    const list = this.#committed.get(made.address) ?? [];
    list.push(made);
    list.sort((one, another) => compare(one.stamp, another.stamp));
    this.#committed.set(made.address, list);
    const at = list.indexOf(made);
    for (const [before, after] of [[list[at - 1], made], [made, list[at + 1]]] as const) {
      if (before === undefined || after === undefined) continue;
      assert(after.base !== undefined && compare(after.base, before.stamp) >= 0,
        `${host.id} commits ${made.stamp.epoch}/${seq} of address ${made.address & 255}: ${text(after)} was made without knowing ${text(before)}`);
    }
  }

  #isAnswered({ host, incarnation, known, start, ticket }: Question): boolean {
    if (!host.alive || host.start !== start || host.engine.incarnation !== incarnation) return true;
    if (host.engine.core.confirmations.confirmed < ticket) return false;
    this.#confirmed++;
    for (const [address, made] of known) this.#assertKnows(host, address, made, 'is confirmed and');
    return true;
  }

  #assertKnows(host: StoryHost, address: number, made: Made, why: string): void {
    const record = host.table.read(address);
    assert(record !== undefined && compare(recordStamp(record), made.stamp) >= 0,
      `${host.id} ${why} does not know ${text(made)} of address ${address & 255}, but ${record === undefined ? 'nothing' : `${recordStamp(record).epoch}/${recordStamp(record).seq}`}`);
  }

  #assertAgreement(): void {
    const [first, ...others] = this.story.hosts;
    for (const [address, list] of this.#committed) for (const host of this.story.hosts) this.#assertKnows(host, address, list.at(-1)!, 'has lost what was committed:');
    for (let address = FIRST; address < FIRST + ADDRESSES; address++) {
      for (const other of others) assert.equal(this.story.binding(other.id, address), this.story.binding(first!.id, address), `${address & 255} differs on ${first!.id} and ${other.id}`);
    }
    for (const { state } of this.story.hosts) {
      for (const kept of [state.acknowledged, state.inboxed, state.committedOf, state.received]) assert.ok(kept.size <= 2 * this.#nodes.length, `${kept.size} incarnations are remembered`);
    }
    for (const host of this.story.hosts) assert.equal(host.engine.core.replication.conflicts, 0, `${host.id} saw two owners in one epoch`);
  }
}

function compare(one: Stamp, another: Stamp): number {
  return one.epoch - another.epoch || one.seq - another.seq;
}

function text({ base, stamp }: Made): string {
  return `${stamp.incarnation.toString(16)} ${stamp.epoch}/${stamp.seq} (on ${base === undefined ? 'nothing' : `${base.epoch}/${base.seq}`})`;
}
