/**
 * From YAML to a configuration that nothing behind it needs to doubt. A file with a mistake is
 * refused as a whole, with every mistake in it.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { CONFIG_BYTES_MAX, CONFIG_MISTAKES_MAX } from '../limits.ts';
import { buildCluster, buildNode } from './build.ts';
import { checkCluster, checkNode } from './check.ts';
import { ConfigDocument } from './document.ts';
import { putEnvironment } from './environment.ts';
import type { Environment } from './environment.ts';
import { ConfigError, formatPath, found } from './error.ts';
import type { Mistake, PathPart, Report } from './error.ts';
import { FastDocument } from './fast-document.ts';
import { didYouMean } from './nearest.ts';
import { nodeSchema } from './node-schema.ts';
import { clusterSchema } from './schema.ts';
import { shapeAt } from './shape.ts';
import type { ClusterConfig, NodeConfig } from './types.ts';

export { ConfigError } from './error.ts';
export type { Mistake } from './error.ts';

/** With the text that it was made from, which is what etcd keeps. */
export type LoadedClusterConfig = ClusterConfig & { readonly text: string };

/** `environment` has what `${NAME}` in the file stands for. @throws ConfigError */
export function loadNodeConfig(path: string, environment: Environment = process.env): NodeConfig {
  return parseNodeConfig(readConfigFile(path), path, environment);
}

/** `fileName` is where the text is from: relative paths in it count from its folder. @throws ConfigError */
export function parseNodeConfig(text: string, fileName: string, environment: Environment = {}): NodeConfig {
  const file = parse(text, fileName, nodeSchema, checkNode, environment);
  return buildNode(file, dirname(resolve(fileName)));
}

/** @throws ConfigError */
export function loadClusterConfig(path: string): LoadedClusterConfig {
  return parseClusterConfig(readConfigFile(path), path);
}

/** `fileName` is for the messages only: the text may come from etcd. @throws ConfigError */
export function parseClusterConfig(text: string, fileName: string): LoadedClusterConfig {
  return { ...buildCluster(parse(text, fileName, clusterSchema, checkCluster)), text };
}

/**
 * What only both files together show; for the start of a node. `fileName` names the cluster's
 * configuration in the messages. @throws ConfigError
 */
export function checkTogether(node: NodeConfig, cluster: ClusterConfig, fileName = node.clusterConfigPath): void {
  const refuse = (message: string): never => {
    throw new ConfigError('config-invalid', [{ file: fileName, line: undefined, column: undefined, path: 'nodes', message }]);
  };
  const ids = cluster.nodes.map(({ id }) => id);
  if (ids.length > 0 && !ids.includes(node.node)) {
    refuse(`expected this node's name ${JSON.stringify(node.node)} among the nodes, found ${ids.join(', ')}${didYouMean(node.node, ids)}`);
  }
  if (node.cluster !== undefined && ids.length === 0) {
    refuse(`expected the nodes of the cluster, such as { ${node.node}: { weight: 1 } }: this node's configuration has cluster:`);
  }
  // Two nodes that each think they are alone would give one address to two clients.
  if (node.cluster === undefined && ids.length > 1) {
    refuse(`expected this node alone: there are ${ids.length} nodes (${ids.join(', ')}), and its own configuration has no cluster:`);
  }
}

function readConfigFile(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > CONFIG_BYTES_MAX) throw new Error(`expected at most ${CONFIG_BYTES_MAX} bytes, found ${size}`);
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const message = `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new ConfigError('config-unreadable', [{ file: path, line: undefined, column: undefined, path: '', message }], { cause });
  }
}

type Check = (file: unknown, report: Report) => void;

interface Problem {
  readonly path: readonly PathPart[];
  readonly message: string;
  readonly at: 'value' | 'key';
}

/** Without an environment `${NAME}` is text like any other: the cluster's configuration is the same on every node. */
function parse<S extends z.ZodType>(text: string, fileName: string, schema: S, check: Check, environment?: Environment): z.output<S> {
  const document = FastDocument.read(text, fileName) ?? new ConfigDocument(text, fileName);
  if (document.mistakes.length > 0) throw refused(document.mistakes);
  const result = examine(document.value, schema, check, environment);
  if (result.ok) return result.data;
  for (const { path, message, at } of result.problems.slice(0, CONFIG_MISTAKES_MAX)) document.add(path, message, at);
  throw refused(document.mistakes, result.problems.length - CONFIG_MISTAKES_MAX);
}

type Examined<T> = { readonly ok: true; readonly data: T } | { readonly ok: false; readonly problems: readonly Problem[] };

function examine<S extends z.ZodType>(value: unknown, schema: S, check: Check, environment?: Environment): Examined<z.output<S>> {
  const problems: Problem[] = [];
  const unset = new Set<string>();
  if (environment !== undefined) {
    putEnvironment(value, environment, (path, message) => {
      problems.push({ path, message, at: 'value' });
      unset.add(formatPath(path));
    });
  }
  const report: Report = (path, message, at = 'value') => {
    // What stands where a variable is missing is no mistake of its own.
    if (!unset.has(formatPath(path))) problems.push({ path, message, at });
  };
  const result = schema.safeParse(value);
  if (!result.success) for (const issue of result.error.issues) reportIssue(value, schema, issue, report);
  check(value, report);
  return result.success && problems.length === 0 ? { ok: true, data: result.data } : { ok: false, problems };
}

function refused(mistakes: readonly Mistake[], others = 0): ConfigError {
  const inOrder = mistakes.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
  const { file } = inOrder[0]!;
  const rest = others > 0 ? [{ file, line: undefined, column: undefined, path: '', message: `${others} more mistakes` }] : [];
  return new ConfigError('config-invalid', [...inOrder, ...rest]);
}

function reportIssue(file: unknown, schema: z.ZodType, issue: z.core.$ZodIssue, report: Report): void {
  const path = issue.path.filter((part): part is PathPart => typeof part !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(shapeAt(schema, path) ?? {});
    for (const key of issue.keys) {
      const hint = didYouMean(key, known) || `; expected one of ${known.join(', ')}`;
      report([...path, key], `unknown key${hint}`, 'key');
    }
    return;
  }
  report(path, `expected ${issue.message}, ${found(valueAt(file, path))}`);
}

function valueAt(value: unknown, path: readonly PathPart[]): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<PathPart, unknown>)[part];
  }
  return at;
}
