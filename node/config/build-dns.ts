/** Dynamic DNS of a scope, from what counts there. */
import { parseDomainName } from '../codec/domain-name.ts';
import type { DnsScope } from '../ddns/types.ts';
import type { DnsFile } from './dns-schema.ts';

/** Undefined: it is off. */
export function buildDns(file: DnsFile): DnsScope | undefined {
  if (file.updates !== true) return undefined;
  const zones = file.zones!.map(({ zone, servers, key }) => ({ name: zone, servers, key }));
  const { clientUpdates, conflicts, forward, generatedName, invalidCharacters, noUpdates, replaceName, reverse, suffix, ttl } = file;
  return {
    updates: { zones, ttl: { part: ttl!.part!, minSeconds: ttl!.min!, maxSeconds: ttl!.max! }, conflicts: conflicts! },
    naming: {
      suffix: suffix!, apexes: [suffix!, ...zones.map(({ name }) => parseDomainName(name)!)], clientUpdates: clientUpdates!, noUpdates: noUpdates!,
      replaceName: replaceName!, generated: generatedName!, invalidCharacters: invalidCharacters!, forward: forward!, reverse: reverse!,
    },
  };
}
