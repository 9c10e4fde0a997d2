/**
 * Every event that Lessor reports, declared once: its log line, its counter and its documentation
 * all come from this table. State machines return occurrences; only the telemetry room writes them.
 */

export interface EventDefinition {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** What happened, as the log line's message. */
  readonly message: string;
  /** What an operator should do, or why nothing needs doing. */
  readonly action: string;
}

export const EVENTS = {
  'lease.granted': { level: 'info', message: 'lease granted', action: 'None.' },
  'lease.renewed': { level: 'info', message: 'lease renewed', action: 'None.' },
  'lease.released': { level: 'info', message: 'lease released by its client', action: 'None.' },
  'lease.declined': {
    level: 'warn', message: 'address declined by its client as in use',
    action: 'Find the host that uses the address without a lease. The address is abandoned: it is used again only when nothing else is free.',
  },
  'lease.expired': { level: 'info', message: 'lease ended', action: 'None.' },
  'dhcp.inform': { level: 'info', message: 'parameters sent to a client that has an address of its own', action: 'None.' },
  'dhcp.nak': {
    level: 'info', message: 'request refused with a DHCPNAK',
    action: 'None for clients that moved. Many from one subnet: look for a second DHCP server or a relay with a wrong address.',
  },
  'dhcp.refused': {
    level: 'info', message: 'message refused without an answer',
    action: 'None for single ones. Many of them: look for the client by its hardware address, it may forge releases.',
  },
  'pool.exhausted': {
    level: 'warn', message: 'no free address left for a client',
    action: 'Enlarge the pool or shorten the lease time. Reported once a minute for a subnet at most.',
  },
} as const satisfies Record<string, EventDefinition>;

export type EventId = keyof typeof EVENTS;

export interface Occurrence {
  readonly id: EventId;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}
