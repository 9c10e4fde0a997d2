/** The rules of deploy/prometheus: promtool takes them, they ask for metrics that there are, and each alert is tested and has its page. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { findProgram, requireProgram } from '../../deploy/lab/programs.ts';
import { METRICS } from '../../node/telemetry/metric-table.ts';
import { runbookOf, testsOf } from '../support/alerts-page.ts';
import { PROJECT } from '../support/documentation.ts';
import { alertRules, hurriedRules, PROMETHEUS_FOLDER, RULE_FILES, ruleGroups, ruleTestFiles, type Rule } from '../support/prometheus-files.ts';
import { scrapeOfEverything } from './telemetry-fixture.ts';

const needsPromtool = findProgram('promtool') === undefined ? { skip: 'not there: promtool (deploy/lab/install.sh test)' } : {};

async function promtool(...words: string[]): Promise<string> {
  const { command, env } = requireProgram('promtool');
  const { stdout } = await promisify(execFile)(command, words, { cwd: PROMETHEUS_FOLDER, env: { ...process.env, ...env } });
  return stdout;
}

test('promtool takes the configuration and the rules', needsPromtool, async () => {
  assert.match(await promtool('check', 'config', 'prometheus.yaml'), /SUCCESS: 2 rule files found/);
});

test('promtool: every alert fires and stays silent as its test says, and none fires in a cluster that is well', needsPromtool, async () => {
  assert.ok(ruleTestFiles().length >= 2);
  await promtool('test', 'rules', ...ruleTestFiles());
});

test('every alert has a test in which it first does not fire and then does, with its texts', () => {
  for (const { alert = '' } of alertRules()) {
    const [tested] = testsOf(alert);
    assert.ok(tested !== undefined, `${alert} has no test`);
    const outcomes = (tested.alert_rule_test ?? []).filter(({ alertname }) => alertname === alert).map(({ exp_alerts }) => exp_alerts);
    assert.ok(outcomes.some((alerts) => alerts.length === 0), `${alert} is never silent`);
    const fired = outcomes.flat();
    assert.ok(fired.length > 0, `${alert} never fires`);
    for (const { exp_annotations: texts = {} } of fired) {
      assert.deepEqual(Object.keys(texts).toSorted(), ['description', 'runbook_url', 'summary'], alert);
      assert.match(texts['description']!, /\d/, `${alert} says no figure`);
      for (const text of Object.values(texts)) assert.doesNotMatch(text, /error expanding|<no value>|\s[.,;]|\s$/, alert);
    }
  }
});

test('every alert says how grave it is, and links to its page', () => {
  for (const rule of alertRules()) {
    const { alert = '', annotations = {}, labels = {} } = rule;
    assert.match(alert, /^Lessor[A-Z]/);
    assert.ok(['critical', 'warning', 'info'].includes(labels['severity'] ?? ''), alert);
    assert.deepEqual(Object.keys(annotations).toSorted(), ['description', 'runbook_url', 'summary'], alert);
    assert.match(annotations['description']!, /\.(?:\{\{ end \}\})?$/, alert);
    assert.match(runbookOf(rule), /\.md$/);
  }
});

test('the page of every alert is there and names it, and the runbooks\' first page has both', () => {
  const folder = join(PROJECT, 'deploy/runbooks');
  const first = readFileSync(join(folder, 'README.md'), 'utf8');
  const pages = [...new Set(alertRules().map(runbookOf))];
  assert.deepEqual(pages.filter((page) => !existsSync(join(folder, page))), [], 'missing');
  assert.deepEqual(pages.filter((page) => !first.includes(`(${page})`)), [], 'not linked');
  const names = (text: string, { alert = '' }: Rule): boolean => new RegExp(`\\b${alert}\\b`).test(text);
  assert.deepEqual(alertRules().filter((rule) => !names(first, rule)).map(({ alert }) => alert), [], 'not named on the first page');
  const silent = alertRules().filter((rule) => !names(readFileSync(join(folder, runbookOf(rule)), 'utf8'), rule));
  assert.deepEqual(silent.map(({ alert }) => alert), [], 'not named on its page');
});

// ── what the rules ask for ─────────────────────────────────────────────────────────────────────

interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

/** Of Prometheus itself, and put on by it. */
const OF_PROMETHEUS = ['up'];
const TARGET_LABELS = ['job', 'cluster', 'instance'];

/** In expressions, and in the queries that the texts of alerts ask. */
function selectorsOf(text: string): Selector[] {
  return [...text.matchAll(/(?<![\w:])(up|\w*:lessor_[\w:]+|lessor_\w+)(?:\{([^}]*)\})?/g)].map(([, metric = '', inside = '']) => ({
    metric,
    matchers: [...inside.matchAll(/(\w+)(=~|=|!=|!~)(["'])(.*?)\3/g)].map(([, label = '', operator = '', , value = '']) => ({ label, operator, value })),
  }));
}

function rulesText(): { where: string; text: string }[] {
  return RULE_FILES.flatMap((file) => ruleGroups(file)).flatMap(({ rules }) => rules).flatMap(({ alert, record, expr, annotations = {} }) => {
    const where = alert ?? record ?? '';
    const queries = Object.values(annotations).flatMap((text) => [...text.matchAll(/printf "([^"]*\([^"]*|[^"]*\{[^"]*)"/g)].map(([, query = '']) => query));
    return [expr, ...queries].map((text) => ({ where, text }));
  });
}

/** What a node answers, by the name of its series. */
async function scraped(): Promise<Map<string, Record<string, string>[]>> {
  const series = new Map<string, Record<string, string>[]>();
  for (const line of (await scrapeOfEverything()).split('\n')) {
    const [, name, labels = ''] = /^([a-z]\w*)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    if (name === undefined) continue;
    const found = Object.fromEntries([...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, value]) => [label!, value!]));
    series.set(name, [...series.get(name) ?? [], found]);
  }
  return series;
}

test('the rules ask for metrics that there are, by labels and values that they have', async () => {
  const series = await scraped();
  const recorded = new Set(ruleGroups('recording-rules.yaml').flatMap(({ rules }) => rules.map(({ record }) => record)));
  let asked = 0;
  for (const { where, text } of rulesText()) {
    for (const { metric, matchers } of selectorsOf(text)) {
      asked++;
      if (OF_PROMETHEUS.includes(metric) || recorded.has(metric)) continue;
      const found = series.get(metric);
      assert.ok(found !== undefined, `${where}: no metric ${metric}`);
      for (const { label, operator, value } of matchers.filter(({ label: name }) => !TARGET_LABELS.includes(name))) {
        // Each of several, so that a misspelt one is found.
        for (const one of operator === '=~' ? value.split('|') : [value]) {
          assert.ok(found.some((labels) => labels[label] === one), `${where}: no series ${metric}{${label}="${one}"}`);
        }
      }
    }
  }
  assert.ok(asked > 80, `${asked} selectors`);
});

test('the rules go by labels that there are', () => {
  const known = new Set([...METRICS.flatMap(({ labels }) => labels), ...TARGET_LABELS, 'le', 'quantile']);
  for (const { where, text } of rulesText()) {
    for (const [, labels = ''] of text.matchAll(/\b(?:by|on|ignoring|without)\s*\(([^)]*)\)/g)) {
      for (const label of labels.split(',').map((each) => each.trim())) assert.ok(known.has(label), `${where}: label ${label}`);
    }
  }
});

test('hurried for a test, the rules differ from those shipped in how long they look back and wait, and in nothing else', () => {
  for (const file of RULE_FILES) {
    const shipped = ruleGroups(file).flatMap(({ rules }) => rules);
    const hurried = hurriedRules(file);
    assert.doesNotMatch(hurried, /\[(?!8s\])\d+\w\]/);
    assert.equal([...hurried.matchAll(/^ +(?:- )?(?:alert|record):/gm)].length, shipped.length);
    assert.ok(!hurried.includes('for: 3m') && !hurried.includes('interval:'));
  }
});
