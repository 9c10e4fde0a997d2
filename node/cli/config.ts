/** `lessor config`; and `config check`: every mistake of a configuration before a node meets it. */
import { existsSync, readFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { isMap, isScalar, parseDocument } from 'yaml';
import { checkTogether, loadClusterConfig, loadNodeConfig } from '../config/load.ts';
import { poolSize } from '../allocation/pool-size.ts';
import type { ClusterConfig, NodeConfig } from '../config/types.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addApplyCommands } from './config-apply.ts';
import { addShowCommands } from './config-show.ts';
import type { CliOutput } from './output.ts';

type Kind = 'node' | 'cluster';

const KEYS: Readonly<Record<Kind, readonly string[]>> = {
  node: ['node', 'dataDir', 'dhcp', 'http', 'cluster', 'config'],
  cluster: ['subnets', 'nodes', 'leaseTime', 'authoritative', 'options', 'identity', 'loadBalance'],
};

export function addConfigCommand(program: Command, output: CliOutput): void {
  const config = program.command('config').description('check configuration files; show and change the configuration of a cluster');
  addApplyCommands(config, output);
  addShowCommands(config, output);
  config
    .command('check')
    .description('check a node.yaml (with the cluster.yaml that it names) or a cluster.yaml')
    .argument('<file>', 'the file')
    .addOption(new Option('--kind <kind>', 'what the file is; otherwise its keys tell').choices(['node', 'cluster']))
    .action(async (file: string, { kind }: { kind?: Kind }) => {
      await output.out((kind ?? kindOf(file)) === 'node' ? checkNodeFile(file) : checkClusterFile(file));
    });
}

/** By the keys at the top, even where the rest is no YAML: the checker itself tells what is wrong. */
function kindOf(file: string): Kind {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  const { contents } = parseDocument(text, { logLevel: 'silent' });
  const names = isMap(contents) ? contents.items.map(({ key }) => (isScalar(key) ? String(key.value) : '')) : [];
  const count = (kind: Kind): number => names.filter((name) => KEYS[kind].includes(name)).length;
  const [node, cluster] = [count('node'), count('cluster')];
  if (node === cluster) {
    throw new CliError(
      ExitCode.usage,
      `${file}: its keys do not tell whether it is a node.yaml (${KEYS.node.join(', ')}) or a cluster.yaml ` +
        `(${KEYS.cluster.join(', ')}): say --kind node or --kind cluster`,
    );
  }
  return node > cluster ? 'node' : 'cluster';
}

function checkNodeFile(file: string): string {
  const node = loadNodeConfig(file);
  const path = node.clusterConfigPath;
  if (!existsSync(path)) {
    return `OK: ${describeNode(node)}\nNot checked: ${path} is not there${
      node.cluster === undefined ? '; the node needs it to start' : ''}.\n`;
  }
  const cluster = loadClusterConfig(path);
  checkTogether(node, cluster);
  return `OK: ${describeNode(node)}\nOK: ${describeCluster(cluster)} (${path})\n`;
}

function checkClusterFile(file: string): string {
  return `OK: ${describeCluster(loadClusterConfig(file))}\n`;
}

function describeNode({ node, interfaces, http, cluster }: NodeConfig): string {
  const alone = 'a single node, without a cluster';
  return [
    `node ${node}`,
    `serves ${interfaces.join(', ')}`,
    `HTTP on ${http.host}:${http.port}`,
    cluster === undefined ? alone : `cluster ${cluster.name} with etcd at ${cluster.etcd.join(', ')}`,
  ].join('; ');
}

function describeCluster({ nodes, pools, reservations: reserved, subnets }: ClusterConfig): string {
  const addresses = pools.reduce((sum, pool) => sum + poolSize(pool), 0);
  const reservations = reserved.length;
  return [
    nodes.length === 0 ? 'no nodes named (a single node)' : `nodes ${nodes.map(({ id, weight }) => `${id} (weight ${weight})`).join(', ')}`,
    `subnets ${subnets.map(({ name }) => name).join(', ') || 'none'}`,
    `${addresses} addresses in pools`,
    `${reservations} ${reservations === 1 ? 'reservation' : 'reservations'}`,
  ].join('; ');
}
