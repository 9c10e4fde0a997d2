/** Bounds of lists that operators ask for, with what happens past them. Units last. */

/** Lines of a list that leave together; packets go first before the next ones. */
export const LIST_CHUNK_CHARACTERS = 16_384;

/** Bindings read for one page of a list of them, whether they match or not. */
export const LEASE_PAGE_RECORDS = 256;

/** Bindings held to be sorted, some 300 bytes each, and lists that are sorted at a time; past it a list is refused. One in order of address needs none of that. */
export const SORTED_LEASES_MAX = 100_000;
export const LEASE_SORTS_MAX = 2;

/** Pools counted for their trends in one tick of a node; the others follow in the next ones. */
export const POOL_SAMPLES_PER_STEP = 256;

/** Pools, and reservations, that a list of pools looks at between two turns of the event loop. */
export const POOLS_PER_PAGE = 32;
export const POOL_RESERVATIONS_PER_PAGE = 4096;

// ── the API and the audit log ───────────────────────────────────────────────────────────────────

/** The file of the API's tokens: its bytes (a longer one is not read), its tokens (those behind are told as mistakes), and how long a name may be. */
export const API_TOKEN_FILE_BYTES_MAX = 256 * 1024;
export const API_TOKENS_MAX = 1000;
export const API_NAME_CHARACTERS_MAX = 64;

/** Of a token file's mistakes so many are named in an event; the rest is counted. */
export const API_MISTAKES_TOLD_MAX = 5;

/** Headers of a request over HTTP; more of them are refused with 431. */
export const HTTP_HEADER_BYTES_MAX = 8192;

/** Credentials that are no good, of one source: past the burst they get 429, and the connection is closed. Whoever shows good ones is let in all the same. */
export const API_FAILURES_BURST = 10;
export const API_FAILURES_PER_SECOND = 0.1;

/** Sources whose failures are counted, a power of two; past it the one that has failed least is forgotten. */
export const API_SOURCES_MAX = 1024;

/**
 * Refused attempts at changes that the audit log has one by one: of one source and of all, so many at once and then so many
 * a second. Those beyond are counted, and told of together so often.
 */
export const REFUSALS_OF_SOURCE_BURST = 5;
export const REFUSALS_OF_SOURCE_PER_SECOND = 1 / 60;
export const REFUSALS_BURST = 60;
export const REFUSALS_PER_SECOND = 1 / 20;
export const REFUSALS_SUMMARY_MS = 60_000;

/** Keys of the audit log that are put in order, and entries that are read, between two turns of the event loop. */
export const AUDIT_KEYS_AT_ONCE = 4096;
export const AUDIT_PAGE_ENTRIES = 128;
