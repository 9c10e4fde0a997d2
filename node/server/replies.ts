/**
 * Answers: which options, in which order, and where they go. The only place where a packet becomes a
 * provisional, a grant or a confirmed reply.
 *
 * The options that depend on nothing but the terms, the server identifier and the parameter request
 * list are put in order once and kept; a reply only adds what is the client's own.
 */
import { HTYPE_ETHERNET } from '../codec/address.ts';
import { MessageType, OptionCode } from '../codec/message.ts';
import { encodeReply } from '../codec/reply.ts';
import type { OptionValue } from '../config/types.ts';
import { sameBytes } from '../lease/fingerprint.ts';
import { OPTION_LISTS_CACHED, PARAMETER_REQUEST_LIST_CACHED_BYTES_MAX } from '../limits.ts';
import type { Counters } from '../telemetry/counters.ts';
import type { NameWish } from '../ddns/names.ts';
import type { Exchange } from './exchange.ts';
import type { ConfirmedReply, GrantReply, OutgoingPacket, ProvisionalReply, ReceivedPacket } from './ports.ts';
import { echoedRelayInformation, echoedSubnetSelection, echoedVirtualSubnet, relayPort } from './relay.ts';
import { overriddenIdentifier } from './responsibility.ts';
import { renewalTimes } from '../classes/terms.ts';
import type { Terms } from '../classes/terms.ts';

const CLIENT_PORT = 68;
const BROADCAST_ADDRESS = 0xffff_ffff;
const FLAG_BROADCAST_HIGH_BYTE = 0x80;
const ETHERNET_ADDRESS_BYTES = 6;
const IP_AND_UDP_BYTES = 28;
/** RFC 2131 §2: every client takes an IP datagram of 576 bytes. */
const DATAGRAM_BYTES_MIN = 576;
/** RFC 1542 §2.1: a BOOTP message has 300 bytes, and no client takes more. */
const BOOTP_BYTES_MAX = 300;

const SUBNET_MASK = 1;
const ROUTERS = 3;
const HOST_NAME = 12;
const MESSAGE = 56;
const RENEWAL_TIME = 58;
const REBINDING_TIME = 59;
const RAPID_COMMIT = 80;
const CLIENT_FQDN = 81;
const SUBNET_SELECTION = 118;
const VIRTUAL_SUBNET_SELECTION = 221;
/** RFC 8925 §3.1. */
export const V6_ONLY_PREFERRED = 108;
export const AUTO_CONFIGURE = 116;
/** 54, 51, 58, 59: where the lease's own options begin and end in a list. */
const LEASE_OPTIONS = 4;
const SERVER_IDENTIFIER_ONLY = 1;

const EMPTY: Buffer = Buffer.alloc(0);
const DO_NOT_AUTO_CONFIGURE: OptionValue = { code: AUTO_CONFIGURE, value: Buffer.of(0) };

interface OptionList {
  readonly terms: Terms;
  readonly serverIdentifier: number;
  /** Undefined: without options of a lease. */
  readonly leaseSeconds: number | undefined;
  /** The parameter request list, in the client's order; undefined where the client sent none. */
  readonly requested: Buffer | undefined;
  /** A reply adds to it and the next one cuts it off again at `fixed`. */
  readonly options: OptionValue[];
  readonly fixed: number;
  /** What the fixed options take on the wire. */
  readonly fixedBytes: number;
}

/** What a reply has beside what terms and request say. */
interface Extras {
  readonly leaseSeconds?: number;
  readonly rapidCommit?: boolean;
  /** RFC 2563 §2: the client asks whether it may give itself an address; the configured answer, or no. */
  readonly answersAutoConfigure?: boolean;
  /** Undefined: names are none of this server's business. */
  readonly wish?: NameWish | undefined;
}

export class Replies {
  readonly #counters: Counters;
  readonly #lists: (OptionList | undefined)[] = Array.from({ length: OPTION_LISTS_CACHED }, () => undefined);
  readonly #clientIdentifier: { code: number; value: Buffer } = { code: OptionCode.CLIENT_IDENTIFIER, value: EMPTY };

  readonly #subnetSelection: boolean;

  constructor(counters: Counters, subnetSelection: boolean) {
    this.#counters = counters;
    this.#subnetSelection = subnetSelection;
  }

  offer(x: Exchange, terms: Terms, address: number, leaseSeconds: number, wish: NameWish | undefined): ProvisionalReply {
    return leased(x, address, this.#encode(x, MessageType.OFFER, 0, address, terms, { leaseSeconds, wish })) as ProvisionalReply;
  }

  /** A DHCPOFFER of 0.0.0.0: the client is told something (RFC 8925 §3.3, RFC 2563 §2), and gets no address. */
  offerNothing(x: Exchange, terms: Terms, leaseSeconds: number | undefined): ProvisionalReply {
    const answersAutoConfigure = x.message.has(AUTO_CONFIGURE);
    const extras = leaseSeconds === undefined ? { answersAutoConfigure } : { answersAutoConfigure, leaseSeconds };
    const bytes = this.#encode(x, MessageType.OFFER, 0, 0, terms, extras);
    const { message, packet } = x;
    // There is no address to send it to.
    if (message.giaddr === 0) return outgoing(packet, bytes, BROADCAST_ADDRESS, CLIENT_PORT) as ProvisionalReply;
    return toRelay(x, bytes) as ProvisionalReply;
  }

  /** `leaseSeconds`: from now to the lease's end, so that the client's clock ends first. */
  grant(x: Exchange, terms: Terms, address: number, leaseSeconds: number, wish: NameWish | undefined): GrantReply {
    const { message } = x;
    const rapidCommit = message.type === MessageType.DISCOVER;
    const bytes = this.#encode(x, MessageType.ACK, rapidCommit ? 0 : message.ciaddr, address, terms, { leaseSeconds, rapidCommit, wish });
    return leased(x, address, bytes) as GrantReply;
  }

  /** To a BOOTP client (RFC 951 §7.3), which knows nothing of leases. */
  bootp(x: Exchange, terms: Terms, address: number, wish: NameWish | undefined): GrantReply {
    return leased(x, address, this.#encode(x, 0, x.message.ciaddr, address, terms, { wish })) as GrantReply;
  }

  /** RFC 2131 §4.3.5: to the address in 'ciaddr', with neither 'yiaddr' nor a lease time. */
  inform(x: Exchange, terms: Terms, address: number): ProvisionalReply {
    const bytes = this.#encode(x, MessageType.ACK, x.message.ciaddr, 0, terms, {});
    return outgoing(x.packet, bytes, address, CLIENT_PORT) as ProvisionalReply;
  }

  /** RFC 2131 §4.3.1, Table 3: nothing but the server identifier, a message and the client identifier. */
  nak(x: Exchange, text: string): ConfirmedReply {
    const { message, packet } = x;
    const options: OptionValue[] = [
      { code: OptionCode.SERVER_IDENTIFIER, value: u32(serverIdentifier(x)) },
      { code: MESSAGE, value: Buffer.from(text) },
    ];
    const identifier = message.option(OptionCode.CLIENT_IDENTIFIER);
    if (identifier !== undefined) options.push({ code: OptionCode.CLIENT_IDENTIFIER, value: identifier });
    const bytes = encodeReply({
      request: message, type: MessageType.NAK, ciaddr: 0, yiaddr: 0, boot: undefined, options,
      relayAgentInformation: this.#relayAgentInformation(x), maxBytes: replyBytesMax(x),
    });
    if (message.giaddr === 0) return outgoing(packet, bytes, BROADCAST_ADDRESS, CLIENT_PORT) as ConfirmedReply;
    // RFC 2131 §4.3.2: the relay agent must broadcast the DHCPNAK.
    bytes[10]! |= FLAG_BROADCAST_HIGH_BYTE;
    return toRelay(x, bytes) as ConfirmedReply;
  }

  #encode(x: Exchange, type: number, ciaddr: number, yiaddr: number, terms: Terms, extras: Extras): Buffer {
    const { message } = x;
    const { leaseSeconds } = extras;
    const list = this.#listFor(x, terms, type, leaseSeconds);
    const relayAgentInformation = this.#relayAgentInformation(x);
    const maxBytes = type === 0 ? BOOTP_BYTES_MAX : replyBytesMax(x);
    let { options } = list;
    options.length = list.fixed;
    let bytes = list.fixedBytes + (relayAgentInformation === undefined ? 0 : relayAgentInformation.length + 4);

    if (leaseSeconds !== undefined && leaseSeconds !== list.leaseSeconds) {
      options = [options[0]!, ...leaseOptions(terms, leaseSeconds), ...options.slice(LEASE_OPTIONS)];
    }
    if (extras.rapidCommit === true) {
      options.push({ code: RAPID_COMMIT, value: EMPTY });
      bytes += 2;
    }
    if (extras.answersAutoConfigure === true) {
      options.push(terms.options.find(({ code }) => code === AUTO_CONFIGURE) ?? DO_NOT_AUTO_CONFIGURE);
      bytes += 3;
    }
    if (extras.wish !== undefined) {
      if (type !== 0 && extras.wish.fqdnAnswer !== undefined) options = options.filter(({ code }) => code !== CLIENT_FQDN);
      bytes += addNames(options, x, type, extras.wish);
    }
    if (type !== 0) bytes += addEchoes(options, x, this.#subnetSelection);
    // RFC 6842 §3: returned unaltered, also by a server that knows clients by their hardware address.
    const identifier = type === 0 ? undefined : x.byClientIdentifier ? x.clientKey : message.option(OptionCode.CLIENT_IDENTIFIER);
    if (identifier !== undefined) {
      this.#clientIdentifier.value = identifier;
      // Where room is short what comes last may be left out, and that must not be this one.
      if (bytes + identifier.length + 4 <= maxBytes) options.push(this.#clientIdentifier);
      else options = options.toSpliced(leaseSeconds === undefined ? SERVER_IDENTIFIER_ONLY : LEASE_OPTIONS, 0, this.#clientIdentifier);
    }
    const reply = encodeReply({ request: message, type, ciaddr, yiaddr, boot: terms.boot, options, relayAgentInformation, maxBytes });
    this.#clientIdentifier.value = EMPTY;
    return reply;
  }

  /** RFC 3046 §2.2: echoed whole or not at all. */
  #relayAgentInformation(x: Exchange): Buffer | undefined {
    const information = echoedRelayInformation(x.message);
    if (information === undefined) return undefined;
    if (information.length <= x.packet.iface.mtu - IP_AND_UDP_BYTES - 300) return information;
    this.#counters.relayAgentInformationOmitted++;
    return undefined;
  }

  #listFor(x: Exchange, terms: Terms, type: number, leaseSeconds: number | undefined): OptionList {
    const requested = x.message.option(OptionCode.PARAMETER_REQUEST_LIST);
    // RFC 1534 §2: none of DHCP's own options to a BOOTP client.
    const identifier = type === 0 ? 0 : serverIdentifier(x);
    // A lease time of its own (a copy's rest of a lease) makes no list of its own.
    const seconds = leaseSeconds === undefined ? undefined : terms.lease.defaultSeconds;
    let place = Math.imul(identifier ^ (terms.id << 1) ^ (seconds === undefined ? 0 : 1), 0x9e37_79b1);
    if (requested !== undefined) {
      if (requested.length > PARAMETER_REQUEST_LIST_CACHED_BYTES_MAX) return makeList(terms, identifier, seconds, requested);
      for (let i = 0; i < requested.length; i++) place = Math.imul(place ^ requested[i]!, 0x0100_0193);
    }
    const at = ((place ^ (place >>> 15)) >>> 0) % OPTION_LISTS_CACHED;
    const known = this.#lists[at];
    if (
      known !== undefined && known.terms === terms && known.serverIdentifier === identifier &&
      known.leaseSeconds === seconds && sameList(known.requested, requested)
    ) return known;
    const made = makeList(terms, identifier, seconds, requested === undefined ? undefined : Buffer.from(requested));
    this.#lists[at] = made;
    return made;
  }
}

/**
 * What the client is told of its name; returns what that takes. Option 81 where it sent one (RFC 4702 §4); the host
 * name as any other option: where it is asked for, and not where one is configured.
 */
function addNames(options: OptionValue[], { message }: Exchange, type: number, { fqdnAnswer, hostNameAnswer }: NameWish): number {
  let bytes = 0;
  if (type !== 0 && fqdnAnswer !== undefined) {
    options.push({ code: CLIENT_FQDN, value: fqdnAnswer });
    bytes += fqdnAnswer.length + 4;
  }
  const requested = message.option(OptionCode.PARAMETER_REQUEST_LIST);
  if (hostNameAnswer !== undefined && requested?.includes(HOST_NAME) !== false && !options.some(({ code }) => code === HOST_NAME)) {
    options.push({ code: HOST_NAME, value: hostNameAnswer });
    bytes += hostNameAnswer.length + 2;
  }
  return bytes;
}

/** Options that a client gets back as it sent them; returns what they take. */
function addEchoes(options: OptionValue[], { message }: Exchange, subnetSelection: boolean): number {
  let bytes = 0;
  const echo = (code: number, value: Buffer | undefined): void => {
    if (value === undefined) return;
    options.push({ code, value });
    bytes += value.length + 2;
  };
  echo(SUBNET_SELECTION, echoedSubnetSelection(message, subnetSelection));
  echo(VIRTUAL_SUBNET_SELECTION, echoedVirtualSubnet(message));
  return bytes;
}

function makeList(terms: Terms, identifier: number, leaseSeconds: number | undefined, requested: Buffer | undefined): OptionList {
  const options: OptionValue[] = identifier === 0 ? [] : [{ code: OptionCode.SERVER_IDENTIFIER, value: u32(identifier) }];
  if (leaseSeconds !== undefined) options.push(...leaseOptions(terms, leaseSeconds));
  options.push(...parameters(terms, requested));
  let fixedBytes = 240 + 3 + 1;
  for (const { value } of options) fixedBytes += value.length + 2 * Math.max(1, Math.ceil(value.length / 255));
  return { terms, serverIdentifier: identifier, leaseSeconds, requested, options, fixed: options.length, fixedBytes };
}

/**
 * The configured options that the client asks for, in its order, each once (RFC 2131 §4.3.1), then those
 * that are always sent; all of them where it sent no list. The subnet mask and the routers come first.
 */
function parameters({ options }: Terms, requested: Buffer | undefined): OptionValue[] {
  const configured = new Map(options.map((option) => [option.code, option]));
  for (const code of OWN_OPTIONS) configured.delete(code);

  const all = [...configured.keys()].sort((a, b) => a - b);
  const wanted = requested === undefined ? all : [...requested, ...all.filter((code) => configured.get(code)!.send === 'always')];
  const first = wanted.includes(ROUTERS) ? [SUBNET_MASK, ROUTERS] : [SUBNET_MASK];
  const found: OptionValue[] = [];
  for (const code of new Set([...first, ...wanted])) {
    const option = configured.get(code);
    // RFC 8925 §3.3: never to a client that did not ask for it.
    if (option !== undefined && (code !== V6_ONLY_PREFERRED || requested?.includes(code) === true)) found.push(option);
  }
  return found;
}

/** Made by the server or the codec for each reply, never taken from the configuration. */
const OWN_OPTIONS: readonly number[] = [
  OptionCode.PAD, OptionCode.REQUESTED_ADDRESS, OptionCode.LEASE_TIME, OptionCode.OVERLOAD, OptionCode.MESSAGE_TYPE,
  OptionCode.SERVER_IDENTIFIER, OptionCode.PARAMETER_REQUEST_LIST, MESSAGE, OptionCode.MAX_MESSAGE_SIZE, RENEWAL_TIME,
  REBINDING_TIME, OptionCode.CLIENT_IDENTIFIER, RAPID_COMMIT, OptionCode.RELAY_AGENT_INFORMATION, AUTO_CONFIGURE,
  SUBNET_SELECTION, VIRTUAL_SUBNET_SELECTION, OptionCode.END,
];

function leaseOptions({ lease }: Terms, leaseSeconds: number): OptionValue[] {
  const { t1, t2 } = renewalTimes(lease, leaseSeconds);
  return [
    { code: OptionCode.LEASE_TIME, value: u32(leaseSeconds) },
    { code: RENEWAL_TIME, value: u32(t1) },
    { code: REBINDING_TIME, value: u32(t2) },
  ];
}

/**
 * RFC 2131 §4.1, for DHCPOFFER and DHCPACK: to the relay, else to 'ciaddr', else by broadcast if the
 * client asks for it, else to its hardware address and 'yiaddr'.
 */
function leased(x: Exchange, yiaddr: number, bytes: Buffer): OutgoingPacket {
  const { message, packet } = x;
  const { giaddr, ciaddr } = message;
  if (giaddr !== 0) return toRelay(x, bytes);
  if (ciaddr !== 0) return outgoing(packet, bytes, ciaddr, CLIENT_PORT);
  // Unicasting is not possible where the ARP table cannot hold the client's kind of address.
  if (message.broadcast || message.htype !== HTYPE_ETHERNET || message.hlen !== ETHERNET_ADDRESS_BYTES) {
    return outgoing(packet, bytes, BROADCAST_ADDRESS, CLIENT_PORT);
  }
  // The reply has a copy of the hardware address that outlives the request's buffer.
  const chaddr = bytes.subarray(28, 28 + ETHERNET_ADDRESS_BYTES);
  const { iface, receivedAt } = packet;
  return { bytes, iface, address: yiaddr, port: CLIENT_PORT, hardware: { htype: HTYPE_ETHERNET, chaddr }, receivedAt };
}

/** RFC 2131 §4.1: to the relay that 'giaddr' names, at the server port unless it asks for another (RFC 8357). */
function toRelay(x: Exchange, bytes: Buffer): OutgoingPacket {
  return outgoing(x.packet, bytes, x.message.giaddr, relayPort(x.message, x.packet.sourcePort));
}

function outgoing(packet: ReceivedPacket, bytes: Buffer, address: number, port: number): OutgoingPacket {
  return { bytes, iface: packet.iface, address, port, receivedAt: packet.receivedAt };
}

/** RFC 2131 §4.1: an address of the interface that the message came in on. */
function serverIdentifier(x: Exchange): number {
  return overriddenIdentifier(x) || x.packet.iface.addresses[0]!.address;
}

/** The DHCP message's bytes at most: what the client takes (option 57), and never more than the MTU. */
function replyBytesMax(x: Exchange): number {
  const accepted = Math.max(x.message.optionU16(OptionCode.MAX_MESSAGE_SIZE) ?? DATAGRAM_BYTES_MIN, DATAGRAM_BYTES_MIN);
  return Math.min(accepted, x.packet.iface.mtu) - IP_AND_UDP_BYTES;
}

function sameList(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && sameBytes(a, b));
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
