/** `lessor config`; and `config check`: every mistake of a configuration before a node meets it. */
import { existsSync, readFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { isMap, isScalar, parseDocument } from 'yaml';
import { checkTokens } from '../admin/io/token-file.ts';
import { checkTogether, loadClusterConfig, loadNodeConfig } from '../config/load.ts';
import { nodeSchema } from '../config/node-schema.ts';
import { clusterSchema } from '../config/schema.ts';
import { clusterJsonSchema, formatJsonSchema, nodeJsonSchema } from '../config/json-schema.ts';
import { summarizeCluster } from '../config/summary.ts';
import type { NodeConfig } from '../config/types.ts';
import { checkKeyFile } from '../ddns/io/keys.ts';
import { checkTlsFiles } from '../tls/io/check-files.ts';
import { tlsPlaces } from '../tls/uses.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addApplyCommands } from './config-apply.ts';
import { addShowCommands } from './config-show.ts';
import { missingKeys } from './doctor-dns.ts';
import type { CliOutput } from './output.ts';

type Kind = 'node' | 'cluster';

/** The keys at the top of each, but for those that both have. */
const KEYS: Readonly<Record<Kind, readonly string[]>> = {
  node: Object.keys(nodeSchema.shape).filter((key) => !(key in clusterSchema.shape)),
  cluster: Object.keys(clusterSchema.shape).filter((key) => !(key in nodeSchema.shape)),
};
/** A key at the start of a line. */
const BLOCK_KEY = /^["']?([A-Za-z]+)["']?[ \t]*:/gm;

export function addConfigCommand(program: Command, output: CliOutput): void {
  const config = program.command('config').description('check configuration files; show and change the configuration of a cluster');
  addApplyCommands(config, output);
  addShowCommands(config, output);
  config
    .command('schema')
    .description('print the JSON Schema of a configuration file, for editors')
    .addOption(new Option('--kind <kind>', 'of which file').choices(['node', 'cluster']).default('cluster'))
    .action(async ({ kind }: { kind: Kind }) => {
      await output.out(formatJsonSchema(kind === 'node' ? nodeJsonSchema() : clusterJsonSchema()));
    });
  config
    .command('check')
    .description('check a node.yaml (with the cluster.yaml that it names) or a cluster.yaml')
    .argument('<file>', 'the file')
    .addOption(new Option('--kind <kind>', 'what the file is; otherwise its keys tell').choices(['node', 'cluster']))
    .action(async (file: string, { kind }: { kind?: Kind }) => {
      await output.out((kind ?? kindOf(file)) === 'node' ? checkNodeFile(file, output) : checkClusterFile(file));
    });
}

/** By the keys at the top, even where the rest is no YAML: the checker itself tells what is wrong. */
function kindOf(file: string): Kind {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: cannot be read: ${(cause as Error).message}. Name a file that is there, and that this user may read.`, { cause });
  }
  const names = topKeys(text);
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

function topKeys(text: string): string[] {
  const names = [...text.matchAll(BLOCK_KEY)].map(([, name]) => name!);
  if (names.length > 0) return names;
  // Not in block style.
  const { contents } = parseDocument(text, { logLevel: 'silent' });
  return isMap(contents) ? contents.items.map(({ key }) => (isScalar(key) ? String(key.value) : '')) : [];
}

function checkNodeFile(file: string, output: CliOutput): string {
  const node = loadNodeConfig(file);
  checkFiles(node, file, output);
  const path = node.clusterConfigPath;
  if (!existsSync(path)) {
    return `OK: ${describeNode(node)}\nNot checked: ${path} is not there${
      node.cluster === undefined ? '; the node needs it to start' : ''}.\n`;
  }
  const cluster = loadClusterConfig(path);
  checkTogether(node, cluster);
  for (const { text } of missingKeys(node.dnsKeys, cluster)) output.err(`warning: ${file}: dnsKeys: ${text}\n`);
  return `OK: ${describeNode(node)}\nOK: ${summarizeCluster(cluster)} (${path})\n`;
}

/** What is wrong with all files of TLS and all files of DNS keys at once; what is only to be known goes to standard error. @throws CliError */
function checkFiles(node: NodeConfig, config: string, output: CliOutput): void {
  const found = [
    ...tlsPlaces(node).flatMap(({ files, name, setting }) => checkTlsFiles(files, name).map((problem) => ({ ...problem, setting }))),
    ...node.dnsKeys.flatMap(checkKeyFile).map((problem) => ({ ...problem, setting: 'dnsKeys' })),
    ...checkTokens(node.http.tokens).map((problem) => ({ ...problem, setting: 'http.tokens' })),
  ].map(({ file, message, severity, setting }) => ({ severity, text: `${config}: ${setting}: ${file} ${message}` }));
  if (node.cluster?.tls?.optional === true) output.err(`warning: ${config}: cluster.tls.optional: nodes are believed without a certificate until this is taken out\n`);
  const errors = found.filter(({ severity }) => severity === 'error');
  for (const { text } of found.filter(({ severity }) => severity === 'warning')) output.err(`warning: ${text}\n`);
  if (errors.length > 0) throw new CliError(ExitCode.no, errors.map(({ text }) => text).join('\nlessor: '));
}

function checkClusterFile(file: string): string {
  return `OK: ${summarizeCluster(loadClusterConfig(file))}\n`;
}

function describeNode({ node, interfaces, http, cluster }: NodeConfig): string {
  const alone = 'a single node, without a cluster';
  return [
    `node ${node}`,
    `serves ${interfaces.join(', ')}`,
    `${http.tls === undefined ? 'HTTP' : 'HTTPS'} on ${http.host}:${http.port}`,
    cluster === undefined ? alone
      : `cluster ${cluster.name}, links ${cluster.tls === undefined ? 'in the clear' : 'over TLS'}, with etcd at ${cluster.etcd.join(', ')}`,
  ].join('; ');
}
