/** Bounds of quarantines, and what happens past each. */

/** Quarantines at a time; further ones are refused. */
export const QUARANTINES_MAX = 10_000;

/**
 * What a node does in one turn to end the leases of clients in quarantine: changes of quarantines looked at, and records
 * read where all of them must be (a port has no index, and neither has what a takeover brings).
 */
export const QUARANTINES_LOOKED_AT_MAX = 64;
export const QUARANTINE_SWEEP_RECORDS = 512;

/** Leases that an answer to an operator lists; there may be more. */
export const QUARANTINE_LEASES_TOLD_MAX = 100;

/** Where no key is free for a new note, the oldest of so many that come next makes room. */
export const NOTES_LOOKED_AT_MAX = 256;
