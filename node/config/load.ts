/**
 * From YAML to a configuration that nothing behind it needs to doubt. A file with a mistake is
 * refused as a whole, with every mistake in it.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { CONFIG_BYTES_MAX } from '../limits.ts';
import { buildCluster, buildNode } from './build.ts';
import { checkCluster, checkNode } from './check.ts';
import type { Report } from './check.ts';
import { ConfigDocument } from './document.ts';
import { ConfigError } from './error.ts';
import type { Mistake, PathPart } from './error.ts';
import { didYouMean } from './nearest.ts';
import { clusterSchema, nodeSchema } from './schema.ts';
import { shapeAt } from './shape.ts';
import type { ClusterConfig, NodeConfig } from './types.ts';

export { ConfigError } from './error.ts';
export type { Mistake } from './error.ts';

/** With the text that it was made from, which is what etcd keeps. */
export type LoadedClusterConfig = ClusterConfig & { readonly text: string };

/** @throws ConfigError */
export function loadNodeConfig(path: string): NodeConfig {
  return parseNodeConfig(readConfigFile(path), path);
}

/** `fileName` is where the text is from: relative paths in it count from its folder. @throws ConfigError */
export function parseNodeConfig(text: string, fileName: string): NodeConfig {
  const file = parse(text, fileName, nodeSchema, checkNode);
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

function parse<S extends z.ZodType>(
  text: string, fileName: string, schema: S, check: (file: unknown, report: Report) => void,
): z.output<S> {
  const document = new ConfigDocument(text, fileName);
  if (document.mistakes.length > 0) throw refused(document.mistakes);
  const result = schema.safeParse(document.value);
  if (!result.success) for (const issue of result.error.issues) addIssue(document, schema, issue);
  check(document.value, (path, message, at) => document.add(path, message, at));
  if (!result.success || document.mistakes.length > 0) throw refused(document.mistakes);
  return result.data;
}

function refused(mistakes: readonly Mistake[]): ConfigError {
  const inOrder = mistakes.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
  return new ConfigError('config-invalid', inOrder);
}

function addIssue(document: ConfigDocument, schema: z.ZodType, issue: z.core.$ZodIssue): void {
  const path = issue.path.filter((part): part is PathPart => typeof part !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(shapeAt(schema, path) ?? {});
    for (const key of issue.keys) {
      const hint = didYouMean(key, known) || `; expected one of ${known.join(', ')}`;
      document.add([...path, key], `unknown key${hint}`, 'key');
    }
    return;
  }
  document.add(path, `expected ${issue.message}, ${found(valueAt(document.value, path))}`);
}

function valueAt(value: unknown, path: readonly PathPart[]): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<PathPart, unknown>)[part];
  }
  return at;
}

const FOUND_CHARACTERS_MAX = 60;

function found(value: unknown): string {
  if (value === undefined) return 'but it is missing';
  if (value === null) return 'found nothing';
  if (Array.isArray(value) && value.length === 0) return 'found an empty list';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return `found ${text.length > FOUND_CHARACTERS_MAX ? `${text.slice(0, FOUND_CHARACTERS_MAX)}…` : text}`;
}
