/** LEASEQUERY over UDP as an access concentrator sends it (RFC 4388 §6.2), and servers with leases to ask about. */
import assert from 'node:assert/strict';
import type { LeaseQueryConfig } from '../../node/config/types.ts';
import type { DhcpMessage } from '../../node/codec/message.ts';
import { QueryType } from '../../node/leasequery/messages.ts';
import { clientPacket, discover, ip, parseReply, request } from './client-packets.ts';
import type { ClientFields } from './client-packets.ts';
import { optionCodes, replyOf, subnetConfig, TestServer } from './dhcp-server.ts';
import type { PacketFields, TestServerOptions } from './dhcp-server.ts';
import type { SubnetSpec } from './configs.ts';

/** In no subnet of the configurations here. */
export const CONCENTRATOR: number = ip('10.9.0.1');
export const REQUESTORS: Pick<LeaseQueryConfig, 'requestors'> = { requestors: [{ network: ip('10.9.0.0'), prefixLength: 24 }] };
const NOTHING = Buffer.alloc(0);
const SERVER = ip('10.0.0.2');

export function byAddress(address: string | number, fields: ClientFields = {}): Buffer {
  const ciaddr = typeof address === 'string' ? ip(address) : address;
  return clientPacket(QueryType.LEASEQUERY, { htype: 0, chaddr: NOTHING, giaddr: CONCENTRATOR, ciaddr, ...fields });
}

/** Ethernet unless `htype` says otherwise. */
export function byHardware(chaddr: Buffer, fields: ClientFields = {}): Buffer {
  return clientPacket(QueryType.LEASEQUERY, { giaddr: CONCENTRATOR, chaddr, ...fields });
}

export function byClientId(clientId: Buffer, fields: ClientFields = {}): Buffer {
  return clientPacket(QueryType.LEASEQUERY, { htype: 0, chaddr: NOTHING, giaddr: CONCENTRATOR, clientId, ...fields });
}

/** A server that the concentrator may ask. */
export function askable(options: TestServerOptions = {}): TestServer {
  return new TestServer({ ...options, leaseQuery: { ...REQUESTORS, ...options.leaseQuery } });
}

/** The same of one subnet. */
export function askableSubnet(subnet: Partial<SubnetSpec>, options: TestServerOptions = {}): TestServer {
  return askable({ subnets: [subnetConfig(subnet)], ...options });
}

/** For clients that have leases in several subnets: 10.0.`n`.0/24, reached through 10.0.`n`.1. */
export function subnetNumber(n: number, fields: Partial<SubnetSpec> = {}): SubnetSpec {
  return subnetConfig({
    name: `10.0.${n}.0/24`, network: ip(`10.0.${n}.0`), pools: [{ first: ip(`10.0.${n}.100`), last: ip(`10.0.${n}.199`) }], ...fields,
  });
}

let lastXid = 1;

/** Four messages; the address. */
export function lease(server: TestServer, fields: ClientFields = {}): number {
  const xid = ++lastXid;
  const { yiaddr } = replyOf(server.receive(discover({ xid, ...fields })));
  const ack = replyOf(server.receive(request({ xid, ...fields, requestedAddress: yiaddr, serverIdentifier: SERVER })));
  assert.deepEqual([ack.type, ack.yiaddr], [5, yiaddr]);
  return yiaddr;
}

/** The client extends its lease, past the relay unless it names one. */
export function renew(server: TestServer, address: number, fields: ClientFields = {}): void {
  const ack = replyOf(server.receive(request({ xid: ++lastXid, ...fields, ciaddr: address }), { unicast: true, sourceAddress: address }));
  assert.equal(ack.type, 5);
}

export interface Reply {
  readonly message: DhcpMessage;
  readonly type: number;
  /** In the order in which they stand there. */
  readonly codes: readonly number[];
}

/** The answer, which there must be. */
export function answer(server: TestServer, query: Buffer, fields: PacketFields = {}): Reply {
  const packet = server.ask(query, fields);
  assert.ok(packet !== undefined, `no answer: ${JSON.stringify(server.drops())}`);
  const message = parseReply(packet.bytes);
  return { message, type: message.type, codes: optionCodes(packet.bytes) };
}

/** The type of the answer; undefined: there is none. */
export function typeOf(server: TestServer, query: Buffer): number | undefined {
  const packet = server.ask(query);
  return packet && parseReply(packet.bytes).type;
}

/** The addresses of associated-ip; undefined where there is none. */
export function associated({ message }: Reply): number[] | undefined {
  const value = message.option(92);
  return value && Array.from({ length: value.length / 4 }, (_, i) => value.readUInt32BE(i * 4));
}
