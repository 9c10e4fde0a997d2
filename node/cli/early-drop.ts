/**
 * For `lessor node`: its privileges are dropped before the command line is loaded, by what little of node.yaml that takes. What is
 * not plain here (other words, a file with a mistake) is left to the command, which reads it all again and says what is wrong.
 */
import { readFileSync } from 'node:fs';
import { dropEarly } from '../io/privileges.ts';
import { userAtAGlance } from '../privileges.ts';

export function dropForNode(args: readonly string[]): void {
  const [command, option, file] = args;
  if (command !== 'node' || option !== '--config' || file === undefined || args.length > 3) return;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return;
  }
  const glance = userAtAGlance(text);
  if (glance !== undefined) dropEarly(glance.user);
}
