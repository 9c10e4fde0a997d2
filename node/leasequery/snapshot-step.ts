/**
 * What becomes of a moment of the store that was asked for: the disk is to be marked now; what the mark holds is
 * committed and may be told; or this node cannot make sure that it knows all leases.
 */
export type SnapshotStep =
  | { readonly id: number; readonly step: 'mark' }
  /** `owned`: a byte for each slot, 1 where this node would give the address out. */
  | { readonly id: number; readonly step: 'ready'; readonly owned: Buffer; readonly incarnation: number | undefined }
  | { readonly id: number; readonly step: 'refused'; readonly reason: string };
