/** Reads a backup from its file, line by line, and checks all of it: whoever gets the end has had everything right. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { BACKUP_LINE_BYTES_MAX } from '../../limits.ts';
import { BackupError, BackupReader } from '../format.ts';
import type { BackupItem } from '../format.ts';

const NEWLINE = 10;

/** Throws BackupError, or what the file system says, before or between items. */
export async function* readBackup(path: string): AsyncGenerator<BackupItem> {
  const reader = new BackupReader();
  const hash = createHash('sha256');
  const file = createReadStream(path);
  const text = file.pipe(createGunzip());
  file.on('error', (error) => text.destroy(error));
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const piece of text as AsyncIterable<Buffer>) {
      const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      let from = 0;
      for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, from)) {
        const line = bytes.subarray(from, at);
        const item = reader.read(line.toString());
        if (item.kind !== 'end') hash.update(bytes.subarray(from, at + 1));
        else if (item.end.sha256 !== hash.digest('hex')) throw new BackupError('damaged', 'its checksum is not that of its content: the file is damaged');
        from = at + 1;
        yield item;
      }
      rest = bytes.subarray(from);
      if (rest.length > BACKUP_LINE_BYTES_MAX) throw new BackupError('damaged', 'a line is longer than any can be: the file is damaged');
    }
  } catch (error) {
    throw readable(error, reader);
  } finally {
    file.destroy();
  }
  if (rest.length > 0) reader.read(rest.toString());
  reader.finish();
}

/** What gzip says of a file that is none of its own, or is cut off. */
function readable(error: unknown, reader: BackupReader): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') return new BackupError('cut-off', `it ends after ${reader.bindings} bindings: the backup was not finished, or the file is cut off`, { cause: error });
  if (code === 'Z_DATA_ERROR' && reader.bindings === 0) return new BackupError('no-backup', 'it is no backup of a lease store (lessor backup makes one), or damaged from its start', { cause: error });
  if (typeof code === 'string' && code.startsWith('Z_')) return new BackupError('damaged', `it cannot be decompressed after ${reader.bindings} bindings: the file is damaged`, { cause: error });
  return error as Error;
}
