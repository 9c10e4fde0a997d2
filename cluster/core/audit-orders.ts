/**
 * What a command has changed in etcd is told in the same transaction under `audit/<id>`, for the audit log. The owner of the
 * id's slot writes it down in the replicated store, and then takes it out of etcd; so each comes to one entry, whoever dies
 * in between.
 */
import type { AuditEntry } from '../../node/admin/audit.ts';
import { fingerprint } from '../../node/lease/fingerprint.ts';
import { AUDIT_TEXT_CHARACTERS_MAX } from '../../node/limits.ts';
import { jsonOf } from './json.ts';
import type { EtcdKeyValue, EtcdOp } from './ports.ts';

export const AUDIT_PREFIX = 'audit/';

/** `id`: drawn for the command, so that a transaction whose answer was lost may be sent again. */
export type AuditOrder = Pick<AuditEntry, 'at' | 'by' | 'operation' | 'target' | 'before' | 'after' | 'reason'> & { readonly id: string };

const FIELDS = ['at', 'by', 'operation', 'target', 'before', 'after', 'reason'] as const;

/** To be put with what it tells of. */
export function auditOrderPut({ id, ...order }: AuditOrder): EtcdOp {
  const cut = Object.fromEntries(FIELDS.map((field) => [field, order[field].slice(0, AUDIT_TEXT_CHARACTERS_MAX)]));
  return { op: 'put', key: AUDIT_PREFIX + id, value: Buffer.from(JSON.stringify(cut)) };
}

/** Whatever lies there becomes an entry: somebody has written it. */
export function readAuditOrders(pairs: readonly EtcdKeyValue[]): AuditOrder[] {
  return pairs.map(({ key, value }) => {
    const json = jsonOf(value);
    const text = (field: (typeof FIELDS)[number]): string => {
      const found = json[field];
      return typeof found === 'string' ? found : '';
    };
    return {
      id: key.slice(AUDIT_PREFIX.length), at: text('at'), by: text('by'), operation: text('operation') || 'unknown', target: text('target'), before: text('before'),
      after: text('after'), reason: text('reason'),
    };
  });
}

/** Where the entry of this id belongs; its owner alone writes it. */
export function slotOfAuditId(id: string): number {
  return fingerprint(Buffer.from(id), 0) & 0xff;
}
