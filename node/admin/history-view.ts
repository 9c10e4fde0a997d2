/** A lease of the history as people and scripts read it: what `/v1/history` and `lessor history` show. */
import * as z from 'zod';
import { formatHardware, formatIpv4 } from '../codec/address.ts';
import { OptionCatalogue, readOptionValue } from '../codec/options.ts';
import type { Tenure } from '../history/search.ts';
import { INFINITE_SECONDS } from '../time.ts';
import { isoSeconds } from './lease-view.ts';

const RELAY_AGENT_INFORMATION = OptionCatalogue.standard.find(82)!;

const time = z.string().describe('ISO 8601, UTC');

export const heldLease = z.strictObject({
  kind: z.literal('lease'),
  address: z.ipv4(),
  from: time,
  to: time.nullable().describe('null: it goes on'),
  end: z.enum(['active', 'expired', 'released', 'declined', 'replaced', 'moved']).describe('moved: the lease goes on, but its client came from another relay port'),
  exact: z.boolean().describe('false: it ended then at the latest, or began then at the latest'),
  leaseStart: time.describe('of the whole lease, over all renewals and relay ports'),
  lastTransaction: time.describe('when the client last asked'),
  expires: z.string().describe('when the lease ended or would have ended, or "never"'),
  client: z.string().describe('hex: option 61 as sent, else hardware type and address'),
  clientIdentifier: z.boolean().describe('whether client is an option 61'),
  hardware: z.string(),
  hostname: z.string().optional(),
  vendorClass: z.string().optional(),
  relayAgentInformation: z.string().optional().describe('option 82 in hex'),
  relay: z.unknown().optional().describe('the same by the names of its sub-options'),
  reserved: z.boolean(),
});
export type HeldLeaseView = z.output<typeof heldLease>;

export const historyCoverage = z.strictObject({
  kind: z.literal('coverage'),
  node: z.string().describe('whose history this is'),
  since: time.describe('every lease that ended since then is in it'),
  gap: z.strictObject({ from: time, to: time.nullable() }).nullable().describe('what the node missed while it was away, and has still to copy from another one'),
  goesOnAt: time.nullable().describe('leases that ended then or later do not fit into this answer: ask again with goOnAt'),
});
export type HistoryCoverageView = z.output<typeof historyCoverage>;

export function heldLeaseView({ end, exact, from, row, to }: Tenure): HeldLeaseView {
  const { address, chaddr, clientKey, expires, hasClientIdentifier, hostname, htype, lastTransaction, relayAgentInformation, reserved, start, vendorClass } = row;
  const named = relayAgentInformation.length > 0 ? readOptionValue(RELAY_AGENT_INFORMATION, relayAgentInformation) : undefined;
  return {
    kind: 'lease', address: formatIpv4(address), from: isoSeconds(from), to: to === undefined ? null : isoSeconds(to), end, exact,
    leaseStart: isoSeconds(start), lastTransaction: isoSeconds(lastTransaction), expires: expires === INFINITE_SECONDS ? 'never' : isoSeconds(expires),
    client: clientKey.toString('hex'), clientIdentifier: hasClientIdentifier, hardware: formatHardware({ htype, chaddr }),
    ...(hostname.length > 0 ? { hostname: hostname.toString('utf8') } : {}),
    ...(vendorClass.length > 0 ? { vendorClass: vendorClass.toString('utf8') } : {}),
    ...(relayAgentInformation.length > 0 ? { relayAgentInformation: relayAgentInformation.toString('hex') } : {}),
    ...(named === undefined ? {} : { relay: named }),
    reserved,
  };
}
