/**
 * The rules of deploy/prometheus for the Prometheus operator, from the files that are tested there:
 *
 *     node deploy/kubernetes/monitoring/prometheus-rule.ts | kubectl apply -f -
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

const rules = join(import.meta.dirname, '../../prometheus');

export function prometheusRule(): object {
  const groups = ['recording-rules.yaml', 'alerts.yaml'].flatMap((file) => (parse(readFileSync(join(rules, file), 'utf8')) as { groups: object[] }).groups);
  return {
    apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule',
    metadata: { name: 'lessor', namespace: 'lessor', labels: { 'app.kubernetes.io/name': 'lessor' } },
    spec: { groups },
  };
}

if (import.meta.main) process.stdout.write(stringify(prometheusRule()));
