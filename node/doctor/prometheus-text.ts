/** Reads what is needed of Prometheus's text format, as etcd writes it. */

/** The value of a metric without labels; undefined: not there. */
export function sampleOf(text: string, name: string): number | undefined {
  const found = new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** The upper bound of the bucket in which this part of the values ends; Infinity: above all of them. */
export function histogramQuantile(text: string, name: string, part: number): number {
  const buckets = [...text.matchAll(new RegExp(`^${name}_bucket\\{le="([^"]+)"\\} (\\S+)$`, 'gm'))]
    .map(([, bound, count]) => ({ bound: bound === '+Inf' ? Infinity : Number(bound), count: Number(count) }));
  const total = buckets.at(-1)?.count ?? 0;
  return buckets.find(({ count }) => count >= part * total)?.bound ?? Infinity;
}
