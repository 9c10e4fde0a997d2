/** `lessor doctor` and name servers: asks each server of each zone for the zone, with its key. Changes nothing there. */
import type { ClusterConfig, NodeConfig } from '../config/types.ts';
import { DnsClient } from '../ddns/io/client.ts';
import { checkKeyFile, readKeyFile } from '../ddns/io/keys.ts';
import { KeyFileError, keyNameOf } from '../ddns/key-file.ts';
import { serverText } from '../ddns/server-health.ts';
import type { TsigKey } from '../ddns/tsig.ts';
import type { DnsServer, DnsZone } from '../ddns/types.ts';
import { encodeQuery, TYPE_NUMBERS } from '../ddns/wire.ts';
import { allZones, wireNameOf } from '../ddns/zone-of.ts';
import { checkZoneAnswers, checkZoneKeys } from '../doctor/dns-checks.ts';
import type { ZoneAnswer } from '../doctor/dns-checks.ts';
import { ok, problem, skipped, warning } from '../doctor/finding.ts';
import type { Finding } from '../doctor/finding.ts';
import { readClock } from '../io/clock.ts';

/** `cluster` undefined: it is not known which zones there are. */
export async function nameServers({ dnsKeys }: NodeConfig, cluster: ClusterConfig | undefined): Promise<Finding[]> {
  const files = dnsKeys.flatMap(checkKeyFile).map(({ file, message, severity }) => (severity === 'error' ? problem : warning)(`${file}: ${message}`, 'Correct it; a running node takes the file up by itself.'));
  const zones = cluster === undefined ? [] : allZones(cluster);
  if (zones.length === 0) return files.length > 0 ? files : [skipped(cluster === undefined ? 'the configuration of the cluster is not known' : 'no DNS zones are configured')];
  const keys = keysIn(dnsKeys);
  const answers = await askAll(zones, keys);
  const found = [...files, ...checkZoneKeys(zones, (name) => keys.has(keyNameOf(name))), ...checkZoneAnswers(answers)];
  return found.length > 0 ? found : [ok('nothing to ask')];
}

/** Keys that the zones of a configuration want and these files have not. @throws nothing: a file that cannot be read has none */
export function missingKeys(paths: readonly string[], cluster: ClusterConfig): Finding[] {
  const keys = keysIn(paths);
  return checkZoneKeys(allZones(cluster), (name) => keys.has(keyNameOf(name)));
}

function keysIn(paths: readonly string[]): Map<string, TsigKey> {
  const keys = new Map<string, TsigKey>();
  for (const path of paths) {
    try {
      for (const key of readKeyFile(path)) if (!keys.has(key.name)) keys.set(key.name, key);
    } catch (error) {
      if (!(error instanceof KeyFileError)) throw error;
    }
  }
  return keys;
}

async function askAll(zones: readonly DnsZone[], keys: ReadonlyMap<string, TsigKey>): Promise<ZoneAnswer[]> {
  const client = new DnsClient(readClock);
  // One that is silent for one zone is not waited for again.
  const silent = new Set<string>();
  const answers: ZoneAnswer[] = [];
  for (const zone of zones) {
    const key = zone.key === undefined ? undefined : keys.get(keyNameOf(zone.key));
    if (zone.key !== undefined && key === undefined) continue;
    for (const server of zone.servers) {
      const name = serverText(server);
      if (silent.has(name)) continue;
      const trouble = await ask(client, server, zone, key);
      if (trouble?.kind === 'silent') silent.add(name);
      answers.push({ zone: zone.name, server: name, trouble });
    }
  }
  client.close();
  return answers;
}

async function ask(client: DnsClient, server: DnsServer, zone: DnsZone, key: TsigKey | undefined): Promise<ZoneAnswer['trouble']> {
  const name = wireNameOf(zone);
  const answer = await client.ask(server, { question: { name, type: TYPE_NUMBERS.SOA }, encode: (id) => encodeQuery(id, name, 'SOA') }, key);
  switch (answer.kind) {
    case 'silent': return { kind: 'silent', text: answer.reason };
    case 'unproven': return { kind: 'signature', text: answer.reason };
    case 'rejected': return { kind: 'signature', text: answer.detail };
    case 'withdrawn': return { kind: 'silent', text: 'was not asked' };
    default: {
      const { code, records } = answer.message;
      if (code !== 'NOERROR') return { kind: 'zone', text: code };
      return records.some(({ name: owner, section, type }) => section === 'answer' && type === TYPE_NUMBERS.SOA && owner.equals(name)) ? undefined : { kind: 'zone', text: 'has no such zone' };
    }
  }
}
