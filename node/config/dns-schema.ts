/** The settings `dns` of a scope: which zones, and which names in them. */
import { z } from 'zod';
import { parseIpv4 } from '../codec/address.ts';
import { formatDomainName, parseDomainName } from '../codec/domain-name.ts';
import { parseIpv6 } from '../codec/ipv6.ts';
import { generatedLabel } from '../ddns/names.ts';
import type { DnsServer } from '../ddns/types.ts';
import * as kinds from './kinds.ts';
import type { Kind } from './kinds.ts';
import { documented, list, map, optional, required } from './settings.ts';
import * as timeKinds from './time-kinds.ts';

const DNS_PORT = 53;

/** Labels of hosts, and what else stands in reverse zones (RFC 2317: "0/25.2.0.192.in-addr.arpa"). */
const ZONE = /^[a-z0-9_](?:[a-z0-9_./-]*[a-z0-9_])?\.?$/i;

/** Lower case, with a dot at the end. */
const zoneName: Kind<string> = {
  expected: 'the name of a DNS zone such as example.com or 2.0.192.in-addr.arpa',
  type: 'name of a zone',
  json: { type: 'string', pattern: ZONE.source.replaceAll('a-z', 'A-Za-z') },
  read(value) {
    const wire = typeof value === 'string' && ZONE.test(value) ? parseDomainName(value) : undefined;
    return wire && `${formatDomainName(wire)!.toLowerCase()}.`;
  },
};

/** Wire form, lower case. */
const suffix: Kind<Buffer> = {
  expected: 'a domain name such as example.com',
  type: 'domain name',
  json: { type: 'string' },
  read(value) {
    const name = typeof value === 'string' && value.endsWith('.') ? value.slice(0, -1) : value;
    const host = kinds.hostname.read(name);
    return host === undefined ? undefined : parseDomainName(host.toLowerCase());
  },
};

const SERVER = /^(?:\[([0-9a-f:]+)\]|([0-9.]+))(?::([0-9]{1,5}))?$/i;

const dnsServer: Kind<DnsServer> = {
  expected: 'the address of a name server such as 10.0.0.53, 10.0.0.53:5353, 2001:db8::53 or [2001:db8::53]:5353',
  type: 'address, or address:port',
  json: { type: 'string', pattern: '^[0-9A-Fa-f.:\\[\\]]+$' },
  read(value) {
    if (typeof value !== 'string') return undefined;
    if (parseIpv6(value) !== undefined) return { host: value.toLowerCase(), port: DNS_PORT };
    const [, ipv6, ipv4, portText] = SERVER.exec(value) ?? [];
    const port = portText === undefined ? DNS_PORT : Number(portText);
    if (port < 1 || port > 65_535) return undefined;
    if (ipv6 !== undefined) return parseIpv6(ipv6) === undefined ? undefined : { host: ipv6.toLowerCase(), port };
    return ipv4 === undefined || parseIpv4(ipv4) === undefined ? undefined : { host: ipv4, port };
  },
};

const keyName: Kind<string> = {
  expected: 'the name of a TSIG key such as lessor-key',
  type: 'name of a key',
  json: { type: 'string' },
  read(value) {
    const name = typeof value === 'string' && value.endsWith('.') ? value.slice(0, -1) : value;
    return kinds.hostname.read(name)?.toLowerCase();
  },
};

const PATTERN = /^(?:[a-z0-9-]|\{address\}|\{hardware\})*$/;
const PLACEHOLDER = /\{(?:address|hardware)\}/;
const TOGETHER = /\}\{/;
const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
/** The longest that the placeholders stand for. */
const LONGEST_ADDRESS = 0xffff_ffff;
const LONGEST_HARDWARE = Buffer.alloc(16);

const generatedName: Kind<string> = {
  expected: 'a label of lower-case letters, digits and dashes with {address} or {hardware} in it, such as host-{address}, of at most 63 characters once an address stands there',
  type: 'label with {address} or {hardware}',
  json: { type: 'string', pattern: '\\{(address|hardware)\\}' },
  read(value) {
    if (typeof value !== 'string' || !PATTERN.test(value) || !PLACEHOLDER.test(value) || TOGETHER.test(value)) return undefined;
    return LABEL.test(generatedLabel(value, LONGEST_ADDRESS, LONGEST_HARDWARE)) ? value : undefined;
  },
};

const zone = map({
  zone: required(zoneName, 'The zone. A name goes to the one with the longest name that ends it.'),
  servers: list(dnsServer, 'Who takes changes of it: the first one that answers. The primary server first.', 1),
  key: optional(keyName, 'The TSIG key that changes are signed with; each node has it in one of the files under `dnsKeys` of its `node.yaml`. Left out: unsigned.'),
});

const ttlBound = timeKinds.durationSeconds({ min: '0s', max: '30d' });

export const dnsSettings = {
  updates: optional(kinds.bool, 'Whether names of clients are put into DNS (RFC 2136). Where it is false, what is there of earlier leases is taken out as they are renewed or end.', false),
  zones: documented(z.array(zone, 'a list of zones').optional(), {
    type: 'list of maps', required: false, default: '[]', help: 'The zones that may be changed, forward and reverse ones (`2.0.192.in-addr.arpa`). Names that lie in none of them are left alone.',
  }),
  suffix: optional(suffix, 'What follows the name of a client that knows only its first label. Needed for `updates`.'),
  forward: optional(kinds.bool, 'Whether A records are added.', true),
  reverse: optional(kinds.bool, 'Whether PTR records are added.', true),
  clientUpdates: optional(kinds.oneOf('allow', 'override'), 'A client that wants to change its A record itself (option 81 without S) may, or the server does it and says so.', 'allow'),
  noUpdates: optional(kinds.oneOf('honour', 'override'), 'A client that wants no records at all (option 81 with N) has its way, or not.', 'honour'),
  replaceName: optional(kinds.oneOf('never', 'always', 'when-sent', 'when-missing'), 'When `generatedName` counts: for no client, for all, for those that send a name, or for those that send none that can be used. A host name of a reservation goes before it.', 'never'),
  generatedName: optional(generatedName, 'The name that is made up: `{address}` is 10-0-0-1, `{hardware}` is 52-54-00-12-34-56 (of a client without a hardware address: its address).', '"host-{address}"'),
  invalidCharacters: optional(kinds.oneOf('replace', 'remove', 'refuse'), 'What is no letter, digit or dash in a name (RFC 1123): a dash stands for it, it is left out, or a name with it counts for nothing.', 'replace'),
  ttl: documented(map({
    part: optional(timeKinds.percentage(1, 100), 'A part of the lease time. RFC 4702 §5: at most a third.', '33%'),
    min: optional(ttlBound, 'No shorter than this.', '10m'),
    max: optional(ttlBound, 'No longer than this.', '1d'),
  }).optional(), { type: 'map', required: false, help: 'How long resolvers may keep the records.' }),
  conflicts: optional(kinds.oneOf('keep', 'replace'), 'A name that somebody else has stays theirs (RFC 4703), or becomes this client\'s.', 'keep'),
};

export const dnsMap = map(dnsSettings);
export type DnsFile = z.output<typeof dnsMap>;

/** What counts where the file says nothing. */
export const DNS_DEFAULTS: DnsFile = dnsMap.parse({
  updates: false, zones: [], forward: true, reverse: true, clientUpdates: 'allow', noUpdates: 'honour', replaceName: 'never',
  generatedName: 'host-{address}', invalidCharacters: 'replace', ttl: { part: '33%', min: '10m', max: '1d' }, conflicts: 'keep',
});

/** Key by key what stands further in. */
export function mergeDns(outer: DnsFile, inner: DnsFile | undefined): DnsFile {
  return inner === undefined ? outer : { ...outer, ...inner, ttl: { ...outer.ttl, ...inner.ttl } };
}
