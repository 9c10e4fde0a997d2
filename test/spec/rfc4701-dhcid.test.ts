/** The DHCID record (RFC 4701): whose a name is. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import { dhcidOf } from '../../node/ddns/dhcid.ts';
import { CLIENT_CHADDR } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { dnsScope, E, entriesOf, lease, namingServer, renew, S, sends } from '../support/client-names.ts';
import { subnetConfig, TestServer } from '../support/dhcp-server.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex');
const name = (text: string): Buffer => parseDomainName(text)!;
const base64 = (rdata: Buffer): string => rdata.toString('base64');
const sha256 = (...parts: readonly Buffer[]): string => hash('sha256', Buffer.concat(parts), 'hex');

const PC = name('pc.lan.example.com');
const DUID = hex('00:01:00:01:2a:bc:de:f0:52:54:00:12:34:56');

/** RDATA in hexadecimal of the name of a client that sends this. */
function rdata(fields: ClientFields, identity: 'client-id' | 'hardware' = 'client-id'): string {
  const server = new TestServer({ subnets: [subnetConfig({ identity, scope: { dns: dnsScope() } })] });
  const { ack } = lease(server, { ...sends(E | S, 'PC'), ...fields });
  return entriesOf(server, ack.yiaddr)[0]!.dhcid.toString('hex');
}

test('RFC 4701 §3.1: RDATA is a 2-octet identifier type, in network byte order, a 1-octet digest type, and the digest', () => {
  const bytes = dhcidOf(hex('01:52:54:00:12:34:56'), true, PC);
  assert.equal(bytes.length, 35);
  assert.equal(bytes.toString('hex'), `000101${sha256(hex('01:52:54:00:12:34:56'), PC)}`);
});

test('RFC 4701 §3.5: the input to the digest hash function is the identifier followed by the FQDN', () => {
  assert.equal(rdata({}).slice(6), sha256(Buffer.of(1), CLIENT_CHADDR, PC));
});

test('RFC 4701 §3.5: the FQDN is represented in the canonical wire format: lower case, not compressed, with the root', () => {
  const server = namingServer();
  const { ack } = lease(server, sends(E | S, 'Pc.LAN.example.COM.'));
  assert.equal(entriesOf(server, ack.yiaddr)[0]?.dhcid.toString('hex'), rdata({}));
});

test('RFC 4701 §3.5: 0x0002 if a Client Identifier option is present and encoded as in RFC 4361, otherwise 0x0001 if one is present, and 0x0000 if not', () => {
  assert.equal(rdata({ clientId: Buffer.concat([hex('ff:00:00:00:01'), DUID]) }).slice(0, 4), '0002');
  assert.equal(rdata({ clientId: hex('01:52:54:00:12:34:56') }).slice(0, 4), '0001');
  assert.equal(rdata({}).slice(0, 4), '0000');
  for (const short of ['ff:00', 'ff:00:00:00:01', 'ff:00:00:00:01:00:03']) assert.equal(rdata({ clientId: hex(short) }).slice(0, 4), '0001', short);
});

test('RFC 4701 §3.5.1: with the DUID the first two octets MUST be 0x0002, the rest SHA-256 over the octets of the DUID followed by the FQDN', () => {
  const first = rdata({ clientId: Buffer.concat([hex('ff:00:00:00:01'), DUID]) });
  assert.equal(first, `000201${sha256(DUID, PC)}`);
  assert.equal(rdata({ clientId: Buffer.concat([hex('ff:00:00:00:02'), DUID]) }), first, 'whatever the IAID');
});

test('RFC 4701 §3.5.2: with the Client Identifier option the first two octets MUST be 0x0001, the rest SHA-256 over its Type and Client-Identifier fields followed by the FQDN', () => {
  const clientId = hex('00:70:72:69:6e:74:65:72');
  assert.equal(rdata({ clientId }), `000101${sha256(clientId, PC)}`);
});

test('RFC 4701 §3.5.3: with the link-layer address the first two octets MUST be zero, the rest SHA-256 over htype, hlen octets of chaddr, and the FQDN', () => {
  assert.equal(rdata({}), `000001${sha256(Buffer.of(1), CLIENT_CHADDR, PC)}`);
  assert.equal(rdata({ htype: 6, chaddr: hex('01:02:03:04:05:06:07:08') }), `000001${sha256(hex('06:01:02:03:04:05:06:07:08'), PC)}`);
});

test('RFC 4701 §3.3: the identifier is what the client is known by: its hardware address where the network says so', () => {
  assert.equal(rdata({ clientId: hex('00:61:62:63') }, 'hardware'), rdata({}));
});

test('RFC 4701 §3.5: a hardware address sent as the Client Identifier is another identifier than the same one in chaddr', () => {
  const server = namingServer();
  const { ack } = lease(server, sends(E | S, 'pc'));
  const before = entriesOf(server, ack.yiaddr)[0]!.dhcid;
  renew(server, ack.yiaddr, { ...sends(E | S, 'pc'), clientId: Buffer.concat([Buffer.of(1), CLIENT_CHADDR]) });
  const [after, left] = entriesOf(server, ack.yiaddr);
  assert.deepEqual([before.readUInt16BE(0), after?.dhcid.readUInt16BE(0), after?.current], [0, 1, true]);
  assert.deepEqual([left?.dhcid, left?.current], [before, false]);
});

test('RFC 4701 §3.6.1: chi6.example.com of a DUID', () => {
  const clientId = Buffer.concat([hex('ff:01:02:03:04'), hex('00:01:00:06:41:2d:f1:66:01:02:03:04:05:06')]);
  assert.equal(base64(dhcidOf(clientId, true, name('chi6.example.com'))), 'AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=');
});

test('RFC 4701 §3.6.2: chi.example.com of a client identifier', () => {
  assert.equal(base64(dhcidOf(hex('01:07:08:09:0a:0b:0c'), true, name('chi.example.com'))), 'AAEBOSD+XR3Os/0LozeXVqcNc7FwCfQdWL3b/NaiUDlW2No=');
});

test('RFC 4701 §3.6.3: client.example.com of an Ethernet address', () => {
  assert.equal(base64(dhcidOf(hex('01:01:02:03:04:05:06'), false, name('client.example.com'))), 'AAABxLmlskllE0MVjd57zHcWmEH3pCQ6VytcKD//7es/deY=');
});
