/** The numbers of LEASEQUERY: RFC 4388 §6.1, RFC 6926 §6.2 and RFC 7724 §10. */

/** Option 53. */
export const QueryType = {
  LEASEQUERY: 10, LEASEUNASSIGNED: 11, LEASEUNKNOWN: 12, LEASEACTIVE: 13, BULKLEASEQUERY: 14, LEASEQUERYDONE: 15,
  ACTIVELEASEQUERY: 16, LEASEQUERYSTATUS: 17, TLS: 18,
} as const;
export type QueryType = (typeof QueryType)[keyof typeof QueryType];

export const QueryOption = {
  /** u32, seconds ago. */
  CLIENT_LAST_TRANSACTION_TIME: 91,
  /** Addresses, 4 bytes each. */
  ASSOCIATED_IP: 92,
  /** u8 status, then UTF-8 text without a terminator. */
  STATUS_CODE: 151,
  /** u32, UTC seconds. */
  BASE_TIME: 152,
  /** u32, seconds before the base time. */
  START_TIME_OF_STATE: 153,
  /** u32 each, UTC seconds. */
  QUERY_START_TIME: 154,
  QUERY_END_TIME: 155,
  /** u8, see `DhcpState`. */
  DHCP_STATE: 156,
  /** u8: bit 0 is set where the last change was made by another server. */
  DATA_SOURCE: 157,
  /** RFC 6607: one byte type, 254 all, 255 the global one. */
  VIRTUAL_SUBNET_SELECTION: 221,
} as const;

/** RFC 6926 §6.2.7. What a binding's record calls FREE is AVAILABLE here, or REMOTE where another node would give it out. */
export const DhcpState = {
  AVAILABLE: 1, ACTIVE: 2, EXPIRED: 3, RELEASED: 4, ABANDONED: 5, RESET: 6, REMOTE: 7, TRANSITIONING: 8,
} as const;
export type DhcpState = (typeof DhcpState)[keyof typeof DhcpState];

/** RFC 6926 §6.2.2 and RFC 7724 §10. */
export const QueryStatus = {
  SUCCESS: 0, UNSPEC_FAIL: 1, QUERY_TERMINATED: 2, MALFORMED_QUERY: 3, NOT_ALLOWED: 4, DATA_MISSING: 5, CONNECTION_ACTIVE: 6,
  CATCH_UP_COMPLETE: 7, TLS_CONNECTION_REFUSED: 8,
} as const;
export type QueryStatus = (typeof QueryStatus)[keyof typeof QueryStatus];

/** Sub-options of option 82 (RFC 3046 §2.0, RFC 6925 §4). */
export const RelaySuboption = { REMOTE_ID: 2, RELAY_ID: 12 } as const;

/** The server's port, UDP and TCP. */
export const LEASEQUERY_PORT = 67;
