/** The files of deploy/prometheus, as tests read them and as they are hurried for a cluster that lives for a minute. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

export const PROMETHEUS_FOLDER: string = join(import.meta.dirname, '../../deploy/prometheus');
export const RULE_FILES = ['recording-rules.yaml', 'alerts.yaml'] as const;

export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface RuleGroup {
  readonly name: string;
  readonly interval?: string;
  readonly rules: readonly Rule[];
}

export interface ExpectedAlert {
  readonly exp_labels?: Readonly<Record<string, string>>;
  readonly exp_annotations?: Readonly<Record<string, string>>;
}

export interface RuleTest {
  readonly name: string;
  readonly alert_rule_test?: readonly { readonly alertname: string; readonly exp_alerts: readonly ExpectedAlert[] }[];
}

export function readPrometheusFile(name: string): string {
  return readFileSync(join(PROMETHEUS_FOLDER, name), 'utf8');
}

export function ruleGroups(name: (typeof RULE_FILES)[number]): RuleGroup[] {
  return (parse(readPrometheusFile(name)) as { groups: RuleGroup[] }).groups;
}

export function alertRules(): Rule[] {
  return ruleGroups('alerts.yaml').flatMap(({ rules }) => rules);
}

/** By their path from the folder. */
export function ruleTestFiles(): string[] {
  return globSync('tests/*.yaml', { cwd: PROMETHEUS_FOLDER }).toSorted();
}

let parsedTests: readonly RuleTest[] | undefined;

export function ruleTests(): readonly RuleTest[] {
  parsedTests ??= ruleTestFiles().flatMap((name) => (parse(readPrometheusFile(name)) as { tests: RuleTest[] }).tests);
  return parsedTests;
}

/** What every range and every `for` becomes. */
export const HURRIED = { range: '8s', for: '1s' } as const;

/**
 * A file of rules for a Prometheus that scrapes and evaluates every second: an alert waits for one second, every range
 * is of eight seconds, and every group is evaluated as often as all others. Nothing else of the expressions changes.
 */
export function hurriedRules(name: (typeof RULE_FILES)[number]): string {
  const groups = ruleGroups(name).map(({ interval: _interval, ...group }) => ({
    ...group,
    rules: group.rules.map((rule) => ({
      ...rule, expr: rule.expr.replaceAll(/\[\d+[smhd]\]/g, `[${HURRIED.range}]`), ...(rule.for === undefined ? {} : { for: HURRIED.for }),
    })),
  }));
  return stringify({ groups });
}

/** The example's own configuration with other targets, every second, and nobody to be told. */
export function hurriedConfiguration(targets: Readonly<Record<string, readonly string[]>>): string {
  const { alerting: _alerting, ...configuration } = parse(readPrometheusFile('prometheus.yaml')) as {
    global: object; alerting: unknown; scrape_configs: { job_name: string; static_configs: { labels: Record<string, string> }[] }[];
  };
  return stringify({
    ...configuration,
    global: { ...configuration.global, scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    scrape_configs: configuration.scrape_configs.map((job) => ({
      ...job, static_configs: job.static_configs.map(({ labels }) => ({ labels, targets: targets[job.job_name] ?? [] })),
    })),
  });
}
