/**
 * The replication protocol versions that this build speaks (ARCHITECTURE.md, Versions). Version N runs beside
 * N-1, so that the nodes of a cluster are replaced one at a time.
 *
 *     1  the first one
 *     2  an acknowledgement carries the checksum of the log up to the number acknowledged
 *     3  records tell what DNS has of a binding, and there are notes (node/notes); the history of leases is
 *        copied to a node that lacks a part of it
 */
export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

/** "2", or "1 to 2". */
export function rangeText({ min, max }: ProtocolRange): string {
  return min === max ? String(min) : `${min} to ${max}`;
}

export const PROTOCOL: ProtocolRange = { min: 1, max: 3 };

/** The version from which on acknowledgements carry a checksum. */
export const PROTOCOL_ACK_CHECKSUM = 2;

/** The version from which on a record may have a section `dns` or `note`: earlier ones would lose the first with a renewal. */
export const PROTOCOL_NAMES_AND_NOTES = 3;
