/** The manifests for Kubernetes: each by its schema, and all against each other, the program and the image. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { PrometheusRule, ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import { StatefulSet } from 'kubernetes-models/apps/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { ConfigMap, Namespace, Service } from 'kubernetes-models/v1';
import { parse } from 'yaml';
import { prometheusRule } from '../../deploy/kubernetes/monitoring/prometheus-rule.ts';
import { checkTogether, parseClusterConfig, parseNodeConfig } from '../../node/config/load.ts';
import type { NodeConfig } from '../../node/config/types.ts';
import { DRAIN_MS_MAX } from '../../node/limits.ts';
import { NEEDED_CAPABILITIES } from '../../node/privileges.ts';
import { VERSION } from '../../node/version.ts';

const project = join(import.meta.dirname, '../..');
const folder = join(project, 'deploy/kubernetes');
const read = (file: string): unknown => parse(readFileSync(join(folder, file), 'utf8'));

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly namespace?: string; readonly labels?: Record<string, string> };
}

type Validated = new (data: never) => { validate(): void };
const MODELS: Readonly<Record<string, Validated>> = { ConfigMap, Namespace, PodDisruptionBudget, PrometheusRule, Service, ServiceMonitor, StatefulSet };

const files = globSync('**/*.yaml', { cwd: folder }).filter((file) => file !== 'kustomization.yaml').toSorted();
const manifests = new Map<string, Manifest>([...files.map((file) => [file, read(file) as Manifest] as const), ['rules', prometheusRule() as Manifest]]);

function complaint(manifest: object): string | undefined {
  const model = MODELS[(manifest as Manifest).kind];
  if (model === undefined) return `no schema for ${(manifest as Manifest).kind}`;
  try {
    new model(manifest as never).validate();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Where each value lies. */
function placesOf(value: unknown, path: readonly (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [];
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.flatMap(([key, inner]) => [[...path, key], ...placesOf(inner, [...path, key])]);
}

function withValue(manifest: object, path: readonly (string | number)[], value: unknown): object {
  const copy = structuredClone(manifest);
  let at = copy as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
  at[path.at(-1)!] = value;
  return copy;
}

for (const [name, manifest] of manifests) {
  test(`${name} is a ${manifest.kind} as its schema says, and has no key that the schema does not know`, () => {
    assert.equal(complaint(manifest), undefined);
    // The schemas let unknown keys pass. No known key takes a bigint, so one that does is unknown: a misspelt one.
    const places = name === 'rules' ? placesOf(manifest).filter((path) => path.length < 7) : placesOf(manifest);
    const unknown = places.filter((path) => path.length > 1 && complaint(withValue(manifest, path, 1n)) === undefined);
    assert.deepEqual(unknown.map((path) => path.join('.')), []);
  });
}

interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly valueFrom: { readonly fieldRef: { readonly fieldPath: string } } }[];
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly containerPort: number; readonly hostPort: number }[];
  readonly securityContext: { readonly capabilities: { readonly add: readonly string[] } };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly [probe: `${string}Probe`]: { readonly httpGet: { readonly path: string; readonly port: string } };
}

const { spec: set } = read('stateful-set.yaml') as {
  spec: {
    replicas: number; serviceName: string; selector: { matchLabels: Record<string, string> };
    volumeClaimTemplates: { metadata: { name: string } }[];
    template: { metadata: { labels: Record<string, string> }; spec: {
      containers: [Container]; volumes: { name: string; configMap?: { name: string } }[]; terminationGracePeriodSeconds: number;
      securityContext: { runAsUser: number; runAsGroup: number; fsGroup: number };
      affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ labelSelector: { matchLabels: Record<string, string> } }] } };
    } };
  };
};
const pod = set.template.spec;
const [container] = pod.containers;
const service = read('service.yaml') as {
  metadata: { name: string; labels: Record<string, string> };
  spec: { selector: object; ports: { name: string; port: number; targetPort: string }[] };
};
const configuration = read('configuration.yaml') as { metadata: { name: string }; data: Record<string, string> };

/** What a pod has in its environment, by `env:` of the manifest. */
const FIELDS: Readonly<Record<string, string>> = { 'metadata.name': 'lessor-1', 'status.podIP': '10.0.0.12' };

function nodeConfig(): NodeConfig {
  const environment = Object.fromEntries(container.env.map(({ name, valueFrom }) => [name, FIELDS[valueFrom.fieldRef.fieldPath]!]));
  return parseNodeConfig(configuration.data['node.yaml']!, '/etc/lessor/node.yaml', environment);
}

test('kustomization.yaml names every manifest but those for the operator, and all are in one namespace', () => {
  const { resources, namespace } = read('kustomization.yaml') as { resources: string[]; namespace: string };
  assert.deepEqual(resources.toSorted(), files.filter((file) => !file.startsWith('monitoring/')));
  for (const [name, { kind, metadata }] of manifests) assert.equal(kind === 'Namespace' ? namespace : metadata.namespace, namespace, name);
});

test('whatever selects pods selects these, and the ServiceMonitor the Service', () => {
  const { labels } = set.template.metadata;
  const selectors = [
    set.selector.matchLabels, service.spec.selector, pod.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchLabels,
    (read('pod-disruption-budget.yaml') as { spec: { selector: { matchLabels: object } } }).spec.selector.matchLabels,
  ];
  for (const selector of selectors) assert.deepEqual(selector, labels);
  assert.equal(set.serviceName, service.metadata.name);
  const { spec: monitor } = read('monitoring/service-monitor.yaml') as { spec: { selector: { matchLabels: object }; endpoints: { port: string }[] } };
  assert.deepEqual(monitor.selector.matchLabels, service.metadata.labels);
  for (const { port } of monitor.endpoints) assert.ok(service.spec.ports.some(({ name }) => name === port), port);
});

test('the configuration is a right one for each pod, with the names that the pods have', () => {
  const node = nodeConfig();
  const cluster = parseClusterConfig(configuration.data['cluster.yaml']!, 'cluster.yaml');
  checkTogether(node, cluster);
  assert.equal(node.node, 'lessor-1');
  assert.deepEqual(cluster.nodes.map(({ id }) => id), Array.from({ length: set.replicas }, (_, i) => `lessor-${i}`));
});

test('ports are those that a node listens on, and the host\'s own', () => {
  const node = nodeConfig();
  const ports = new Map(container.ports.map((port) => [port.name, port]));
  for (const { name, containerPort, hostPort } of ports.values()) assert.equal(hostPort, containerPort, name);
  assert.deepEqual([...ports.values()].map(({ name, protocol, containerPort }) => [name, protocol, containerPort]), [
    ['dhcp', 'UDP', 67], ['leasequery', 'TCP', node.leaseQuery.port], ['link', 'TCP', node.cluster!.listen.port], ['http', 'TCP', node.http.port],
  ]);
  for (const { name, port, targetPort } of service.spec.ports) assert.deepEqual([name, port], [targetPort, ports.get(targetPort)?.containerPort]);
  const probes = (['startupProbe', 'livenessProbe', 'readinessProbe'] as const).map((name) => container[name]!.httpGet);
  assert.deepEqual(probes.map(({ path, port }) => `${port}${path}`), ['http/livez', 'http/livez', 'http/readyz']);
  assert.equal(node.http.host, FIELDS['status.podIP'], 'probes come to the pod\'s address');
});

test('every mount has a volume and every volume a mount, and the paths of the configuration lie in them', () => {
  const volumes = [...pod.volumes.map(({ name }) => name), ...set.volumeClaimTemplates.map(({ metadata }) => metadata.name)];
  const paths = new Map(container.volumeMounts.map(({ name, mountPath }) => [name, mountPath]));
  assert.deepEqual([...paths.keys()].toSorted(), volumes.toSorted());
  const node = nodeConfig();
  assert.equal(paths.get('data'), node.dataDir);
  const map = pod.volumes.find(({ configMap }) => configMap !== undefined)!;
  assert.equal(map.configMap!.name, configuration.metadata.name);
  for (const file of [container.args.at(-1)!, node.clusterConfigPath]) {
    assert.equal(join(file, '..'), paths.get(map.name));
    assert.ok(basename(file) in configuration.data, file);
  }
  // Also those of the line that has to be brought in first.
  const tls = [...configuration.data['node.yaml']!.matchAll(/(\/[\w/.-]+)\.(?:crt|key)\b/g)];
  assert.equal(tls.length, 3);
  for (const [path] of tls) assert.equal(join(path, '..'), paths.get('tls'));
});

test('the image, its user and its command are those of the Dockerfile, and the capabilities those that a node needs', () => {
  const dockerfile = readFileSync(join(project, 'deploy/docker/Dockerfile'), 'utf8');
  assert.equal(container.image, `lessor:${VERSION}`);
  assert.match(dockerfile, new RegExp(`^USER ${pod.securityContext.runAsUser}:${pod.securityContext.runAsGroup}$`, 'm'));
  assert.equal(pod.securityContext.fsGroup, pod.securityContext.runAsGroup);
  assert.deepEqual(JSON.parse(/^CMD (.*)$/m.exec(dockerfile)![1]!), container.args);
  assert.deepEqual(container.securityContext.capabilities.add, NEEDED_CAPABILITIES.map(({ name }) => name.replace('CAP_', '')));
});

test('a node has the time that it takes to drain', () => {
  assert.ok(pod.terminationGracePeriodSeconds * 1000 > DRAIN_MS_MAX + 5000);
});
