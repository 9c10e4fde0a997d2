/** How a command ends that makes a stage of processes and networks: by its result, by a signal, by a mistake; and the stage is removed. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '../../deploy/lab/processes.ts';

export const EXIT = { ok: 0, broken: 1, usage: 2, cannot: 3, SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const PARENT_POLL_MS = 200;

export interface StagedCommand<S extends { remove(): Promise<void> }> {
  /** The npm script that it is. */
  readonly script: string;
  /** `removing`: nothing is to be begun or said any more. */
  readonly makeStage: (removing: AbortSignal) => S;
  readonly run: (stage: S, removing: AbortSignal) => Promise<number>;
  /** The result is not what was promised, or there is none: what is to be looked at later. */
  readonly keep: (stage: S) => void;
}

/** @returns the exit code. */
export async function runOnStage<S extends { remove(): Promise<void> }>({ keep, makeStage, run, script }: StagedCommand<S>): Promise<number> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const ended = endSignal(script);
  const crashed = new Promise<never>((_resolve, reject) => process.on('uncaughtException', reject));
  const removing = new AbortController();
  const stage = makeStage(removing.signal);
  try {
    const result = await Promise.race([run(stage, removing.signal), ended, crashed]);
    if (result === EXIT.broken) keep(stage);
    if (typeof result === 'number') return result;
    process.stderr.write(`Ended by ${result}: stopping and removing everything.\n`);
    return EXIT[result];
  } catch (error) {
    // What a Ctrl-C also ended is only its consequence.
    const signal = await Promise.race([ended, sleep(50)]);
    if (signal !== undefined) return EXIT[signal];
    process.stderr.write(`${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
    keep(stage);
    return EXIT.broken;
  } finally {
    removing.abort();
    await stage.remove();
  }
}

function endSignal(script: string): Promise<'SIGINT' | 'SIGTERM' | 'SIGHUP'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
    // npm passes a signal on to its shell, which ends and tells nobody.
    if (process.env['npm_lifecycle_event'] !== script) return;
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) resolve('SIGTERM');
    }, PARENT_POLL_MS).unref();
  });
}

/** Copies the files of `from` whose names match into `out`, or a new temporary folder, and says where they are. */
export function keepFiles(from: string, names: RegExp, what: string, out: string | undefined, prefix: string): void {
  const folder = out ?? mkdtempSync(join(tmpdir(), prefix));
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(from)) if (names.test(name)) cpSync(join(from, name), join(folder, name));
  process.stdout.write(`The ${what} are in ${folder}.\n`);
}
