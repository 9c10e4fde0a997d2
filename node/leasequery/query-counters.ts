/** What is counted of LEASEQUERY, as plain integers that a scrape reads. */
import type { PrimaryQuery } from './query.ts';

/** Over UDP, TCP, and for all changes to come. */
export const QUERY_PROTOCOLS = ['single', 'bulk', 'active'] as const;
export type QueryProtocol = (typeof QUERY_PROTOCOLS)[number];

/** What a query asks by. */
export type QueryKind = PrimaryQuery['by'];

/** How a query ended. Each is a label value of `lessor_leasequery_queries_total`. */
export const QUERY_OUTCOMES = {
  'active': 'A lease was told of',
  'unassigned': 'The address is this cluster\'s, and nobody\'s',
  'unknown': 'No such address or client',
  'done': 'All bindings that were asked for were sent',
  'malformed': 'It could not be read',
  'not-allowed': 'It was understood, and is not allowed',
  'terminated': 'It could not be answered, or not to its end',
} as const;
export type QueryOutcome = keyof typeof QUERY_OUTCOMES;

export interface QueryCount {
  readonly protocol: QueryProtocol;
  readonly kind: QueryKind;
  readonly outcome: QueryOutcome;
  count: number;
}

export interface ActiveRequestor {
  /** Address and port. */
  readonly requestor: string;
  /** What waits for it to read, and for how long the oldest of it. */
  readonly waiting: number;
  readonly lagSeconds: number;
}

export class QueryCounters {
  readonly #counts = new Map<string, QueryCount>();
  /** Answers about one binding each, sent over TCP. */
  records = 0;
  /** Connections that were closed at once, by reason: too many, or of nobody who may ask. */
  refusedConnections = 0;
  connections = 0;
  /** Those that follow changes. */
  active: readonly ActiveRequestor[] = [];

  count(protocol: QueryProtocol, kind: QueryKind, outcome: QueryOutcome, by = 1): void {
    const key = `${protocol} ${kind} ${outcome}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { protocol, kind, outcome, count: by });
    else known.count += by;
  }

  all(): Iterable<QueryCount> {
    return this.#counts.values();
  }
}
