/**
 * The tail of an evicted node's log, which its heirs exchange (ARCHITECTURE.md, Finishing a view): whoever has
 * more of the log gives it to the others.
 *
 * Invariant: a tail is stored as a whole or not at all, since a cursor says that a log has no holes. Its
 * messages may be lost, come twice, and overtake each other where some take the link and some the inbox.
 */
import type { Change, Tail, TailRequest } from '../../proto/gen/replication.ts';
import { isRecord, recordIncarnation, recordSeq } from '../../node/lease/record.ts';
import { CHANGES_BYTES_MAX } from '../../node/limits.ts';
import type { ClusterState } from '../core/state.ts';
import { isCursor } from '../replication/cursors.ts';
import { withinBytes } from '../replication/log.ts';
import type { Replication } from '../replication/replication.ts';

const TAIL_CHANGES_MAX = 256;
/** Records looked at in one page of a scan for a tail that is no longer in memory. */
const SCAN_PAGE = 4096;

/** What has come of one peer's tail: all changes of the log up to `reached`, from what is stored here on. */
interface Gathered {
  reached: number;
  readonly changes: Change[];
}

export class Tails {
  readonly #state: ClusterState;
  readonly #replication: Replication;
  /** By "incarnation node": whose log, and who gives it. */
  #gathered = new Map<string, Gathered>();

  constructor(state: ClusterState, replication: Replication) {
    this.#state = state;
    this.#replication = replication;
  }

  // ── giving ───────────────────────────────────────────────────────────────────────────────────

  /** The messages that answer the request. */
  answers(request: TailRequest): Tail[] {
    const { cursors } = this.#state;
    const { epoch, incarnation } = request;
    const through = { incarnation, seq: cursors.seq(incarnation), checksum: cursors.checksum(incarnation) };
    const changes = through.seq > request.after ? this.#tailOf(incarnation, request.after) : [];
    const messages: Tail[] = [];
    let { after } = request;
    for (let at = 0; at < changes.length || messages.length === 0;) {
      const page = withinBytes(changes.slice(at, at + TAIL_CHANGES_MAX), CHANGES_BYTES_MAX);
      at += page.length;
      messages.push({ epoch, incarnation, changes: page, through, done: at === changes.length, after });
      after = lastOf(page) ?? after;
    }
    return messages;
  }

  /** From memory where it reaches back far enough, else every record that the log wrote last. */
  #tailOf(incarnation: number, after: number): Change[] {
    const log = this.#state.received.get(incarnation);
    const { cursors, context } = this.#state;
    if (log !== undefined && log.base <= after + 1 && log.last === cursors.seq(incarnation)) {
      return log.after(after, Number.MAX_SAFE_INTEGER).map(({ address, record }) => ({ address, record }));
    }
    const changes: Change[] = [];
    for (let from = -1; ;) {
      const page = context.table.records(from, SCAN_PAGE);
      for (const { address, record } of page) {
        if (recordIncarnation(record) === incarnation && recordSeq(record) > after) changes.push({ address, record });
      }
      if (page.length < SCAN_PAGE) break;
      from = page.at(-1)!.address;
    }
    return changes.toSorted((a, b) => recordSeq(a.record) - recordSeq(b.record));
  }

  // ── gathering ────────────────────────────────────────────────────────────────────────────────

  /** Another view is to be finished. */
  forget(): void {
    this.#gathered = new Map();
  }

  /** `whole`: the peer's tail is stored, up to its end. `part`: more is to come. `bad`: what came is no tail. */
  take(peer: string, tail: Tail): 'whole' | 'part' | 'bad' {
    const { incarnation, through } = tail;
    const stored = this.#state.cursors.seq(incarnation);
    if (through?.incarnation !== incarnation || !isCursor(through) || !tail.changes.every(({ record }) => isRecord(record) && recordIncarnation(record) === incarnation)) return 'bad';
    const key = `${incarnation} ${peer}`;
    const gathered = this.#gathered.get(key) ?? { reached: stored, changes: [] };
    this.#gathered.set(key, gathered);
    gathered.reached = Math.max(gathered.reached, stored);
    if ((tail.after ?? gathered.reached) > gathered.reached) return 'part';
    for (const change of tail.changes) if (recordSeq(change.record) > gathered.reached) gathered.changes.push(change);
    gathered.reached = Math.max(gathered.reached, lastOf(tail.changes) ?? 0);
    if (!tail.done) return 'part';
    this.#gathered.delete(key);
    this.#replication.applyTail(gathered.changes);
    this.#replication.tailDone(incarnation, through.seq, through.checksum);
    return 'whole';
  }
}

/** The number of the last one; undefined where there is none. */
function lastOf(changes: readonly Change[]): number | undefined {
  const last = changes.at(-1);
  return last === undefined ? undefined : recordSeq(last.record);
}
