/**
 * Which subnet a request is about. What a relay says of the link goes first, then the relay's own address,
 * then the address that the client has and reached us with through a router, then the interface it came in on.
 */
import { MessageType, OptionCode } from '../codec/message.ts';
import type { DhcpMessage } from '../codec/message.ts';
import type { LeaseTable } from '../lease/table.ts';
import type { DropReason } from '../telemetry/counters.ts';
import type { InterfaceInfo, ReceivedPacket } from './ports.ts';
import { namesVirtualSubnet, selectedLink } from './relay.ts';

type Subnets = Pick<LeaseTable, 'subnetOf'>;

const NO_SUBNET = -1;

/**
 * Index into the configured subnets, or why the request gets no answer. `subnetSelection`: option 118 is
 * followed (RFC 3011 §6: only if the configuration says so).
 */
export function selectSubnet(
  table: Subnets, packet: ReceivedPacket, message: DhcpMessage, subnetSelection: boolean,
): number | DropReason {
  if (namesVirtualSubnet(message)) return 'virtual-subnet';
  const { ciaddr, giaddr, type } = message;
  // A release is about the address that it names, wherever it comes from.
  if (type === MessageType.RELEASE && ciaddr !== 0) return served(table.subnetOf(ciaddr), 'no-subnet');
  // RFC 3011 §2, RFC 3527 §3: no address of another link is offered, so where the one that was selected is
  // not served nothing else stands in for it.
  const link = selectedLink(message, subnetSelection);
  if (link !== undefined) return typeof link === 'string' ? link : served(table.subnetOf(link), 'no-subnet');
  // RFC 2131 §4.3.1: by 'giaddr' when it is not 0, else by the subnet the message was received from.
  if (giaddr !== 0) return served(table.subnetOf(giaddr), 'unknown-relay');
  // RFC 2131 §4.4.1: 'ciaddr' of a DHCPDISCOVER is zero, so it says nothing.
  const current = type === MessageType.DISCOVER ? 0 : ciaddr;
  // RFC 2131 §4.3.2, RENEWING: no relay agent is involved, the server trusts 'ciaddr'.
  if (packet.unicast && current !== 0) return served(table.subnetOf(current), 'no-subnet');
  return served(ofInterface(table, packet.iface, message.optionU32(OptionCode.REQUESTED_ADDRESS) ?? current), 'no-subnet');
}

/** Where the interface has addresses of several subnets, the one that the client asks for says which is meant. */
function ofInterface(table: Subnets, { addresses }: InterfaceInfo, wanted: number): number {
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

function served(subnetIndex: number, otherwise: DropReason): number | DropReason {
  return subnetIndex === NO_SUBNET ? otherwise : subnetIndex;
}
