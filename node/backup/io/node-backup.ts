/** The backup of a node's store, with what is known of the node at that moment. */
import type { NodeStatus } from '../../admin/status.ts';
import type { LoadedClusterConfig } from '../../config/load.ts';
import type { ClusterConfig, NodeConfig } from '../../config/types.ts';
import type { SnapshotMark } from '../../io/store-snapshot.ts';
import { VERSION } from '../../version.ts';
import { configLine, headerLine } from '../format.ts';
import type { BackupHeader } from '../format.ts';
import { BackupStream } from './backup-stream.ts';

export interface NodeBackupParts {
  readonly node: NodeConfig;
  readonly mark: () => SnapshotMark;
  readonly state: Pick<BackupHeader, 'state' | 'epoch' | 'generation' | 'configRevision'>;
  /** Undefined: not known. */
  readonly config: ClusterConfig | LoadedClusterConfig | undefined;
}

export function backupOf({ node, mark, state, config }: NodeBackupParts): BackupStream {
  const head = headerLine({ version: VERSION, node: node.node, cluster: node.cluster?.name ?? '', madeAt: new Date().toISOString(), ...state });
  return new BackupStream({ dataDir: node.dataDir, mark, head: config !== undefined && 'text' in config ? head + configLine(config.text) : head });
}

export function stateOf({ state, view, config }: NodeStatus): NodeBackupParts['state'] {
  return { state, epoch: view?.epoch ?? 0, generation: view?.generation ?? 0, configRevision: config.loaded };
}
