/** Why a configuration is refused: every mistake at once, each with its place. */

export type PathPart = string | number;

export interface Mistake {
  readonly file: string;
  /** From 1; undefined where the mistake has no place of its own (a file that cannot be read). */
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** "subnets[0].pools[1]"; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}

export class ConfigError extends Error {
  readonly code: 'config-invalid' | 'config-unreadable';
  readonly mistakes: readonly Mistake[];

  constructor(code: ConfigError['code'], mistakes: readonly Mistake[], options?: ErrorOptions) {
    super(mistakes.map(formatMistake).join('\n'), options);
    this.name = 'ConfigError';
    this.code = code;
    this.mistakes = mistakes;
  }
}

/** "cluster.yaml:7:13: subnets[0].pools[0]: expected …". */
export function formatMistake({ file, line, column, path, message }: Mistake): string {
  const place = line === undefined || column === undefined ? file : `${file}:${line}:${column}`;
  return path === '' ? `${place}: ${message}` : `${place}: ${path}: ${message}`;
}

export function formatPath(path: readonly PathPart[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[\w-]+$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}
