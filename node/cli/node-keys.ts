/** What each node with a session in etcd says of itself there, as far as commands want to know it. */
import type { EtcdFacts } from '../doctor/etcd-checks.ts';
import { withCluster } from './cluster-store.ts';

export interface NodeKey {
  readonly node: string;
  /** host:port of its links; "": it does not say. */
  readonly address: string;
  readonly serverIds: readonly number[];
  /** NORMAL and the like. */
  readonly state: string;
}

/** Whether it is worth while to ask: without a leader etcd answers nothing of this. */
export function hasLeader({ answers }: EtcdFacts): boolean {
  return answers.some(({ error, leader }) => error === '' && leader !== '');
}

/** `config`: a node.yaml. @throws CliError where etcd does not answer */
export function nodeKeys(config: string): Promise<NodeKey[]> {
  return withCluster({ config }, async ({ store }) => {
    const { nodes } = await store.clusterKeys();
    return [...nodes].map(([node, said]) => {
      const { address, serverIds, state } = said ?? {};
      return {
        node, address: typeof address === 'string' ? address : '', state: typeof state === 'string' ? state : '',
        serverIds: Array.isArray(serverIds) ? serverIds.filter((id): id is number => typeof id === 'number') : [],
      };
    });
  });
}
