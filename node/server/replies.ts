/**
 * Answers: which options, in which order, and where they go. The only place where a packet becomes a
 * provisional, a grant or a confirmed reply.
 *
 * The options that depend on nothing but the subnet, the server identifier and the parameter request
 * list are put in order once and kept; a reply only adds what is the client's own.
 */
import { HTYPE_ETHERNET, prefixMask } from '../codec/address.ts';
import { MessageType, OptionCode } from '../codec/message.ts';
import { encodeReply } from '../codec/reply.ts';
import type { ClusterConfig, OptionValue, SubnetConfig } from '../config/types.ts';
import { sameBytes } from '../lease/fingerprint.ts';
import { OPTION_LISTS_CACHED, PARAMETER_REQUEST_LIST_CACHED_BYTES_MAX } from '../limits.ts';
import type { Counters } from '../telemetry/counters.ts';
import { INFINITE_SECONDS } from '../time.ts';
import type { Exchange } from './exchange.ts';
import type { ConfirmedReply, GrantReply, OutgoingPacket, ProvisionalReply, ReceivedPacket } from './ports.ts';
import { serverIdentifierOverride } from './responsibility.ts';

const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const BROADCAST_ADDRESS = 0xffff_ffff;
const FLAG_BROADCAST_HIGH_BYTE = 0x80;
const ETHERNET_ADDRESS_BYTES = 6;
const IP_AND_UDP_BYTES = 28;
/** RFC 2131 §2: every client takes an IP datagram of 576 bytes. */
const DATAGRAM_BYTES_MIN = 576;

const SUBNET_MASK = 1;
const ROUTERS = 3;
const HOST_NAME = 12;
const MESSAGE = 56;
const RENEWAL_TIME = 58;
const REBINDING_TIME = 59;
/** 54, 51, 58, 59: where the lease's own options begin and end in a list. */
const LEASE_OPTIONS = 4;
const SERVER_IDENTIFIER_ONLY = 1;

const EMPTY: Buffer = Buffer.alloc(0);

interface OptionList {
  readonly subnetIndex: number;
  readonly serverIdentifier: number;
  readonly withLease: boolean;
  /** The parameter request list, in the client's order; undefined where the client sent none. */
  readonly requested: Buffer | undefined;
  /** A reply adds to it and the next one cuts it off again at `fixed`. */
  readonly options: OptionValue[];
  readonly fixed: number;
  /** What the fixed options take on the wire. */
  readonly fixedBytes: number;
}

export class Replies {
  readonly #subnets: readonly SubnetConfig[];
  readonly #counters: Counters;
  readonly #hostnames = new Map<number, Buffer>();
  readonly #lists: (OptionList | undefined)[] = Array.from({ length: OPTION_LISTS_CACHED }, () => undefined);
  readonly #clientIdentifier: { code: number; value: Buffer } = { code: OptionCode.CLIENT_IDENTIFIER, value: EMPTY };

  constructor(config: ClusterConfig, counters: Counters) {
    this.#subnets = config.subnets;
    this.#counters = counters;
    for (const subnet of config.subnets) {
      for (const { address, hostname } of subnet.reservations) {
        if (hostname !== undefined) this.#hostnames.set(address, Buffer.from(hostname));
      }
    }
  }

  offer(x: Exchange, address: number): ProvisionalReply {
    const bytes = this.#encode(x, MessageType.OFFER, 0, address, x.subnet.leaseSeconds);
    return leased(x, address, bytes) as ProvisionalReply;
  }

  /** `leaseSeconds`: from now to the lease's end, so that the client's clock ends first. */
  grant(x: Exchange, address: number, leaseSeconds: number): GrantReply {
    const bytes = this.#encode(x, MessageType.ACK, x.message.ciaddr, address, leaseSeconds);
    return leased(x, address, bytes) as GrantReply;
  }

  /** RFC 2131 §4.3.5: to the address in 'ciaddr', with neither 'yiaddr' nor a lease time. */
  inform(x: Exchange, address: number): ProvisionalReply {
    const bytes = this.#encode(x, MessageType.ACK, x.message.ciaddr, 0, undefined);
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
      request: message, type: MessageType.NAK, ciaddr: 0, yiaddr: 0, siaddr: 0, options,
      relayAgentInformation: this.#relayAgentInformation(x), maxBytes: replyBytesMax(x),
    });
    if (message.giaddr === 0) return outgoing(packet, bytes, BROADCAST_ADDRESS, CLIENT_PORT) as ConfirmedReply;
    // RFC 2131 §4.3.2: the relay agent must broadcast the DHCPNAK.
    bytes[10]! |= FLAG_BROADCAST_HIGH_BYTE;
    return outgoing(packet, bytes, message.giaddr, SERVER_PORT) as ConfirmedReply;
  }

  #encode(x: Exchange, type: number, ciaddr: number, yiaddr: number, leaseSeconds: number | undefined): Buffer {
    const { message } = x;
    const list = this.#listFor(x, leaseSeconds !== undefined);
    const relayAgentInformation = this.#relayAgentInformation(x);
    const maxBytes = replyBytesMax(x);
    let { options } = list;
    options.length = list.fixed;
    let bytes = list.fixedBytes + (relayAgentInformation === undefined ? 0 : relayAgentInformation.length + 4);

    const hostname = yiaddr === 0 || this.#hostnames.size === 0 ? undefined : this.#hostnames.get(yiaddr);
    if (leaseSeconds !== undefined && (leaseSeconds !== x.subnet.leaseSeconds || hostname !== undefined)) {
      options = [options[0]!, ...leaseOptions(leaseSeconds), ...options.slice(LEASE_OPTIONS)];
      if (hostname !== undefined) bytes += putHostname(options, hostname, list.requested);
    }
    // RFC 6842 §3: returned unaltered, also by a server that knows clients by their hardware address.
    const identifier = x.byClientIdentifier ? x.clientKey : message.option(OptionCode.CLIENT_IDENTIFIER);
    if (identifier !== undefined) {
      this.#clientIdentifier.value = identifier;
      // Where room is short what comes last may be left out, and that must not be this one.
      if (bytes + identifier.length + 4 <= maxBytes) options.push(this.#clientIdentifier);
      else options = options.toSpliced(leaseSeconds === undefined ? SERVER_IDENTIFIER_ONLY : LEASE_OPTIONS, 0, this.#clientIdentifier);
    }
    const reply = encodeReply({ request: message, type, ciaddr, yiaddr, siaddr: 0, options, relayAgentInformation, maxBytes });
    this.#clientIdentifier.value = EMPTY;
    return reply;
  }

  /** RFC 3046 §2.2: echoed whole or not at all. */
  #relayAgentInformation(x: Exchange): Buffer | undefined {
    const information = x.message.option(OptionCode.RELAY_AGENT_INFORMATION);
    if (information === undefined) return undefined;
    if (information.length <= x.packet.iface.mtu - IP_AND_UDP_BYTES - 300) return information;
    this.#counters.relayAgentInformationOmitted++;
    return undefined;
  }

  #listFor(x: Exchange, withLease: boolean): OptionList {
    const requested = x.message.option(OptionCode.PARAMETER_REQUEST_LIST);
    const identifier = serverIdentifier(x);
    let place = Math.imul(identifier ^ (x.subnetIndex << 1) ^ (withLease ? 1 : 0), 0x9e37_79b1);
    if (requested !== undefined) {
      if (requested.length > PARAMETER_REQUEST_LIST_CACHED_BYTES_MAX) {
        return this.#makeList(x.subnetIndex, identifier, withLease, requested);
      }
      for (let i = 0; i < requested.length; i++) place = Math.imul(place ^ requested[i]!, 0x0100_0193);
    }
    const at = ((place ^ (place >>> 15)) >>> 0) % OPTION_LISTS_CACHED;
    const known = this.#lists[at];
    if (
      known !== undefined && known.subnetIndex === x.subnetIndex && known.serverIdentifier === identifier &&
      known.withLease === withLease && sameList(known.requested, requested)
    ) return known;
    const made = this.#makeList(x.subnetIndex, identifier, withLease, requested === undefined ? undefined : Buffer.from(requested));
    this.#lists[at] = made;
    return made;
  }

  #makeList(subnetIndex: number, identifier: number, withLease: boolean, requested: Buffer | undefined): OptionList {
    const subnet = this.#subnets[subnetIndex]!;
    const options: OptionValue[] = [{ code: OptionCode.SERVER_IDENTIFIER, value: u32(identifier) }];
    if (withLease) options.push(...leaseOptions(subnet.leaseSeconds));
    options.push(...parameters(subnet, requested));
    let fixedBytes = 240 + 3 + 1;
    for (const { value } of options) fixedBytes += value.length + 2 * Math.max(1, Math.ceil(value.length / 255));
    return { subnetIndex, serverIdentifier: identifier, withLease, requested, options, fixed: options.length, fixedBytes };
  }
}

/**
 * The configured options that the client asks for, in its order, each once (RFC 2131 §4.3.1); all of
 * them where it sent no list. The subnet mask is always sent, and it and the routers come first.
 */
function parameters(subnet: SubnetConfig, requested: Buffer | undefined): OptionValue[] {
  const configured = new Map<number, OptionValue>([[SUBNET_MASK, { code: SUBNET_MASK, value: u32(prefixMask(subnet.prefixLength)) }]]);
  for (const option of subnet.options) configured.set(option.code, option);
  for (const code of OWN_OPTIONS) configured.delete(code);

  const wanted = requested === undefined ? [...configured.keys()].sort((a, b) => a - b) : [...requested];
  const first = wanted.includes(ROUTERS) ? [SUBNET_MASK, ROUTERS] : [SUBNET_MASK];
  const found: OptionValue[] = [];
  for (const code of new Set([...first, ...wanted])) {
    const option = configured.get(code);
    if (option !== undefined) found.push(option);
  }
  return found;
}

/** Made by the server or the codec for each reply, never taken from the configuration. */
const OWN_OPTIONS: readonly number[] = [
  OptionCode.PAD, OptionCode.REQUESTED_ADDRESS, OptionCode.LEASE_TIME, OptionCode.OVERLOAD, OptionCode.MESSAGE_TYPE,
  OptionCode.SERVER_IDENTIFIER, OptionCode.PARAMETER_REQUEST_LIST, MESSAGE, OptionCode.MAX_MESSAGE_SIZE, RENEWAL_TIME,
  REBINDING_TIME, OptionCode.CLIENT_IDENTIFIER, OptionCode.RELAY_AGENT_INFORMATION, OptionCode.END,
];

/** RFC 2131 §4.4.5: T1 at half of the lease, T2 at seven eighths. */
function leaseOptions(leaseSeconds: number): OptionValue[] {
  const forEver = leaseSeconds === INFINITE_SECONDS;
  return [
    { code: OptionCode.LEASE_TIME, value: u32(leaseSeconds) },
    { code: RENEWAL_TIME, value: u32(forEver ? leaseSeconds : Math.floor(leaseSeconds * 0.5)) },
    { code: REBINDING_TIME, value: u32(forEver ? leaseSeconds : Math.floor(leaseSeconds * 0.875)) },
  ];
}

/** A reservation's own host name goes before the subnet's; returns the bytes it may take. */
function putHostname(options: OptionValue[], value: Buffer, requested: Buffer | undefined): number {
  if (requested !== undefined && !requested.includes(HOST_NAME)) return 0;
  const at = options.findIndex(({ code }) => code === HOST_NAME);
  if (at >= 0) options[at] = { code: HOST_NAME, value };
  else options.push({ code: HOST_NAME, value });
  return value.length + 2;
}

/**
 * RFC 2131 §4.1, for DHCPOFFER and DHCPACK: to the relay, else to 'ciaddr', else by broadcast if the
 * client asks for it, else to its hardware address and 'yiaddr'.
 */
function leased(x: Exchange, yiaddr: number, bytes: Buffer): OutgoingPacket {
  const { message, packet } = x;
  const { giaddr, ciaddr } = message;
  if (giaddr !== 0) return outgoing(packet, bytes, giaddr, SERVER_PORT);
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

function outgoing(packet: ReceivedPacket, bytes: Buffer, address: number, port: number): OutgoingPacket {
  return { bytes, iface: packet.iface, address, port, receivedAt: packet.receivedAt };
}

/** RFC 2131 §4.1: an address of the interface that the message came in on. */
function serverIdentifier(x: Exchange): number {
  return serverIdentifierOverride(x) || x.packet.iface.addresses[0]!.address;
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
