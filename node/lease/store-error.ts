/** What can go wrong with the lease store: failures of the environment, with what an operator should do. */
import { formatIpv4 } from '../codec/address.ts';

/**
 * - `full`: the disk or the map has no room; nothing was applied, and a later commit may succeed.
 * - `io`: the disk refused to read or write; nothing was applied.
 * - `corrupt`: the file, or a record in it, fails its check.
 * - `newer-format`: a newer version of Lessor wrote the store.
 * - `unavailable`: the file cannot be opened (permissions, a missing folder).
 * - `closed`: used after `close`.
 */
export type StoreErrorCode = 'full' | 'io' | 'corrupt' | 'newer-format' | 'unavailable' | 'closed';

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  /** What the operator can do. */
  readonly action: string;

  constructor(code: StoreErrorCode, message: string, action: string, cause?: unknown) {
    super(`${message}. ${action}`, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
    this.action = action;
  }

  static corruptRecord(address: number): StoreError {
    return new StoreError('corrupt', `The stored record of ${formatIpv4(address)} fails its check`, CORRUPT_ACTION);
  }

  static newerRecord(address: number, layout: number): StoreError {
    return new StoreError('newer-format', `The stored record of ${formatIpv4(address)} has layout ${layout}, which this version of Lessor does not read`, NEWER_ACTION);
  }
}

export const NEWER_ACTION = 'Start the version of Lessor that wrote it, or a newer one';

/** A cluster member fetches everything from its peers again; a single node has only its backup. */
export const CORRUPT_ACTION =
  'Move the data folder away: a node of a cluster then fetches every binding from the others; a single node needs its backup (lessor restore)';
