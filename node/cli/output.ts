/** Where a command writes: the process's own streams, or a test's. */
import { once } from 'node:events';

export interface CliOutput {
  /** Resolves when more may be written: a reader sets the pace. */
  out(text: string): Promise<void>;
  err(text: string): void;
}

/**
 * The process's own streams. Nothing is touched before the first write: a node in the foreground writes
 * its log to standard output by itself. A reader that has gone (`| head`) has what it wanted: the
 * command ends without a complaint.
 */
export function processOutput(): CliOutput {
  let prepared = false;
  const prepare = (): void => {
    if (prepared) return;
    prepared = true;
    for (const stream of [process.stdout, process.stderr]) {
      stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
    }
  };
  return {
    out: async (text) => {
      prepare();
      if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    },
    err: (text) => {
      prepare();
      process.stderr.write(text);
    },
  };
}
