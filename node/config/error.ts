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

const FOUND_CHARACTERS_MAX = 60;

/** "found 7", for what stands in the file where something else was expected. */
export function found(value: unknown): string {
  if (value === undefined) return 'but it is missing';
  if (value === null) return 'found nothing';
  if (Array.isArray(value) && value.length === 0) return 'found an empty list';
  const text = typeof value === 'number' ? String(value) : asJson(value);
  return `found ${text.length > FOUND_CHARACTERS_MAX ? `${text.slice(0, FOUND_CHARACTERS_MAX)}…` : text}`;
}

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    // An alias may lead to what it stands in.
    return 'what contains itself';
  }
}

/** Notes a mistake at the value that lies at `path`, or at its key. */
export type Report = (path: readonly PathPart[], message: string, at?: 'value' | 'key') => void;
