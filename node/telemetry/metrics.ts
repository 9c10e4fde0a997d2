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
 * prom-client's own counters and histograms cost too much for the packet's path, and its writer too much for
 * thousands of subnets: the packets wait while a scrape is answered.
 */
function writeMetric(definition: MetricDefinition, scrape: Scrape): string {
  const { name, help, type } = definition;
  const lines = [`# HELP ${name} ${help.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`)}`, `# TYPE ${name} ${type}`];
  if (definition.type === 'histogram') {
    for (const sample of definition.read(scrape)) writeHistogram(lines, name, sample);
  } else {
    for (const { labels, value } of definition.read(scrape)) {
      const pairs = writeLabels(labels);
      lines.push(`${name}${pairs === '' ? '' : `{${pairs}}`} ${writeNumber(value)}`);
    }
  }
  return `${lines.join('\n')}\n\n`;
}

/** Cumulative buckets as Prometheus wants them, from counts between two bounds. */
function writeHistogram(lines: string[], name: string, { labels, histogram }: HistogramSample): void {
  const pairs = writeLabels(labels);
  const more = pairs === '' ? '' : `,${pairs}`;
  let count = 0;
  for (const [index, le] of [...histogram.bounds, '+Inf'].entries()) {
    count += histogram.counts[index]!;
    lines.push(`${name}_bucket{le="${le}"${more}} ${count}`);
  }
  const braced = pairs === '' ? '' : `{${pairs}}`;
  lines.push(`${name}_sum${braced} ${writeNumber(histogram.sumSeconds)}`, `${name}_count${braced} ${count}`);
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

/** @returns what answers a scrape with the text of all metrics. */
export function createMetrics(sources: MetricSources): () => Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return async () => {
    const scrape = { counters: sources.counters, status: sources.status(), telemetry: sources.telemetry, dataFolder: sources.dataFolder() };
    const own = METRICS.map((definition) => writeMetric(definition, scrape)).join('');
    return own + await registry.metrics();
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
