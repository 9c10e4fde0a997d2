/** Numbers that look random and follow from where they start: where in a pool an address is looked for. */

/** The golden ratio's share of 2^32: steps of it fall evenly between those before. */
const STEP = 0x9e37_79b9;

/** 32 bits, the i-th that follow from `start`. Equal on every node and at every start. */
export function candidateHash(start: number, i: number): number {
  let h = (start + Math.imul(i, STEP)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
