/** The files of deploy/docker fit together, and with the rest of the project. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parseAddressWithPrefix, parseIpv4 } from '../../node/codec/address.ts';
import { checkTogether, loadClusterConfig, loadNodeConfig } from '../../node/config/load.ts';
import { VERSION } from '../../node/version.ts';
import { BUSYBOX_IMAGE, ETCD_IMAGE, NODE_IMAGE } from '../support/container-images.ts';
import { PROJECT } from '../support/documentation.ts';

const FOLDER = join(PROJECT, 'deploy/docker');
const dockerfile = readFileSync(join(FOLDER, 'Dockerfile'), 'utf8');

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: readonly string[] | Readonly<Record<string, { readonly ipv4_address?: string }>>;
  readonly network_mode?: string;
  readonly depends_on?: readonly string[] | Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly ipam: { readonly config: readonly { readonly subnet: string; readonly ip_range: string }[] } }>>;
  readonly volumes: Readonly<Record<string, null>>;
}

const compose = parse(readFileSync(join(FOLDER, 'compose.yaml'), 'utf8'), { merge: true }) as Compose;
const services = Object.entries(compose.services);
const nodes = services.filter(([name]) => name.startsWith('node-'));

test('what a service mounts, joins and waits for is there', () => {
  for (const [name, { volumes = [], networks = [], network_mode: mode, depends_on: dependencies = [] }] of services) {
    for (const volume of volumes) {
      const [source = '', target, ...options] = volume.split(':');
      assert.ok(target?.startsWith('/'), `${name}: ${volume}`);
      if (source.startsWith('.')) {
        assert.ok(existsSync(join(FOLDER, source)), `${name}: ${source} is not there`);
        assert.deepEqual(options, ['ro'], `${name}: ${volume}`);
      } else {
        assert.ok(source in compose.volumes, `${name}: there is no volume ${source}`);
      }
    }
    for (const network of Array.isArray(networks) ? networks : Object.keys(networks)) assert.ok(network in compose.networks, `${name}: there is no network ${network}`);
    if (mode !== undefined) assert.ok(mode.replace(/^service:/, '') in compose.services, `${name}: ${mode}`);
    const waits = Array.isArray(dependencies) ? dependencies.map((other): [string, { condition: string }] => [other, { condition: 'service_started' }]) : Object.entries(dependencies as object as Record<string, { condition: string }>);
    for (const [other, { condition }] of waits) {
      const service = compose.services[other];
      assert.ok(service !== undefined, `${name}: there is no service ${other}`);
      // The image of the nodes brings its own.
      if (condition === 'service_healthy') assert.ok(service.healthcheck !== undefined || other.startsWith('node-'), `${name} waits for the health of ${other}, which says nothing of it`);
    }
  }
  const used = new Set(services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0])));
  assert.deepEqual(Object.keys(compose.volumes).filter((volume) => !used.has(volume)), []);
});

test('no port of the host is taken twice', () => {
  const taken = services.flatMap(([, { ports = [] }]) => ports.map((port) => port.replace(/:\d+$/, '')));
  assert.deepEqual(taken.toSorted(), [...new Set(taken)].toSorted());
  assert.ok(taken.every((port) => port.startsWith('127.0.0.1:')), 'nothing is shown to other hosts unasked');
});

test('images have a version, and the tests run the same ones', () => {
  for (const [name, { image }] of services) assert.match(image, /^[\w./-]+:v?\d[\w.-]*$/, name);
  const images = new Set(services.map(([, { image }]) => image));
  assert.ok(images.has(ETCD_IMAGE));
  assert.ok(images.has(BUSYBOX_IMAGE));
  assert.ok(dockerfile.includes(`ARG NODE_IMAGE=${NODE_IMAGE}\n`));
  for (const [name, { image, build }] of nodes) {
    assert.equal(image, `lessor:${VERSION}`, name);
    assert.ok(existsSync(join(FOLDER, build!.context, build!.dockerfile)));
  }
  assert.ok(dockerfile.includes(`ARG VERSION=${VERSION}\n`));
});

test('the nodes read their files with the environment that they are given, and are where they say', () => {
  const cluster = loadClusterConfig(join(FOLDER, 'cluster.yaml'));
  assert.deepEqual(cluster.nodes.map(({ id }) => `node-${id}`), nodes.map(([name]) => name));
  const [{ subnet, ip_range: range }] = compose.networks['dhcp']!.ipam.config as [{ subnet: string; ip_range: string }];
  const others = parseAddressWithPrefix(range)!;
  const inRange = (address: number): boolean => (address & (~0 << 32 - others.prefixLength)) >>> 0 === others.network;
  assert.deepEqual(cluster.subnets.map(({ name }) => name), [subnet]);
  for (const { ranges } of cluster.pools) {
    for (const { first, last } of ranges) assert.ok(!inRange(first) && !inRange(last), 'Docker gives no address of a pool away');
  }
  for (const [name, { environment, networks }] of nodes) {
    const config = loadNodeConfig(join(FOLDER, 'node.yaml'), environment);
    checkTogether(config, cluster);
    assert.equal(`node-${config.node}`, name);
    const address = (networks as Readonly<Record<string, { readonly ipv4_address?: string }>>)['dhcp']!.ipv4_address!;
    assert.equal(config.cluster!.listen.host, address);
    assert.ok(!inRange(parseIpv4(address)!));
    assert.deepEqual(config.cluster!.etcd, services.filter(([service]) => service.startsWith('etcd-')).map(([service]) => `http://${service}:2379`));
  }
});

test('Prometheus asks what there is, with the rules that are shipped', () => {
  const { rule_files: rules, scrape_configs: jobs } = parse(readFileSync(join(FOLDER, 'prometheus.yaml'), 'utf8')) as {
    readonly rule_files: readonly string[]; readonly scrape_configs: readonly { readonly static_configs: readonly { readonly targets: readonly string[] }[] }[];
  };
  const targets = jobs.flatMap(({ static_configs: hosts }) => hosts.flatMap(({ targets }) => targets));
  assert.deepEqual(targets, [...nodes.map(([name]) => `${name}:9067`), ...['etcd-1', 'etcd-2', 'etcd-3'].map((name) => `${name}:2379`)]);
  const mounted = compose.services['prometheus']!.volumes!.map((volume) => volume.split(':')[1]);
  for (const rule of rules) assert.ok(mounted.includes(`/etc/prometheus/${rule}`), rule);
});

test('a node has the three capabilities that the image hands on, and no other', () => {
  const capabilities = [...readFileSync(join(FOLDER, 'lessor'), 'utf8').matchAll(/\d+:(net_\w+)/g)].map(([, name]) => name!.toUpperCase());
  assert.equal(capabilities.length, 3);
  for (const [, { cap_drop: dropped, cap_add: added }] of nodes) {
    assert.deepEqual(dropped, ['ALL']);
    assert.deepEqual(added!.toSorted(), capabilities.toSorted());
  }
});

test('the image is built from what .dockerignore lets through, by any builder', () => {
  const kept = readFileSync(join(PROJECT, '.dockerignore'), 'utf8').split('\n').filter((line) => line.startsWith('!')).map((line) => line.slice(1));
  for (const path of kept) assert.ok(existsSync(join(PROJECT, path)), path);
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, sources]) => sources!.split(' '));
  assert.deepEqual(copied.filter((path) => !kept.includes(path)), []);
  assert.deepEqual(kept.filter((path) => !copied.includes(path)), [], 'nothing is sent to the builder in vain');
  assert.doesNotMatch(dockerfile, /^# *syntax=|^RUN --mount/m);
});
