/**
 * A view that live members make without etcd, by an operator's word (ARCHITECTURE.md, Last resorts): because it
 * does not answer and one of them is switched off (`partner-down`), or because it went back (`recover --force`).
 *
 * The node that was asked makes the view and asks the others whether they can go by it, which changes nothing;
 * when all have agreed it adopts it, and from then on its hello carries it: whoever it names adopts it from there,
 * also later, over any link. It lies on their disks; etcd gets it as soon as it answers, in place of whatever it
 * has that is older.
 *
 * Invariants: whoever agrees is in the view that the new one follows, reaches all whom it names and not whom it
 * leaves out, and gets nothing of etcd; nobody goes by it who has not been asked while this was so.
 */
import type { OperatorAnswer, OperatorProgress } from '../../node/admin/operator.ts';
import type { ForceAnswer, ForceRequest, Hello } from '../../proto/gen/replication.ts';
import type { Peer } from '../core/peer.ts';
import { etcdReachable, isMember, isNamed, linkUp, memberNamed, otherMembers } from '../core/state.ts';
import type { ClusterRead } from '../view/coordination.ts';
import { assignSlots } from '../view/slots.ts';
import { decodeView, encodeView, isNewer, names } from '../view/view.ts';
import type { Member, View } from '../view/view.ts';
import type { LastResort, LastResortParts } from './last-resort.ts';

/** The others answer at once, or are not reached. */
const ANSWER_MS = 3000;
const RETRY_MS = 500;
/** How long a node is taken to be switched off by a word that was not enough. */
const WORD_MS = 60_000;

interface Proposal {
  readonly view: View;
  readonly after: number;
  readonly without: readonly string[];
  readonly agreed: Set<string>;
  readonly until: number;
}

export class ForcedView {
  readonly #parts: LastResortParts;
  readonly #lastResort: LastResort;
  #proposal: Proposal | undefined;
  /** Declared to be switched off, and when, as long as others are not reached either. */
  readonly #declared = new Map<string, number>();
  #writing = false;
  #retryAt = -Infinity;

  constructor(parts: LastResortParts, lastResort: LastResort) {
    this.#parts = parts;
    this.#lastResort = lastResort;
  }

  // ── the operator's word ──────────────────────────────────────────────────────────────────────

  partnerDown(node: string): OperatorAnswer {
    const { isolated, state } = this.#parts;
    const { context, required, wentBack } = state;
    if (!isMember(state)) return refuse('this node is not in the view: it serves nobody, whatever the other one does. See lessor recover');
    if (node === context.options.self) return refuse('this is that node: it is not switched off');
    if ((memberNamed(state.view, node) ?? (required?.node === node ? required : undefined)) === undefined) return refuse(`${node} is not in the view: this node does not wait for it`);
    if (state.peers.get(node)?.introduced !== undefined) return refuse(`${node} answers on its link: it is not switched off`);
    if (!isolated()) {
      return refuse(etcdReachable(state) && wentBack === '' ? `etcd answers: it takes ${node} out of the view by itself, if it is gone, within some seconds`
        : 'this node is not ISOLATED: it serves, and waits for nobody');
    }
    for (const [other, at] of this.#declared) {
      if (context.now.mono - at > WORD_MS || state.peers.get(other)?.introduced !== undefined) this.#declared.delete(other);
    }
    this.#declared.set(node, context.now.mono);
    return this.#propose([...this.#declared.keys()], this.#lastResort.probeUntil());
  }

  /** On a member, where etcd went back: what the members hold is the truth. */
  recover(force: boolean): OperatorAnswer {
    const { state } = this.#parts;
    if (state.wentBack === '') return refuse(state.unwritten ? 'this node is in the view already; etcd gets it as soon as it answers' : 'this node is in the view: there is nothing to recover');
    const others = otherMembers(state);
    const text = `etcd went back: ${state.wentBack}.\nThis node and its links hold everything that was committed (members ${state.view!.members.map(({ node }) => node).join(' ')}).`;
    if (!force) return { ok: true, text: `${text}\nNothing was changed. With --force a new generation with these members is begun and written to etcd; what etcd has now counts for nothing.` };
    // What an evicted node left for somebody in the inbox may have gone with it.
    const complete = state.finished && others.every(({ node }) => state.peers.get(node)?.status?.finished === true);
    const answer = this.#propose([], complete ? state.view!.probeUntil : this.#lastResort.probeUntil());
    return answer.ok ? { ok: true, text: `${text}\n${answer.text}` } : answer;
  }

  #propose(without: readonly string[], probeUntil: number): OperatorAnswer {
    const { state, versions } = this.#parts;
    const { context } = state;
    const view = state.view!;
    if (state.leaving) return refuse('this node is on its way out: it is stopping, or drained (lessor undrain)');
    if (state.clockSteppedAt !== undefined) return refuse('the clock of this node stepped, and has not been compared with all members since: nothing can be granted by it');
    const unreached = this.#unreached(view.members, without);
    if (unreached !== undefined) {
      const noted = without.length === 0 ? '' : `${without.join(' and ')} ${without.length === 1 ? 'is' : 'are'} taken to be switched off, but `;
      return refuse(`${noted}${unreached} is not linked with this node, and without it nothing can be committed: repair the link, or say that it is switched off as well (lessor partner-down ${unreached})`);
    }
    // One that is on its way out gives up nothing that is not committed: the others have all of it.
    const members = view.members.filter(({ node }) => !without.includes(node) && state.peers.get(node)?.status?.draining !== true);
    const slots = assignSlots(context.options.nodes, members, (node) => (node === context.options.self ? state.dhcpReady : state.peers.get(node)?.status?.dhcpReady ?? true));
    const next: View = { ...view, ...this.#lastResort.next(), members, slots, protocol: versions.next(view, members) ?? view.protocol, probeUntil: Math.max(probeUntil, view.probeUntil) };
    this.#proposal = { view: next, after: view.epoch, without, agreed: new Set([context.options.self]), until: context.now.mono + ANSWER_MS };
    const others = members.filter(({ node }) => node !== context.options.self);
    if (others.length === 0) {
      this.#adopt(this.#proposal);
      return { ok: true, text: `generation ${next.generation} has begun with this node alone` };
    }
    for (const { node } of others) {
      context.out.send(node, { $case: 'forceRequest', value: { view: encodeView(next), after: view.epoch, without: [...without] } });
    }
    const asked = others.map(({ node }) => node).join(' and ');
    this.#say('running', `${asked} ${others.length === 1 ? 'is' : 'are'} asked to go by generation ${next.generation}`);
    return { ok: true, text: `${asked} ${others.length === 1 ? 'is' : 'are'} asked to go by generation ${next.generation}; lessor status shows the outcome` };
  }

  #unreached(members: readonly Member[], without: readonly string[]): string | undefined {
    const { state } = this.#parts;
    const { self } = state.context.options;
    return members.find((member) => member.node !== self && !without.includes(member.node) && !linkUp(state, member))?.node;
  }

  #say(progress: OperatorProgress['state'], text: string): void {
    this.#lastResort.progress = { state: progress, text };
    if (progress === 'refused') this.#parts.state.context.out.event('cluster.generation-refused', { reason: text });
  }

  // ── agreement ────────────────────────────────────────────────────────────────────────────────

  onRequest(peer: Peer, { after, view, without }: ForceRequest): void {
    const next = decodeView(view);
    const refusal = next === undefined ? 'its view cannot be read' : this.#whyNot(next, after, without);
    this.#parts.state.context.out.send(peer.id, { $case: 'forceAnswer', value: { epoch: next?.epoch ?? 0, refusal } });
  }

  #whyNot(next: View, after: number, without: readonly string[]): string {
    const { state, versions } = this.#parts;
    const { self } = state.context.options;
    if (!isMember(state) || state.view?.epoch !== after) return `it is not in the view of epoch ${after}`;
    if (!isNewer(next, state.view) || !isNamed(state, next) || !versions.speaks(next)) return 'that view is not for it';
    if (state.leaving) return 'it is on its way out';
    if (state.clockSteppedAt !== undefined) return 'its clock stepped';
    const answers = without.find((node) => node === self || state.peers.get(node)?.introduced !== undefined);
    if (answers !== undefined) return `${answers} answers it: it is not switched off`;
    if (this.#lastResort.etcdUsable) return 'etcd answers it';
    const unreached = this.#unreached(next.members, without);
    return unreached === undefined ? '' : `it does not reach ${unreached}`;
  }

  onAnswer(peer: Peer, { epoch, refusal }: ForceAnswer): void {
    const proposal = this.#proposal;
    if (proposal?.view.epoch !== epoch) return;
    if (refusal !== '') {
      this.#proposal = undefined;
      this.#say('refused', `${peer.id} does not go along: ${refusal}. Nothing was changed`);
      return;
    }
    proposal.agreed.add(peer.id);
    if (!proposal.view.members.every(({ node }) => proposal.agreed.has(node))) return;
    // What held when it was asked for must still hold: it may have waited for the others.
    const why = this.#whyNot(proposal.view, proposal.after, proposal.without);
    this.#proposal = undefined;
    if (why === '') this.#adopt(proposal);
    else this.#say('refused', `since you asked things have changed: this node says ${why}. Nothing was changed`);
  }

  #adopt({ view }: Proposal): void {
    this.#proposal = undefined;
    this.#declared.clear();
    this.#say('done', `generation ${view.generation} has begun with ${view.members.map(({ node }) => node).join(' ')}`);
    this.#parts.adoption.adopt(view, 0, true);
    this.#parts.onForced();
  }

  /** A peer's hello. True: it carries a view that this member goes by from now on. */
  onHello(hello: Hello): boolean {
    const { adoption, onForced, state, versions } = this.#parts;
    const view = forcedViewOf(hello);
    if (view === undefined || !isMember(state) || state.leaving) return false;
    if (!isNewer(view, state.view!) || !isNamed(state, view) || !versions.speaks(view)) return false;
    this.#proposal = undefined;
    adoption.adopt(view, 0, true);
    onForced();
    return true;
  }

  /** The peer is in a generation, or in a view that lies on disks only, which is newer than this member's. */
  isNewer(hello: Hello): boolean {
    const view = this.#parts.state.view!;
    const forced = forcedViewOf(hello);
    return hello.generation > view.generation || (forced !== undefined && isNewer(forced, view));
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────

  /** Once a turn. */
  step(): void {
    const { state } = this.#parts;
    const proposal = this.#proposal;
    if (proposal !== undefined && (!isMember(state) || state.view?.epoch !== proposal.after)) this.#proposal = undefined;
    else if (proposal !== undefined && state.context.now.mono > proposal.until) {
      this.#proposal = undefined;
      const silent = proposal.view.members.filter(({ node }) => !proposal.agreed.has(node)).map(({ node }) => node).join(' and ');
      this.#say('refused', `${silent} did not answer. Nothing was changed`);
    }
    this.#writeToEtcd();
  }

  /** Whoever of the members gets there first; all of them write the same. */
  #writeToEtcd(): void {
    const { coordination, state } = this.#parts;
    const { context, unwritten, view } = state;
    const read = coordination.latest;
    if (!unwritten || !isMember(state) || read === undefined || this.#writing || context.now.mono < this.#retryAt) return;
    if (!etcdReachable(state) || !this.#mayReplace(read)) return;
    this.#writing = true;
    this.#lastResort.putView(view!, read.viewRevision, () => {
      this.#writing = false;
      this.#retryAt = context.now.mono + RETRY_MS;
      coordination.read();
    });
  }

  /** What cannot be read too: the operator has said what counts. */
  #mayReplace(read: ClusterRead): boolean {
    return read.view === undefined || isNewer(this.#parts.state.view!, read.view);
  }
}

/** The view on the disk of a peer that is in it. */
function forcedViewOf({ forcedView, incarnation, node }: Hello): View | undefined {
  const view = forcedView.length === 0 ? undefined : decodeView(forcedView);
  return view !== undefined && names(view, node, incarnation) ? view : undefined;
}

function refuse(text: string): OperatorAnswer {
  return { ok: false, text };
}
