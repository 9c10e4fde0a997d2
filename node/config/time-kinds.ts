/** Times as a configuration has them: how long, which part of a lease, until when. */
import { INFINITE_SECONDS } from '../time.ts';
import type { Kind } from './kinds.ts';
import type { LeaseFraction } from './types.ts';

const UNIT_MS = new Map([['ms', 1], ['s', 1000], ['m', 60_000], ['h', 3_600_000], ['d', 86_400_000]]);
const DURATION_PATTERN = '[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)';

/** Milliseconds of "500ms", "3s", "5m", "12h", "7d"; a plain number is seconds. */
export function parseDurationMs(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? Math.round(value * 1000) : undefined;
  const match = typeof value === 'string' ? /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)$/.exec(value) : null;
  return match === null ? undefined : Math.round(Number(match[1]) * UNIT_MS.get(match[2]!)!);
}

function parseBound(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new Error(`not a duration: ${text}`);
  return ms;
}

interface DurationBounds {
  readonly min: string;
  readonly max: string;
}

export function durationMs({ min, max }: DurationBounds): Kind<number> {
  const [least, most] = [parseBound(min), parseBound(max)];
  return {
    expected: `a duration from ${min} to ${max}, such as 500ms, 3s, 1h or 7d (a plain number is seconds)`,
    type: `duration, ${min} to ${max}`,
    unit: 'seconds',
    json: { anyOf: [{ type: 'number', minimum: least / 1000, maximum: most / 1000 }, { type: 'string', pattern: `^${DURATION_PATTERN}$` }] },
    read(value) {
      const ms = parseDurationMs(value);
      return ms === undefined || ms < least || ms > most ? undefined : ms;
    },
  };
}

/** Whole seconds; with `infinite` the word stands for 0xffffffff (RFC 2131 §3.3). */
export function durationSeconds({ min, max, infinite = false }: DurationBounds & { readonly infinite?: boolean }): Kind<number> {
  const ms = durationMs({ min, max });
  const orInfinite = infinite ? ', or infinite' : '';
  const pattern = infinite ? `^(${DURATION_PATTERN}|infinite)$` : `^${DURATION_PATTERN}$`;
  return {
    expected: `whole seconds: a duration from ${min} to ${max}, such as 30s, 1h or 7d (a plain number is seconds)${orInfinite}`,
    type: `duration in whole seconds, ${min} to ${max}${orInfinite}`,
    unit: 'seconds',
    json: { anyOf: [{ type: 'integer', minimum: parseBound(min) / 1000, maximum: parseBound(max) / 1000 }, { type: 'string', pattern }] },
    read(value) {
      if (infinite && value === 'infinite') return INFINITE_SECONDS;
      const read = ms.read(value);
      return read === undefined || read % 1000 !== 0 ? undefined : read / 1000;
    },
  };
}

function parsePercentage(value: unknown): number | undefined {
  const match = typeof value === 'string' ? /^([0-9]{1,3}(?:\.[0-9]{1,6})?)%$/.exec(value) : null;
  return match === null ? undefined : Number(match[1]) / 100;
}

/** "25%" is 0.25. A plain number is none: 0.5 could mean a half or half of a hundredth. */
export function percentage(min: number, max: number): Kind<number> {
  return {
    expected: `a percentage from ${min}% to ${max}%, such as 25%`,
    type: `percentage, ${min}% to ${max}%`,
    json: { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?%$' },
    read(value) {
      const fraction = parsePercentage(value);
      return fraction === undefined || fraction * 100 < min || fraction * 100 > max ? undefined : fraction;
    },
  };
}

const leaseSeconds = durationSeconds({ min: '1s', max: '3650d' });

/** When a client renews or rebinds: "50%" of the lease, or so long after it was given. */
export const leaseFraction: Kind<LeaseFraction> = {
  expected: 'a part of the lease between 0% and 100%, such as 50%, or a duration in whole seconds from 1s to 3650d, such as 30m',
  type: 'percentage, or duration in whole seconds',
  unit: 'seconds',
  json: { anyOf: [{ type: 'integer', minimum: 1 }, { type: 'string', pattern: `^([0-9]+(\\.[0-9]+)?%|${DURATION_PATTERN})$` }] },
  read(value) {
    const fraction = parsePercentage(value);
    if (fraction !== undefined) return fraction > 0 && fraction < 1 ? { fraction } : undefined;
    const seconds = leaseSeconds.read(value);
    return seconds === undefined ? undefined : { seconds };
  },
};

const DAY_SECONDS = 86_400;
const TIME = /^([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?(Z|[+-][0-9]{2}:[0-9]{2}))?$/;

/** UTC seconds. A plain day counts to its end; a time of day needs its zone, or no two readers would agree on it. */
export const until: Kind<number> = {
  expected: 'a day such as 2027-03-31 (to its end in UTC), or a time with its zone such as 2027-03-31T18:00Z or 2027-03-31T18:00:00+02:00',
  type: 'day, or time with zone',
  json: { type: 'string', pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:]+(Z|[+-][0-9]{2}:[0-9]{2}))?$' },
  read(value) {
    const match = typeof value === 'string' ? TIME.exec(value) : null;
    if (match === null) return undefined;
    const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [number, number, number, number, number, number];
    const zone = match[7];
    if (month < 1 || month > 12 || day < 1 || day > daysOfMonth(year, month) || hour > 23 || minute > 59 || second > 59) return undefined;
    const midnight = daysSince1970(year, month, day) * DAY_SECONDS;
    const offset = zone === undefined || zone === 'Z' ? 0 : (zone.startsWith('-') ? -1 : 1) * (Number(zone.slice(1, 3)) * 3600 + Number(zone.slice(4)) * 60);
    const seconds = zone === undefined ? midnight + DAY_SECONDS : midnight + hour * 3600 + minute * 60 + second - offset;
    return seconds > 0 && seconds < INFINITE_SECONDS && Math.abs(offset) <= 14 * 3600 ? seconds : undefined;
  },
};

function daysOfMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** Of the Gregorian calendar; a year here begins in March, so that the day of a leap year comes last. */
function daysSince1970(year: number, month: number, day: number): number {
  const y = month > 2 ? year : year - 1;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  return y * 365 + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + dayOfYear - 719_468;
}
