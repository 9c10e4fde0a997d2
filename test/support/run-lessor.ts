/** Runs the command `lessor` within the test's own process. */
import { runCli } from '../../node/cli/program.ts';

/** How a command ended, and what it wrote. */
export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** `onOut`: sees all that was written so far, each time. */
export async function runLessor(args: readonly string[], onOut: (out: string) => void = () => undefined): Promise<Ended> {
  let out = '';
  let err = '';
  const code = await runCli(args, {
    out: (text) => {
      out += text;
      onOut(out);
      return Promise.resolve();
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}
