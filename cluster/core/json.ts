/** JSON that lies in etcd, where somebody else may have written it. */

/** Its fields; none where it is no JSON, or no object. */
export function jsonOf(value: Buffer): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(value.toString());
    return typeof json === 'object' && json !== null ? json as Record<string, unknown> : {};
  } catch {
    return {};
  }
}
