/**
 * The audit log: who changed what, from where, when and why, and what was refused. An entry is a note (node/notes) that
 * ends after its time; where there are too many, the oldest of the slots at hand makes room.
 */
import * as z from 'zod';
import { AUDIT_SECONDS, AUDIT_TEXT_CHARACTERS_MAX } from '../limits.ts';
import type { NoteBook } from '../notes/book.ts';
import { encodeNote } from '../notes/note.ts';
import type { OwnChange } from '../server/ports.ts';
import { wallSeconds } from '../time.ts';
import type { Now } from '../time.ts';
import { isoMs } from './lease-view.ts';
import { ROLES } from './operation.ts';
import type { Audited, Caller } from './operation.ts';

/** Fields are only added. */
export const auditEntry = z.object({
  /** ISO 8601 UTC, by the clock of the node that wrote it. */
  at: z.string(),
  node: z.string(),
  by: z.string(),
  role: z.enum([...ROLES, 'none']),
  via: z.string(),
  from: z.string(),
  operation: z.string(),
  outcome: z.enum(['done', 'refused', 'failed']),
  target: z.string(),
  before: z.string(),
  after: z.string(),
  reason: z.string(),
  /** Of what was refused or failed: why. */
  answer: z.string(),
});
export type AuditEntry = z.output<typeof auditEntry>;

/** Who asked for what. */
export interface Attempt {
  readonly caller: Omit<Caller, 'role'> & { readonly role: AuditEntry['role'] };
  readonly operation: string;
  readonly reason: string;
}

export interface AuditWriter {
  readonly node: string;
  readonly notes: NoteBook;
  owns(slot: number): boolean;
}

/** The change that writes an entry. Store it before the next is made. */
export function auditChange(writer: AuditWriter, { caller, operation, reason }: Attempt, what: Audited & Pick<AuditEntry, 'outcome' | 'answer'>, now: Now): OwnChange {
  const { node, notes } = writer;
  const entry: AuditEntry = {
    at: isoMs(now.wall), node, by: cut(caller.name), role: caller.role, via: caller.via, from: caller.from, operation: cut(operation),
    outcome: what.outcome, target: cut(what.target), before: cut(what.before), after: cut(what.after), reason: cut(reason), answer: cut(what.answer),
  };
  const own = (slot: number): boolean => writer.owns(slot);
  const second = wallSeconds(now.wall);
  // A node without slots, a hot standby, asks another owner for it.
  const address = notes.newKey('audit', own, true) || notes.newKey('audit', () => true, true);
  return { address, record: encodeNote(entry, second, second + AUDIT_SECONDS) };
}

function cut(text: string): string {
  return text.length > AUDIT_TEXT_CHARACTERS_MAX ? `${text.slice(0, AUDIT_TEXT_CHARACTERS_MAX - 1)}…` : text;
}
