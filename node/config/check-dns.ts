/** Dynamic DNS, wherever it may be set: what the settings of a scope make together with those further out. */
import { parseDomainName } from '../codec/domain-name.ts';
import { endsWithName, generatedLabel } from '../ddns/names.ts';
import { DNS_DEFAULTS, dnsMap, mergeDns } from './dns-schema.ts';
import type { DnsFile } from './dns-schema.ts';
import { found } from './error.ts';
import type { PathPart, Report } from './error.ts';
import type { PlacedNetwork } from './placed-networks.ts';
import { asList, asMap, isMap } from './plain-values.ts';
import type { PlainMap } from './plain-values.ts';

type Path = readonly PathPart[];

/** What counts in a scope, and where each key of it is set. Undefined: malformed somewhere. */
interface Placed {
  readonly file: DnsFile;
  readonly paths: Readonly<Record<string, Path>>;
}

/** What is said in many scopes is wrong once. */
type ReportOnce = (path: Path, message: string) => void;

export function checkDns(cluster: PlainMap, networks: readonly PlacedNetwork[], report: Report): void {
  const reported = new Set<string>();
  const once: ReportOnce = (path, message) => {
    const place = path.join('/');
    if (!reported.has(place)) report(path, message);
    reported.add(place);
  };
  const top = inner(cluster, [], { file: DNS_DEFAULTS, paths: {} }, report);
  for (const { shared, value, path, subnets } of networks) {
    const outer = shared ? inner(value, path, top, report) : top;
    for (const subnet of subnets) {
      const own = inner(subnet.value, subnet.path, outer, report);
      together(own, once);
      for (const [index, pool] of asList(subnet.value['pools']).entries()) {
        if (isMap(pool) && pool['dns'] !== undefined) together(inner(pool, [...subnet.path, 'pools', index], own, report), once);
      }
    }
  }
}

function inner(value: PlainMap, path: Path, outer: Placed | undefined, report: Report): Placed | undefined {
  const { dns } = value;
  if (dns === undefined) return outer;
  checkZones(asMap(dns)['zones'], [...path, 'dns', 'zones'], report);
  const { data } = dnsMap.safeParse(dns);
  if (data === undefined || outer === undefined) return undefined;
  const paths = Object.keys(data).map((key): [string, Path] => [key, [...path, 'dns', key]]);
  return { file: mergeDns(outer.file, data), paths: { ...outer.paths, ...Object.fromEntries(paths) } };
}

function checkZones(zones: unknown, path: Path, report: Report): void {
  const names = asList(zones).map((entry) => {
    const { zone } = asMap(entry);
    return typeof zone === 'string' ? parseDomainName(zone.toLowerCase())?.toString('latin1') : undefined;
  });
  for (const [index, name] of names.entries()) {
    const earlier = names.indexOf(name);
    if (name !== undefined && earlier < index) report([...path, index, 'zone'], `expected each zone once; entry [${earlier}] is the same`);
  }
}

/** Only where addresses are given out it counts what the settings make together. */
function together(placed: Placed | undefined, report: ReportOnce): void {
  if (placed === undefined) return;
  const { file, paths } = placed;
  checkTtl(file, paths, report);
  if (file.updates !== true) return;
  const { generatedName, suffix } = file;
  const zones = file.zones!.map(({ zone }) => parseDomainName(zone)!);
  if (zones.length === 0) return report(paths['zones'] ?? paths['updates']!, 'expected dns.zones to name the zones that may be changed, for updates');
  if (suffix === undefined) return report(paths['updates']!, 'expected dns.suffix to say what follows the name of a client that knows only its first label, for updates');
  // Without A records the names may lie anywhere.
  if (file.forward === true && !zones.some((zone) => endsWithName(suffix, zone))) {
    report(paths['suffix']!, 'expected a name that lies in one of dns.zones, or dns.forward to be false: no name with it could be added');
  }
  const longest = generatedLabel(generatedName!, LONGEST_ADDRESS, LONGEST_HARDWARE).length;
  if (file.replaceName !== 'never' && 1 + longest + suffix.length > NAME_BYTES_MAX) {
    report(paths['suffix']!, `expected dns.generatedName and dns.suffix to make names of at most ${NAME_BYTES_MAX} bytes`);
  }
  return undefined;
}

const LONGEST_ADDRESS = 0xffff_ffff;
const LONGEST_HARDWARE = Buffer.alloc(16);
/** With the length bytes and the root's (RFC 1035 §2.3.4). */
const NAME_BYTES_MAX = 255;

function checkTtl({ ttl }: DnsFile, paths: Placed['paths'], report: ReportOnce): void {
  const { min, max } = ttl!;
  if (min! > max!) report(paths['ttl']!, `expected ttl.min (${min} s) to be no longer than ttl.max, ${found(max)}`);
}
