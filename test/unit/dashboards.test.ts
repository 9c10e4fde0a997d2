/** The dashboards are what Grafana reads, ask only for what there is, and say what to do. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { NODE_ROLES, NODE_STATES } from '../../node/admin/status.ts';
import { DROP_REASONS, MESSAGE_TYPE_NAMES, PROBE_RESULTS } from '../../node/telemetry/counters.ts';
import { EVENTS } from '../../node/telemetry/events.ts';
import { METRICS } from '../../node/telemetry/metric-table.ts';
import { filledIn, namesIn, panelsOf, readDashboards, type DashboardJson, type PanelJson } from '../support/dashboard-queries.ts';
import { PROJECT } from '../support/documentation.ts';

const DASHBOARDS = readDashboards();
const UNITS = new Set(['none', 's', 'percentunit', 'bytes', 'pps', 'ops', 'cps', 'dateTimeAsIso']);

function each(what: (dashboard: DashboardJson, panel: PanelJson) => string[]): string[] {
  return [...DASHBOARDS].flatMap(([name, dashboard]) => panelsOf(dashboard).flatMap((panel) => what(dashboard, panel).map((wrong) => `${name}: ${panel.title}: ${wrong}`)));
}

test('the dashboards are there', () => {
  assert.deepEqual([...DASHBOARDS.keys()], ['clients-and-errors', 'cluster', 'overview', 'pools', 'store-and-process']);
});

/** What the compiler says of these values as dashboards. */
function typeMistakes(values: Readonly<Record<string, unknown>>): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'lessor-dashboards-'));
  try {
    const types = relative(folder, join(PROJECT, 'deploy/grafana/source/types.ts'));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    for (const [name, value] of Object.entries(values)) {
      writeFileSync(join(folder, `${name}.ts`), `import type { DashboardJson } from '${types}';\nexport const it: DashboardJson = ${JSON.stringify(value, undefined, 1)};\n`);
    }
    const options = { extends: join(PROJECT, 'tsconfig.json'), compilerOptions: { types: [] }, include: ['*.ts'] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(options));
    execFileSync(process.execPath, [join(PROJECT, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8', stdio: 'pipe' });
    return '';
  } catch (error) {
    return (error as { stdout?: string }).stdout?.replaceAll(`${relative(process.cwd(), folder)}/`, '') || String(error);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('each dashboard is what the types of Grafana say, and a misspelt option is not', () => {
  const [first] = DASHBOARDS.values();
  const panel = structuredClone(panelsOf(first!).find(({ type }) => type === 'timeseries')!);
  Object.assign(panel.options, { legned: {} });
  const mistakes = typeMistakes({ ...Object.fromEntries(DASHBOARDS), misspelt: { ...first!, panels: [panel] } });
  assert.match(mistakes, /^misspelt\.ts.*'"legned"' does not exist/m);
  assert.deepEqual(mistakes.split('\n').filter((line) => /^\S/.test(line) && !line.startsWith('misspelt.ts')), []);
});

test('numbers and titles of panels are unique, and no panel lies on another or beyond the edge', () => {
  for (const [name, dashboard] of DASHBOARDS) {
    const { panels } = dashboard;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length, name);
    const titles = panelsOf(dashboard).map(({ title }) => title);
    assert.deepEqual(titles.filter((title, i) => titles.indexOf(title) !== i), [], name);
    const taken = new Map<string, string>();
    for (const { title = '', gridPos } of panels) {
      assert.ok(gridPos !== undefined && gridPos.x >= 0 && gridPos.x + gridPos.w <= 24 && gridPos.h > 0, `${name}: ${title}`);
      for (let x: number = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y: number = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.equal(taken.get(`${x} ${y}`), undefined, `${name}: ${title} lies on another panel`);
          taken.set(`${x} ${y}`, title);
        }
      }
    }
  }
});

test('a dashboard has its own uid and title, refreshes itself, and begins with the row that says whether everything is well', () => {
  const all = [...DASHBOARDS.values()];
  assert.equal(new Set(all.map(({ uid }) => uid)).size, all.length);
  for (const { title, uid, refresh, time, panels, templating, annotations, description = '' } of all) {
    assert.match(uid, /^lessor-[a-z]{1,30}$/);
    assert.match(refresh, /^\d+[sm]$/);
    assert.match(time?.from ?? '', /^now-\d+[hd]$/);
    assert.equal(panels[0]?.title, 'Is everything well?');
    assert.ok(description.length > 20, title);
    const names = templating?.list?.map(({ name }) => name) ?? [];
    assert.deepEqual(names.slice(0, 3), ['datasource', 'job', 'cluster']);
    const used = JSON.stringify({ panels, annotations, links: panels });
    for (const name of names) assert.ok(used.includes(`$${name}`) || used.includes(`\${${name}}`), `${title}: nothing uses $${name}`);
  }
});

test('every panel says what it shows and what to do, has a unit, and asks the chosen data source for the chosen cluster', () => {
  assert.deepEqual(each((dashboard, { title, description, datasource, targets, fieldConfig }) => {
    const wrong: string[] = [];
    if (title === '' || description.length < 40 || !description.endsWith('.')) wrong.push('no description');
    if (!UNITS.has(fieldConfig.defaults.unit)) wrong.push(`unit ${fieldConfig.defaults.unit}`);
    if (targets.length === 0) wrong.push('asks nothing');
    for (const source of [datasource, ...targets.map(({ datasource }) => datasource)]) {
      if (source.uid !== '${datasource}') wrong.push('its own data source');
    }
    if (new Set(targets.map(({ refId }) => refId)).size !== targets.length) wrong.push('two queries of one name');
    const variables = new Set(dashboard.templating?.list?.map(({ name }) => name));
    for (const { expr } of targets) {
      for (const { metric, matchers } of namesIn(expr).selectors) {
        const asked = Object.fromEntries(matchers.map(({ label, value }) => [label, value]));
        if (asked['cluster'] !== '$cluster' || asked['job'] !== (metric.startsWith('etcd_') ? 'etcd.*' : '$job')) wrong.push(`${metric} of any cluster`);
      }
      for (const [, name] of expr.matchAll(/\$\{?(\w+)/g)) {
        if (!variables.has(name!) && !/^__(?:rate_)?interval$|^__range$/.test(name!)) wrong.push(`$${name} is no variable of the dashboard`);
      }
    }
    return wrong;
  }), []);
});

test('values whose colour says something say it with a word or a number too', () => {
  assert.deepEqual(each((_, { type, options, fieldConfig: { defaults } }) => {
    if (type === 'state-timeline') return (defaults.mappings ?? []).length > 0 ? [] : ['colours without words'];
    if (type === 'stat') return options.textMode !== 'none' && options.colorMode !== 'none' ? [] : ['no text'];
    return type === 'status-history' && options.showValue === 'never' ? ['colours without values'] : [];
  }), []);
});

test('runbooks that panels lead to exist', () => {
  const links = [...DASHBOARDS.values()].flatMap(panelsOf).flatMap(({ links = [] }) => links.map(({ url = '' }) => url));
  assert.ok(links.length > 30);
  const pages = new Set(links.map((url) => /^\$\{runbooks\}\/([a-z-]+\.md)$/.exec(url)?.[1] ?? url));
  assert.deepEqual([...pages].filter((page) => !existsSync(join(PROJECT, 'deploy/runbooks', page))), []);
});

// ── what is asked ──────────────────────────────────────────────────────────────────────────────

const SCRAPED = ['job', 'cluster', 'instance'];
/** Of the process and of Prometheus itself. */
const WELL_KNOWN: Readonly<Record<string, readonly string[]>> = {
  up: [], ALERTS: ['alertname', 'alertstate', 'severity', 'subnet'],
  process_cpu_seconds_total: [], process_resident_memory_bytes: [], process_open_fds: [],
  nodejs_heap_size_used_bytes: [], nodejs_external_memory_bytes: [], nodejs_eventloop_lag_p99_seconds: [], nodejs_eventloop_lag_max_seconds: [],
  nodejs_gc_duration_seconds_sum: ['kind'],
  etcd_server_has_leader: [], etcd_server_is_leader: [], etcd_server_leader_changes_seen_total: [], etcd_server_quota_backend_bytes: [],
  etcd_disk_wal_fsync_duration_seconds_bucket: ['le'], etcd_mvcc_db_total_size_in_bytes: [],
};

/** Names begin with what they are told apart by: `cluster_subnet:…` has the labels of a cluster, and `subnet`. */
const RECORDED: ReadonlyMap<string, readonly string[]> = new Map(
  (parse(readFileSync(join(PROJECT, 'deploy/prometheus/recording-rules.yaml'), 'utf8')) as { groups: { rules: { record: string; labels?: object }[] }[] })
    .groups.flatMap(({ rules }) => rules).map(({ record, labels = {} }) => [record, ['job', ...record.split(':')[0]!.split('_'), 'cluster', ...Object.keys(labels)]]),
);

/** The labels of a metric as it is asked for, or undefined if there is none such. */
function labelsOf(metric: string): readonly string[] | undefined {
  if (RECORDED.has(metric)) return RECORDED.get(metric);
  if (metric in WELL_KNOWN) return [...WELL_KNOWN[metric]!, ...SCRAPED];
  for (const { name, type, labels } of METRICS) {
    if (type !== 'histogram' && metric === name) return [...labels, ...SCRAPED];
    if (type === 'histogram' && metric === `${name}_bucket`) return [...labels, ...SCRAPED, 'le'];
    if (type === 'histogram' && (metric === `${name}_sum` || metric === `${name}_count`)) return [...labels, ...SCRAPED];
  }
  return undefined;
}

/** The values that a label can have, where the code has a table of them. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  state: ['active', 'expired', 'released', 'abandoned', ...NODE_STATES], role: NODE_ROLES, type: MESSAGE_TYPE_NAMES, reason: Object.keys(DROP_REASONS),
  event: Object.keys(EVENTS), result: Object.keys(PROBE_RESULTS), reached: ['made', 'flushed', 'committed'], at: ['loaded', 'view', 'prepared', 'newest'],
};

function queryMistakes(expr: string, legend: string): string[] {
  const { selectors, groupedBy } = namesIn(expr);
  const wrong: string[] = [];
  const known = new Set(SCRAPED);
  for (const { metric, matchers } of selectors) {
    const labels = labelsOf(metric);
    if (labels === undefined) {
      wrong.push(`no metric ${metric}`);
      continue;
    }
    for (const label of labels) known.add(label);
    for (const { label, operator, value } of matchers) {
      if (!labels.includes(label)) wrong.push(`${metric} has no label ${label}`);
      const values = VALUES[label];
      if (values === undefined || value.startsWith('$')) continue;
      for (const one of operator.endsWith('~') ? value.split('|') : [value]) {
        if (!values.some((each) => (operator.endsWith('~') ? new RegExp(`^(?:${one})$`).test(each) : each === one))) wrong.push(`${label} is never ${one}`);
      }
    }
  }
  const named = [...groupedBy, ...[...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name!)];
  return [...wrong, ...named.filter((label) => !known.has(label)).map((label) => `no label ${label}`)];
}

test('metrics, labels and their values that queries name exist', () => {
  assert.deepEqual(each((_, { targets }) => targets.flatMap(({ expr, legendFormat }) => queryMistakes(expr, legendFormat))), []);
  for (const [name, { annotations, templating }] of DASHBOARDS) {
    for (const { target, titleFormat } of annotations.list) assert.deepEqual(queryMistakes(target.expr, titleFormat), [], name);
    for (const { query, type } of templating?.list ?? []) {
      if (type === 'query') assert.deepEqual(queryMistakes(/^label_values\((.*), \w+\)$/.exec((query as { query: string }).query)![1]!, ''), [], name);
    }
  }
});

test('what does not exist is found', () => {
  assert.deepEqual(queryMistakes('sum by (subnett) (rate(lessor_lease{job="$job"}[5m])) or up{subnet="x"}', '{{node}}'),
    ['no metric lessor_lease', 'up has no label subnet', 'no label subnett', 'no label node']);
  assert.deepEqual(queryMistakes('lessor_dhcp_dropped_total{reason=~"stale|stael"} > on (instance) group_left () vector(0)', ''), ['reason is never stael']);
  assert.deepEqual(queryMistakes('lessor_node_state{state="normal"}', '{{state}}'), ['state is never normal']);
  assert.deepEqual(namesIn('histogram_quantile(0.99, sum by (le) (rate(a_bucket{b="c,{d}"}[$__rate_interval]))) unless max(e:f) offset 5m').selectors.map(({ metric }) => metric), ['a_bucket', 'e:f']);
});

test('variables are put in as Grafana does', () => {
  const span = { from: 1000, to: 4600, scrapeSeconds: 15 };
  assert.equal(filledIn('x{job="$job",cluster="$cluster",subnet=~"${subnet}"}[$__rate_interval] $__interval $__range', { job: ['lessor'], cluster: [], subnet: ['10.0.0.0/8', 'a'] }, span),
    String.raw`x{job="lessor",cluster="",subnet=~"(10\\.0\\.0\\.0/8|a)"}[60s] 15s 3600s`);
  assert.throws(() => filledIn('$nothing', {}, span), /no value for \$nothing/);
});

test('Grafana is provisioned with the data source and the folder of the dashboards', () => {
  const read = (path: string): unknown => parse(readFileSync(join(PROJECT, 'deploy/grafana/provisioning', path), 'utf8'));
  const { datasources } = read('datasources/prometheus.yaml') as { datasources: { type: string; uid: string; jsonData: { timeInterval: string } }[] };
  assert.deepEqual(datasources.map(({ type, uid }) => [type, uid]), [['prometheus', 'lessor-prometheus']]);
  const { apiVersion, providers } = read('dashboards/lessor.yaml') as { apiVersion: number; providers: { type: string; options: { path: string } }[] };
  assert.equal(apiVersion, 1);
  assert.deepEqual(providers.map(({ type }) => type), ['file']);
});
