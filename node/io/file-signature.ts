/** Whether a file has changed, without reading it. Files are looked at again and again: what watches folders misses changes on network file systems and behind symbolic links. */
import { statSync } from 'node:fs';

/** Another one for another content, time, or file under the same name, as behind the symbolic links of a mounted secret; "missing" for none. */
export function fileSignature(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? 'missing' : `${found.ino} ${found.mtimeMs} ${found.size}`;
}
