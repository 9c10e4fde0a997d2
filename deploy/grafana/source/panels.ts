/**
 * Panels in the few words that tell one from another; what all of a kind share is said here once. Where a panel
 * lies and which number it has is decided by `dashboard.ts`.
 */
import type {
  BarGaugeJson, HeatmapJson, HistoryJson, LinkJson, PanelJson, PrometheusDatasource, SeriesJson, StatJson, TableJson, Target, TimelineJson,
} from './types.ts';

export const DATASOURCE: PrometheusDatasource = { type: 'prometheus', uid: '${datasource}' };

export interface Query {
  readonly expr: string;
  readonly legend?: string;
}

type Distributed<Panel> = Panel extends PanelJson ? Omit<Panel, 'id' | 'gridPos'> : never;

/** A panel without its place. */
export type Spec = { readonly width: number; readonly height: number; readonly json: Distributed<PanelJson> };

type Defaults = SeriesJson['fieldConfig']['defaults'];
type Mappings = NonNullable<Defaults['mappings']>;

interface Common {
  readonly title: string;
  /** What it shows, and what to do when it is not as it should be. */
  readonly description: string;
  readonly queries: readonly Query[];
  readonly unit: string;
  readonly decimals?: number;
  readonly min?: number;
  readonly max?: number;
  /** Pages of deploy/runbooks, without `.md`. */
  readonly runbooks?: readonly string[];
  /** What stands in the panel while there is nothing to show. */
  readonly nothing?: string;
  /** Colours from these values upwards; the first one counts from below. Default: green, whatever the value. */
  readonly thresholds?: readonly (readonly [from: number | null, color: string])[];
  readonly width?: number;
  readonly height?: number;
}

const GOOD = 'green';
export const WARN = 'orange';
export const BAD = 'red';

/** Green below the first, then orange, then red. */
export function rising(warn: number, bad: number): NonNullable<Common['thresholds']> {
  return [[null, GOOD], [warn, WARN], [bad, BAD]];
}

/** Red below the first, then orange, then green. */
export function falling(bad: number, good: number): NonNullable<Common['thresholds']> {
  return [[null, BAD], [bad, WARN], [good, GOOD]];
}

/** Green below, else as it is said. */
export function from(value: number, color: string): NonNullable<Common['thresholds']> {
  return [[null, GOOD], [value, color]];
}

/** Values as words, so that colours are never the only sign. */
export function words(values: Readonly<Record<string, readonly [text: string, color: string]>>): Mappings {
  const options = Object.entries(values).map(([value, [text, color]], index) => [value, { color, index, text }] as const);
  return [{ type: 'value', options: Object.fromEntries(options) }];
}

function fieldDefaults(panel: Common, mappings: Mappings = []): Omit<Defaults, 'custom' | 'color'> {
  const { unit, decimals, min, max, nothing, thresholds = [[null, GOOD]] } = panel;
  return {
    unit, mappings,
    thresholds: { mode: 'absolute', steps: thresholds.map(([value, color]) => ({ color, value })) },
    ...(decimals === undefined ? {} : { decimals }),
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(nothing === undefined ? {} : { noValue: nothing }),
  };
}

function runbookLinks(names: readonly string[]): LinkJson[] {
  return names.map((name) => ({
    asDropdown: false, icon: 'doc', includeVars: false, keepTime: false, tags: [], targetBlank: true,
    title: `Runbook: ${name}`, tooltip: 'What to do', type: 'link', url: `\${runbooks}/${name}.md`,
  }));
}

function targets(queries: readonly Query[], kind: 'range' | 'instant' | 'table' | 'heatmap'): Target[] {
  const now = kind === 'instant' || kind === 'table';
  return queries.map(({ expr, legend = '__auto' }, index) => ({
    datasource: DATASOURCE, editorMode: 'code', expr, legendFormat: legend, refId: String.fromCodePoint(65 + index),
    format: kind === 'table' ? 'table' : kind === 'heatmap' ? 'heatmap' : 'time_series', instant: now, range: !now,
  }));
}

function about({ title, description, runbooks = [] }: Common): { title: string; description: string; datasource: PrometheusDatasource; links?: LinkJson[] } {
  return { title, description, datasource: DATASOURCE, ...(runbooks.length === 0 ? {} : { links: runbookLinks(runbooks) }) };
}

/** The value of now, large. */
export function stat(panel: Common & { readonly mappings?: Mappings; readonly trend?: boolean; readonly names?: boolean }): Spec {
  const { trend = false, names = false, width = 4, height = 4, mappings = [], thresholds } = panel;
  const json: Distributed<StatJson> = {
    ...about(panel), type: 'stat',
    targets: targets(panel.queries, trend ? 'range' : 'instant'),
    fieldConfig: { defaults: { ...fieldDefaults(panel, mappings), color: thresholds === undefined && mappings.length === 0 ? { mode: 'fixed', fixedColor: 'text' } : { mode: 'thresholds' } }, overrides: [] },
    options: {
      colorMode: 'value', graphMode: trend ? 'area' : 'none', justifyMode: 'auto', orientation: 'auto', percentChangeColorMode: 'standard',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, showPercentChange: false, textMode: names ? 'value_and_name' : 'auto', wideLayout: true,
    },
  };
  return { width, height, json };
}

/** Lines, or areas on each other. */
export function series(panel: Common & { readonly stacked?: boolean; readonly steps?: boolean; readonly bars?: boolean; readonly logarithmic?: boolean }): Spec {
  const { stacked = false, steps = false, bars = false, logarithmic = false, thresholds, width = 12, height = 8 } = panel;
  const json: Distributed<SeriesJson> = {
    ...about(panel), type: 'timeseries',
    targets: targets(panel.queries, 'range'),
    fieldConfig: {
      defaults: {
        ...fieldDefaults(panel), color: { mode: 'palette-classic' },
        custom: {
          drawStyle: bars ? 'bars' : 'line', fillOpacity: stacked ? 40 : bars ? 60 : 5, lineInterpolation: steps ? 'stepAfter' : 'linear', lineWidth: 1,
          scaleDistribution: logarithmic ? { type: 'log', log: 10 } : { type: 'linear' }, showPoints: 'never', spanNulls: false,
          stacking: { mode: stacked ? 'normal' : 'none' }, thresholdsStyle: { mode: thresholds === undefined ? 'off' : 'dashed' },
        },
      },
      overrides: [],
    },
    options: {
      legend: { calcs: ['lastNotNull', 'max'], displayMode: 'table', placement: 'bottom', showLegend: true, sortBy: 'Last *', sortDesc: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  };
  return { width, height, json };
}

const HEATMAP_COLOURS: HeatmapJson['options']['color'] = { exponent: 0.5, fill: 'dark-orange', mode: 'scheme', reverse: false, scale: 'exponential', scheme: 'Viridis', steps: 64 };

/** How often each bucket was met: of a histogram, or counted by Grafana (`bucketSize`) over the values of many series. */
export function heatmap(panel: Common & { readonly bucketSize?: number }): Spec {
  const { bucketSize, unit, width = 12, height = 9 } = panel;
  const counted = bucketSize !== undefined;
  const json: Distributed<HeatmapJson> = {
    ...about(panel), type: 'heatmap',
    targets: targets(panel.queries, counted ? 'range' : 'heatmap'),
    fieldConfig: { defaults: { ...fieldDefaults(panel), custom: { hideFrom: { legend: false, tooltip: false, viz: false }, scaleDistribution: { type: 'linear' } } }, overrides: [] },
    options: {
      calculate: counted,
      ...(counted ? { calculation: { xBuckets: { mode: 'count', value: '60' }, yBuckets: { mode: 'size', value: String(bucketSize) } } } : {}),
      cellGap: 1, color: HEATMAP_COLOURS, exemplars: { color: 'rgba(255,0,255,0.7)' }, filterValues: { le: 1e-9 }, legend: { show: true },
      rowsFrame: { layout: 'auto' }, showValue: 'never', tooltip: { mode: 'single', showColorScale: true, yHistogram: true },
      yAxis: { axisPlacement: 'left', reverse: false, unit },
    },
  };
  return { width, height, json };
}

/** Which of a few values each series had when. */
export function timeline(panel: Common & { readonly mappings: Mappings }): Spec {
  const { width = 24, height = 6 } = panel;
  const json: Distributed<TimelineJson> = {
    ...about(panel), type: 'state-timeline',
    targets: targets(panel.queries, 'range'),
    fieldConfig: { defaults: { ...fieldDefaults(panel, panel.mappings), color: { mode: 'thresholds' }, custom: { fillOpacity: 70, lineWidth: 0 } }, overrides: [] },
    options: {
      alignValue: 'left', legend: { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: true }, mergeValues: true, rowHeight: 0.85,
      showValue: 'auto', tooltip: { mode: 'single', sort: 'none' },
    },
  };
  return { width, height, json };
}

/** A row of coloured cells with their values for each series: a heat map by name. */
export function history(panel: Common): Spec {
  const { width = 24, height = 10 } = panel;
  const json: Distributed<HistoryJson> = {
    ...about(panel), type: 'status-history', maxDataPoints: 60,
    targets: targets(panel.queries, 'range'),
    fieldConfig: { defaults: { ...fieldDefaults(panel), color: { mode: 'continuous-GrYlRd' }, custom: { fillOpacity: 80, lineWidth: 0 } }, overrides: [] },
    options: {
      colWidth: 0.95, legend: { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: false }, rowHeight: 0.9, showValue: 'auto',
      tooltip: { mode: 'single', sort: 'none' },
    },
  };
  return { width, height, json };
}

/** The values of now beside each other, in the order in which they are answered. */
export function bars(panel: Common): Spec {
  const { width = 12, height = 8 } = panel;
  const json: Distributed<BarGaugeJson> = {
    ...about(panel), type: 'bargauge',
    targets: targets(panel.queries, 'instant'),
    fieldConfig: { defaults: { ...fieldDefaults(panel), color: { mode: panel.thresholds === undefined ? 'palette-classic' : 'thresholds' } }, overrides: [] },
    options: {
      displayMode: 'basic', legend: { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: false }, maxVizHeight: 24, minVizHeight: 12, minVizWidth: 8,
      namePlacement: 'left', orientation: 'horizontal', reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, showUnfilled: true, sizing: 'auto', valueMode: 'text',
    },
  };
  return { width, height, json };
}

export interface Column {
  /** As the data source calls it: a label, or `Value #A`. */
  readonly field: string;
  readonly title: string;
  readonly unit?: string;
  readonly decimals?: number;
  readonly mappings?: Mappings;
  readonly thresholds?: Common['thresholds'];
}

/** One row for each combination of labels, one column for each query; only the columns that are named. */
export function table(panel: Common & { readonly columns: readonly Column[]; readonly sortBy?: string; readonly ascending?: boolean }): Spec {
  const { columns, sortBy, ascending = false, width = 12, height = 8 } = panel;
  const overrides: TableJson['fieldConfig']['overrides'] = columns.flatMap(({ title, unit, decimals, mappings, thresholds }) => {
    const properties = [
      ...(unit === undefined ? [] : [{ id: 'unit', value: unit }]),
      ...(decimals === undefined ? [] : [{ id: 'decimals', value: decimals }]),
      ...(mappings === undefined ? [] : [{ id: 'mappings', value: mappings }]),
      ...(thresholds === undefined ? [] : [{ id: 'thresholds', value: { mode: 'absolute', steps: thresholds.map(([value, color]) => ({ color, value })) } }]),
      ...(thresholds === undefined && mappings === undefined ? [] : [{ id: 'custom.cellOptions', value: { type: 'color-text' } }]),
    ];
    return properties.length === 0 ? [] : [{ matcher: { id: 'byName', options: title }, properties }];
  });
  const json: Distributed<TableJson> = {
    ...about(panel), type: 'table',
    targets: targets(panel.queries, 'table'),
    fieldConfig: { defaults: { ...fieldDefaults(panel), color: { mode: 'thresholds' }, custom: { align: 'auto', cellOptions: { type: 'auto' }, filterable: true, inspect: false } }, overrides },
    options: { cellHeight: 'sm', frameIndex: 0, showHeader: true, ...(sortBy === undefined ? {} : { sortBy: [{ desc: !ascending, displayName: sortBy }] }) },
    transformations: [
      { id: 'merge', options: {} },
      { id: 'filterFieldsByName', options: { include: { names: columns.map(({ field }) => field) } } },
      {
        id: 'organize',
        options: {
          excludeByName: {}, indexByName: Object.fromEntries(columns.map(({ field }, index) => [field, index])),
          renameByName: Object.fromEntries(columns.map(({ field, title }) => [field, title])),
        },
      },
    ],
  };
  return { width, height, json };
}
