/** Clients with names, and a server that puts them into DNS: what they send, what they are told, and what the binding says. */
import assert from 'node:assert/strict';
import { formatPartialName, parseDomainName, parsePartialName } from '../../node/codec/domain-name.ts';
import type { DhcpMessage } from '../../node/codec/message.ts';
import { readDnsEntries } from '../../node/ddns/entries.ts';
import type { DnsEntry, DnsNaming, DnsScope } from '../../node/ddns/types.ts';
import { recordSection, SectionKind } from '../../node/lease/record.ts';
import { discover, ip, request } from './client-packets.ts';
import type { ClientFields } from './client-packets.ts';
import { replyOf, subnetConfig, TestServer } from './dhcp-server.ts';
import type { TestServerOptions } from './dhcp-server.ts';

export const S = 1;
export const O = 2;
export const E = 4;
export const N = 8;

const wireName = (text: string): Buffer => parseDomainName(text)!;

export function dnsScope(naming: Partial<DnsNaming> = {}): DnsScope {
  return {
    updates: {
      zones: [{ name: 'example.com.', servers: [{ host: '10.0.0.53', port: 53 }], key: undefined }],
      ttl: { part: 0.33, minSeconds: 600, maxSeconds: 86_400 }, conflicts: 'keep',
    },
    naming: {
      suffix: wireName('lan.example.com'), apexes: [wireName('lan.example.com'), wireName('example.com')], clientUpdates: 'allow', noUpdates: 'honour',
      replaceName: 'never', generated: 'host-{address}', invalidCharacters: 'replace', forward: true, reverse: true, ...naming,
    },
  };
}

export function namingServer(naming: Partial<DnsNaming> | 'off' = {}, more: Omit<TestServerOptions, 'subnets'> = {}, scope: object = {}): TestServer {
  return new TestServer({ subnets: [subnetConfig({ scope: { ...scope, ...(naming === 'off' ? {} : { dns: dnsScope(naming) }) } })], ...more });
}

/** Option 81's value: in the wire's form where `flags` has E, else ASCII. A wire name without a dot at its end is partial. */
export function fqdn(flags: number, name: string, rcodes = 0): Buffer {
  const bytes = (flags & E) === 0 ? Buffer.from(name, 'latin1') : parsePartialName(name)!;
  return Buffer.concat([Buffer.of(flags, rcodes, rcodes), bytes]);
}

export const sends = (flags: number, name: string): ClientFields => ({ options: { 81: fqdn(flags, name) } });
export const sendsHostName = (name: string): ClientFields => ({ options: { 12: Buffer.from(name, 'latin1') } });

/** What option 81 of a reply says; undefined: it has none. */
export function toldOf(reply: DhcpMessage): { readonly flags: number; readonly rcodes: readonly number[]; readonly name: string } | undefined {
  const value = reply.option(81);
  if (value === undefined) return undefined;
  const name = value.subarray(3);
  return { flags: value[0]!, rcodes: [value[1]!, value[2]!], name: (value[0]! & E) === 0 ? name.toString('latin1') : formatPartialName(name)! };
}

/** DHCPDISCOVER and DHCPREQUEST; both answers. */
export function lease(server: TestServer, fields: ClientFields = {}): { readonly offer: DhcpMessage; readonly ack: DhcpMessage } {
  const offer = replyOf(server.receive(discover(fields)));
  const ack = replyOf(server.receive(request({ ...fields, requestedAddress: offer.yiaddr, serverIdentifier: ip('10.0.0.2') })));
  assert.equal(ack.type, 5);
  return { offer, ack };
}

let xid = 0x7000_0000;
/** A renewal, later than a copy of the last message would be. */
export function renew(server: TestServer, address: number, fields: ClientFields = {}): DhcpMessage {
  server.advance(10_000);
  return replyOf(server.receive(request({ ciaddr: address, xid: ++xid, ...fields }), { unicast: true, sourceAddress: address }));
}

export function entriesOf(server: TestServer, address: number): DnsEntry[] {
  const record = server.table.read(address);
  return record === undefined ? [] : readDnsEntries(recordSection(record, SectionKind.dns));
}

/** "+ pc.lan.example.com. A PTR": "+" current, "-" to be taken out; small letters: settled. */
export function entryTexts(server: TestServer, address: number): string[] {
  return entriesOf(server, address).map(({ current, forward, forwardSettled, name, reverse, reverseSettled }) => [
    current ? '+' : '-', formatPartialName(name)!,
    ...(forward ? [forwardSettled ? 'a' : 'A'] : []), ...(reverse ? [reverseSettled ? 'ptr' : 'PTR'] : []),
  ].join(' '));
}
