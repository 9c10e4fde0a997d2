/**
 * The answer to a scrape, in Prometheus' text format: the metrics of the table, read from the node's
 * own integers and one status snapshot, and prom-client's metrics of the Node.js process (CPU,
 * memory, garbage collection, event-loop lag).
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Counters } from './counters.ts';
import { METRICS, type DataFolder, type HistogramSample, type MetricDefinition, type Scrape } from './metric-table.ts';
import type { Telemetry } from './log.ts';
import type { NodeStatus } from '../admin/status.ts';

export interface MetricSources {
  readonly counters: Counters;
  /** Called once a scrape. */
  readonly status: () => NodeStatus;
  readonly telemetry: Telemetry;
  readonly dataFolder: () => DataFolder | undefined;
}

/**
 * prom-client's own counters and histograms cost too much for the packet's path, and its writer does each metric in one go: with
 * thousands of subnets packets would wait.
 */
function* writeMetric(definition: MetricDefinition, scrape: Scrape): Generator<string> {
  const { name, help, type } = definition;
  yield `# HELP ${name} ${help.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`)}\n# TYPE ${name} ${type}\n`;
  if (definition.type === 'histogram') {
    for (const sample of definition.read(scrape)) yield writeHistogram(name, sample);
  } else {
    for (const { labels, value } of definition.read(scrape)) {
      const pairs = writeLabels(labels);
      yield `${name}${pairs === '' ? '' : `{${pairs}}`} ${writeNumber(value)}\n`;
    }
  }
  yield '\n';
}

/** Cumulative buckets as Prometheus wants them, from counts between two bounds. */
function writeHistogram(name: string, { labels, histogram }: HistogramSample): string {
  const pairs = writeLabels(labels);
  const more = pairs === '' ? '' : `,${pairs}`;
  let text = '';
  let count = 0;
  for (const [index, le] of [...histogram.bounds, '+Inf'].entries()) {
    count += histogram.counts[index]!;
    text += `${name}_bucket{le="${le}"${more}} ${count}\n`;
  }
  const braced = pairs === '' ? '' : `{${pairs}}`;
  return `${text}${name}_sum${braced} ${writeNumber(histogram.sumSeconds)}\n${name}_count${braced} ${count}\n`;
}

function writeLabels(labels: Readonly<Record<string, string>> = {}): string {
  return Object.entries(labels).map(([label, value]) => `${label}="${escapeLabel(value)}"`).join(',');
}

function escapeLabel(value: string): string {
  return value.replaceAll(/[\\\n"]/g, (char) => (char === '\n' ? String.raw`\n` : `\\${char}`));
}

function writeNumber(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

/** The media type that belongs to the text. */
export const METRICS_CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** After so many pieces of the text, of a line or a histogram each, packets have their turn. */
const PIECES_A_PAGE = 250;

/** Answers a scrape with the text of all metrics; `pause` lets packets go first. */
export type MetricsText = (pause?: () => Promise<void>) => Promise<string>;

export function createMetrics(sources: MetricSources): MetricsText {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return async (pause) => {
    const scrape = { counters: sources.counters, status: sources.status(), telemetry: sources.telemetry, dataFolder: sources.dataFolder() };
    const pieces: string[] = [];
    for (const definition of METRICS) {
      for (const piece of writeMetric(definition, scrape)) {
        if (pieces.push(piece) % PIECES_A_PAGE === 0) await pause?.();
      }
    }
    return pieces.join('') + await registry.metrics();
  };
}

/** The table of metrics as Markdown, for the documentation. */
export function describeMetrics(): string {
  const rows = METRICS.map(({ name, type, labels, help }) =>
    `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`);
  return [
    '| metric | type | labels | what it tells |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    'The process itself is described by the usual metrics of Node.js, among them `process_cpu_seconds_total`,',
    '`process_resident_memory_bytes`, `nodejs_heap_size_used_bytes`, `nodejs_gc_duration_seconds` and the',
    'event-loop lag `nodejs_eventloop_lag_seconds` (also `_p50_`, `_p99_`, `_max_`).',
    '',
  ].join('\n');
}
