/**
 * What may be told of a lease where the configuration lists nothing (RFC 4388 §6.4.2, "non-sensitive options"): what
 * anybody on the client's network sees, and by which the client and its place are known. Boot files, vendor options
 * and whatever else may hold a secret are told only where the configuration names them.
 */
export const DEFAULT_QUERY_OPTIONS: readonly number[] = [1, 3, 6, 12, 15, 28, 42, 60, 61, 82, 119, 121];
