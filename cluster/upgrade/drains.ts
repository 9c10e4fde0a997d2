/**
 * Which nodes an operator wants out of service: `drains/<node>` in etcd, written by `lessor drain`, for as long
 * as it is there. The node leaves in good order and stays outside, also over restarts (ARCHITECTURE.md, Drain).
 */
import { jsonOf } from '../core/json.ts';
import type { EtcdKeyValue } from '../core/ports.ts';

export const DRAINS_PREFIX = 'drains/';

export interface DrainOrder {
  /** Who wants it, when (ISO 8601), and why; empty where it is not said. */
  readonly by: string;
  readonly at: string;
  readonly reason: string;
  /** Also where nobody is left to serve. */
  readonly force: boolean;
  /** Of two orders the earlier is obeyed first. */
  readonly createRevision: number;
}

export type DrainOrders = ReadonlyMap<string, DrainOrder>;

/** A key that cannot be read counts as well: somebody wants the node out. */
export function readDrains(pairs: readonly EtcdKeyValue[]): Map<string, DrainOrder> {
  return new Map(pairs.map(({ createRevision, key, value }) => {
    const { at, by, force, reason } = jsonOf(value);
    const text = (field: unknown): string => (typeof field === 'string' ? field : '');
    return [key.slice(DRAINS_PREFIX.length), { by: text(by), at: text(at), reason: text(reason), force: force === true, createRevision }];
  }));
}

/**
 * Whether a member with an order may leave service: another one goes on serving. Of several that are all to
 * leave the last one ordered stays, unless its order says that it is to leave whatever happens.
 */
export function mayLeave(node: string, members: readonly string[], drains: DrainOrders, canServe: (node: string) => boolean): boolean {
  const order = drains.get(node);
  if (order === undefined) return false;
  if (order.force) return true;
  return members.some((other) => {
    if (other === node || !canServe(other)) return false;
    const its = drains.get(other);
    if (its === undefined) return true;
    const later = its.createRevision > order.createRevision || (its.createRevision === order.createRevision && other > node);
    return later && !its.force;
  });
}
