/**
 * The reference pages that are made from the code: the configuration (with its JSON Schemas), the metrics, the
 * events, which sentences of RFCs are tested, and which rules of the failover protocol; and the dashboards.
 *
 *     node test/support/documentation.ts      writes them anew
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dashboardFiles } from '../../deploy/grafana/source/all.ts';
import { describeConfig } from '../../node/config/describe.ts';
import { apiText } from '../../node/admin/openapi.ts';
import { OPERATIONS } from '../../node/admin/operations/all.ts';
import { clusterJsonSchema, formatJsonSchema, nodeJsonSchema } from '../../node/config/json-schema.ts';
import { EVENTS } from '../../node/telemetry/events.ts';
import { describeMetrics } from '../../node/telemetry/metrics.ts';
import { describeAlerts } from './alerts-page.ts';
import { describeConformance } from './conformance.ts';
import { describeRules } from './rules.ts';

export const PROJECT: string = join(import.meta.dirname, '../..');

/** Where a page lies in the project, and its text. */
export function referencePages(): ReadonlyMap<string, string> {
  return new Map([
    ['deploy/configuration.md', afterGuide('deploy/configuration.md', 'the schemas in node/config', describeConfig())],
    ['deploy/prometheus/README.md', afterGuide('deploy/prometheus/README.md', 'deploy/prometheus/alerts.yaml', describeAlerts())],
    ['deploy/cluster.schema.json', formatJsonSchema(clusterJsonSchema())],
    ['deploy/node.schema.json', formatJsonSchema(nodeJsonSchema())],
    ['deploy/openapi.json', apiText(OPERATIONS)],
    ['test/spec/CONFORMANCE.md', page('Conformance', 'the titles of the tests in test/spec', [
      'The sentences of RFCs that a test holds the server to, each with the file that has the test.',
    ], describeConformance(PROJECT))],
    ['test/sim/RULES.md', page('The rules', 'test/sim/sabotages', [
      'The rules that keep an address with one client and a lease from being lost, each with the line of code that is',
      'changed to break it, and the seed of the simulated world in which that is found. ARCHITECTURE.md, Why no address is',
      'given twice, has the argument that they add up to.',
      '',
      '`npm run sim -- --sabotage NAME --first-seed SEED --seeds 1` shows it.',
    ], describeRules())],
    ['deploy/metrics.md', page('The metrics', 'node/telemetry/metric-table.ts', [
      'What `GET /metrics` answers on the port that `http.listen` names, for Prometheus.',
    ], describeMetrics())],
    ['deploy/events.md', page('The events', 'node/telemetry/events.ts', [
      'Every event is one line of the log, with its id in the field `event`. `log.level` says which are written; warnings',
      'and errors always are. `lessor_events_total` counts them by id, whether written or not. `lease.granted`,',
      '`lease.renewed` and `lease.expired` exist with `log.leases` only.',
    ], describeEvents())],
    ...dashboardFiles(),
  ]);
}

/** A page that is written by hand up to a line that says what the rest is made from. */
function afterGuide(path: string, source: string, text: string): string {
  const guideEnd = `<!-- From here on made from ${source} by test/support/documentation.ts: change it there. -->`;
  const [guide, rest] = readFileSync(join(PROJECT, path), 'utf8').split(guideEnd);
  if (rest === undefined) throw new Error(`${path}: the line is missing: ${guideEnd}`);
  return `${guide}${guideEnd}\n\n${text.trimEnd()}\n`;
}

function page(title: string, source: string, introduction: readonly string[], text: string): string {
  const note = `<!-- Made from ${source} by test/support/documentation.ts: change it there. -->`;
  return `${[note, '', `# ${title}`, '', ...introduction, '', text.trimEnd()].join('\n')}\n`;
}

function describeEvents(): string {
  const rows = Object.entries(EVENTS).toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, { level, message, action }]) => `| \`${id}\` | ${level} | ${message} | ${action} |`);
  return ['| event | level | message | what to do |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

if (import.meta.main) {
  for (const [path, text] of referencePages()) writeFileSync(join(PROJECT, path), text);
}
