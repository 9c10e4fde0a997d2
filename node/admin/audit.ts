/**
 * The audit log: who changed what, from where, when and why, and what was refused. An entry is a note (node/notes) that
 * ends after its time; where there are too many, the oldest of the slots at hand makes room. What was refused has keys of
 * its own, so that a flood of attempts takes no room from what was done.
 */
import * as z from 'zod';
import { AUDIT_SECONDS, AUDIT_TEXT_CHARACTERS_MAX, NOTE_BYTES_MAX } from '../limits.ts';
import type { NoteBook } from '../notes/book.ts';
import { encodeNote } from '../notes/note.ts';
import type { NoteKind } from '../notes/note.ts';
import type { OwnChange } from '../server/ports.ts';
import { wallSeconds } from '../time.ts';
import type { Now } from '../time.ts';
import { isoMs, isoSeconds } from './lease-view.ts';
import { ROLES } from './roles.ts';
import type { Audited, Caller } from './operation.ts';

/** Fields are only added. */
export const auditEntry = z.object({
  /** ISO 8601 UTC, by the clock of the host where it was done. */
  at: z.string().describe('when, ISO 8601 UTC'),
  node: z.string().describe('the node that has written it down'),
  by: z.string().describe('who: a token, a name in a certificate, user@host of a command; empty: nobody known'),
  role: z.enum([...ROLES, 'none']),
  via: z.string().describe('token, certificate, socket (the control socket), loopback, etcd (a command that writes there), file, or none'),
  from: z.string().describe('the address of the other end; empty: this host'),
  operation: z.string(),
  outcome: z.enum(['done', 'refused', 'failed']),
  target: z.string().describe('what it is about'),
  before: z.string(),
  after: z.string(),
  reason: z.string(),
  /** Of what was refused or failed: why. */
  answer: z.string(),
  /** Of what is written down by whoever finds it first: which it is. */
  id: z.string().optional(),
});
export type AuditEntry = z.output<typeof auditEntry>;

/** What a node tells of itself; the rest is the same each time. */
export type OwnWord = Omit<AuditEntry, 'at' | 'node' | 'id'>;

/** Where entries of this kind lie. */
export const AUDIT_KINDS = ['audit', 'refusal'] as const satisfies readonly NoteKind[];

/** Who asked for what. */
export interface Attempt {
  readonly caller: Pick<Caller, 'name' | 'from'> & { readonly role: AuditEntry['role']; readonly via: Caller['via'] | 'etcd' | 'file' | 'none' };
  readonly operation: string;
  readonly reason: string;
}

export interface AuditWriter {
  readonly notes: NoteBook;
  owns(slot: number): boolean;
}

export function attemptEntry(node: string, { caller, operation, reason }: Attempt, what: Audited & Pick<AuditEntry, 'outcome' | 'answer'>, now: Now): AuditEntry {
  return {
    at: isoMs(now.wall), node, by: caller.name, role: caller.role, via: caller.via, from: caller.from, operation, outcome: what.outcome, target: what.target,
    before: what.before, after: what.after, reason, answer: what.answer,
  };
}

/**
 * The change that writes an entry. Store it before the next is made. `slot`: where it has to lie; else wherever this node
 * owns. `replaced`: since when the one was there that makes room for it before its time, ISO 8601.
 */
export function auditChange(writer: AuditWriter, entry: AuditEntry, now: Now, slot?: number): OwnChange & { readonly replaced?: string } {
  const { notes } = writer;
  const kind = entry.outcome === 'refused' ? 'refusal' : 'audit';
  // A node without slots, a hot standby, asks another owner for it.
  const address = slot === undefined ? notes.newKey(kind, (each) => writer.owns(each), true) || notes.newKey(kind, () => true, true)
    : notes.newKey(kind, (each) => each === slot, true);
  const second = wallSeconds(now.wall);
  const before = notes.read(address);
  const replaced = before !== undefined && before.expires > second ? { replaced: isoSeconds(before.since) } : {};
  return { address, record: encodeNote(fitting(entry), second, second + AUDIT_SECONDS), ...replaced };
}

/** With texts cut, so that it is a note whatever they are made of. */
function fitting(entry: AuditEntry): AuditEntry {
  for (let most = AUDIT_TEXT_CHARACTERS_MAX; ; most = Math.floor(most / 2)) {
    const cut = Object.fromEntries(Object.entries(entry).map(([name, text = '']) => [name, cutTo(text, most)])) as unknown as AuditEntry;
    if (Buffer.byteLength(JSON.stringify(cut)) <= NOTE_BYTES_MAX) return cut;
  }
}

function cutTo(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1).toWellFormed()}…` : text;
}
