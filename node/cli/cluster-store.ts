/** How a command reaches the cluster's etcd: by the configuration of a node, which names it. */
import { hostname, userInfo } from 'node:os';
import type { Command } from 'commander';
import type { ConfigStore } from '../../cluster/io/config-store.ts';
import type { DrainStore } from '../../cluster/io/drain-store.ts';
import { loadNodeConfig } from '../config/load.ts';
import type { NodeConfig } from '../config/types.ts';
import { CredentialsError, readCredentials } from '../tls/io/credentials.ts';
import type { TlsSource } from '../tls/io/credentials.ts';
import { CliError, ExitCode } from './cli-error.ts';

export const DEFAULT_NODE_CONFIG = '/etc/lessor/node.yaml';

/** Without an answer for so long the command gives up. */
const PATIENCE_MS = 10_000;

export interface ClusterTarget {
  readonly config: string;
  readonly url?: string;
}

export function addClusterOptions(command: Command): Command {
  return command.option('--config <file>', 'the configuration of a node (node.yaml), which names the cluster and its etcd', DEFAULT_NODE_CONFIG);
}

export interface ReachedCluster {
  readonly node: NodeConfig;
  readonly store: ConfigStore;
  readonly drains: DrainStore;
}

function alone({ clusterConfigPath }: NodeConfig, config: string): string {
  return `${config} has no cluster: this is a single node, which reads its configuration from ${clusterConfigPath}. ` +
    `Edit that file, check it (lessor config check ${clusterConfigPath}), and send SIGHUP to the node's process: it goes on with the new one.`;
}

/**
 * `whyAlone`: what a single node does instead.
 * @throws CliError where there is no cluster, or etcd does not answer; ConfigError
 */
export async function withCluster<T>({ config }: ClusterTarget, work: (reached: ReachedCluster) => Promise<T>, whyAlone = alone): Promise<T> {
  const node = loadNodeConfig(config);
  const { cluster } = node;
  if (cluster === undefined) throw new CliError(ExitCode.no, whyAlone(node, config));
  // Only these commands need etcd, and loading its client takes longer than all else that they do.
  const [{ openEtcd }, { ConfigStore: Store }, { DrainStore: Drains }, { ConfigDamaged, ConfigTooLarge }] = await Promise.all([
    import('../../cluster/io/etcd-client.ts'), import('../../cluster/io/config-store.ts'), import('../../cluster/io/drain-store.ts'),
    import('../../cluster/io/config-revisions.ts'),
  ]);
  const etcd = openEtcd({
    endpoints: cluster.etcd, tls: etcdCredentials(cluster), prefix: `/lessor/${cluster.name}/`, watchPrefixes: [],
    handler: { onResult: (result) => store.settle(result), onHint: () => undefined },
  });
  let silentSince: number | undefined;
  const store = new Store((request) => etcd.request(request), (error) => {
    silentSince ??= performance.now();
    if (performance.now() - silentSince < PATIENCE_MS) return;
    throw new CliError(
      ExitCode.unreachable,
      `etcd does not answer: ${error}. ${config} names ${cluster.etcd.join(', ')} (cluster.etcd). ` +
        'If something was to be written, lessor config history or lessor status shows later whether it was.',
    );
  });
  try {
    return await work({ node, store, drains: new Drains(store.requests) });
  } catch (cause) {
    if (cause instanceof ConfigTooLarge) throw new CliError(ExitCode.no, `${cause.message}. Nothing was changed.`, { cause });
    if (!(cause instanceof ConfigDamaged)) throw cause;
    throw new CliError(ExitCode.no, `${cause.message}. The nodes keep what they have in force; lessor config apply FILE writes a whole one again.`, { cause });
  } finally {
    await etcd.close();
  }
}

/** As the node itself shows them to etcd. @throws CliError where its files cannot be used */
function etcdCredentials({ etcd, etcdTls, tls }: NonNullable<NodeConfig['cluster']>): TlsSource | undefined {
  const files = etcdTls ?? tls;
  if (files === undefined || !etcd.some((url) => url.startsWith('https:'))) return undefined;
  try {
    return { current: readCredentials(files) };
  } catch (error) {
    if (!(error instanceof CredentialsError)) throw error;
    throw new CliError(ExitCode.no, `${error.message}. This command needs it for etcd: give it as root, or as the user of the node.`, { cause: error });
  }
}

/** Who is at the terminal, for the history. */
export function whoAmI(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    // A container's user need not have a name.
    return `user ${process.getuid?.() ?? '?'}@${hostname()}`;
  }
}
