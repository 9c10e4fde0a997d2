/**
 * The TSIG keys of a node: read from the files that `dnsKeys` of node.yaml names, and looked at again while it runs.
 *
 * Invariant: of a file that cannot be used the keys from before stay in use; the other files do not depend on it, and
 * nor does DHCP.
 */
import { readFileSync } from 'node:fs';
import { fileSignature } from '../../io/file-signature.ts';
import { TLS_LOOK_MS } from '../../limits.ts';
import type { Occurrence } from '../../telemetry/events.ts';
import { checkKeyMode } from '../../tls/io/check-files.ts';
import type { Finding } from '../../tls/io/check-files.ts';
import { KeyFileError, keyNameOf, parseKeyFile } from '../key-file.ts';
import type { TsigKey } from '../tsig.ts';

interface KeyFile {
  readonly path: string;
  seen: string;
  keys: readonly TsigKey[];
}

export class DnsKeys {
  readonly #files: KeyFile[];
  readonly #report: (occurrence: Occurrence) => void;
  readonly #timer: NodeJS.Timeout | undefined;
  #byName = new Map<string, TsigKey>();
  /** A name that two files have, as told last. */
  #doubled = '';

  constructor(paths: readonly string[], report: (occurrence: Occurrence) => void) {
    this.#report = report;
    this.#files = paths.map((path) => ({ path, seen: '', keys: [] }));
    for (const file of this.#files) this.#read(file);
    this.#join();
    this.#timer = paths.length === 0 ? undefined : setInterval(() => this.look(), TLS_LOOK_MS).unref();
  }

  /** By its name, with or without a dot at the end, in whatever case. */
  find(name: string): TsigKey | undefined {
    return this.#byName.get(keyNameOf(name));
  }

  /** Takes up the files that have changed. */
  look(): void {
    const changed = this.#files.filter((file) => fileSignature(file.path) !== file.seen);
    if (changed.length === 0) return;
    for (const file of changed) if (this.#read(file)) this.#report({ id: 'dns.keys-changed', fields: { file: file.path, keys: file.keys.map(({ name }) => name).join(', ') } });
    this.#join();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #read(file: KeyFile): boolean {
    file.seen = fileSignature(file.path);
    for (const { message } of checkKeyMode({ key: file.path })) this.#report({ id: 'dns.key-exposed', fields: { file: file.path, problem: message } });
    try {
      file.keys = readKeyFile(file.path);
      return true;
    } catch (error) {
      if (!(error instanceof KeyFileError)) throw error;
      this.#report({ id: 'dns.keys-unusable', fields: { problem: error.message } });
      return false;
    }
  }

  /** Of a name that is in two files the first one's key counts. */
  #join(): void {
    const byName = new Map<string, TsigKey>();
    let doubled = '';
    for (const { keys, path } of this.#files) for (const key of keys) {
      if (byName.has(key.name)) doubled = `${path}: the key ${key.name} is in another file of dnsKeys too, which counts`;
      else byName.set(key.name, key);
    }
    this.#byName = byName;
    if (doubled !== '' && doubled !== this.#doubled) this.#report({ id: 'dns.keys-unusable', fields: { problem: doubled } });
    this.#doubled = doubled;
  }
}

/** @throws KeyFileError */
export function readKeyFile(path: string): TsigKey[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new KeyFileError(path, undefined, `cannot be read: ${(cause as Error).message}`, { cause });
  }
  return parseKeyFile(text, path);
}

/** What is wrong with a file of keys, for an operator. */
export function checkKeyFile(path: string): Finding[] {
  try {
    readKeyFile(path);
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error;
    return [{ severity: 'error', file: path, message: error.line === undefined ? error.problem : `line ${error.line}: ${error.problem}` }, ...checkKeyMode({ key: path })];
  }
  return checkKeyMode({ key: path });
}
