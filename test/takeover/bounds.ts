/**
 * What DESIGN.md promises, in milliseconds from the fault (or from when a client began to ask, if that was
 * later) until a client that asks every 100 ms is served.
 */

/** Section 1: a crashed process. */
export const CRASH_MS = 1000;
/** Section 1: a silent host, the session TTL of 3 s and a second. */
export const SILENT_MS = 4000;
/** Section 1: the same where that host also led etcd. */
export const SILENT_AND_ETCD_MS = 7000;
/**
 * Without a node that is gone nobody has to be taken over: section 5 lets a link be found out of order after
 * `ackTimeout` (250 ms), and then a change takes up to four transactions of etcd one after the other (a change
 * of another owner's address: the proposal, its change, the word that it is committed; and a read before it).
 * Each is given 150 ms, of which an idle machine needs 5, and the client asks again after 100.
 */
export const LINK_MS = 250 + 4 * 150 + 100;

/** Section 3: `loadBalance.maxSeconds` until a member answers for another one that is there but does not; and a second. */
export const DEAF_MS = 4000;
/**
 * While a node or a link comes back nobody has to wait, says section 3; a change of the view is under way, and
 * clients still renew with a node that is not there yet, four times before they ask others.
 */
export const MENDING_MS = 1000;

/**
 * The design takes a flush for a matter of a millisecond, and this many follow each other at most: three
 * transactions of etcd (the election key goes, is taken, the view is written) and three of a node (the view, the
 * tail of who has gone, the change), each of which may have to wait for one that is under way.
 */
export const FLUSHES = 3 + 2 * 3;
