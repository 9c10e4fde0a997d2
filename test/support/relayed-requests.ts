/** What clients send through relays, and which of three subnets a server takes it to be about. */
import { DhcpMessage } from '../../node/codec/message.ts';
import { selectSubnet } from '../../node/server/subnet.ts';
import type { ReceivedPacket } from '../../node/server/ports.ts';
import type { MonotonicMs } from '../../node/time.ts';
import { addressOption, clientPacket, ip } from './client-packets.ts';
import type { ClientFields } from './client-packets.ts';

/** Option 82 of these sub-options, in this order. */
export function relayInformation(...suboptions: readonly (readonly [code: number, value: Uint8Array])[]): Buffer {
  return Buffer.concat(suboptions.map(([code, value]) => Buffer.from([code, value.length, ...value])));
}

export const address = (text: string): Buffer => addressOption(ip(text));

/** A DHCPDISCOVER unless another type is given. */
export function requestMessage(fields: ClientFields, type = 1): DhcpMessage {
  const message = new DhcpMessage();
  const reason = message.parse(clientPacket(type, fields));
  if (reason !== undefined) throw new Error(`not a request: ${reason}`);
  return message;
}

/** 10.0.0.0/24, 10.0.1.0/24 and 10.0.2.0/24, by index. */
export const THREE_SUBNETS = {
  subnetOf: (address: number): number => (address >>> 8 >= 0x0a_0000 && address >>> 8 <= 0x0a_0002 ? (address >>> 8) & 255 : -1),
};

export interface Arrival {
  readonly type?: number;
  /** Addresses of the interface; default: 10.0.0.2. */
  readonly interfaces?: readonly string[];
  readonly unicast?: boolean;
  /** Option 118 is followed; by default it is. */
  readonly subnetSelection?: boolean;
}

/** The index of the subnet that a request is taken to be about, or why it gets no answer. */
export function selected(fields: ClientFields, { type = 1, interfaces = ['10.0.0.2'], unicast = false, subnetSelection = true }: Arrival = {}): number | string {
  const message = requestMessage(fields, type);
  const iface = { name: 'eth0', index: 2, mtu: 1500, addresses: interfaces.map((text) => ({ address: ip(text), prefixLength: 24 })) };
  const packet: ReceivedPacket = { bytes: message.bytes, iface, sourceAddress: 0, sourcePort: 68, unicast, receivedAt: 0 as MonotonicMs };
  return selectSubnet(THREE_SUBNETS, packet, message, subnetSelection);
}
