/**
 * What the JSON of a dashboard may look like: Grafana's own types, narrowed to the panels that are used here. A
 * misspelt option is a mistake of the type check then, where Grafana would silently ignore it.
 */
import type { AnnotationQuery, Dashboard, DashboardLink, FieldConfig, FieldConfigSource, GridPos, Panel, RowPanel, TableFieldOptions, TableOptions } from '@grafana/schema';
import type { Options as BarGaugeOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { FieldConfig as HeatmapFieldConfig, Options as HeatmapOptions } from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as TimelineFieldConfig, Options as TimelineOptions } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { FieldConfig as HistoryFieldConfig, Options as HistoryOptions } from '@grafana/schema/dist/esm/raw/composable/statushistory/panelcfg/x/StatusHistoryPanelCfg_types.gen';
import type { FieldConfig as SeriesFieldConfig, Options as SeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** A type of Grafana as JSON has it: members of enums are their values. */
export type Json<T> = T extends string ? `${T}`
  : T extends readonly (infer Item)[] ? Json<Item>[]
    : T extends object ? { [Key in keyof T]: Json<T[Key]> } : T;

export type PrometheusDatasource = { type: 'prometheus'; uid: '${datasource}' };

/** A query as the Prometheus data source reads it; Grafana has no type for it in its schema. */
export interface Target {
  datasource: PrometheusDatasource;
  editorMode: 'code';
  expr: string;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  legendFormat: string;
  range: boolean;
  refId: string;
}

type Fields<Custom> = Omit<Json<FieldConfigSource>, 'defaults'> & {
  defaults: Omit<Json<FieldConfig>, 'custom' | 'unit'> & { unit: string; custom?: Json<Custom> };
};

type PanelOf<Type extends string, Options, Custom> =
  Omit<Json<Panel>, 'type' | 'options' | 'fieldConfig' | 'targets' | 'datasource' | 'gridPos' | 'id' | 'title' | 'description'> & {
    type: Type;
    id: number;
    title: string;
    description: string;
    gridPos: Json<GridPos>;
    datasource: PrometheusDatasource;
    targets: Target[];
    options: Json<Options>;
    fieldConfig: Fields<Custom>;
  };

export type StatJson = PanelOf<'stat', StatOptions, Record<string, never>>;
export type SeriesJson = PanelOf<'timeseries', SeriesOptions, SeriesFieldConfig>;
export type HeatmapJson = PanelOf<'heatmap', HeatmapOptions, HeatmapFieldConfig>;
export type TimelineJson = PanelOf<'state-timeline', TimelineOptions, TimelineFieldConfig>;
export type HistoryJson = PanelOf<'status-history', HistoryOptions, HistoryFieldConfig>;
export type BarGaugeJson = PanelOf<'bargauge', BarGaugeOptions, Record<string, never>>;
export type TableJson = PanelOf<'table', TableOptions, Partial<TableFieldOptions>>;

export type PanelJson = StatJson | SeriesJson | HeatmapJson | TimelineJson | HistoryJson | BarGaugeJson | TableJson;
export type RowJson = Omit<Json<RowPanel>, 'panels'> & { panels: [] };
export type LinkJson = Json<DashboardLink>;

/** What Grafana's schema does not know of is read by the Prometheus data source; before Grafana 12 it reads `expr`, not `target`. */
type AnnotationJson = Omit<Json<AnnotationQuery>, 'datasource' | 'target'> & {
  datasource: PrometheusDatasource;
  expr: string;
  target: Target;
  tagKeys: string;
  textFormat: string;
  titleFormat: string;
};

export type DashboardJson = Omit<Json<Dashboard>, 'panels' | 'annotations' | 'uid' | 'title' | 'refresh' | 'id'> & {
  annotations: { list: AnnotationJson[] };
  panels: (PanelJson | RowJson)[];
  refresh: string;
  title: string;
  uid: string;
};
