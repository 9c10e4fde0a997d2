/**
 * Entries of the audit log that do not come of an operation: what commands have changed in etcd (audit-orders.ts), and what
 * this node has to say of itself, such as a last resort that was used while it could commit nothing. The latter lie in the
 * store as `audit-pending/<id>` until they are committed, so that they outlive the process.
 *
 * Invariant: an id has one entry. What comes through etcd is written by the owner of the id's slot alone, who knows what
 * was committed for it; what a node says of itself, by that node alone.
 */
import { auditChange } from '../../node/admin/audit.ts';
import type { AuditEntry, OwnWord } from '../../node/admin/audit.ts';
import type { ChangeOutcome, Decide } from '../../node/admin/changes.ts';
import { isoMs } from '../../node/admin/lease-view.ts';
import { recordIncarnation, recordSeq } from '../../node/lease/record.ts';
import { AUDIT_PENDING_MAX, AUDIT_RETRY_MS } from '../../node/limits.ts';
import type { NoteBook } from '../../node/notes/book.ts';
import type { Note } from '../../node/notes/note.ts';
import { PROTOCOL_NAMES_AND_NOTES } from '../../node/protocol.ts';
import type { MonotonicMs } from '../../node/time.ts';
import { AUDIT_PREFIX, slotOfAuditId } from './audit-orders.ts';
import type { AuditOrder } from './audit-orders.ts';
import type { Context } from './context.ts';
import type { ClusterCore } from './core.ts';
import { isCommitted } from './state.ts';

const PENDING = 'audit-pending/';
const PENDING_END = 'audit-pending0';

interface Own {
  readonly entry: AuditEntry;
  isAsked: boolean;
  notBefore: MonotonicMs | undefined;
}

export interface AuditDutiesParts {
  readonly context: Context;
  readonly core: ClusterCore;
  readonly notes: NoteBook;
  readonly protocol: () => number;
  /** Makes a change of the own log. */
  readonly make: (address: number, record: Buffer) => number;
  /** As an operator's change. */
  readonly ask: (decide: Decide, done: (outcome: ChangeOutcome) => void) => void;
}

export class AuditDuties {
  readonly #parts: AuditDutiesParts;
  readonly #keys = new Map<string, number>();
  readonly #ids = new Map<number, string>();
  readonly #own = new Map<string, Own>();
  /** Being taken out of etcd. */
  readonly #leaving = new Set<string>();
  #next = 1;

  constructor(parts: AuditDutiesParts) {
    this.#parts = parts;
    const { context: { store } } = parts;
    for (const { key, value } of store.metaRange(PENDING, PENDING_END, AUDIT_PENDING_MAX)) {
      this.#own.set(key.slice(PENDING.length), { entry: JSON.parse(value.toString()) as AuditEntry, isAsked: false, notBefore: undefined });
    }
  }

  /** Of entries that are there, or go. */
  onNote(key: number, note: Note | undefined): void {
    const before = this.#ids.get(key);
    if (before !== undefined) {
      this.#ids.delete(key);
      if (this.#keys.get(before) === key) this.#keys.delete(before);
    }
    const id = (note?.body as { readonly id?: unknown } | undefined)?.id;
    if (typeof id !== 'string') return;
    this.#ids.set(key, id);
    this.#keys.set(id, key);
  }

  /** Into the audit log as soon as this node can. False: too many wait. */
  say(word: OwnWord): boolean {
    if (this.#own.size >= AUDIT_PENDING_MAX) return false;
    const { context } = this.#parts;
    const { incarnation, now, options: { self }, store } = context;
    const id = `${self}-${incarnation.toString(16)}-${this.#next++}`;
    const entry: AuditEntry = { ...word, at: isoMs(now.wall), node: self, id };
    store.putMeta(PENDING + id, Buffer.from(JSON.stringify(entry)));
    this.#own.set(id, { entry, isAsked: false, notBefore: undefined });
    return true;
  }

  /** Once a turn. */
  step(orders: readonly AuditOrder[]): void {
    if (this.#own.size === 0 && orders.length === 0) return;
    if (this.#parts.protocol() < PROTOCOL_NAMES_AND_NOTES || !this.#parts.core.serving()) return;
    for (const order of orders) this.#carryOver(order);
    for (const [id, own] of this.#own) this.#write(id, own);
  }

  #carryOver(order: AuditOrder): void {
    const { context, core, make, notes } = this.#parts;
    const slot = slotOfAuditId(order.id);
    if (!core.owns(slot)) return;
    const key = this.#keys.get(order.id);
    if (key !== undefined) {
      if (this.#isCommitted(key)) this.#takeOut(order.id);
      return;
    }
    // Taken out while this was read.
    if (this.#leaving.has(order.id)) return;
    const entry: AuditEntry = { ...order, at: order.at || isoMs(context.now.wall), node: context.options.self, role: 'admin', via: 'etcd', from: '', outcome: 'done', answer: '' };
    const { address, record } = auditChange({ notes, owns: (each) => core.owns(each) }, entry, context.now, slot);
    make(address, record);
  }

  #isCommitted(key: number): boolean {
    const { context, core } = this.#parts;
    const record = context.table.read(key);
    return record !== undefined && isCommitted(core.state, recordIncarnation(record), recordSeq(record));
  }

  #takeOut(id: string): void {
    if (this.#leaving.has(id)) return;
    this.#leaving.add(id);
    const { context: { etcd }, core } = this.#parts;
    etcd.txn({ then: [{ op: 'delete', key: AUDIT_PREFIX + id }] }, () => {
      this.#leaving.delete(id);
      core.coordination.read();
    });
  }

  #write(id: string, own: Own): void {
    const { ask, context, core, notes } = this.#parts;
    if (this.#keys.has(id) && this.#isCommitted(this.#keys.get(id)!)) return this.#forget(id);
    if (own.isAsked || (own.notBefore !== undefined && context.now.mono < own.notBefore)) return undefined;
    own.isAsked = true;
    return ask((now) => {
      if (this.#keys.has(id)) return 'it is there';
      const { address, record } = auditChange({ notes, owns: (slot) => core.owns(slot) }, own.entry, now);
      return [{ address, record }];
    }, ({ kind }) => {
      own.isAsked = false;
      own.notBefore = (context.now.mono + AUDIT_RETRY_MS) as MonotonicMs;
      if (kind === 'done') this.#forget(id);
    });
  }

  #forget(id: string): void {
    if (this.#own.delete(id)) this.#parts.context.store.putMeta(PENDING + id, null);
  }
}
