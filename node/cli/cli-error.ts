/** How a command ends when it does not end well; scripts rely on these numbers. */

export const ExitCode = {
  ok: 0,
  /** The answer is no: the configuration has mistakes, nothing was found, the node did not start. */
  no: 1,
  /** The command was called wrongly. */
  usage: 2,
  /** The node cannot be reached. */
  unreachable: 3,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** The message is for the person at the terminal: what happened and what to do next. */
export class CliError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}
