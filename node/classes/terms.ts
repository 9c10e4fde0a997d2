/**
 * What a client is told: the scope that its address lies in, with what its classes and its reservation
 * set over it (a reservation goes before a class, an earlier class before a later one). Worked out once
 * for each combination and kept.
 */
import { prefixMask } from '../codec/address.ts';
import type { ClassSet } from './matcher.ts';
import type { BootFields, ConfiguredOption, LeaseFraction, LeaseTimes, Overlay, Reservation, Scope, SubnetConfig } from '../config/types.ts';
import { TERMS_CACHED_MAX } from '../limits.ts';
import { INFINITE_SECONDS } from '../time.ts';

const SUBNET_MASK = 1;
const TFTP_SERVER_NAME = 66;
const BOOT_FILE_NAME = 67;

export interface Terms {
  /** Unique among all terms of this process. */
  readonly id: number;
  readonly scope: Scope;
  readonly lease: LeaseTimes;
  readonly boot: BootFields | undefined;
  /** With the subnet mask, without what is never sent; each code once. */
  readonly options: readonly ConfiguredOption[];
}

export class TermsBook {
  /** By scope, then by class set. */
  readonly #byScope = new Map<Scope, Map<ClassSet, Terms>>();
  readonly #byReservation = new Map<Reservation, { readonly general: Terms; readonly terms: Terms }>();
  #size = 0;
  #lastId = 0;

  /** `scope`: the pool's or the subnet's, one of `subnet`. */
  of(subnet: SubnetConfig, scope: Scope, classes: ClassSet, reservation: Reservation | undefined): Terms {
    let bySet = this.#byScope.get(scope);
    if (bySet === undefined) this.#byScope.set(scope, bySet = new Map());
    let general = bySet.get(classes);
    if (general === undefined) {
      if (this.#size >= TERMS_CACHED_MAX) {
        this.#clear();
        this.#byScope.set(scope, bySet = new Map());
      }
      bySet.set(classes, general = this.#make(subnet, scope, [classes.overlay]));
      this.#size++;
    }
    if (reservation === undefined || isEmpty(reservation.overlay)) return general;
    const known = this.#byReservation.get(reservation);
    if (known !== undefined && known.general === general) return known.terms;
    if (this.#byReservation.size >= TERMS_CACHED_MAX) this.#byReservation.clear();
    const terms = this.#make(subnet, scope, [classes.overlay, reservation.overlay]);
    this.#byReservation.set(reservation, { general, terms });
    return terms;
  }

  #clear(): void {
    this.#byScope.clear();
    this.#byReservation.clear();
    this.#size = 0;
  }

  /** Later overlays win. */
  #make(subnet: SubnetConfig, scope: Scope, overlays: readonly Overlay[]): Terms {
    let { lease, boot } = scope;
    const mask = Buffer.alloc(4);
    mask.writeUInt32BE(prefixMask(subnet.prefixLength));
    const options = new Map<number, ConfiguredOption>([[SUBNET_MASK, { code: SUBNET_MASK, value: mask, send: 'always' }]]);
    for (const option of scope.options) options.set(option.code, option);
    for (const overlay of overlays) {
      if (overlay.lease !== undefined) lease = { ...lease, ...overlay.lease };
      if (overlay.boot !== undefined) boot = { ...boot, ...overlay.boot };
      for (const option of overlay.options) options.set(option.code, option);
    }
    // A client that reads options only asks for the same in this form (RFC 2132 §9.4 and §9.5).
    const asOption = (code: number, value: Buffer): void => {
      if (value.length > 0 && !options.has(code)) options.set(code, { code, value, send: 'requested' });
    };
    asOption(TFTP_SERVER_NAME, boot.serverHostname);
    asOption(BOOT_FILE_NAME, boot.bootFileName);
    const boots = boot.nextServer !== 0 || boot.serverHostname.length > 0 || boot.bootFileName.length > 0;
    const sent = [...options.values()].filter(({ send }) => send !== 'never');
    return { id: ++this.#lastId, scope, lease, boot: boots ? boot : undefined, options: sent };
  }
}

function isEmpty({ lease, boot, options }: Overlay): boolean {
  return lease === undefined && boot === undefined && options.length === 0;
}

/** How long a lease is to last: what the client asks for (option 51) within the bounds. */
export function leaseSecondsFor({ defaultSeconds, minSeconds, maxSeconds }: LeaseTimes, asked: number | undefined): number {
  if (asked === undefined || minSeconds === maxSeconds) return defaultSeconds;
  return Math.min(Math.max(asked, minSeconds), maxSeconds);
}

/**
 * T1 and T2 (RFC 2131 §4.4.5) of a lease of so many seconds. A fixed time that does not lie inside the
 * lease falls back to the RFC's half and seven eighths.
 */
export function renewalTimes({ renew, rebind }: LeaseTimes, leaseSeconds: number): { readonly t1: number; readonly t2: number } {
  if (leaseSeconds === INFINITE_SECONDS) return { t1: leaseSeconds, t2: leaseSeconds };
  const t2 = within(rebind, leaseSeconds) ?? Math.floor(leaseSeconds * 0.875);
  const t1 = within(renew, leaseSeconds) ?? Math.floor(leaseSeconds * 0.5);
  return t1 <= t2 ? { t1, t2 } : { t1: t2, t2 };
}

function within(part: LeaseFraction, leaseSeconds: number): number | undefined {
  if ('fraction' in part) return Math.floor(leaseSeconds * part.fraction);
  return part.seconds < leaseSeconds ? part.seconds : undefined;
}
