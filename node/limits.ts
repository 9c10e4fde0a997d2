/**
 * Every bound of the program by name, with what happens past it. Units last.
 */

// ── links between the nodes ─────────────────────────────────────────────────────────────────────

/** Queued to one peer and not yet taken by the operating system; past it the link is reset. */
export const LINK_BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

/** One message on a link; a larger one ends the stream. */
export const LINK_MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Connections to the listening port of the links, probes included; past it new ones are closed. */
export const LINK_CONNECTIONS_MAX = 64;

// ── etcd ────────────────────────────────────────────────────────────────────────────────────────

/** Requests to etcd under way at once; past it the outcome is `unknown` at once. */
export const ETCD_REQUESTS_MAX = 1024;

/** One answer of etcd; a larger one makes the outcome `unknown`: read in pages. */
export const ETCD_ANSWER_BYTES_MAX = 64 * 1024 * 1024;
