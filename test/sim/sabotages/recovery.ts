/** Planted bugs in how nodes start, join and go on after a power cut. */
import type { Sabotages } from './sabotage.ts';

const LEARNER = 'cluster/recovery/learner.ts';
const RESTART = 'cluster/recovery/restart.ts';
const LEADER = 'cluster/view/leader.ts';

export const RECOVERY_SABOTAGES = {
  'vouch-at-once': {
    rule: 'A member vouches only when the learner has acknowledged its log up to where it was when asked.',
    file: 'cluster/recovery/vouching.ts',
    line: '    if ((acknowledged.get(learner.incarnation) ?? 0) < pending.last || peers.get(learner.node)?.incarnation !== learner.incarnation) return;',
    becomes: '    if (peers.get(learner.node)?.incarnation !== learner.incarnation) return;',
    without: 'the newcomer is let in without the last changes, and the others die',
  },
  'join-without-every-vouch': {
    rule: 'A learner is let in only with every member\'s word.',
    file: LEADER,
    line: '    return view.members.every((member) => join.vouched.has(member.node)) ? join.learner : undefined;',
    becomes: '    return join.vouched.size > 0 ? join.learner : undefined;',
    without: 'the newcomer lacks changes of a member that did not vouch',
  },
  'learner-not-required': {
    rule: 'From the moment it is to be let in every commit needs the learner\'s acknowledgement too.',
    file: 'cluster/recovery/vouching.ts',
    line: '    this.#state.required = learner;',
    becomes: '',
    without: 'what is committed while the view is written is unknown to the newcomer',
  },
  'join-after-another-view': {
    rule: 'A learner joins only the epoch in which it fetched; after any other view it fetches again.',
    file: LEARNER,
    line: '    if (epoch !== undefined && epoch !== view.epoch) this.#restart();',
    becomes: '',
    without: 'it never gets what a node left behind that was evicted meanwhile',
  },
  'cursors-of-the-last-page': {
    rule: 'A fetch stands for the cursors that were read before its first record.',
    file: LEARNER,
    line: '    run.cursors ??= answer.cursors;',
    becomes: '    run.cursors = answer.cursors;',
    without: 'what changed while it was fetched is in no page and is not sent again',
  },
  'keep-what-the-members-never-had': {
    rule: 'A learner replaces every record that the members do not have.',
    file: LEARNER,
    line: '    return run.mayHoldMore || this.#state.cursors.list().some(({ incarnation, seq }) => seq > (theirs.get(incarnation) ?? 0));',
    becomes: '    return theirs.size < 0;',
    without: 'a change that was never committed stays on one disk',
  },
  'keep-the-incarnation': {
    rule: 'Every start is a new incarnation.',
    file: 'cluster/core/engine.ts',
    line: '    this.#context = { options, store, table, history, out, etcd: new EtcdCalls(out), random, now, incarnation: newIncarnation(random) };',
    becomes: '    this.#context = { options, store, table, history, out, etcd: new EtcdCalls(out), random, now, incarnation: 1000 + options.self.charCodeAt(0) + 0 * newIncarnation(random) };',
    without: 'a node with a new disk is taken for the one that the view names',
  },
  'fit-despite-an-older-beat': {
    rule: 'A disk whose beat is behind etcd\'s is an older copy and not fit.',
    file: RESTART,
    line: '    if ((read!.beats.get(context.options.self)?.beat ?? 0) > this.#beats.diskBeat) return false;',
    becomes: '',
    without: 'a restored disk goes on with what it had',
  },
  'name-the-unfit': {
    rule: 'The first view after a power cut names only those whose disks are fit.',
    file: RESTART,
    line: '      if (peer?.connected !== true || peer.status?.fit !== true || !peer.hello!.heldIncarnations.includes(member.incarnation)) return false;',
    becomes: '      if (peer?.connected !== true) return false;',
    without: 'a node with an empty disk is a member at once',
  },
  'clear-inboxes-whatever-the-view': {
    rule: 'Inboxes of nodes outside the view are cleared only under the view that they are outside of.',
    file: LEADER,
    line: '      compares: [{ key: \'view\', modRevision: this.#state.viewRevision }],\n      then: prefixes.map(',
    becomes: '      compares: [],\n      then: prefixes.map(',
    without: 'changes that count lie in the inbox of a newcomer and are deleted',
  },
  'clear-inboxes-perhaps-later': {
    rule: 'A clearing of inboxes that may still happen is made impossible before anybody joins.',
    file: LEADER,
    line: '      if (result === undefined) this.#bump = true;',
    becomes: '',
    without: 'it happens when the newcomer needs its inbox',
  },
} as const satisfies Sabotages;
