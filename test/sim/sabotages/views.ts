/** Planted bugs in how views are written, adopted and finished. */
import type { Sabotages } from './sabotage.ts';

const ADOPTION = 'cluster/view/adoption.ts';
const LEADER = 'cluster/view/leader.ts';
const STATE = 'cluster/core/state.ts';

export const VIEW_SABOTAGES = {
  'skip-the-inbox-at-takeover': {
    rule: 'Whoever takes over has read its whole inbox.',
    file: ADOPTION,
    line: '    if (duties.length === 0 || !context.options.clustered) finishing.inboxRead = true;',
    becomes: '    if (duties.length >= 0) finishing.inboxRead = true;',
    without: 'a lease that was committed through etcd is unknown to the heir',
  },
  'skip-the-tails': {
    rule: 'The members exchange the tails of the logs of those who left.',
    file: ADOPTION,
    line: '    if (missing.length === 0) {',
    becomes: '    if (missing.length >= 0) {',
    without: 'a change reached one heir and not the other',
  },
  'tail-before-the-own-inbox': {
    rule: 'A tail is given only after the own inbox is read.',
    file: ADOPTION,
    line: '    if (!(finished || finishing?.inboxRead === true)) return;',
    becomes: '    if (finished && finishing !== undefined) return;',
    without: 'the change lies in the inbox of the one that gave the tail',
  },
  'act-before-adopted': {
    rule: 'A member owns what it gained only when it has `Adopted` from every other member.',
    file: ADOPTION,
    line: '      if (adopted?.epoch !== finishing.epoch || adopted.incarnation !== member.incarnation) return;',
    becomes: '      if (adopted?.epoch !== finishing.epoch || adopted.incarnation !== member.incarnation) continue;',
    without: 'one that does not know the view yet still gives addresses of the same slot',
  },
  'own-before-finished': {
    rule: 'What was gained is owned only once the view is finished.',
    file: STATE,
    line: '  return state.continuous[slot] === 1;',
    becomes: '  return ownerOf(state.view, slot) === state.context.options.self;',
    without: 'the heir gives an address away before it has learnt of its lease',
  },
  'own-what-is-lost-until-finished': {
    rule: 'What a view takes away is not owned any more from the moment it is adopted.',
    file: ADOPTION,
    line: '    updateContinuous(this.#state, view, false);',
    becomes: '',
    without: 'two members own one slot',
  },
  'forget-earlier-duties': {
    rule: 'Duties last until a view is finished, whatever views come in between.',
    file: ADOPTION,
    line: '    const all = [...duties, ...(unwritten ? [] : waived), ...dutiesOf(lastFinished), ...dutiesOf(previous)];',
    becomes: '    const all = [...dutiesOf(previous)];',
    without: 'a second view comes before the first is finished, and the inbox is not read for who left with the first',
  },
  'candidate-from-outside-the-view': {
    rule: 'Only a member of the view may campaign.',
    file: 'cluster/recovery/restart.ts',
    line: '    if (live.length > 0 || own === undefined) {',
    becomes: '    if (live.length === 0 && own === undefined && !this.#leader.busy) {\n      if (this.#leader.leads) this.#writeFirst(read, read.view);\n      else if (read.leader === undefined) this.#leader.campaign(read.viewRevision);\n      return false;\n    }\n    if (live.length > 0 || own === undefined) {',
    without: 'a node that missed what was committed takes over',
  },
  'view-over-a-newer-view': {
    rule: 'A view is written only over the view that it was made from.',
    file: LEADER,
    line: '      compares: [{ key: \'leader\', createRevision: this.#key! }, { key: \'view\', modRevision: viewRevision }],',
    becomes: '      compares: viewRevision < 0 ? [] : [{ key: \'leader\', createRevision: this.#key! }],',
    without: 'a write whose answer was lost arrives late and undoes a newer view',
  },
  'ambiguous-write-is-not-done': {
    rule: 'A view write without an answer counts as applied until it can no longer be.',
    file: LEADER,
    line: '      // Lost or refused: whatever comes next is decided on a fresh read and takes a new epoch.\n      this.#bump = true;',
    becomes: '      if (result === undefined) { this.#join = undefined; this.#state.required = undefined; } else this.#bump = true;',
    without: 'the learner is let in after all, lacks what was committed meanwhile, and its leader dies',
  },
  'retry-blindly': {
    rule: 'A transaction whose answer was lost is not sent again by itself: only who asked knows what it may mean.',
    file: 'cluster/core/context.ts',
    line: '      done(counts ? result : undefined);',
    becomes: '      if (result.outcome === \'unknown\') this.txn(request, done);\n      else done(counts ? result : undefined);',
    without: '',
  },
  'switch-before-the-view-says': {
    rule: 'All who serve in one epoch do so by the configuration that the view names.',
    file: 'cluster/view/configuration.ts',
    line: '    if (isMember(this.#state) && view?.configRevision === revision) this.#apply(revision, result.config);',
    becomes: '    if (isMember(this.#state)) this.#apply(revision, result.config);',
    without: 'two nodes serve by different pools',
  },
  'split-by-the-pool': {
    rule: 'Who owns an address depends on nothing but the address.',
    file: 'node/server/grant.ts',
    line: '  const slot = address & 255;\n  if (cluster.owns(slot))',
    becomes: '  const slot = (address - context.config.pools[0]!.id) & 255;\n  if (cluster.owns(slot))',
    without: 'nodes whose pools differ both own an address; the log refuses a change of an address that is not owned',
    foundBy: 'assertion',
  },
} as const satisfies Sabotages;
