/**
 * Where occurrences become log lines, counts and the list of recent events: one event, one line, with
 * its id, and the same id is the label of `lessor_events_total`.
 *
 * Invariant: emitting never throws and never waits, whatever the output does.
 */
import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';
import { EVENTS, type EventDefinition, type EventId, type Occurrence } from './events.ts';
import type { RecentEvent } from '../admin/status.ts';
import type { Now } from '../time.ts';

/** Events kept for `/v1/status`. */
export const RECENT_EVENTS_MAX = 50;

/** One a packet at full load: the server makes them only on request, since a line costs more than the packet. */
const LEASE_EVENTS: ReadonlySet<string> = new Set(['lease.granted', 'lease.renewed']);

const RESERVED_FIELDS = ['time', 'level', 'self', 'event', 'message'] as const;

export interface LineOutput {
  /** Takes a line with its newline; neither throws nor waits. */
  write(line: string): void;
  /** Lines that were lost so far. */
  readonly dropped: number;
}

export interface TelemetryOptions {
  /** This node's id, in every line as `self`. */
  readonly node: string;
  /** Warnings and errors are written whatever this says. */
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Also a line for each granted and renewed lease. */
  readonly logLeases: boolean;
  readonly output: LineOutput;
  /** For people instead of JSON. */
  readonly readable: boolean;
  readonly colours: boolean;
}

type Listener = (event: RecentEvent) => void;

export class Telemetry {
  readonly #logger: Logger;
  readonly #output: LineOutput;
  readonly #logLeases: boolean;
  readonly #counts = new Map<EventId, number>();
  readonly #recent: RecentEvent[] = [];
  readonly #listeners = new Set<Listener>();

  constructor(options: TelemetryOptions) {
    this.#output = options.output;
    this.#logLeases = options.logLeases;
    for (const id of Object.keys(EVENTS) as EventId[]) this.#counts.set(id, 0);
    this.#logger = createLogger(options);
  }

  emit(occurrences: readonly Occurrence[], now: Now): void {
    for (const occurrence of occurrences) this.#emitOne(occurrence, now);
  }

  #emitOne(occurrence: Occurrence, now: Now): void {
    const { id, fields } = occurrence;
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    if (LEASE_EVENTS.has(id) && !this.#logLeases) return;
    const definition: EventDefinition = EVENTS[id];
    const { level, message } = definition;
    if (this.#logger.isLevelEnabled(level)) {
      // The time is the step's own, so that lines tell the order in which a node decided.
      this.#logger[level]({ time: new Date(now.wall).toISOString(), event: id, ...withoutReserved(fields) }, message);
    }
    if (level === 'debug') return;
    const event: RecentEvent = { time: now.wall, id, message, fields };
    if (this.#recent.push(event) > RECENT_EVENTS_MAX) this.#recent.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** The last events at level info and above, oldest first. */
  recent(): RecentEvent[] {
    return [...this.#recent];
  }

  /** Calls back for each event that `recent` will show; returns how to stop. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** How often each event happened in this process, those that never did included. */
  counts(): ReadonlyMap<EventId, number> {
    return this.#counts;
  }

  get linesDropped(): number {
    return this.#output.dropped;
  }
}

/** A field named like one of the line's own would be in the JSON twice. */
function withoutReserved(fields: Occurrence['fields']): Occurrence['fields'] {
  if (!RESERVED_FIELDS.some((name) => name in fields)) return fields;
  const reserved: readonly string[] = RESERVED_FIELDS;
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [reserved.includes(name) ? `${name}_` : name, value]),
  );
}

function createLogger(options: TelemetryOptions): Logger {
  const { output } = options;
  const format = options.readable
    ? pretty.prettyFactory({
        colorize: options.colours,
        messageKey: 'message',
        ignore: 'self,event',
        messageFormat: '{message} ({event})',
        translateTime: 'SYS:HH:MM:ss.l',
        singleLine: true,
      })
    : undefined;
  const destination = {
    write: (line: string): void => output.write(format === undefined ? line : format(line)),
  };
  return pino(
    {
      level: options.level === 'error' ? 'warn' : options.level,
      base: { self: options.node },
      timestamp: false,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}
