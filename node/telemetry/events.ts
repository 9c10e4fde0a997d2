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
} as const satisfies Record<string, EventDefinition>;

export type EventId = keyof typeof EVENTS;

export interface Occurrence {
  readonly id: EventId;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}
