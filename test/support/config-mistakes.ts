/** What the loader says of a text, for the tests of the configuration. */
import assert from 'node:assert/strict';
import { ConfigError, parseClusterConfig } from '../../node/config/load.ts';
import type { ClusterConfig } from '../../node/config/types.ts';

export function mistakesOf(parse: () => unknown): string[] {
  try {
    parse();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error instanceof Error ? error.stack : error));
    assert.equal(error.code, 'config-invalid');
    assert.equal(error.message.split('\n').length, error.mistakes.length);
    return error.message.split('\n');
  }
  return [];
}

/** Of a cluster.yaml, each as "c.yaml:line:column: path: message". */
export const clusterMistakes = (text: string): string[] => mistakesOf(() => parseClusterConfig(text, 'c.yaml'));

/** Exactly one mistake, that starts so. */
export function assertOne(mistakes: readonly string[], start: string): void {
  assert.equal(mistakes.length, 1, mistakes.join('\n'));
  assert.ok(mistakes[0]!.startsWith(start), `${mistakes[0]}\nshould start with\n${start}`);
}

export function clusterConfig(text: string): ClusterConfig {
  const { text: _, ...config } = parseClusterConfig(text, 'c.yaml');
  return config;
}
