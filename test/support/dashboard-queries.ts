/**
 * The dashboards of deploy/grafana as their readers see them: their panels, what each asks of Prometheus once Grafana
 * has put the variables in, and which metrics and labels an expression names.
 */
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DashboardJson, PanelJson, RowJson, Target } from '../../deploy/grafana/source/types.ts';
import type { Labels, PrometheusServer } from './prometheus-server.ts';

const FOLDER = join(import.meta.dirname, '../../deploy/grafana/dashboards');

export type { DashboardJson, PanelJson, RowJson };

/** By file name. */
export function readDashboards(): ReadonlyMap<string, DashboardJson> {
  const names = globSync('*.json', { cwd: FOLDER }).toSorted();
  return new Map(names.map((name) => [basename(name, '.json'), JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as DashboardJson]));
}

export function panelsOf({ panels }: DashboardJson): PanelJson[] {
  return panels.filter((panel): panel is PanelJson => panel.type !== 'row');
}

// ── what an expression names ───────────────────────────────────────────────────────────────────

export interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: '=' | '!=' | '=~' | '!~'; readonly value: string }[];
}

export interface Named {
  readonly selectors: readonly Selector[];
  /** By which it groups, matches or sorts. */
  readonly groupedBy: readonly string[];
}

const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan', 'start', 'end']);

/** Reads what dashboards need of PromQL; Prometheus itself says whether the rest is right. */
export function namesIn(expression: string): Named {
  const groupedBy: string[] = [];
  const selectors: Selector[] = [];
  const rest = expression
    .replaceAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g, (_, labels: string) => {
      groupedBy.push(...labels.split(',').map((label) => label.trim()).filter((label) => label !== ''));
      return ' ';
    })
    .replaceAll(/\[[^\]]*\]/g, ' ');
  const token = /"(?:[^"\\]|\\.)*"|([a-zA-Z_:][\w:]*)(\s*\()?(?:\s*\{([^}]*)\})?|\d[\w.]*/g;
  for (const [, word, opened, inside = ''] of rest.matchAll(token)) {
    if (word === undefined || opened !== undefined || WORDS.has(word.toLowerCase())) continue;
    const matchers = [...inside.matchAll(/([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"/g)]
      .map(([, label = '', operator, value = '']) => ({ label, operator: operator as '=', value }));
    selectors.push({ metric: word, matchers });
  }
  return { selectors, groupedBy };
}

// ── what is asked ──────────────────────────────────────────────────────────────────────────────

export interface Span {
  /** Unix seconds. */
  readonly from: number;
  readonly to: number;
  /** What the data source is told as its scrape interval. */
  readonly scrapeSeconds: number;
}

const POINTS_MAX = 400;

function stepOf({ from, to, scrapeSeconds }: Span): number {
  return Math.max(Math.ceil((to - from) / POINTS_MAX), scrapeSeconds);
}

/** A choice of several values is a group of a regular expression, inside of a string of PromQL. */
function chosen(values: readonly string[]): string {
  const escaped = values.map((value) => value.replaceAll('\\', '\\\\\\\\').replaceAll(/[$^*{}[\]+?.()|]/g, String.raw`\\$&`));
  return escaped.length > 1 ? `(${escaped.join('|')})` : escaped[0] ?? '';
}

export type Choice = Readonly<Record<string, readonly string[]>>;

/** As Grafana's Prometheus data source does: variables of the dashboard, then its own. Throws where one has no value. */
export function filledIn(expression: string, choice: Choice, span: Span): string {
  const step = stepOf(span);
  const range = Math.round(span.to - span.from);
  const own: Readonly<Record<string, string>> = {
    __interval: `${step}s`, __range: `${range}s`, __rate_interval: `${Math.max(step + span.scrapeSeconds, 4 * span.scrapeSeconds)}s`,
  };
  return expression.replaceAll(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced: string | undefined, bare: string | undefined) => {
    const name = braced ?? bare!;
    const value = own[name] ?? (choice[name] === undefined ? undefined : chosen(choice[name]));
    if (value === undefined) throw new Error(`no value for $${name} in ${expression}`);
    return value;
  });
}

/** The values of a dashboard's variables that Prometheus is asked for, all of them chosen where several may be. */
export async function chooseAll(prometheus: PrometheusServer, dashboard: DashboardJson, span: Span): Promise<Choice> {
  const choice: Record<string, readonly string[]> = {};
  for (const { name, type, query, multi } of dashboard.templating?.list ?? []) {
    if (type !== 'query') continue;
    const text = (query as { query: string }).query;
    const [, match, label] = /^label_values\((.*), (\w+)\)$/.exec(text) ?? [];
    if (match === undefined || label === undefined) throw new Error(`what is this query of a variable: ${text}`);
    const values = await prometheus.labelValues(label, filledIn(match, choice, span));
    // Targets of one cluster alone need not have the label.
    if (values.length === 0 && name !== 'cluster') throw new Error(`${dashboard.title}: the variable ${name} has no values`);
    choice[name] = multi === true ? values : values.slice(0, 1);
  }
  return choice;
}

export interface Answer {
  readonly dashboard: string;
  readonly panel: string;
  /** What the panel says where it has nothing to show; "" if nothing. */
  readonly nothing: string;
  /** As Prometheus was asked. */
  readonly expr: string;
  /** Labels that the legend names, and that one of the series lacks. */
  readonly missingInLegend: readonly string[];
  /** Of each series with a value that is a number. */
  readonly labels: readonly Labels[];
  /** Why it was not answered; "" otherwise. */
  readonly error: string;
}

/** For a person. */
export function sayWhich({ dashboard, panel, expr, error }: Answer): string {
  return `${dashboard}: ${panel}: ${expr}${error === '' ? '' : `: ${error}`}`;
}

/** Asks everything that the panels and the marks of all dashboards ask. */
export async function askDashboards(prometheus: PrometheusServer, span: Span): Promise<{ panels: Answer[]; marks: Answer[] }> {
  const panels: Answer[] = [], marks: Answer[] = [];
  for (const [name, dashboard] of readDashboards()) {
    const choice = await chooseAll(prometheus, dashboard, span);
    const ask = async (panel: string, nothing: string, target: Target): Promise<Answer> => {
      const expr = filledIn(target.expr, choice, span);
      const about = { dashboard: name, panel, nothing, expr };
      try {
        const labels = target.instant
          ? (await prometheus.query(expr)).filter(({ value }) => !Number.isNaN(value)).map(({ labels }) => labels)
          : (await prometheus.queryRange(expr, span.from, span.to, stepOf(span))).filter(({ points }) => points.some(([, value]) => !Number.isNaN(value))).map(({ labels }) => labels);
        return { ...about, labels, missingInLegend: missingInLegend(target, labels), error: '' };
      } catch (error) {
        return { ...about, labels: [], missingInLegend: [], error: String(error) };
      }
    };
    for (const { title, targets, fieldConfig } of panelsOf(dashboard)) {
      for (const target of targets) panels.push(await ask(title, fieldConfig.defaults.noValue ?? '', target));
    }
    for (const { name: mark, target } of dashboard.annotations.list) marks.push(await ask(mark, '', target));
  }
  return { panels, marks };
}

function missingInLegend({ legendFormat, expr }: Target, labels: readonly Labels[]): string[] {
  // A series that stands for nothing has only one of them.
  if (expr.includes('label_replace(vector(0)')) return [];
  return [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name!).filter((name) => labels.some((each) => !(name in each)));
}
