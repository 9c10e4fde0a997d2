/**
 * Environment variables in the texts of node.yaml, so that one file serves every container of a cluster.
 * They stand in values, not in keys, and what is put in is text: it cannot bring keys or lists along.
 */
import type { PathPart, Report } from './error.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** `$${` is a `${` that names no variable. */
const REFERENCE = /\$\$\{|\$\{(?:([A-Za-z_]\w*)\})?/g;

/** For JSON Schema: a text with a reference, of which an editor cannot know what comes of it. */
export const REFERENCE_PATTERN = '\\$\\{[A-Za-z_]\\w*\\}';

/**
 * Puts the variables into the values of a file as it was read, in place. A variable that is not set or is
 * empty is reported, and its reference left as it stands.
 */
export function putEnvironment(file: unknown, environment: Environment, report: Report): void {
  if (typeof file !== 'object' || file === null) return;
  // Aliases lead to one map from several places, also from inside itself.
  const seen = new Set<object>([file]);
  const waiting: { readonly at: object; readonly path: readonly PathPart[] }[] = [{ at: file, path: [] }];
  for (const { at, path } of waiting) {
    const entries: [PathPart, unknown][] = Array.isArray(at) ? [...at.entries()] : Object.entries(at);
    for (const [key, value] of entries) {
      if (typeof value === 'string' && value.includes('${')) {
        (at as Record<PathPart, unknown>)[key] = expand(value, environment, (message) => report([...path, key], message));
      } else if (typeof value === 'object' && value !== null && !seen.has(value)) {
        seen.add(value);
        waiting.push({ at: value, path: [...path, key] });
      }
    }
  }
}

function expand(text: string, environment: Environment, complain: (message: string) => void): string {
  return text.replace(REFERENCE, (reference, name: string | undefined) => {
    if (reference === '$${') return '${';
    if (name === undefined) {
      complain('expected the name of an environment variable, as in ${NODE_NAME}, behind ${ (which is written $${ where it stands for itself)');
      return reference;
    }
    const value = environment[name];
    if (value !== undefined && value !== '') return value;
    complain(`expected the environment variable ${name} to be set${value === undefined ? '' : ', found it empty'}`);
    return reference;
  });
}
