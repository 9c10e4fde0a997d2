/** What a check of `lessor doctor` finds: one line for a person, and what to do where something is to be done. */

/** `skipped`: it could not be looked at, or there is nothing to look at; the text says why. */
export type Verdict = 'ok' | 'warning' | 'problem' | 'skipped';

export interface Finding {
  readonly verdict: Verdict;
  readonly text: string;
  /** With a warning and a problem: what to do next. */
  readonly action?: string;
}

export const ok = (text: string): Finding => ({ verdict: 'ok', text });
export const warning = (text: string, action: string): Finding => ({ verdict: 'warning', text, action });
export const problem = (text: string, action: string): Finding => ({ verdict: 'problem', text, action });
export const skipped = (text: string): Finding => ({ verdict: 'skipped', text });

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** "512 MiB", "1.5 GiB". */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]!}`;
}

/** "0.4 ms", "12 ms", "1.3 s". */
export function msText(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** The value below which this part of the values lies; 0 where there are none. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}
