/** The plain values of a configuration's text, whether or not they make sense. */
import { ConfigDocument } from './document.ts';
import { readQuickly } from './quick-yaml.ts';

/** Undefined: it is no YAML. */
export function plainValue(text: string): unknown {
  const quick = readQuickly(text);
  return quick === undefined ? new ConfigDocument(text, '').value : quick.value;
}
