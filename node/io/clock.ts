/** The host's clocks. The only place that reads them for the state machines. */
import type { MonotonicMs, Now, WallMs } from '../time.ts';

/** Both clocks at this instant, in milliseconds; the monotonic one counts from the process's start. */
export function readClock(): Now {
  return { mono: performance.now() as MonotonicMs, wall: Date.now() as WallMs };
}
