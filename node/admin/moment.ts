/** A moment as people write it in a question: a day, a time with its zone, or so long before or after now. */
import { parseDurationMs, until } from '../config/time-kinds.ts';

export const MOMENT_EXPECTED = 'a time such as 2027-03-31T18:00Z, a day such as 2027-03-31, or a duration such as 90m, 12h or 7d';

const DAY = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const DAY_SECONDS = 86_400;

/**
 * UTC seconds; undefined: nothing of the kind. A duration counts from `nowSeconds` back or on, as `way` says; a day is its beginning in
 * UTC where one looks back, its end where one looks ahead.
 */
export function parseMoment(text: string, nowSeconds: number, way: 'ago' | 'ahead'): number | undefined {
  const ms = parseDurationMs(text);
  if (ms !== undefined) return Math.max(0, nowSeconds + (way === 'ago' ? -1 : 1) * Math.round(ms / 1000));
  const seconds = until.read(text);
  return seconds !== undefined && way === 'ago' && DAY.test(text) ? seconds - DAY_SECONDS : seconds;
}
