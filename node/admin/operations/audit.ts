/** `lessor audit`: who changed what, newest first. */
import * as z from 'zod';
import { AUDIT_KEYS_AT_ONCE, AUDIT_PAGE_ENTRIES } from '../limits.ts';
import { NOTE_KEYS } from '../../notes/note.ts';
import { wallSeconds } from '../../time.ts';
import { AUDIT_KINDS, auditEntry } from '../audit.ts';
import type { AuditEntry } from '../audit.ts';
import { isoSeconds } from '../lease-view.ts';
import { MOMENT_EXPECTED, parseMoment } from '../moment.ts';
import { OperationError } from '../operation.ts';
import type { ListOperation, OperationHost } from '../operation.ts';

const parameters = z.strictObject({
  since: z.string().min(1).max(64).optional().describe(`from then on: ${MOMENT_EXPECTED}`),
  until: z.string().min(1).max(64).optional().describe('before then'),
  by: z.string().min(1).max(256).optional().describe('whose: as the entries have it'),
  operation: z.string().min(1).max(64).optional(),
  target: z.string().min(1).max(256).optional().describe('what it is about, or a part of that'),
  outcome: z.enum(['done', 'refused', 'failed']).optional(),
  limit: z.coerce.number().int().min(1).max(1_000_000).optional().describe('so many at most'),
});
type Parameters = z.output<typeof parameters>;

export const audit: ListOperation<Parameters, AuditEntry> = {
  id: 'audit', kind: 'list', method: 'GET', path: '/v1/audit', role: 'operator', parameters, result: auditEntry,
  summary: 'List the audit log, newest first: changes by operators, tokens and files, and attempts that were refused; all conditions that are given hold at once.',
  async *run(host, given) {
    const now = wallSeconds(host.now().wall);
    const since = momentOf('since', given.since, now);
    const until = momentOf('until', given.until, now);
    let left = given.limit ?? Infinity;
    for await (const entry of newestFirst(host)) {
      const at = entry.at.slice(0, 19);
      if ((since !== undefined && at < since) || (until !== undefined && at >= until) || !isAskedFor(entry, given)) continue;
      yield entry;
      if (--left === 0) return;
    }
  },
};

function isAskedFor(entry: AuditEntry, { by, operation, outcome, target }: Parameters): boolean {
  return (by === undefined || entry.by === by) && (operation === undefined || entry.operation === operation) &&
    (outcome === undefined || entry.outcome === outcome) && (target === undefined || entry.target.includes(target));
}

/** As entries begin: without fractions of seconds and zone. @throws OperationError */
function momentOf(name: string, text: string | undefined, now: number): string | undefined {
  if (text === undefined) return undefined;
  const moment = parseMoment(text, now, 'ago');
  if (moment === undefined) throw new OperationError('bad-request', `${name}: expected ${MOMENT_EXPECTED}, found "${text}"`);
  return isoSeconds(moment).slice(0, 19);
}

/** What of a key is told of together with the second: the kind and the lower 16 bits, so that both fit into one number. */
const KEYS = 2 ** 16;
const PLACES = KEYS * AUDIT_KINDS.length;

/** By when they were written down, and those of one second by what they say. */
async function* newestFirst(host: OperationHost): AsyncGenerator<AuditEntry> {
  const { notes } = host;
  const all = new Float64Array(AUDIT_KINDS.reduce((sum, kind) => sum + notes.count(kind), 0));
  let count = 0;
  for (const [index, kind] of AUDIT_KINDS.entries()) {
    for (const [key, since] of notes.all(kind)) {
      // What is written meanwhile is newer than this answer.
      if (count === all.length) break;
      all[count++] = since * PLACES + index * KEYS + (key - NOTE_KEYS[kind].first);
      if (count % AUDIT_KEYS_AT_ONCE === 0) await host.pause();
    }
  }
  const places = all.subarray(0, count).sort();
  await host.pause();
  let group: AuditEntry[] = [];
  let groupSecond = -1;
  for (let i = places.length - 1; i >= 0; i--) {
    if ((places.length - i) % AUDIT_PAGE_ENTRIES === 0) await host.pause();
    const second = Math.floor(places[i]! / PLACES);
    if (second !== groupSecond) {
      yield* sorted(group);
      group = [];
      groupSecond = second;
    }
    const place = places[i]! % PLACES;
    // One that went meanwhile, or that a later version wrote otherwise.
    const read = auditEntry.safeParse(notes.read(NOTE_KEYS[AUDIT_KINDS[Math.floor(place / KEYS)]!].first + (place % KEYS))?.body);
    if (read.success) group.push(read.data);
  }
  yield* sorted(group);
}

function sorted(group: AuditEntry[]): AuditEntry[] {
  return group.sort((one, other) => (one.at < other.at ? 1 : one.at > other.at ? -1 : 0));
}
