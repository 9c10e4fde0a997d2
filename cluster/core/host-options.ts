/** What the failover core takes from a host's own file. */
import type { ClusterConfig, NodeConfig } from '../../node/config/types.ts';
import { VERSION } from '../../node/version.ts';
import { optionsOf } from './context.ts';
import type { ClusterOptions } from './context.ts';

export function hostOptions({ cluster, node }: NodeConfig, config: ClusterConfig): ClusterOptions {
  return optionsOf({
    self: node, clustered: cluster !== undefined, clusterName: cluster?.name ?? '',
    address: cluster === undefined ? '' : hostAndPort(cluster.listen),
    sessionTtlSeconds: cluster?.sessionTtlSeconds ?? 3, software: VERSION,
    ...(cluster === undefined ? {} : { protocol: cluster.protocol }),
  }, config);
}

function hostAndPort({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
