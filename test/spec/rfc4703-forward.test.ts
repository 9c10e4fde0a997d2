import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DNS_UPDATE_ROUNDS_MAX } from '../../node/ddns/limits.ts';
import { Procedure } from '../../node/ddns/update.ts';
import type { DnsUpdate } from '../../node/ddns/update.ts';
import { carryOut, dhcidOf, dnsJob, ModelZone, textsOf, zoneRecord } from '../support/dns-zone.ts';

const NAME = 'laptop.example.test';
const job = dnsJob({ action: 'add-forward' });
const { name } = job;
const address = zoneRecord(NAME, 'A', '10.0.0.5').data;

function zone(...records: ReturnType<typeof zoneRecord>[]): ModelZone {
  return new ModelZone('example.test.', records);
}

/** The update that follows on these answers. */
function updateAfter(...codes: Parameters<Procedure['onAnswer']>[0][]): DnsUpdate {
  const procedure = new Procedure(job);
  for (const code of codes) assert.equal(procedure.onAnswer(code), undefined);
  return procedure.next();
}

test('RFC 4703 §3.1: When Client A\'s assigned IP address expires, for example, it should not remove an RR that reflects Client B\'s DHCP-assigned IP address', () => {
  const ofB = zone(zoneRecord(NAME, 'A', '10.0.0.6'), zoneRecord(NAME, 'DHCID', '2'));
  carryOut(dnsJob({ action: 'remove-forward', client: 1, address: '10.0.0.5' }), ofB);
  carryOut(dnsJob({ action: 'remove-forward', client: 1, address: '10.0.0.6' }), ofB);
  assert.deepEqual(textsOf(ofB), [`${NAME} A 10.0.0.6`, `${NAME} DHCID 2`]);
});

test('RFC 4703 §4: In this model, only one client is associated with a given FQDN at a time', () => {
  const shared = zone();
  assert.equal(carryOut(job, shared).outcome.kind, 'done');
  assert.equal(carryOut(dnsJob({ action: 'add-forward', client: 2, address: '10.0.0.6' }), shared).outcome.kind, 'conflict');
  assert.deepEqual(textsOf(shared), [`${NAME} A 10.0.0.5`, `${NAME} DHCID 1`]);
});

test('RFC 4703 §4: DHCP clients that currently have FQDNs may move from one DHCP server to another without losing their FQDNs', () => {
  const moved = zone(zoneRecord(NAME, 'A', '10.9.9.9'), zoneRecord(NAME, 'DHCID', '1'));
  assert.equal(carryOut(job, moved).outcome.kind, 'done');
  assert.deepEqual(textsOf(moved), [`${NAME} A 10.0.0.5`, `${NAME} DHCID 1`]);
});

test('RFC 4703 §5.1: FORMERR, SERVFAIL, REFUSED, NOTIMP: If one of these RCODEs is returned, the updater MUST terminate its update attempt', () => {
  for (const code of ['FORMERR', 'SERVFAIL', 'REFUSED', 'NOTIMP'] as const) for (const action of ['add-forward', 'remove-forward', 'add-reverse', 'remove-reverse'] as const) {
    const kind = new Procedure(dnsJob({ action })).onAnswer(code)?.kind;
    assert.equal(kind, code === 'SERVFAIL' ? 'unavailable' : 'refused', `${code}, ${action}`);
  }
});

test('RFC 4703 §5.3: As the update sequence below can result in loops, implementers SHOULD limit the total number of attempts for a single transaction', () => {
  const procedure = new Procedure(job);
  let updates = 0;
  for (let ended = false; !ended; updates++) ended = procedure.onAnswer(updates % 2 === 0 ? 'YXDOMAIN' : 'NXDOMAIN') !== undefined;
  assert.equal(updates, 2 * DNS_UPDATE_ROUNDS_MAX);
});

test('RFC 4703 §5.3.1: The updater prepares a DNS UPDATE request that includes as a prerequisite the assertion that the FQDN does not exist', () => {
  assert.deepEqual(updateAfter().prerequisites, [{ kind: 'name-not-in-use', name }]);
});

test('RFC 4703 §5.3.1: The update section of the request attempts to add the new FQDN and its IP address mapping and the DHCID RR with its unique client identity', () => {
  assert.deepEqual(updateAfter().changes, [
    { kind: 'add', name, type: 'A', ttlSeconds: 600, data: address }, { kind: 'add', name, type: 'DHCID', ttlSeconds: 600, data: dhcidOf(1) },
  ]);
});

test('RFC 4703 §5.3.1: If the UPDATE request succeeds, the A RR update is now complete', () => {
  assert.deepEqual(new Procedure(job).onAnswer('NOERROR'), { kind: 'done' });
});

test('RFC 4703 §5.3.1: If the response to the UPDATE returns YXDOMAIN, the updater can now conclude that the intended FQDN is in use and proceeds to Section 5.3.2', () => {
  assert.deepEqual(updateAfter('YXDOMAIN').prerequisites[0], { kind: 'name-in-use', name });
});

test('RFC 4703 §5.3.1: If any other status is returned, the updater SHOULD NOT attempt an update', () => {
  for (const code of ['NXDOMAIN', 'YXRRSET', 'NXRRSET', 'NOTAUTH', 'NOTZONE', 'BADKEY', 'RCODE11'] as const) assert.deepEqual(new Procedure(job).onAnswer(code), { kind: 'refused', code });
});

test('RFC 4703 §5.3.2: The first prerequisite is that the FQDN exists', () => {
  assert.deepEqual(updateAfter('YXDOMAIN').prerequisites[0], { kind: 'name-in-use', name });
});

test('RFC 4703 §5.3.2: The second is that the desired FQDN has attached to it a DHCID RR whose contents match the client identity', () => {
  assert.deepEqual(updateAfter('YXDOMAIN').prerequisites.slice(1), [{ kind: 'rrset-is', name, type: 'DHCID', data: dhcidOf(1) }]);
});

test('RFC 4703 §5.3.2: The update section contains a delete of any existing A RRs if this update is adding an A and the updater only desires a single IP address on the FQDN', () => {
  assert.deepEqual(updateAfter('YXDOMAIN').changes[0], { kind: 'delete-rrset', name, type: 'A' });
});

test('RFC 4703 §5.3.2: The update section contains an add of the A RR that matches the DHCP binding if this is an A update', () => {
  assert.deepEqual(updateAfter('YXDOMAIN').changes.slice(1), [{ kind: 'add', name, type: 'A', ttlSeconds: 600, data: address }]);
});

test('RFC 4703 §5.2: permit a single FQDN to contain A and AAAA RRs from the same client', () => {
  const both = zone({ ...zoneRecord(NAME, 'TXT', ''), type: 'AAAA', data: Buffer.alloc(16, 1) }, zoneRecord(NAME, 'DHCID', '1'));
  assert.equal(carryOut(job, both).outcome.kind, 'done');
  assert.deepEqual(both.at(NAME).map(({ type }) => type).toSorted(), ['A', 'AAAA', 'DHCID']);
});

test('RFC 4703 §5.3.2: If the UPDATE request succeeds, the updater can conclude that the current client was the last client associated with the FQDN, and that the FQDN now contains the updated A and/or AAAA RRs', () => {
  const procedure = new Procedure(job);
  procedure.onAnswer('YXDOMAIN');
  assert.deepEqual(procedure.onAnswer('NOERROR'), { kind: 'done' });
});

test('RFC 4703 §5.3.2: If the response to the UPDATE request returns NXDOMAIN, the FQDN is no longer in use, and the updater proceeds back to Section 5.3.1', () => {
  assert.deepEqual(updateAfter('YXDOMAIN', 'NXDOMAIN'), updateAfter());
});

test('RFC 4703 §5.3.2: If the response returns NXRRSET, there are no DHCID RRs for the FQDN, or the DHCID RR does not match: in either case, the updater proceeds to Section 5.3.3', () => {
  for (const records of [[zoneRecord(NAME, 'A', '10.0.0.9')], [zoneRecord(NAME, 'A', '10.0.0.9'), zoneRecord(NAME, 'DHCID', '2')]]) {
    assert.deepEqual(carryOut(job, zone(...records)).outcome, { kind: 'conflict' });
  }
});

test('RFC 4703 §5.3.3: As the FQDN appears to be in use by another client or is not associated with any client, the updater SHOULD either choose another FQDN or terminate the update with a failure', () => {
  const printer = zone(zoneRecord(NAME, 'A', '10.0.0.9'), zoneRecord(NAME, 'TXT', 'static'));
  const before = textsOf(printer);
  assert.deepEqual(carryOut(job, printer).outcome, { kind: 'conflict' });
  assert.deepEqual(textsOf(printer), before);
});

test('RFC 4703 §5.6: The procedures described in this document only cover updates to the A, AAAA, PTR, and DHCID RRs', () => {
  const types = new Set<string>();
  for (const records of [[], [zoneRecord(NAME, 'DHCID', '1')], [zoneRecord(NAME, 'DHCID', '2')]]) for (const action of ['add-forward', 'remove-forward'] as const) {
    for (const { changes, prerequisites } of carryOut(dnsJob({ action }), zone(...records)).updates) for (const part of [...changes, ...prerequisites]) if ('type' in part) types.add(part.type);
  }
  assert.deepEqual([...types].toSorted(), ['A', 'AAAA', 'DHCID']);
});
