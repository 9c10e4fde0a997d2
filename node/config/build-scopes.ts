/** Scopes, worked out from the outermost in, and the overlays that lie over any of them. */
import { buildDns } from './build-dns.ts';
import { DNS_DEFAULTS, mergeDns } from './dns-schema.ts';
import type { DnsFile } from './dns-schema.ts';
import { readOptions } from './option-values.ts';
import { overlaySettings, SCOPE_DEFAULTS, scopeSettings } from './schema.ts';
import type { OverlayFile, ScopeFile } from './schema.ts';
import type { AllocationMethod, BootFields, ConfiguredOption, LeaseTimes, Overlay, Scope } from './types.ts';
import type { OptionCatalogue } from '../codec/options.ts';

/** A scope with what a pool keeps outside of it. */
export interface PlacedScope {
  readonly scope: Scope;
  readonly allocation: AllocationMethod;
  /** What counts of `dns`, whether or not it is on. */
  readonly dns: DnsFile;
}

const SCOPE_KEYS = Object.keys(scopeSettings) as readonly (keyof ScopeFile)[];
const OVERLAY_KEYS = Object.keys(overlaySettings) as readonly (keyof OverlayFile)[];
const HOST_NAME = 12;
export const NO_OVERLAY: Overlay = { options: [] };

export function outermostScope(): PlacedScope {
  const { leaseTime, renewTime, rebindTime, nextServer, serverHostname, bootFileName, leaseCache, rapidCommit, bootp, allocation, conflictCheck } = SCOPE_DEFAULTS;
  return {
    scope: {
      lease: { ...leaseTime!, renew: renewTime!, rebind: rebindTime! },
      boot: { nextServer: nextServer!, serverHostname: Buffer.from(serverHostname!), bootFileName: Buffer.from(bootFileName!) },
      options: [], rapidCommit: rapidCommit!, bootp: bootp!, leaseCache: leaseCache!, conflictCheck: conflictCheck!,
    },
    allocation: allocation!,
    dns: DNS_DEFAULTS,
  };
}

/** What counts within `outer` where the file says this. The same object if it says nothing. */
export function innerScope(file: ScopeFile, outer: PlacedScope, catalogue: OptionCatalogue): PlacedScope {
  if (SCOPE_KEYS.every((key) => file[key] === undefined)) return outer;
  const { scope } = outer;
  const dns = mergeDns(outer.dns, file.dns);
  const dnsScope = file.dns === undefined ? scope.dns : buildDns(dns);
  return {
    scope: {
      lease: { ...scope.lease, ...leaseOf(file) },
      boot: { ...scope.boot, ...bootOf(file) },
      options: mergeOptions(scope.options, optionsOf(file.options, catalogue)),
      rapidCommit: file.rapidCommit ?? scope.rapidCommit,
      bootp: file.bootp ?? scope.bootp,
      leaseCache: file.leaseCache ?? scope.leaseCache,
      conflictCheck: file.conflictCheck ?? scope.conflictCheck,
      ...(dnsScope === undefined ? {} : { dns: dnsScope }),
    },
    allocation: file.allocation ?? outer.allocation,
    dns,
  };
}

export function buildOverlay(file: OverlayFile, catalogue: OptionCatalogue, hostname?: string): Overlay {
  const name: ConfiguredOption[] = hostname === undefined ? [] : [{ code: HOST_NAME, value: Buffer.from(hostname), send: 'requested' }];
  if (OVERLAY_KEYS.every((key) => file[key] === undefined)) return name.length === 0 ? NO_OVERLAY : { options: name };
  const lease = leaseOf(file);
  const boot = bootOf(file);
  return {
    ...(Object.keys(lease).length === 0 ? {} : { lease }),
    ...(Object.keys(boot).length === 0 ? {} : { boot }),
    options: mergeOptions(name, optionsOf(file.options, catalogue)),
  };
}

function leaseOf({ leaseTime, renewTime, rebindTime }: OverlayFile): Partial<LeaseTimes> {
  return { ...leaseTime, ...(renewTime === undefined ? {} : { renew: renewTime }), ...(rebindTime === undefined ? {} : { rebind: rebindTime }) };
}

function bootOf({ nextServer, serverHostname, bootFileName }: OverlayFile): Partial<BootFields> {
  return {
    ...(nextServer === undefined ? {} : { nextServer }),
    ...(serverHostname === undefined ? {} : { serverHostname: Buffer.from(serverHostname) }),
    ...(bootFileName === undefined ? {} : { bootFileName: Buffer.from(bootFileName) }),
  };
}

function optionsOf(options: ScopeFile['options'], catalogue: OptionCatalogue): readonly ConfiguredOption[] {
  return options === undefined ? [] : readOptions(options, [], catalogue, (path, message) => {
    throw new Error(`an option that was found right is not: ${path.join('.')}: ${message}`);
  });
}

/** In order of code; what is nearer replaces what stands further out. */
function mergeOptions(outer: readonly ConfiguredOption[], inner: readonly ConfiguredOption[]): readonly ConfiguredOption[] {
  if (inner.length === 0) return outer;
  const merged = new Map([...outer, ...inner].map((option) => [option.code, option]));
  return [...merged.values()].sort((a, b) => a.code - b.code);
}
