/** The plain values of a configuration's text, whether or not they make sense. */
import { ConfigDocument } from './document.ts';
import { readFast } from './fast-yaml.ts';

/** Undefined: it is no YAML. */
export function plainValue(text: string): unknown {
  return (readFast(text) ?? new ConfigDocument(text, '')).value;
}
