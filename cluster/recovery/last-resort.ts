/**
 * The operator's last resorts (ARCHITECTURE.md, Last resorts): a new generation, begun by a person's word where
 * the nodes must not go on by themselves. `recover --force` on a node outside the view takes what its store has
 * for the truth; on members whose etcd went back, what they hold. `partner-down NODE` takes it for granted that
 * NODE is switched off. What members agree on is in `forced-view.ts`.
 *
 * Invariants: a live member that can be seen, over a link or in etcd, is never recovered over; a view is written
 * in a transaction that compares what was read, once for each command; of a write whose answer was lost only
 * reading tells.
 */
import type { OperatorAnswer, OperatorCommand, OperatorProgress } from '../../node/admin/operator.ts';
import type { Hello } from '../../proto/gen/replication.ts';
import type { NodeState } from '../core/node-state.ts';
import type { Peer } from '../core/peer.ts';
import { etcdCounts, etcdReachable, isMember, selfMember } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { Versions } from '../upgrade/versions.ts';
import type { Adoption } from '../view/adoption.ts';
import type { Configuration } from '../view/configuration.ts';
import type { ClusterRead, Coordination } from '../view/coordination.ts';
import type { EtcdMemory } from '../view/etcd-memory.ts';
import { nextGeneration } from '../view/generation.ts';
import type { GenerationStart } from '../view/generation.ts';
import { viewOfMembers } from '../view/slots.ts';
import { encodeView, names } from '../view/view.ts';
import type { View } from '../view/view.ts';
import type { Beats } from './beats.ts';
import { ForcedView } from './forced-view.ts';
import { LongestLease } from './longest-lease.ts';
import { beatsLost, describeLoss } from './loss.ts';

/** A reply may leave so long after its packet was read. */
const REPLY_AGE_SECONDS = 5;
/** What etcd showed must not be older. */
const READ_AGE_MS_MAX = 3000;
/** What a node shows that serves, or did until a moment ago. */
const IN_SERVICE: readonly string[] = ['NORMAL', 'COMMUNICATIONS-INTERRUPTED', 'PARTNER-DOWN', 'ISOLATED', 'DRAINING'] satisfies NodeState[];

export interface LastResortParts {
  readonly state: ClusterState;
  readonly adoption: Adoption;
  readonly beats: Beats;
  readonly configuration: Configuration;
  readonly coordination: Coordination;
  readonly memory: EtcdMemory;
  readonly versions: Versions;
  /** A member is reached neither over its link nor through etcd. */
  readonly isolated: () => boolean;
  /** A view was adopted that did not come from etcd. */
  readonly onForced: () => void;
  readonly onGeneration: () => void;
}

export class LastResort {
  readonly #parts: LastResortParts;
  readonly forced: ForcedView;
  readonly #longestLease: LongestLease;
  /** Sent to etcd on a command, and neither seen there nor given up; `lostAt`: since when no answer is to be expected. */
  #sent: { readonly view: View; lostAt: number } | undefined;
  progress: OperatorProgress | undefined;

  constructor(parts: LastResortParts) {
    this.#parts = parts;
    const { now, options, store } = parts.state.context;
    this.#longestLease = new LongestLease(store, options.longestLeaseSeconds, now);
    this.forced = new ForcedView(parts, this);
  }

  /** Another configuration is in force. */
  onConfig(): void {
    const { now, options } = this.#parts.state.context;
    this.#longestLease.note(options.longestLeaseSeconds, now);
  }

  operate(command: OperatorCommand): OperatorAnswer {
    const { state } = this.#parts;
    if (!state.context.options.clustered) return { ok: false, text: 'this node is not part of a cluster: it serves by itself' };
    if (command.kind === 'partner-down') return this.forced.partnerDown(command.node);
    return isMember(state) ? this.forced.recover(command.force) : this.recover(command.force);
  }

  // ── what both commands need ──────────────────────────────────────────────────────────────────

  /** A generation after all that this node has heard of. */
  next(): GenerationStart {
    const { coordination, memory, state } = this.#parts;
    const { view } = coordination.latest ?? {};
    const known: GenerationStart[] = [{ generation: memory.newestGeneration, epoch: 0 }];
    for (const each of [state.view, state.lastFinished, view, this.#sent?.view]) if (each !== undefined) known.push(each);
    for (const { introduced, status } of state.peers.values()) {
      if (introduced !== undefined) known.push({ generation: introduced.generation, epoch: Math.max(introduced.epoch, status?.epoch ?? 0) });
    }
    return nextGeneration(known, state.context.random());
  }

  /** By then every lease that this node does not know of has ended, or its client has renewed it here. */
  probeUntil(): number {
    const { now, options } = this.#parts.state.context;
    return this.#longestLease.end(now, options.maxClockSkewMs) + REPLY_AGE_SECONDS;
  }

  // ── recover, on a node outside the view ──────────────────────────────────────────────────────

  recover(force: boolean): OperatorAnswer {
    const refusal = this.#whyNotRecover();
    if (refusal !== '') return { ok: false, text: refusal };
    const read = this.#parts.coordination.latest!;
    const loss = describeLoss(this.#parts, read, this.probeUntil());
    if (!force) return { ok: true, text: `${loss}\nNothing was changed. With --force this node begins a new generation with what its store has.` };
    const view = this.#viewOfOne(read);
    this.#write(view, read);
    return { ok: true, text: `${loss}\nGeneration ${view.generation} is being written with this node alone; lessor status shows when it serves.` };
  }

  #whyNotRecover(): string {
    const { coordination, state } = this.#parts;
    const { context, peers, phase, leaving } = state;
    if (leaving || phase === 'stopped') return 'this node is on its way out: it is stopping, or drained (lessor undrain)';
    if (phase === 'starting') return 'this node is only just starting: ask again in a moment';
    if (this.#sent !== undefined) return 'a view is being written already: whether it was shows when etcd answers';
    const live = [...peers.values()].find(({ introduced }) => introduced?.member === true);
    if (live !== undefined) {
      return state.wentBack === '' ? `${live.id} serves and is linked with this node, which recovers from it by itself`
        : `${live.id} serves, and etcd went back: give this command on ${live.id}, whose store has more; this node then recovers from it`;
    }
    const read = coordination.latest;
    if (read === undefined || !etcdReachable(state) || context.now.mono - read.readAt > READ_AGE_MS_MAX) {
      return 'etcd does not answer, and the view lies there: nobody can say that no other node serves. Bring etcd back first';
    }
    return this.#whoServes(read) || this.#whoHasMore(read);
  }

  /** Of the nodes that can be asked: one that needs no operator, or whose store was in a later view than this one's, or may be whole where this one's is not. */
  #whoHasMore(read: ClusterRead): string {
    const { beats, state: { peers, view } } = this.#parts;
    const own = { epoch: view?.epoch ?? 0, generation: view?.generation ?? 0 };
    const isWhole = beatsLost(beats, read, this.#parts.state) === 0 && !beats.fetchIncomplete();
    for (const { id, introduced, status } of peers.values()) {
      if (introduced === undefined) continue;
      if (status?.fit === true) return `${id} has everything and goes on by itself within some seconds; this node then recovers from it`;
      const { epoch, generation } = introduced;
      const there = `give this command there, or switch ${id} off if its store is not to count`;
      if (generation > own.generation || (generation === own.generation && epoch > own.epoch)) {
        return `${id} was in a later view (epoch ${epoch}, generation ${generation}) than this node (epoch ${own.epoch}, generation ${own.generation}): ${there}`;
      }
      if (!isWhole && epoch === own.epoch && generation === own.generation) {
        const what = beats.restoredFrom() !== '' ? 'restored from a backup' : beats.fetchIncomplete() ? 'one into which a fetch was cut short' : 'an older copy';
        return `the store of this node is ${what}, and ${id} was in the same view: ${there}`;
      }
    }
    return '';
  }

  /** In the eyes of etcd: out of this node's reach, it may be serving clients at this moment. */
  #whoServes({ sessions, states, view }: ClusterRead): string {
    const { options } = this.#parts.state.context;
    const standing = [...sessions].find(([node, incarnation]) => node !== options.self &&
      ((view !== undefined && names(view, node, incarnation)) || IN_SERVICE.includes(states.get(node) ?? '')));
    if (standing === undefined) return '';
    const [node] = standing;
    return `${node} has a session in etcd as ${states.get(node) ?? 'a member'}: it may be serving, where this node does not reach it. ` +
      `Repair the link to ${node} (this node then recovers by itself), or switch ${node} off and ask again after its session has ended`;
  }

  #viewOfOne(read: ClusterRead): View {
    const { configuration, state: { context }, state } = this.#parts;
    const { nodes, protocol } = context.options;
    const named = read.view?.configRevision ?? 0;
    const configRevision = named !== 0 && configuration.has(named) ? named : configuration.loaded;
    return viewOfMembers(nodes, [selfMember(state)], {
      ...this.next(), protocol: protocol.max, configRevision, probeUntil: Math.max(this.probeUntil(), read.view?.probeUntil ?? 0),
    });
  }

  #write(view: View, read: ClusterRead): void {
    const { adoption, coordination, state: { context } } = this.#parts;
    // What their inboxes hold for this node may be committed: it is read before this node serves anybody.
    if (read.view !== undefined) adoption.addDuties(read.view.members, read.view.generation);
    const sent = { view, lostAt: Infinity };
    this.#sent = sent;
    this.progress = { state: 'running', text: `generation ${view.generation} is being written to etcd` };
    this.putView(view, read.viewRevision, (written) => {
      if (this.#sent !== sent) return;
      if (written === false) this.#settle('refused', 'etcd has another view now than when you asked: look at lessor status, and ask again if it is still needed');
      else if (written === undefined) sent.lostAt = context.now.mono;
      coordination.read();
    });
  }

  /** In place of what etcd has under this revision. Whoever led is elected anew. `done`: undefined where nobody knows. */
  putView(view: View, over: number, done: (written: boolean | undefined) => void): void {
    const { etcd } = this.#parts.state.context;
    etcd.txn({
      anyEtcd: true, compares: [{ key: 'view', modRevision: over }],
      then: [{ op: 'put', key: 'view', value: encodeView(view) }, { op: 'delete', key: 'leader' }],
    }, (result) => done(result?.succeeded));
  }

  #settle(state: OperatorProgress['state'], text: string): void {
    this.#sent = undefined;
    this.progress = { state, text };
  }

  // ── what others say ──────────────────────────────────────────────────────────────────────────

  /** A peer's hello. True: it is of a newer generation, which this member has no part in. */
  mustLeaveFor(peer: Peer, hello: Hello): boolean {
    const { memory, state } = this.#parts;
    memory.noteGeneration(hello.generation);
    if (!isMember(state) || this.forced.onHello(hello) || !this.forced.isNewer(hello)) return false;
    state.context.out.event('cluster.older-generation', { peer: peer.id, generation: state.view!.generation, newest: hello.generation });
    return true;
  }

  // ── what follows ─────────────────────────────────────────────────────────────────────────────

  /** After each read of etcd, and after its view was adopted if it is for this node. */
  onRead(read: ClusterRead): void {
    const sent = this.#sent;
    if (sent === undefined) return;
    if (read.view !== undefined && read.view.generation >= sent.view.generation && read.view.epoch !== sent.view.epoch) {
      this.#settle('refused', `somebody else has begun generation ${read.view.generation}`);
    } else if (read.askedAt > sent.lostAt) {
      // Should it still arrive, it is adopted; asked for again, only one of the two can be written.
      this.#settle('refused', 'etcd did not answer, and does not show the new view: ask again if it is still needed');
    }
  }

  /** Once a turn. */
  step(): void {
    this.forced.step();
  }

  onAdopted(view: View, previous: View | undefined, wasMember: boolean): void {
    const { beats, memory, onGeneration, state: { context, unwritten } } = this.#parts;
    memory.onAdopted();
    // What this store has is what counts from now on, also where it is not of one piece.
    if (beats.fetchIncomplete()) beats.fetchComplete();
    if (view.generation > Math.max(1, previous?.generation ?? 0)) {
      context.out.event('cluster.generation', {
        generation: view.generation, epoch: view.epoch, members: view.members.map(({ node }) => node).join(' '),
        probeUntil: view.probeUntil, inEtcd: !unwritten,
      });
    }
    // What it found free, or offered, may be from before somebody else was given it.
    if (view.probeUntil > 0 && (!wasMember || view.generation !== previous?.generation)) onGeneration();
    if (this.#sent !== undefined && view.generation >= this.#sent.view.generation) this.#settle('done', `generation ${view.generation} has begun`);
  }

  /** Whether what etcd shows and takes is worth anything to this node now. */
  get etcdUsable(): boolean {
    const { state } = this.#parts;
    return etcdReachable(state) && etcdCounts(state);
  }
}
