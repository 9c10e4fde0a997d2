/**
 * Domain names between text and the wire (RFC 1035 §3.1), and lists of them with the compression of §4.1.4
 * that RFC 3397 asks for.
 *
 * In text the labels stand between dots, without one at the end; the root is ".". A byte that is no visible
 * ASCII character is written \DDD, a dot or a backslash inside a label with a backslash before it (RFC 1035
 * §5.1), so that every name of the wire has one text and comes back from it unchanged, case included.
 */

const LABEL_BYTES_MAX = 63;
/** With the length bytes and the root's (RFC 1035 §2.3.4). */
const NAME_BYTES_MAX = 255;
const POINTER = 0xc0;
/** A pointer has 14 bits. */
const POINTER_MAX = 0x3fff;

/** The wire form, uncompressed; a dot at the end changes nothing. Undefined: no domain name. */
export function parseDomainName(text: string): Buffer | undefined {
  return parseName(text)?.bytes;
}

/** As the wire form of RFC 4702 §2.3: without the root's zero at the end unless the text ends with a dot. Empty text: no bytes. */
export function parsePartialName(text: string): Buffer | undefined {
  if (text === '') return Buffer.alloc(0);
  const name = parseName(text);
  return name === undefined || name.absolute ? name?.bytes : name.bytes.subarray(0, -1);
}

function parseName(text: string): { bytes: Buffer; absolute: boolean } | undefined {
  if (text === '.') return { bytes: Buffer.alloc(1), absolute: true };
  const labels: number[][] = [[]];
  // One character, an escaped byte or an escaped character a turn; what fits none of them is no name.
  for (const piece of text.match(/\\[0-9]{3}|\\[^0-9]|[^\\]|\\/g) ?? []) {
    if (piece === '.') {
      labels.push([]);
      continue;
    }
    const byte = piece.length === 4 ? Number(piece.slice(1)) : piece.charCodeAt(piece.length - 1);
    const visible = byte > 0x20 && byte < 0x7f;
    if (piece === '\\' || byte > 255 || (piece.length !== 4 && !visible)) return undefined;
    labels.at(-1)!.push(byte);
  }
  const absolute = labels.length > 1 && labels.at(-1)!.length === 0;
  if (absolute) labels.pop();
  if (!labels.every(({ length }) => length > 0 && length <= LABEL_BYTES_MAX)) return undefined;
  const bytes = Buffer.from([...labels.flatMap((label) => [label.length, ...label]), 0]);
  return bytes.length <= NAME_BYTES_MAX ? { bytes, absolute } : undefined;
}

/** Text of labels; "." for none. */
function formatLabels(labels: readonly Uint8Array[]): string {
  if (labels.length === 0) return '.';
  return labels.map((label) => Array.from(label, (byte) => {
    if (byte === 0x2e || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
    return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`;
  }).join('')).join('.');
}

/** Text of one uncompressed name that fills `bytes`; undefined for anything else. */
export function formatDomainName(bytes: Buffer): string | undefined {
  return domainNameExtent(bytes, 0) === bytes.length ? readName(bytes, 0)?.text : undefined;
}

/** Bytes of the uncompressed name that begins at `at`; undefined when it is cut off, too long or compressed. */
export function domainNameExtent(bytes: Buffer, at: number): number | undefined {
  let next = at;
  while (next < bytes.length) {
    const length = bytes[next]!;
    if (length > LABEL_BYTES_MAX) return undefined;
    next += 1 + length;
    if (next - at > NAME_BYTES_MAX) return undefined;
    if (length === 0) return next - at;
  }
  return undefined;
}

/** The text that `parsePartialName` takes. */
export function formatPartialName(bytes: Buffer): string | undefined {
  if (bytes.length === 0) return '';
  if (bytes.length === 1 && bytes[0] === 0) return '.';
  const absolute = formatDomainName(bytes);
  return absolute === undefined ? formatDomainName(Buffer.concat([bytes, Buffer.alloc(1)])) : `${absolute}.`;
}

/**
 * Names one after the other. With `compressed` the longest ending that occurred before becomes a pointer to
 * it (RFC 1035 §4.1.4); case counts, so that every name is read as it was written.
 */
export function writeDomainList(names: readonly string[], compressed: boolean): Buffer | undefined {
  const parts: Buffer[] = [];
  const offsets = new Map<string, number>();
  let at = 0;
  const put = (part: Buffer): void => {
    parts.push(part);
    at += part.length;
  };
  for (const name of names) {
    const bytes = parseDomainName(name);
    if (bytes === undefined) return undefined;
    if (!compressed) {
      put(bytes);
      continue;
    }
    for (let from = 0; from < bytes.length; from += 1 + bytes[from]!) {
      const ending = bytes.toString('latin1', from);
      const known = bytes[from] === 0 ? undefined : offsets.get(ending);
      if (known !== undefined) {
        put(Buffer.from([POINTER | (known >> 8), known & 255]));
        break;
      }
      if (at <= POINTER_MAX) offsets.set(ending, at);
      put(bytes.subarray(from, from + 1 + bytes[from]!));
    }
  }
  return Buffer.concat(parts);
}

/** The texts of names that fill `bytes`, compressed or not; undefined when a part is no name. */
export function readDomainList(bytes: Buffer): string[] | undefined {
  const names: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const name = readName(bytes, at);
    if (name === undefined) return undefined;
    names.push(name.text);
    at = name.end;
  }
  return names;
}

function readName(bytes: Buffer, start: number): { text: string; end: number } | undefined {
  const found = readLabels(bytes, start);
  return found && { text: formatLabels(found.labels), end: found.end };
}

/** The name at `at` of a message in wire form without compression, its letters in lower case; undefined: there is none. */
export function readWireName(bytes: Buffer, at: number): { name: Buffer; end: number } | undefined {
  const found = readLabels(bytes, at);
  if (found === undefined) return undefined;
  const name = Buffer.concat([...found.labels.flatMap((label) => [Buffer.of(label.length), label]), Buffer.alloc(1)]);
  // A length byte is 63 at most, below every letter.
  for (let i = 0; i < name.length; i++) if (name[i]! >= 0x41 && name[i]! <= 0x5a) name[i]! |= 0x20;
  return { name, end: found.end };
}

/**
 * The labels of the name at `start`, and where the next one begins. A pointer must lead before the place where the labels
 * that it ends began: each jump goes further back, so that no name can lead to itself.
 */
function readLabels(bytes: Buffer, start: number): { labels: Buffer[]; end: number } | undefined {
  const labels: Buffer[] = [];
  let total = 1;
  let [at, before] = [start, start];
  let end: number | undefined;
  for (;;) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length >= POINTER) {
      if (at + 1 >= bytes.length) return undefined;
      const target = ((length & ~POINTER) << 8) | bytes[at + 1]!;
      if (target >= before) return undefined;
      end ??= at + 2;
      [at, before] = [target, target];
      continue;
    }
    total += length === 0 ? 0 : 1 + length;
    if (length > LABEL_BYTES_MAX || total > NAME_BYTES_MAX || at + 1 + length > bytes.length) return undefined;
    if (length === 0) return { labels, end: end ?? at + 1 };
    labels.push(bytes.subarray(at + 1, at + 1 + length));
    at += 1 + length;
  }
}
