/**
 * Which subnet a request is about: the relay's address says so, else the interface it came in on; for
 * a client that reaches us by unicast through a router it is the address that the client has.
 */
import type { LeaseTable } from '../lease/table.ts';
import type { ReceivedPacket } from './ports.ts';

export const NO_SUBNET = -1;

/**
 * Index into the configured subnets, or `NO_SUBNET`. `wanted` (0: none) is the address that the client
 * asks for: where the interface has addresses of several subnets, it says which of them is meant.
 */
export function selectSubnet(
  table: Pick<LeaseTable, 'subnetOf'>, packet: ReceivedPacket, giaddr: number, ciaddr: number, wanted: number,
): number {
  // RFC 2131 §4.3.1: by 'giaddr' when it is not 0, else by the subnet the message was received from.
  if (giaddr !== 0) return table.subnetOf(giaddr);
  // RFC 2131 §4.3.2, RENEWING: no relay agent is involved, the server trusts 'ciaddr'.
  if (packet.unicast && ciaddr !== 0) return table.subnetOf(ciaddr);
  const { addresses } = packet.iface;
  const meant = addresses.length > 1 && wanted !== 0 ? table.subnetOf(wanted) : NO_SUBNET;
  let found = NO_SUBNET;
  for (let i = 0; i < addresses.length; i++) {
    const subnetIndex = table.subnetOf(addresses[i]!.address);
    if (subnetIndex === NO_SUBNET) continue;
    if (subnetIndex === meant) return meant;
    if (found === NO_SUBNET) found = subnetIndex;
  }
  return found;
}
