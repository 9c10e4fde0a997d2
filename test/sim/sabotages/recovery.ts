/** Planted bugs in how nodes start, join and go on after a power cut. */
import type { Sabotages } from './sabotage.ts';

const LEARNER = 'cluster/recovery/learner.ts';
const RESTART = 'cluster/recovery/restart.ts';
const BEATS = 'cluster/recovery/beats.ts';
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
  'fetch-from-the-unfinished': {
    rule: 'Only a member that has finished its view gives a learner anything.',
    file: 'cluster/recovery/fetch.ts',
    line: '  const refused = !isMember(state) || !finished || view === undefined;',
    becomes: '  const refused = !isMember(state) || finished === undefined || view === undefined;',
    without: '',
  },
  'fetch-cut-short-is-complete': {
    rule: 'A fetch that was cut short is begun again with all records.',
    file: LEARNER,
    line: '    const everything = this.#beats.fetchIncomplete();',
    becomes: '    const everything = false;',
    without: 'records and cursors on the disk do not belong together',
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
  'fetch-under-the-old-name': {
    rule: 'A node fetches nothing while the view names an earlier incarnation of it.',
    file: LEARNER,
    line: '    if (old !== undefined) return this.#askEviction(view, old.incarnation);',
    becomes: '    if (old !== undefined) this.#askEviction(view, old.incarnation);',
    without: '',
  },
  'keep-the-incarnation': {
    rule: 'Every start is a new incarnation.',
    file: 'cluster/core/engine.ts',
    line: '    this.#context = { options, store, table, out, etcd: new EtcdCalls(out), random, now, incarnation: newIncarnation(random) };',
    becomes: '    this.#context = { options, store, table, out, etcd: new EtcdCalls(out), random, now, incarnation: 1000 + options.self.charCodeAt(0) + 0 * newIncarnation(random) };',
    without: 'a node with a new disk is taken for the one that the view names',
  },
  'keep-the-incarnation-while-fetching': {
    rule: 'The flush that replaces the first record strikes earlier incarnations from the disk.',
    file: BEATS,
    line: '  strike(): void {\n    this.#held = [this.#context.incarnation];\n    this.#putJson(META_INCARNATIONS, this.#held);',
    becomes: '  strike(): void {',
    without: 'a disk with half a fetch on it passes for one that the view names',
  },
  'fit-without-its-incarnation': {
    rule: 'After a power cut only a disk that holds the incarnation that the view names goes on.',
    file: RESTART,
    line: '    if (own === undefined || !this.#beats.holds(own.incarnation) || this.#beats.fetchIncomplete()) return false;',
    becomes: '    if (own === undefined || this.#beats.fetchIncomplete()) return false;',
    without: 'a new, empty disk goes on, and nobody knows the leases',
  },
  'fit-despite-a-cut-fetch': {
    rule: 'A disk with a fetch that was cut short is not fit.',
    file: RESTART,
    line: '    if (own === undefined || !this.#beats.holds(own.incarnation) || this.#beats.fetchIncomplete()) return false;',
    becomes: '    if (own === undefined || !this.#beats.holds(own.incarnation)) return false;',
    without: '',
  },
  'fit-despite-an-older-beat': {
    rule: 'A disk whose beat is behind etcd\'s is an older copy and not fit.',
    file: RESTART,
    line: '    if ((read!.beats.get(context.options.self)?.beat ?? 0) > this.#beats.diskBeat) return false;',
    becomes: '',
    without: 'a restored disk goes on with what it had',
  },
  'fit-despite-acknowledgements': {
    rule: 'A disk that has less than it acknowledged to a peer is not fit.',
    file: RESTART,
    line: '      (ack) => !this.#beats.holds(ack.by) || ack.seq <= cursors.seq(ack.origin)));',
    becomes: '      (ack) => ack.seq >= 0 || cursors.seq(ack.origin) >= 0));',
    without: 'a disk that was restored a moment ago goes on with what it had',
  },
  'go-on-without-waiting': {
    rule: 'After a power cut a fit node waits for the others before it goes on alone.',
    file: RESTART,
    line: '    if (!answered && (sessionStands || !waited)) return;',
    becomes: '    if (!answered && sessionStands && waited && this.#since === undefined) return;',
    without: '',
  },
  'name-the-unfit': {
    rule: 'The first view after a power cut names only those whose disks are fit.',
    file: RESTART,
    line: '      if (peer?.connected !== true || peer.status?.fit !== true || !peer.hello!.heldIncarnations.includes(member.incarnation)) return false;',
    becomes: '      if (peer?.connected !== true) return false;',
    without: 'a node with an empty disk is a member at once',
  },
  'first-view-over-data': {
    rule: 'Where etcd has no view, a store that has data is not ignored.',
    file: RESTART,
    line: '    if (this.#beats.hadData() || this.#state.view !== undefined || withData !== undefined || this.#state.wentBack !== \'\') {',
    becomes: '    if (withData !== undefined && this.#creating && this.#dataSeenAt === -1) {',
    without: 'etcd has lost its contents, and a node with nothing begins anew',
  },
  'go-back-with-etcd': {
    rule: 'Of an etcd that shows less than it did nothing counts.',
    file: 'cluster/view/etcd-memory.ts',
    line: '    this.#state.wentBack = why;',
    becomes: '    this.#state.wentBack = \'\';',
    without: 'etcd was restored from a backup, and nodes go on by a view whose time is over',
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
  'drain-with-open-changes': {
    rule: 'A node that drains leaves when its log is committed.',
    file: 'cluster/upgrade/drain.ts',
    line: '    if (!this.#state.draining || committedSeq < log.last) return;',
    becomes: '    if (!this.#state.draining || committedSeq > log.last) return;',
    without: '',
  },
} as const satisfies Sabotages;
