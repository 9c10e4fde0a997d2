/**
 * Options and lease times, wherever they may be set: their values, and what they make together with what
 * is set further out.
 */
import type { PathPart, Report } from './error.ts';
import { readOptions } from './option-values.ts';
import type { PlacedNetwork } from './placed-networks.ts';
import { asList, isMap } from './plain-values.ts';
import type { PlainMap } from './plain-values.ts';
import { overlaySettings, SCOPE_DEFAULTS, scopeSettings } from './schema.ts';
import type { LeaseRange } from './schema.ts';
import { INFINITE_SECONDS } from '../time.ts';
import type { LeaseFraction } from './types.ts';
import type { OptionCatalogue } from '../codec/options.ts';

type Path = readonly PathPart[];

/** A value, and where it is set: nowhere, if it is a default. */
interface Placed<T> {
  readonly value: T;
  readonly path: Path | undefined;
}

/** What counts in a scope; undefined: malformed, or not set in an overlay. */
interface Times {
  readonly leaseTime: Placed<LeaseRange> | undefined;
  readonly renewTime: Placed<LeaseFraction> | undefined;
  readonly rebindTime: Placed<LeaseFraction> | undefined;
  readonly leaseCache: Placed<number> | undefined;
}

function byDefault<T>(value: T | undefined): Placed<T> {
  return { value: value!, path: undefined };
}

const DEFAULTS: Times = {
  leaseTime: byDefault(SCOPE_DEFAULTS.leaseTime), renewTime: byDefault(SCOPE_DEFAULTS.renewTime),
  rebindTime: byDefault(SCOPE_DEFAULTS.rebindTime), leaseCache: byDefault(SCOPE_DEFAULTS.leaseCache),
};
const NOTHING: Times = { leaseTime: undefined, renewTime: undefined, rebindTime: undefined, leaseCache: undefined };
const OVERLAY_KEYS = Object.keys(overlaySettings);

export function checkScopes(cluster: PlainMap, networks: readonly PlacedNetwork[], catalogue: OptionCatalogue, report: Report): void {
  const check = new ScopeCheck(catalogue, report);
  const top = check.scope(cluster, [], DEFAULTS);
  for (const { shared, value, path, subnets } of networks) {
    const outer = shared ? check.scope(value, path, top) : top;
    if (shared) check.overlays(value['reservations'], [...path, 'reservations']);
    for (const subnet of subnets) {
      const inner = check.scope(subnet.value, subnet.path, outer);
      check.together(inner);
      for (const [index, pool] of asList(subnet.value['pools']).entries()) {
        if (isMap(pool)) check.together(check.scope(pool, [...subnet.path, 'pools', index], inner));
      }
      check.overlays(subnet.value['reservations'], [...subnet.path, 'reservations']);
    }
  }
  check.overlays(cluster['classes'], ['classes']);
  check.overlays(cluster['reservations'], ['reservations']);
}

class ScopeCheck {
  readonly #catalogue: OptionCatalogue;
  readonly #report: Report;
  /** What stands further out counts in many scopes, and is wrong once. */
  readonly #reported = new Set<string>();

  constructor(catalogue: OptionCatalogue, report: Report) {
    this.#catalogue = catalogue;
    this.#report = report;
  }

  /** Of classes and reservations: they lie over any scope, so each counts for itself. */
  overlays(list: unknown, path: Path): void {
    for (const [index, entry] of asList(list).entries()) {
      if (isMap(entry) && OVERLAY_KEYS.some((key) => entry[key] !== undefined)) this.together(this.scope(entry, [...path, index], NOTHING));
    }
  }

  /** What counts in this scope and, unless it says otherwise itself, in those within. */
  scope(value: PlainMap, path: Path, outer: Times): Times {
    readOptions(value['options'], [...path, 'options'], this.#catalogue, this.#report);
    const times: Times = {
      leaseTime: read('leaseTime', value, path, outer.leaseTime),
      renewTime: read('renewTime', value, path, outer.renewTime),
      rebindTime: read('rebindTime', value, path, outer.rebindTime),
      leaseCache: read('leaseCache', value, path, outer.leaseCache),
    };
    if (value['leaseTime'] !== undefined && times.leaseTime !== undefined) this.#checkLease(times.leaseTime.value, [...path, 'leaseTime']);
    return times;
  }

  /** Only where addresses are given out it counts what the settings make together. */
  together(times: Times): void {
    this.#checkRenewal(times);
    this.#checkCache(times);
  }

  #checkLease({ minSeconds, defaultSeconds, maxSeconds }: LeaseRange, path: Path): void {
    if (minSeconds > defaultSeconds) this.#report([...path, 'min'], 'expected min to be no longer than default');
    if (maxSeconds < defaultSeconds) this.#report([...path, 'max'], 'expected max to be no shorter than default');
  }

  /** RFC 2131 §4.4.5: T1 before T2. Of a part and a duration the lease time tells which is first. */
  #checkRenewal({ leaseTime, renewTime, rebindTime }: Times): void {
    if (renewTime === undefined || rebindTime === undefined) return;
    const [renew, rebind] = [renewTime.value, rebindTime.value];
    const alike = 'fraction' in renew === 'fraction' in rebind;
    const seconds = leaseTime === undefined || leaseTime.value.defaultSeconds === INFINITE_SECONDS ? undefined : leaseTime.value.defaultSeconds;
    if (!alike && seconds === undefined) return;
    // A time that the lease does not have counts for nothing.
    if (!alike && [renew, rebind].some((time) => 'seconds' in time && time.seconds >= seconds!)) return;
    if (secondsOf(renew, seconds ?? 1) < secondsOf(rebind, seconds ?? 1)) return;
    this.#reportOnce(alike ? [rebindTime, renewTime] : [rebindTime, renewTime, leaseTime!],
      `expected renewTime (${describe(renew)}) to be earlier than rebindTime (${describe(rebind)})${alike ? '' : ` with a lease of ${seconds} s`}`);
  }

  #checkCache({ leaseCache, renewTime }: Times): void {
    if (leaseCache === undefined || renewTime === undefined || leaseCache.value === 0) return;
    if (!('fraction' in renewTime.value) || leaseCache.value < renewTime.value.fraction) return;
    this.#reportOnce([leaseCache, renewTime],
      `expected leaseCache below renewTime (${describe(renewTime.value)}): no client that renews in time would get its lease lengthened`);
  }

  /** At the one of these that is set nearest to the address. */
  #reportOnce(settings: readonly Placed<unknown>[], message: string): void {
    let nearest: Path = [];
    for (const { path } of settings) if (path !== undefined && path.length > nearest.length) nearest = path;
    const place = nearest.join('/');
    if (this.#reported.has(place)) return;
    this.#reported.add(place);
    this.#report(nearest, message);
  }
}

/** Undefined where it is malformed: the schema tells. */
function read<K extends keyof Times>(key: K, value: PlainMap, path: Path, outer: Times[K]): Times[K] {
  if (value[key] === undefined) return outer;
  const { data } = scopeSettings[key].safeParse(value[key]);
  return (data === undefined ? undefined : { value: data, path: [...path, key] }) as Times[K];
}

function secondsOf(time: LeaseFraction, leaseSeconds: number): number {
  return 'seconds' in time ? time.seconds : time.fraction * leaseSeconds;
}

function describe(time: LeaseFraction): string {
  return 'seconds' in time ? `${time.seconds} s` : percent(time.fraction);
}

function percent(fraction: number): string {
  return `${Number((fraction * 100).toFixed(6))}%`;
}
