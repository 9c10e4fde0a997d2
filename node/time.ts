/**
 * Time as types. Monotonic time measures how long something takes and never jumps; wall time says when
 * a lease ends and can be wrong. The compiler keeps one from being used as the other.
 */

/** Milliseconds of a clock that never steps; its zero is arbitrary and differs from process to process. */
export type MonotonicMs = number & { readonly __unit: 'monotonic-ms' };

/** Milliseconds since 1970-01-01 UTC, as the host's wall clock has it. */
export type WallMs = number & { readonly __unit: 'wall-ms' };

/** Whole seconds since 1970-01-01 UTC: what bindings are stored with. */
export type WallSeconds = number & { readonly __unit: 'wall-seconds' };

/** Both clocks, read at one instant. Every step of a state machine gets one. */
export interface Now {
  readonly mono: MonotonicMs;
  readonly wall: WallMs;
}

/** The lease time that means "for ever" (RFC 2131 §3.3), and the end of such a lease. */
export const INFINITE_SECONDS = 0xffff_ffff;

/** Rounded up, so that what is counted from it never ends before it should. */
export function wallSecondsUp(wall: WallMs): WallSeconds {
  return Math.ceil(wall / 1000) as WallSeconds;
}

/** Rounded down: the second that `wall` lies in. */
export function wallSeconds(wall: WallMs): WallSeconds {
  return Math.floor(wall / 1000) as WallSeconds;
}

export function monotonicPlus(at: MonotonicMs, ms: number): MonotonicMs {
  return (at + ms) as MonotonicMs;
}
