/** What comes to a node, and in which order what waited is looked at. */
import type { Engine } from '../../cluster/core/engine.ts';
import type { Now } from '../../node/time.ts';
import type { Random } from './random.ts';

/** Whence an input comes; what one source brings keeps its order. */
export type Source = 'packets' | 'timers' | 'etcd' | 'disk' | `link ${string}`;

export interface Input {
  readonly source: Source;
  readonly run: (engine: Engine, now: Now) => void;
}

/**
 * What waited for a process that stood still: as it came, or one source after the other, since timers,
 * streams and sockets are looked at in turn.
 */
export function inSomeOrder(held: Input[], random: Random): Input[] {
  if (held.length < 2 || random.chance(0.4)) return held;
  const ranks = new Map<Source, number>();
  for (const { source } of held) if (!ranks.has(source)) ranks.set(source, random.unit());
  return held.toSorted((a, b) => ranks.get(a.source)! - ranks.get(b.source)!);
}
