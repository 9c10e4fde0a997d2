/** What `lessor doctor` says of keys and name servers for dynamic DNS: pure, from what they answered. */
import type { DnsZone } from '../ddns/types.ts';
import { ok, problem } from './finding.ts';
import type { Finding } from './finding.ts';

/** What a server said when it was asked for a zone's SOA record, with the zone's key. */
export interface ZoneAnswer {
  readonly zone: string;
  /** As text. */
  readonly server: string;
  /** Undefined: it has the zone, and takes the key. */
  readonly trouble: { readonly kind: 'silent' | 'signature' | 'zone'; readonly text: string } | undefined;
}

/** `keys`: the names of those that this node has. */
export function checkZoneKeys(zones: readonly DnsZone[], hasKey: (name: string) => boolean): Finding[] {
  return zones.flatMap(({ key, name }) => (key === undefined || hasKey(key) ? []
    : [problem(`zone ${name}: no file under dnsKeys has the key ${key}`, 'Put the key into a file on this host (tsig-keygen prints one; the name server needs it too), and its path under dnsKeys in node.yaml.')]));
}

/** One line for a server that does what it should, and one for each zone that it does not. */
export function checkZoneAnswers(answers: readonly ZoneAnswer[]): Finding[] {
  const servers = new Map<string, ZoneAnswer[]>();
  for (const answer of answers) servers.set(answer.server, [...servers.get(answer.server) ?? [], answer]);
  return [...servers].flatMap(([server, said]) => {
    const good = said.filter(({ trouble }) => trouble === undefined).length;
    const troubles = said.flatMap(({ trouble, zone }) => (trouble === undefined ? [] : [problem(`${server}, zone ${zone}: ${trouble.text}`, ADVICE[trouble.kind])]));
    return [...(good === 0 ? [] : [ok(`${server} has ${good === 1 ? '1 zone' : `${good} zones`}, and takes the key`)]), ...troubles];
  });
}

const ADVICE = {
  silent: 'Is it running, and does a firewall let UDP and TCP port 53 through? Every node must reach it.',
  signature: 'It must have the same key, under the same name and with the same algorithm, and a clock that agrees.',
  zone: 'Correct dns.zones, or the name server\'s configuration: it must be a server of that zone, and answer this host.',
} as const;
