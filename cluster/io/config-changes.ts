/**
 * Another configuration while a node runs: a revision that the view names, or a single node's file on SIGHUP. What
 * is read comes into force through the engine, or not at all.
 */
import { createHash } from 'node:crypto';
import type { OwnWord } from '../../node/admin/audit.ts';
import { differenceInWorker } from '../../node/config/io/config-loader.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import type { BindingStore } from '../../node/lease/store.ts';
import type { PreparedConfig } from '../view/configuration.ts';
import type { ConfigSource } from './config-source.ts';

/** Whoever may change the file and signal the process; which of them, nobody knows. */
const WORD = { by: '', role: 'none', via: 'file', from: '', operation: 'config', before: '', reason: '' } as const;

/** A meta value of the store: which file was read last. */
const FILE_META = 'config-file';

export interface ConfigChangesParts {
  readonly store: BindingStore;
  readonly source: ConfigSource;
  readonly clustered: boolean;
  readonly onPrepared: (revision: number, result: PreparedConfig) => void;
  readonly onFile: (config: ClusterConfig) => void;
  /** Tells of a file that was read again. */
  readonly audit: (word: OwnWord) => void;
  readonly report: (occurrence: Occurrence) => void;
}

export class ConfigChanges {
  readonly #parts: ConfigChangesParts;
  #reading = false;
  #again = false;
  #closed = false;

  constructor(parts: ConfigChangesParts) {
    this.#parts = parts;
  }

  /** A single node has read its file for the start: whether it was changed since it was read last, by a process before this one. */
  started(): void {
    if (this.#parts.clustered) return;
    const { audit, source: { path } } = this.#parts;
    if (this.#remember()) audit({ ...WORD, outcome: 'done', target: path, after: 'changed while the node was stopped', answer: '' });
  }

  /** Remembers which file is read now. True: it was another one before. */
  #remember(): boolean {
    const { source, store } = this.#parts;
    const hash = createHash('sha256').update(source.text ?? '').digest('hex');
    const before = store.readMeta(FILE_META)?.toString();
    if (before !== hash) store.putMeta(FILE_META, Buffer.from(hash));
    return before !== undefined && before !== hash;
  }

  /** Nothing comes of what is still being read. */
  close(): void {
    this.#closed = true;
  }

  /** Reads a revision from etcd and checks it, in a thread of its own; the packets do not wait. */
  async prepare(revision: number): Promise<void> {
    const result = await this.#parts.source.revision(revision);
    if (!this.#closed) this.#parts.onPrepared(revision, result);
  }

  /** SIGHUP: a single node reads its file again. With a mistake in it nothing changes. */
  async reload(): Promise<void> {
    const { audit, clustered, onFile, report, source } = this.#parts;
    if (this.#closed) return;
    if (clustered) return report({ id: 'config.not-from-file', fields: {} });
    this.#again = this.#reading;
    if (this.#reading) return;
    this.#reading = true;
    try {
      const before = source.text;
      const config = await source.file();
      const changes = before === undefined ? [] : await differenceInWorker(before, source.text!);
      if (!this.#closed) {
        onFile(config);
        this.#remember();
        audit({ ...WORD, outcome: 'done', target: source.path, after: changes.join('; ') || 'nothing but comments or layout', answer: '' });
      }
    } catch (error) {
      if (!this.#closed) {
        report({ id: 'config.refused', fields: { error: (error as Error).message } });
        audit({ ...WORD, outcome: 'refused', target: source.path, after: '', answer: (error as Error).message });
      }
    }
    this.#reading = false;
    // Another one came while the file was read: it may have been read before its last change.
    if (this.#again) await this.reload();
    return undefined;
  }
}
