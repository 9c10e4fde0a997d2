/** Planted bugs in the commit rule, the inbox and confirmation. */
import type { Sabotages } from './sabotage.ts';

const REPLICATION = 'cluster/replication/replication.ts';
const INBOX = 'cluster/replication/inbox.ts';
const CONFIRM = 'cluster/replication/confirm.ts';

export const COMMIT_SABOTAGES = {
  'commit-without-the-others': {
    rule: 'A change is committed when every other member has it or its inbox does.',
    file: REPLICATION,
    line: '      if (has < seq) seq = has;',
    becomes: '',
    without: 'the owner dies, and its heir does not know the lease',
  },
  'commit-after-ack-timeout': {
    rule: 'A member whose acknowledgements stay out is not waited for less: its inbox must have the change.',
    file: REPLICATION,
    line: '    for (const member of commitPeers(state)) {',
    becomes: '    for (const member of commitPeers(state).filter(({ node }) => state.peers.get(node)?.up === true)) {',
    without: 'a link is cut, changes count without their inbox items, and the other side takes over',
  },
  'commit-before-the-own-flush': {
    rule: 'The owner has flushed a change before it counts.',
    file: REPLICATION,
    line: '    let seq = state.flushedSeq;\n    for (const member of commitPeers(state)) {',
    becomes: '    let seq = state.log.last;\n    for (const member of commitPeers(state)) {',
    without: 'a single node loses power before its flush and has forgotten a lease',
  },
  'acknowledge-before-the-flush': {
    rule: 'Nothing is acknowledged before it is flushed together with its cursor.',
    file: REPLICATION,
    line: '    if (!this.#applyInOrder(batch.incarnation, batch.changes)) context.out.resets.push(peer.id);',
    becomes: '    if (!this.#applyInOrder(batch.incarnation, batch.changes)) return void context.out.resets.push(peer.id);\n    this.#flushedOf.set(batch.incarnation, { seq: this.#state.cursors.seq(batch.incarnation), checksum: this.#state.cursors.checksum(batch.incarnation) });\n    this.sendAck(peer);',
    without: 'power is lost everywhere during a flush, and the one that comes back has less than it said',
  },
  'ack-when-visible': {
    rule: 'A change counts when it is flushed, not when the store shows it.',
    file: 'test/sim/node.ts',
    line: '    agenda.after(flushMs, () => {',
    becomes: '    agenda.after(0.1, () => {\n      if (start === this.start && this.disk.visibleBeforeFlush) this.#input("disk", (engine, now) => engine.onFlushed(batch.position, now));\n    });\n    agenda.after(flushMs, () => {',
    without: 'power is lost between the two',
  },
  'cursor-before-its-records': {
    rule: 'A cursor is written in the same flush as the records that it stands for.',
    file: 'node/lease/store.ts',
    line: '    const batch = { position: this.#position, records: this.#queuedRecords, meta: this.#queuedMeta };',
    becomes: '    if (this.#queuedRecords.size > 0 && this.#queuedMeta.size > 0) {\n      const first = { position: this.#flushedPosition, records: new Map<number, Buffer | null>(), meta: this.#queuedMeta };\n      this.#queuedMeta = new Map();\n      this.#taken.push(first);\n      return first;\n    }\n    const batch = { position: this.#position, records: this.#queuedRecords, meta: this.#queuedMeta };',
    without: 'power is lost between the two flushes, and nobody sends the records again',
  },
  'skip-a-gap': {
    rule: 'A log is received without holes.',
    file: REPLICATION,
    line: '      if (number !== seq + 1) {',
    becomes: '      if (number < 0) {',
    without: 'the change in the gap is lost, and acknowledged',
  },
  'accept-an-older-epoch': {
    rule: 'Changes of an older epoch are refused from an incarnation that the view does not name.',
    file: REPLICATION,
    line: '    if (!names(view!, peer.id, batch.incarnation)) return false;',
    becomes: '    if (!names(view!, peer.id, batch.incarnation)) return true;',
    without: 'a node that was evicted without noticing it commits, and its heir gives the same address',
  },
  'inbox-whatever-the-view': {
    rule: 'An inbox item is written only while etcd\'s view is the one that the writer has adopted.',
    file: INBOX,
    line: '      { compares: [{ key: \'view\', modRevision: viewRevision }], then: [{ op: \'put\', key: item.key, value: item.value }] },',
    becomes: '      { compares: viewRevision < 0 ? [{ key: \'view\', modRevision: viewRevision }] : [], then: [{ op: \'put\', key: item.key, value: item.value }] },',
    without: 'a node that was evicted without noticing it commits through etcd',
  },
  'inbox-written-perhaps': {
    rule: 'An inbox item counts only when it is known to be written.',
    file: INBOX,
    line: '        if (result?.succeeded === true) {\n          writer.pending = undefined;',
    becomes: '        if (result?.succeeded !== false) {\n          writer.pending = undefined;',
    without: 'etcd never had it, and the other side takes over',
  },
  'inbox-deleted-before-the-flush': {
    rule: 'Inbox items are deleted only when what they held is flushed.',
    file: INBOX,
    line: '    this.#taken.set(key, this.#state.cursors.safePosition);',
    becomes: '    this.#taken.set(key, 0);',
    without: 'the reader loses power before its flush, and the item is gone',
  },
  'confirm-without-asking': {
    rule: 'An answer without a change waits for a round that began after the question.',
    file: CONFIRM,
    line: '    if (others.length === 0) {',
    becomes: '    if (others.length >= 0) {',
    without: 'a node that was evicted without noticing it tells a client of a lease that has been given away',
  },
  'confirm-before-the-view-is-finished': {
    rule: 'A member that has not finished its view confirms nothing.',
    file: CONFIRM,
    line: '    if (!isMember(this.#state) || !finished || view === undefined || this.#state.clockSteppedAt !== undefined) return;',
    becomes: '    if (!isMember(this.#state) || (!finished && commitPeers(this.#state).length > 0) || view === undefined || this.#state.clockSteppedAt !== undefined) return;',
    without: 'it answers from what it has before it has learnt what the evicted node committed',
  },
  'answer-again-before-the-commit': {
    rule: 'A DHCPACK without a change waits until the change that it tells of is committed.',
    file: 'cluster/core/waiting.ts',
    line: '    const committed = waiting.seq === 0 || isCommitted(this.#core.state, waiting.incarnation, waiting.seq);',
    becomes: '    const committed = true;',
    without: 'a copy of the request is answered from a record that is lost with its owner',
  },
} as const satisfies Sabotages;
