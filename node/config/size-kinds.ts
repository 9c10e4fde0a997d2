/** Sizes as a configuration has them: how many bytes. */
import type { Kind } from './kinds.ts';

const UNIT_BYTES = new Map([['MB', 1e6], ['GB', 1e9], ['TB', 1e12], ['MiB', 2 ** 20], ['GiB', 2 ** 30], ['TiB', 2 ** 40]]);
const PATTERN = '[0-9]+(\\.[0-9]+)?(MB|GB|TB|MiB|GiB|TiB)';
const SIZE = new RegExp(`^${PATTERN}$`);

function parseBytes(value: unknown): number | undefined {
  if (typeof value !== 'string' || !SIZE.test(value)) return undefined;
  const unit = value.replace(/^[0-9.]+/, '');
  return Math.round(Number(value.slice(0, -unit.length)) * UNIT_BYTES.get(unit)!);
}

/** Bytes of "500MB", "2GB", "1.5TiB": a size without a unit is none. */
export function byteSize(min: string, max: string): Kind<number> {
  const [least, most] = [parseBytes(min)!, parseBytes(max)!];
  return {
    expected: `a size from ${min} to ${max} with its unit (MB, GB, TB, MiB, GiB or TiB), such as 500MB or 2GB`,
    type: `size, ${min} to ${max}`,
    json: { type: 'string', pattern: `^${PATTERN}$` },
    read(value) {
      const bytes = parseBytes(value);
      return bytes === undefined || bytes < least || bytes > most ? undefined : bytes;
    },
  };
}
