/** What came through a structured clone has Uint8Arrays where it had Buffers. */

/** The same value, changed in place. What several places share stays shared. */
export function withBuffers<T>(value: T): T {
  return rewrap(value, new Map()) as T;
}

function rewrap(value: unknown, seen: Map<object, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  if (value instanceof Uint8Array) {
    const buffer = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    seen.set(value, buffer);
    return buffer;
  }
  seen.set(value, value);
  if (value instanceof Map) {
    for (const [key, entry] of value) value.set(key, rewrap(entry, seen));
    return value;
  }
  const record = value as Record<string, unknown>;
  for (const key of Object.keys(record)) {
    const entry = record[key];
    if (typeof entry === 'object' && entry !== null) record[key] = rewrap(entry, seen);
  }
  return value;
}
