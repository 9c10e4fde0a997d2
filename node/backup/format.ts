/**
 * A backup of a lease store: lines of JSON, compressed with gzip, so that `zcat` shows what is in it and any program can
 * read it in years.
 *
 *     {"lessor":"backup","format":1,...}             whose store it is and of when (`BackupHeader`)
 *     {"config":"leaseTime: 1h\n..."}                the cluster's configuration, where it is known
 *     {"meta":"view-adopted","value":"<base64>"}     what the store holds beside bindings, in order of the keys
 *     {"address":"10.1.0.7","record":"<base64>"}     a binding as it lies on the disk (`node/lease/record.ts`), in order
 *     {"end":{"bindings":1,"meta":1,"sha256":"..."}} of all bytes before this line; without it the backup is cut off
 *
 * All of it is one moment of the store. A reader refuses a higher format, and passes over keys that it does not know.
 */
import { formatIpv4, parseIpv4 } from '../codec/address.ts';
import { isRecord } from '../lease/record.ts';

export const BACKUP_FORMAT = 1;

export interface BackupHeader {
  readonly lessor: 'backup';
  readonly format: number;
  /** Of Lessor. */
  readonly version: string;
  readonly node: string;
  /** "": a single node. */
  readonly cluster: string;
  /** UTC. */
  readonly madeAt: string;
  /** Of the node then; "stopped": it did not run. */
  readonly state: string;
  /** Of the view that the node was in last; 0: in none. */
  readonly epoch: number;
  readonly generation: number;
  /** Of the configuration in force; 0: not known, or a single node. */
  readonly configRevision: number;
}

export interface BackupEnd {
  readonly bindings: number;
  readonly meta: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** What is wrong with a backup, for the person who wants to use it. */
export class BackupError extends Error {
  readonly code: 'no-backup' | 'newer-format' | 'damaged' | 'cut-off';

  constructor(code: BackupError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BackupError';
    this.code = code;
  }
}

export function headerLine(header: Omit<BackupHeader, 'lessor' | 'format'>): string {
  return `${JSON.stringify({ lessor: 'backup', format: BACKUP_FORMAT, ...header } satisfies BackupHeader)}\n`;
}

export function configLine(text: string): string {
  return `${JSON.stringify({ config: text })}\n`;
}

export function metaLine(key: string, value: Buffer): string {
  return `${JSON.stringify({ meta: key, value: value.toString('base64') })}\n`;
}

/** One for each binding: made without JSON's detour, since nothing in it needs to be escaped. */
export function bindingLine(address: number, record: Buffer): string {
  return `{"address":"${formatIpv4(address)}","record":"${record.toString('base64')}"}\n`;
}

export function endLine(end: BackupEnd): string {
  return `${JSON.stringify({ end })}\n`;
}

export type BackupItem =
  | { readonly kind: 'header'; readonly header: BackupHeader }
  | { readonly kind: 'config'; readonly text: string }
  | { readonly kind: 'meta'; readonly key: string; readonly value: Buffer }
  | { readonly kind: 'binding'; readonly address: number; readonly record: Buffer }
  | { readonly kind: 'end'; readonly end: BackupEnd }
  | { readonly kind: 'unknown' };

/** Reads the lines in order. Every method throws BackupError. */
export class BackupReader {
  #lines = 0;
  #bindings = 0;
  #meta = 0;
  #lastAddress = -1;
  #ended = false;

  get bindings(): number {
    return this.#bindings;
  }

  read(line: string): BackupItem {
    this.#lines++;
    if (this.#ended) throw this.#damaged('something follows its end');
    const json = this.#json(line);
    if (this.#lines === 1) return { kind: 'header', header: headerOf(json) };
    if (typeof json['config'] === 'string') return { kind: 'config', text: json['config'] };
    if (typeof json['meta'] === 'string') {
      this.#meta++;
      return { kind: 'meta', key: json['meta'], value: this.#bytes(json['value']) };
    }
    if (typeof json['address'] === 'string') return this.#binding(json['address'], this.#bytes(json['record']));
    if (typeof json['end'] === 'object' && json['end'] !== null) {
      this.#ended = true;
      return { kind: 'end', end: this.#end(json['end'] as Record<string, unknown>) };
    }
    return { kind: 'unknown' };
  }

  /** No more lines come. */
  finish(): void {
    if (this.#lines === 0) throw new BackupError('no-backup', 'it is empty');
    if (!this.#ended) throw new BackupError('cut-off', `it ends after ${this.#bindings} bindings, without its last line: the backup was not finished, or the file is cut off`);
  }

  #json(line: string): Record<string, unknown> {
    try {
      const json = JSON.parse(line) as unknown;
      if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
    } catch (cause) {
      if (this.#lines > 1) throw this.#damaged('it is no JSON', cause);
    }
    throw this.#lines === 1 ? noBackup() : this.#damaged('it is no JSON object');
  }

  #binding(text: string, record: Buffer): BackupItem {
    const address = parseIpv4(text);
    if (address === undefined || address <= this.#lastAddress) throw this.#damaged(`the address ${text} is out of order`);
    if (!isRecord(record)) throw this.#damaged(`the binding of ${text} fails its check`);
    this.#lastAddress = address;
    this.#bindings++;
    return { kind: 'binding', address, record };
  }

  #bytes(value: unknown): Buffer {
    if (typeof value !== 'string') throw this.#damaged('a value is missing');
    return Buffer.from(value, 'base64');
  }

  #end({ bindings, meta, sha256 }: Record<string, unknown>): BackupEnd {
    if (bindings !== this.#bindings || meta !== this.#meta || typeof sha256 !== 'string') {
      throw this.#damaged(`it counts ${String(bindings)} bindings and ${String(meta)} values, and there are ${this.#bindings} and ${this.#meta}`);
    }
    return { bindings, meta, sha256 };
  }

  #damaged(what: string, cause?: unknown): BackupError {
    return new BackupError('damaged', `line ${this.#lines}: ${what}: the file is damaged`, { cause });
  }
}

function noBackup(): BackupError {
  return new BackupError('no-backup', 'it is no backup of a lease store (lessor backup makes one)');
}

function headerOf(json: Record<string, unknown>): BackupHeader {
  if (json['lessor'] !== 'backup' || typeof json['format'] !== 'number') throw noBackup();
  if (json['format'] > BACKUP_FORMAT) {
    throw new BackupError('newer-format', `it has format ${json['format']}, and this version of Lessor reads up to ${BACKUP_FORMAT}: use the version that made it (${String(json['version'])}), or a newer one`);
  }
  const text = (key: string): string => (typeof json[key] === 'string' ? json[key] : '');
  const number = (key: string): number => (typeof json[key] === 'number' ? json[key] : 0);
  return {
    lessor: 'backup', format: json['format'], version: text('version'), node: text('node'), cluster: text('cluster'), madeAt: text('madeAt'),
    state: text('state'), epoch: number('epoch'), generation: number('generation'), configRevision: number('configRevision'),
  };
}
