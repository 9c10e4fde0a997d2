/** Bounds of the history of leases, and what happens past each. */

/** What a row takes on the disk beside its key and value: its keys by client, and LMDB's own (measured with 10 million rows, test/bench/history.ts). */
export const LEASE_HISTORY_ROW_OVERHEAD_BYTES = 106;

/** Of days that are too old or too much, so many keys are removed at a time, so often; the others follow. */
export const LEASE_HISTORY_REMOVED_MAX = 512;
export const LEASE_HISTORY_REMOVE_EVERY_MS = 100;

/** How often a node finds out up to when it has heard all changes, and writes that down, where something else is written as well. */
export const LEASE_HISTORY_LEVEL_MS = 2000;

/** What a node may not have heard yet of changes that others made before that, and their clocks: the most that `maxClockSkew` may be. */
export const LEASE_HISTORY_MARGIN_SECONDS = 600;

/** By so much the beginnings and ends of two nodes' absences are known at worst, while both hear each other. */
export const LEASE_HISTORY_SLACK_SECONDS = 60;

/** A node that was away asks for so many rows of what it missed at a time, and rests in between; without an answer it asks again. */
export const HISTORY_COPY_PAGE_ROWS = 256;
export const HISTORY_COPY_PAUSE_MS = 50;
export const HISTORY_COPY_ANSWER_MS = 5000;
export const HISTORY_COPY_RETRY_MS = 5000;

/** Where every node lacks some of it, so long it waits for one that has all; then it takes what there is. */
export const HISTORY_COPY_WHOLE_MS = 60_000;

/** A search reads so many rows, or looks into so many days, between two turns of the event loop. */
export const HISTORY_SEARCH_ROWS_PER_STEP = 256;
export const HISTORY_SEARCH_DAYS_PER_STEP = 8;

/** Rows of one answer; past it the rest of the day is told too, and from when on to ask again. */
export const HISTORY_SEARCH_ROWS_MAX = 2000;

/** With more than that in such a day there is no answer. */
export const HISTORY_SEARCH_ROWS_OF_DAY_MAX = 20_000;
