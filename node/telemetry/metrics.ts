/**
 * The answer to a scrape: prom-client's registry with the metrics of the table, read from the node's
 * own integers and one status snapshot, and prom-client's metrics of the Node.js process (CPU,
 * memory, garbage collection, event-loop lag).
 */
import { collectDefaultMetrics, Registry, type Metric } from 'prom-client';
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

/** One line of the exposition, as prom-client writes it. */
interface Line {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** prom-client's own counters and histograms cost too much for the packet's path, so only its writer is used. */
function tableMetric(definition: MetricDefinition, scrape: () => Scrape): Metric {
  const { name, help, type } = definition;
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: () => ({ name, help, type, aggregator: 'sum', values: linesOf(definition, scrape()) }),
  };
  return metric as unknown as Metric;
}

function linesOf(definition: MetricDefinition, scrape: Scrape): Line[] {
  if (definition.type === 'histogram') {
    return definition.read(scrape).flatMap((sample) => histogramLines(definition.name, sample));
  }
  return definition.read(scrape).map(({ labels = {}, value }) => ({ labels, value }));
}

/** Cumulative buckets as Prometheus wants them, from counts between two bounds. */
function histogramLines(name: string, { labels = {}, histogram }: HistogramSample): Line[] {
  const lines: Line[] = [];
  let count = 0;
  for (const [index, le] of [...histogram.bounds, '+Inf'].entries()) {
    count += histogram.counts[index]!;
    lines.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: count });
  }
  lines.push({ metricName: `${name}_sum`, labels, value: histogram.sumSeconds });
  lines.push({ metricName: `${name}_count`, labels, value: count });
  return lines;
}

/** The media type that belongs to the text. */
export const METRICS_CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** @returns what answers a scrape with the text of all metrics. */
export function createMetrics(sources: MetricSources): () => Promise<string> {
  const registry = new Registry();
  let scrape: Scrape | undefined;
  for (const definition of METRICS) registry.registerMetric(tableMetric(definition, () => scrape!));
  collectDefaultMetrics({ register: registry });
  return () => {
    scrape = { counters: sources.counters, status: sources.status(), telemetry: sources.telemetry, dataFolder: sources.dataFolder() };
    // The registry reads every metric of the table before it first yields: one snapshot for all.
    return registry.metrics();
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
