/** The table of alerts for the documentation: what each says, its page, and the tests in which it fires. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { alertRules, ruleTests, type Rule, type RuleTest } from './prometheus-files.ts';

const REAL_TEST = 'test/e2e/monitoring.test.ts';

/** The page of deploy/runbooks that an alert links to. */
export function runbookOf({ annotations = {} }: Rule): string {
  const [, page] = /^\{\{ \$externalLabels\.runbooks \}\}\/([\w-]+\.md)$/.exec(annotations['runbook_url'] ?? '') ?? [];
  if (page === undefined) throw new Error(`runbook_url: ${annotations['runbook_url']}`);
  return page;
}

/** For a person: promtool's test of each alert begins with its name. */
export function testsOf(alert: string): RuleTest[] {
  return ruleTests().filter(({ name }) => name.startsWith(`${alert}: `));
}

function firesOnRealCluster(alert: string): boolean {
  const text = readFileSync(join(import.meta.dirname, '../..', REAL_TEST), 'utf8');
  return [...text.matchAll(/\.fires\(\[([^\]]*)\]/g)].some(([, alerts = '']) => alerts.includes(`'${alert}'`));
}

export function describeAlerts(): string {
  const rows = alertRules().map((rule) => {
    const { alert = '', labels = {}, for: waits } = rule;
    const page = runbookOf(rule);
    const [test] = testsOf(alert);
    const example = test?.alert_rule_test?.flatMap(({ exp_alerts }) => exp_alerts)
      .find(({ exp_labels }) => exp_labels?.['severity'] === labels['severity'])?.exp_annotations?.['summary'] ?? '';
    const [, silent = ''] = /^\w+: silent (.*)$/.exec(test?.name ?? '') ?? [];
    return `| \`${alert}\` | ${labels['severity']} | ${waits ?? 'at once'} | ${example} | ${silent} | [${page}](../runbooks/${page}) | ${firesOnRealCluster(alert) ? 'yes' : ''} |`;
  });
  return [
    '| alert | severity | after | what it says, for example | stays silent | page | real |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    'Every alert fires, and stays silent as the table says, in a test of its name in `deploy/prometheus/tests/alerts.yaml`. Those with a',
    `"yes" fire and clear on two real nodes with a real Prometheus too, in \`${REAL_TEST}\`.`,
  ].join('\n');
}
