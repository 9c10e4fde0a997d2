/**
 * From when on a server's changes are to be followed, over restarts: `{"server": "10.0.0.1:67", "baseTime":
 * "2027-03-31T18:00:00Z"}`. A reader finds the old content or the new one, whatever happens.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { isoSeconds } from '../admin/lease-view.ts';
import { until } from '../config/time-kinds.ts';
import { CliError, ExitCode } from './cli-error.ts';

/** Between two writings: servers have a new base time with every change. */
const WRITE_MS_MIN = 1000;

export interface QueryState {
  /** As the command was given it. */
  readonly server: string;
  /** UTC seconds of the server's clock. */
  readonly baseTime: number;
}

export class StateFile {
  readonly #path: string;
  #pending: QueryState | undefined;
  #writtenAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #failure: CliError | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Undefined: there is no such file yet. Throws CliError for one that is something else. */
  read(): QueryState | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new CliError(ExitCode.no, `${this.#path}: cannot be read: ${(cause as Error).message}. Name a file that is there, and that this user may read.`, { cause });
    }
    const state = parseState(text);
    if (state === undefined) {
      throw new CliError(ExitCode.no, `${this.#path}: expected {"server": ..., "baseTime": ...}, as this command writes it. Without the file it begins anew.`);
    }
    return state;
  }

  /** Is written within a second. Throws CliError where the last one could not be. */
  set(state: QueryState): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#pending = state;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write();
    }, Math.max(0, this.#writtenAt + WRITE_MS_MIN - performance.now()));
  }

  /** Writes what is not written yet. Throws CliError where it could not be. */
  close(): void {
    clearTimeout(this.#timer);
    this.#write();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #write(): void {
    const state = this.#pending;
    if (state === undefined) return;
    this.#pending = undefined;
    this.#writtenAt = performance.now();
    const next = `${this.#path}.next`;
    try {
      const file = openSync(next, 'w', 0o644);
      try {
        writeSync(file, `${JSON.stringify({ server: state.server, baseTime: isoSeconds(state.baseTime) })}\n`);
        // Or the name could be there before the content, after a loss of power.
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(next, this.#path);
    } catch (cause) {
      this.#failure ??= new CliError(ExitCode.no, `${this.#path}: cannot be written: ${(cause as Error).message}. Look at its folder, its owner and the room there.`, { cause });
    }
  }
}

function parseState(text: string): QueryState | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { server, baseTime } = value as { readonly server?: unknown; readonly baseTime?: unknown };
  const seconds = typeof baseTime === 'string' && baseTime.includes('T') ? until.read(baseTime) : undefined;
  return typeof server !== 'string' || seconds === undefined ? undefined : { server, baseTime: seconds };
}
