/**
 * How each zone takes its changes: one that cannot be changed waits as a whole, longer each time, and is then tried with
 * one update; the first that gets through opens it again for all. What waits lies in the records, not here.
 */
import type { Occurrence } from '../telemetry/events.ts';
import { monotonicPlus } from '../time.ts';
import type { MonotonicMs } from '../time.ts';
import { DNS_ZONE_REFUSALS, DNS_ZONE_RETRY_MS, DNS_ZONE_RETRY_MS_MAX } from './limits.ts';

export interface FailingZone {
  readonly zone: string;
  readonly reason: string;
  /** Since the first failure in a row. */
  readonly since: MonotonicMs;
  readonly retryAt: MonotonicMs;
}

interface Standing {
  refusals: number;
  /** When an update got through last. */
  takenAt: number;
  failing?: { reason: string; readonly since: MonotonicMs; failures: number; retryAt: MonotonicMs; tried: boolean };
}

export class ZoneStandings {
  readonly #zones = new Map<string, Standing>();
  readonly #random: () => number;
  readonly #report: (event: Occurrence) => void;

  constructor(random: () => number, report: (event: Occurrence) => void) {
    this.#random = random;
    this.#report = report;
  }

  /** Another configuration: other servers, perhaps. All zones are tried at once. */
  clear(): void {
    this.#zones.clear();
  }

  failing(): FailingZone[] {
    return [...this.#zones].flatMap(([zone, { failing }]) => (failing === undefined ? [] : [{ zone, reason: failing.reason, since: failing.since, retryAt: failing.retryAt }]));
  }

  /** Nothing may be begun in the zone now. */
  isWaiting(zone: string, now: MonotonicMs): boolean {
    const failing = this.#zones.get(zone)?.failing;
    return failing !== undefined && (failing.tried || failing.retryAt > now);
  }

  begun(zone: string): void {
    const failing = this.#zones.get(zone)?.failing;
    if (failing !== undefined) failing.tried = true;
  }

  /** It is not known what became of what was begun. */
  forgotten(zone: string): void {
    const failing = this.#zones.get(zone)?.failing;
    if (failing !== undefined) failing.tried = false;
  }

  /** A server of the zone has done what it was asked, or has found a name to be somebody else's. */
  taken(zone: string, now: MonotonicMs): void {
    const standing = this.#of(zone);
    standing.refusals = 0;
    standing.takenAt = now;
    if (standing.failing === undefined) return;
    const seconds = Math.round((now - standing.failing.since) / 1000);
    delete standing.failing;
    this.#report({ id: 'dns.zone-recovered', fields: { zone, seconds } });
  }

  unavailable(zone: string, reason: string, now: MonotonicMs): void {
    this.#fails(zone, reason, now);
  }

  /** Returns whether the zone as a whole seems to refuse. */
  refused(zone: string, code: string, now: MonotonicMs): boolean {
    const standing = this.#of(zone);
    standing.refusals++;
    if (standing.failing === undefined && standing.refusals < DNS_ZONE_REFUSALS) return false;
    this.#fails(zone, `it refuses: ${code}`, now);
    return true;
  }

  /** Whether the zone has taken an update since. */
  tookSince(zone: string, since: MonotonicMs): boolean {
    return (this.#zones.get(zone)?.takenAt ?? -Infinity) >= since;
  }

  #of(zone: string): Standing {
    let standing = this.#zones.get(zone);
    if (standing === undefined) {
      standing = { refusals: 0, takenAt: -Infinity };
      this.#zones.set(zone, standing);
    }
    return standing;
  }

  /** Of what was begun together only the first failure counts. */
  #fails(zone: string, reason: string, now: MonotonicMs): void {
    const standing = this.#of(zone);
    const { failing } = standing;
    if (failing === undefined) {
      standing.failing = { reason, since: now, failures: 1, retryAt: this.#retryAt(1, now), tried: false };
      this.#report({ id: 'dns.zone-failing', fields: { zone, reason } });
    } else if (failing.retryAt <= now) {
      failing.failures++;
      failing.reason = reason;
      failing.retryAt = this.#retryAt(failing.failures, now);
      failing.tried = false;
    }
  }

  #retryAt(failures: number, now: MonotonicMs): MonotonicMs {
    const pause = Math.min(DNS_ZONE_RETRY_MS * 2 ** Math.min(failures - 1, 16), DNS_ZONE_RETRY_MS_MAX);
    return monotonicPlus(now, Math.min(pause * (0.75 + this.#random() / 2), DNS_ZONE_RETRY_MS_MAX));
  }
}
