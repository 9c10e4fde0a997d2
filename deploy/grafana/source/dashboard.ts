/** A dashboard from its rows of panels: places, numbers, variables, and the marks that all dashboards share. */
import { DATASOURCE, type Spec } from './panels.ts';
import type { DashboardJson, PanelJson, RowJson } from './types.ts';

const COLUMNS = 24;
/** Panels of a row are numbered from a multiple of it, so that a new one does not move the numbers of other rows, which stand in links. */
const NUMBERS_OF_A_ROW = 100;

export interface Row {
  readonly title: string;
  readonly panels: readonly Spec[];
}

interface Description {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  /** How far back it looks at first, as Grafana says it: 6h, 7d. */
  readonly span: string;
  readonly refresh: string;
  readonly variables: readonly ('node' | 'subnet')[];
  readonly rows: readonly Row[];
}

type Variable = NonNullable<NonNullable<DashboardJson['templating']>['list']>[number];
type Annotation = DashboardJson['annotations']['list'][number];

const ALL = { selected: true, text: ['All'], value: ['$__all'] };

/** Variables of a query are read anew when the span of time changes: of nodes and subnets that were there then. */
function asked(name: string, label: string, description: string, query: string, several: boolean): Variable {
  return {
    name, label, description, type: 'query', datasource: DATASOURCE, query: { qryType: 1, query, refId: 'PrometheusVariableQueryEditor-VariableQuery' },
    refresh: 2, sort: 7, regex: '', hide: 0, multi: several, includeAll: several, ...(several ? { allValue: '.*', current: ALL } : {}),
  };
}

const VARIABLES: Readonly<Record<'node' | 'subnet', Variable>> = {
  node: asked('node', 'Node', 'Panels about single nodes show these.', 'label_values(lessor_build_info{job="$job",cluster="$cluster"}, instance)', true),
  subnet: asked('subnet', 'Subnet', 'Panels about pools and leases show these.', 'label_values(lessor_pool_addresses{job="$job",cluster="$cluster"}, subnet)', true),
};

function variables(names: Description['variables']): Variable[] {
  return [
    { name: 'datasource', label: 'Data source', description: 'The Prometheus that scrapes the nodes.', type: 'datasource', query: 'prometheus', hide: 0, includeAll: false, multi: false, refresh: 1, regex: '' },
    asked('job', 'Job', 'The job of the nodes in Prometheus.', 'label_values(lessor_build_info, job)', false),
    asked('cluster', 'Cluster', 'The label cluster, which tells clusters of one job apart; empty where the targets have none.', 'label_values(lessor_build_info{job="$job"}, cluster)', false),
    ...names.map((name) => VARIABLES[name]),
    { name: 'runbooks', label: 'Runbooks', description: 'Where the pages of deploy/runbooks can be read; the links of the panels lead there.', type: 'constant', query: RUNBOOKS, hide: 2, current: { selected: true, text: RUNBOOKS, value: RUNBOOKS } },
  ];
}

/** As in deploy/prometheus/prometheus.yaml; README.md says how to put a site's own in its place. */
const RUNBOOKS = 'https://docs.example.net/lessor/runbooks';

function mark(name: string, color: string, expr: string, title: string, text: string, tags: string): Annotation {
  return {
    name, datasource: DATASOURCE, enable: true, hide: false, iconColor: color, titleFormat: title, textFormat: text, tagKeys: tags, expr,
    target: { datasource: DATASOURCE, editorMode: 'code', expr, format: 'time_series', instant: false, legendFormat: '', range: true, refId: 'Anno' },
  };
}

const MARKS: Annotation[] = [
  mark('View changes', 'blue', 'max by (job) (changes(lessor_view_epoch{job="$job",cluster="$cluster"}[$__rate_interval])) > 0', 'View change', 'A node joined or left, or slots moved: see the dashboard Lessor / Cluster.', ''),
  mark('Alerts', 'red', 'max by (alertname, severity) (ALERTS{job="$job",cluster="$cluster",alertstate="firing",alertname=~"Lessor.*"})', '{{alertname}}', 'This alert fires.', 'severity'),
];

/** Panels stand beside each other until a line is full. */
function place(rows: readonly Row[]): (PanelJson | RowJson)[] {
  const placed: (PanelJson | RowJson)[] = [];
  let y = 0;
  for (const [index, { title, panels }] of rows.entries()) {
    const id = (index + 1) * NUMBERS_OF_A_ROW;
    placed.push({ type: 'row', id, title, collapsed: false, gridPos: { h: 1, w: COLUMNS, x: 0, y }, panels: [] });
    y += 1;
    let x = 0, lineHeight = 0;
    for (const [number, { width: w, height: h, json }] of panels.entries()) {
      if (x + w > COLUMNS) {
        y += lineHeight;
        x = lineHeight = 0;
      }
      placed.push({ ...json, id: id + 1 + number, gridPos: { h, w, x, y } });
      x += w;
      lineHeight = Math.max(lineHeight, h);
    }
    y += lineHeight;
  }
  return placed;
}

export function dashboard({ uid, title, description, span, refresh, variables: names, rows }: Description): DashboardJson {
  return {
    uid, title, description, tags: ['lessor', 'dhcp'], editable: true, graphTooltip: 1, fiscalYearStartMonth: 0, liveNow: false,
    refresh, time: { from: `now-${span}`, to: 'now' }, timepicker: {}, timezone: 'browser', weekStart: '', schemaVersion: 39, version: 1,
    annotations: { list: MARKS },
    links: [{
      asDropdown: false, icon: 'external link', includeVars: true, keepTime: true, tags: ['lessor'], targetBlank: false, title: 'Lessor', tooltip: '', type: 'dashboards', url: '',
    }],
    templating: { list: variables(names) },
    panels: place(rows),
  };
}

/** Keys in order, so that a change of a panel is a change of a few lines. */
export function format(dashboard: DashboardJson): string {
  return `${JSON.stringify(dashboard, (_key, value: unknown) =>
    (value !== null && typeof value === 'object' && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) : value), 2)}\n`;
}
