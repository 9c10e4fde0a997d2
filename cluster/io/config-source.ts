/**
 * Where a node's configuration comes from: its own file, or in a cluster etcd. Everything is read and
 * checked in a thread of its own (node/config/io/config-loader.ts).
 */
import { loadFileInWorker, loadInWorker } from '../../node/config/io/config-loader.ts';
import { checkTogether } from '../../node/config/load.ts';
import type { ClusterConfig, NodeConfig } from '../../node/config/types.ts';
import type { PreparedConfig } from '../view/configuration.ts';
import { ConfigDamaged } from './config-revisions.ts';
import type { ConfigStore } from './config-store.ts';

export interface InitialConfig {
  readonly config: ClusterConfig;
  /** Without a cluster there are none: the times that the file was read are counted, this is the first. */
  readonly revision: number;
}

export class ConfigSource {
  readonly #node: NodeConfig;
  readonly #store: ConfigStore | undefined;
  readonly #signal: AbortSignal;
  /** Of the file as it was read last; undefined: it was not. */
  text: string | undefined;

  /** `store` in a cluster only; `signal` ends what is under way. */
  constructor(node: NodeConfig, store: ConfigStore | undefined, signal: AbortSignal) {
    this.#node = node;
    this.#store = store;
    this.#signal = signal;
  }

  /**
   * For the start: what the view names, so that the node serves what the others serve; this node's file
   * where etcd holds none yet. @throws ConfigError, ConfigDamaged
   */
  async initial(): Promise<InitialConfig> {
    if (this.#store === undefined) return { config: await this.file(), revision: 1 };
    const { clusterConfigPath, node } = this.#node;
    const { record: { revision }, text } = await this.#store.readOrCreate(async () => {
      const initial = await loadFileInWorker(clusterConfigPath, this.#signal);
      return { text: initial.text, at: new Date().toISOString(), by: `node ${node}`, comment: `${clusterConfigPath}, when etcd held none` };
    });
    return { config: await this.#checked(text, nameOf(revision)), revision };
  }

  get path(): string {
    return this.#node.clusterConfigPath;
  }

  /** The node's own file, as it is now. @throws ConfigError */
  async file(): Promise<ClusterConfig> {
    const config = await loadFileInWorker(this.path, this.#signal);
    checkTogether(this.#node, config);
    this.text = config.text;
    return config;
  }

  /** A revision in etcd. Never rejects. */
  async revision(revision: number): Promise<PreparedConfig> {
    try {
      const record = await this.#store!.record(revision);
      if (record === undefined) return { ok: false, error: `etcd lacks configuration revision ${revision}: apply the configuration again (lessor config apply FILE)`, retry: true };
      return { ok: true, config: await this.#checked(await this.#store!.text(record), nameOf(revision)) };
    } catch (error) {
      return { ok: false, error: (error as Error).message, retry: error instanceof ConfigDamaged };
    }
  }

  async #checked(text: string, name: string): Promise<ClusterConfig> {
    const config = await loadInWorker(text, name, this.#signal);
    checkTogether(this.#node, config, name);
    return config;
  }
}

/** Stands for the file in messages. */
function nameOf(revision: number): string {
  return `etcd configuration revision ${revision}`;
}
