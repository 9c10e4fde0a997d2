/** Asks the person at the terminal, where there is one. */
import { createInterface } from 'node:readline/promises';
import { CliError, ExitCode } from './cli-error.ts';

export interface Terminal {
  /** Undefined: nobody is there to answer. */
  ask(question: string): Promise<string | undefined>;
}

export const terminal: Terminal = {
  async ask(question) {
    if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return await lines.question(question);
    } finally {
      lines.close();
    }
  },
};

/** @throws CliError unless the answer is `expected` */
export async function confirm(asked: Terminal, question: string, expected: string): Promise<void> {
  const answer = await asked.ask(question);
  if (answer === undefined) throw new CliError(ExitCode.usage, 'nothing was changed: there is no terminal to ask at. Say --yes if you are sure.');
  if (answer.trim() !== expected) throw new CliError(ExitCode.no, 'nothing was changed');
}
