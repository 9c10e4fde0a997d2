/**
 * What relay agents say of a request (option 82, RFC 3046), and what a client says that stands in for one
 * (RFC 3011, RFC 6607): which link is meant, in which network, where the answer goes, what is returned.
 *
 * A relay steers the server only where there is one: without 'giaddr' the message came from the client's own
 * link, and whoever put option 82 into it has no say over the link, the port or the server identifier. What
 * it tells of the client (circuit, remote end) counts all the same for classes and reservations: switches add
 * it without a 'giaddr'.
 */
import { OptionCode } from '../codec/message.ts';
import type { DhcpMessage } from '../codec/message.ts';
import { locateSuboption, suboption } from '../codec/suboptions.ts';
import { DHCP_SERVER_PORT } from '../limits.ts';

/** RFC 3011 §2. */
const SUBNET_SELECTION = 118;
/** RFC 6607 §3.1. */
const VIRTUAL_SUBNET_SELECTION = 221;

/** Sub-options of option 82. */
const LINK_SELECTION = 5; // RFC 3527 §3
const SERVER_IDENTIFIER_OVERRIDE = 11; // RFC 5107 §4
const SOURCE_PORT = 19; // RFC 8357 §4.1
const VIRTUAL_SUBNET = 151; // RFC 6607 §3.2
const VIRTUAL_SUBNET_CONTROL = 152; // RFC 6607 §3.3

/** RFC 6607 §3.5: the type that names no virtual network, and has nothing behind it. */
const GLOBAL_NETWORK: Buffer = Buffer.of(255);

const ADDRESS_BYTES = 4;

/**
 * An address of the link that the client is on, where relay or client say it and 'giaddr' does not count.
 * `bad-option`: they say something that is no address, so that any other link could be the wrong one.
 *
 * RFC 3527 §3: the link selection sub-option goes before the subnet selection option. The latter counts
 * only if `subnetSelection` says so: by default its use is disabled (RFC 3011 §6).
 */
export function selectedLink(message: DhcpMessage, subnetSelection: boolean): number | 'bad-option' | undefined {
  const link = message.giaddr === 0 ? undefined : relayAddress(message, LINK_SELECTION);
  if (link !== undefined) return link;
  if (!subnetSelection || !message.has(SUBNET_SELECTION)) return undefined;
  return message.optionU32(SUBNET_SELECTION) ?? 'bad-option';
}

/**
 * Option 118 for the answer: an identical copy to any client that sends it, asked for or not (RFC 3011 §2);
 * undefined where there is none or its use is disabled.
 */
export function echoedSubnetSelection(message: DhcpMessage, subnetSelection: boolean): Buffer | undefined {
  return subnetSelection ? message.option(SUBNET_SELECTION) : undefined;
}

/** The address that a relay puts in the place of ours (RFC 5107 §4); 0 when it does not. */
export function serverIdentifierOverride(message: DhcpMessage): number {
  if (message.giaddr === 0) return 0;
  const address = relayAddress(message, SERVER_IDENTIFIER_OVERRIDE);
  return typeof address === 'number' ? address : 0;
}

/** The override in relay agent information that was kept with a binding, until the relay's next message (RFC 5107 §4). */
export function storedServerIdentifierOverride(information: Buffer): number {
  const value = suboption(information, SERVER_IDENTIFIER_OVERRIDE);
  return value?.length === ADDRESS_BYTES ? value.readUInt32BE(0) : 0;
}

/** The port of the relay that an answer to 'giaddr' goes to: 67, or where the message came from (RFC 8357 §5.1). */
export function relayPort(message: DhcpMessage, sourcePort: number): number {
  return message.giaddr !== 0 && locate(message, SOURCE_PORT, found) ? sourcePort : DHCP_SERVER_PORT;
}

/**
 * Whether an address of a virtual network is asked for, or the message is about one: its addresses are not
 * the ones that are kept here, even if they look the same (RFC 6607 §4). What the relay says goes before
 * what the client says (§7.3).
 */
export function namesVirtualSubnet(message: DhcpMessage): boolean {
  const named = locate(message, VIRTUAL_SUBNET, view) ?? message.option(VIRTUAL_SUBNET_SELECTION);
  return named !== undefined && !named.equals(GLOBAL_NETWORK);
}

/**
 * Option 221 for the answer, where the client sent it: which network was used, and that is the global one
 * wherever there is an answer (RFC 6607 §7.1; §7.3 for a relay that overruled the client).
 */
export function echoedVirtualSubnet(message: DhcpMessage): Buffer | undefined {
  return message.has(VIRTUAL_SUBNET_SELECTION) ? GLOBAL_NETWORK : undefined;
}

/**
 * Option 82 for the answer: all of it (RFC 3046 §2.2) but for the sub-option that would tell the relay that
 * its choice of a network was not understood (RFC 6607 §7.2): an answer means that it was.
 */
export function echoedRelayInformation(message: DhcpMessage): Buffer | undefined {
  let information = message.option(OptionCode.RELAY_AGENT_INFORMATION);
  while (information !== undefined) {
    const at = locateSuboption(information, 0, information.length, VIRTUAL_SUBNET_CONTROL);
    if (at === 0) return information;
    const rest = Buffer.concat([information.subarray(0, at - 1), information.subarray(at + 1 + information[at]!)]);
    information = rest.length === 0 ? undefined : rest;
  }
  return undefined;
}

function relayAddress(message: DhcpMessage, code: number): number | 'bad-option' | undefined {
  return locate(message, code, addressAt);
}

/** Reads a sub-option of option 82 where it lies, in the message unless the option comes in pieces. */
function locate<T>(message: DhcpMessage, code: number, read: (bytes: Buffer, at: number) => T): T | undefined {
  const option = message.locate(OptionCode.RELAY_AGENT_INFORMATION);
  if (option === 0) return undefined;
  if (option < 0) {
    const joined = message.option(OptionCode.RELAY_AGENT_INFORMATION)!;
    const at = locateSuboption(joined, 0, joined.length, code);
    return at === 0 ? undefined : read(joined, at);
  }
  const { bytes } = message;
  const at = locateSuboption(bytes, option + 1, option + 1 + bytes[option]!, code);
  return at === 0 ? undefined : read(bytes, at);
}

function found(): true {
  return true;
}

function view(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(at + 1, at + 1 + bytes[at]!);
}

function addressAt(bytes: Buffer, at: number): number | 'bad-option' {
  return bytes[at] === ADDRESS_BYTES ? bytes.readUInt32BE(at + 1) : 'bad-option';
}
