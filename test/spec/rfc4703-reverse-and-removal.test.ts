import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDnsUpdater } from '../../node/ddns/io/updater.ts';
import { parseKeyFile } from '../../node/ddns/key-file.ts';
import { Procedure, reverseName } from '../../node/ddns/update.ts';
import { TYPE_NUMBERS } from '../../node/ddns/wire.ts';
import { readClock } from '../../node/io/clock.ts';
import { cannedAnswer, startCannedNameServer } from '../support/canned-name-server.ts';
import { carryOut, dhcidOf, dnsJob, ModelZone, textsOf, zoneRecord } from '../support/dns-zone.ts';
import { keyFileText, TEST_KEY } from '../support/name-server.ts';

const NAME = 'laptop.example.test';
const POINTER = '5.0.0.10.in-addr.arpa';
const name = dnsJob({ action: 'add-forward' }).name;
const pointer = reverseName(0x0a000005);
const DONE = { kind: 'done' };

const forward = (...records: ReturnType<typeof zoneRecord>[]): ModelZone => new ModelZone('example.test.', records);
const reverse = (...records: ReturnType<typeof zoneRecord>[]): ModelZone => new ModelZone('0.0.10.in-addr.arpa.', records);

test('RFC 4703 §5.4: The DHCP server submits a DNS UPDATE request that deletes all of the PTR RRs associated with the client\'s assigned IP address and adds a PTR RR whose data is the client\'s FQDN', () => {
  const { updates } = carryOut(dnsJob({ action: 'add-reverse' }), reverse());
  assert.deepEqual(updates.map(({ changes }) => changes), [[
    { kind: 'delete-rrset', name: pointer, type: 'PTR' }, { kind: 'add', name: pointer, type: 'PTR', ttlSeconds: 600, data: name },
  ]]);
});

test('RFC 4703 §5.4: There is no need to validate the DHCID RR for PTR updates as the DHCP server only assigns an address to a single client at a time', () => {
  const before = reverse(zoneRecord(POINTER, 'PTR', 'other.example.test'), zoneRecord(POINTER, 'DHCID', '2'));
  const { outcome, updates } = carryOut(dnsJob({ action: 'add-reverse' }), before);
  assert.deepEqual([outcome, updates.map(({ prerequisites }) => prerequisites)], [DONE, [[]]]);
  assert.deepEqual(textsOf(before).filter((text) => text.includes('PTR')), [`${POINTER} PTR ${NAME}`]);
});

test('RFC 4703 §5.5: The most important consideration in removing DNS entries is to be sure that an entity removing a DNS entry is only removing an entry that it added', () => {
  const names = forward(zoneRecord(NAME, 'A', '10.0.0.5'));
  const pointers = reverse(zoneRecord(POINTER, 'PTR', 'printer.example.test'));
  const before = [textsOf(names), textsOf(pointers)];
  assert.deepEqual(carryOut(dnsJob({ action: 'remove-forward' }), names).outcome, DONE);
  assert.deepEqual(carryOut(dnsJob({ action: 'remove-reverse' }), pointers).outcome, DONE);
  assert.deepEqual([textsOf(names), textsOf(pointers)], before);
});

test('RFC 4703 §5.5: the DHCP server SHOULD delete the PTR RR that matches the DHCP binding, if one was successfully added', () => {
  const zone = reverse();
  carryOut(dnsJob({ action: 'add-reverse' }), zone);
  assert.deepEqual(carryOut(dnsJob({ action: 'remove-reverse' }), zone).outcome, DONE);
  assert.deepEqual(textsOf(zone), []);
});

test('RFC 4703 §5.5: The server\'s UPDATE request SHOULD assert that the domain name (PTRDNAME field) in the PTR record matches the FQDN of the client and should delete all RRs for the FQDN', () => {
  const update = new Procedure(dnsJob({ action: 'remove-reverse' })).next();
  assert.deepEqual(update.prerequisites, [{ kind: 'rrset-is', name: pointer, type: 'PTR', data: name }]);
  assert.deepEqual(update.changes, [{ kind: 'delete-name', name: pointer }]);
});

test('RFC 4703 §5.5: The entity chosen to handle the A records for this client SHOULD delete the A records that were added when the address was assigned to the client', () => {
  const zone = forward();
  carryOut(dnsJob({ action: 'add-forward' }), zone);
  assert.deepEqual(carryOut(dnsJob({ action: 'remove-forward' }), zone).outcome, DONE);
  assert.deepEqual(textsOf(zone), []);
});

test('RFC 4703 §5.5: the updater should only remove the DHCID RR if there are no A or AAAA RRs remaining for the client', () => {
  const another = forward(zoneRecord(NAME, 'A', '10.0.0.6'), zoneRecord(NAME, 'DHCID', '1'));
  const sixth = forward({ ...zoneRecord(NAME, 'TXT', ''), type: 'AAAA', data: Buffer.alloc(16, 1) }, zoneRecord(NAME, 'A', '10.0.0.5'), zoneRecord(NAME, 'DHCID', '1'));
  for (const zone of [another, sixth]) assert.deepEqual(carryOut(dnsJob({ action: 'remove-forward' }), zone).outcome, DONE);
  assert.deepEqual(textsOf(another), [`${NAME} A 10.0.0.6`, `${NAME} DHCID 1`]);
  assert.deepEqual(sixth.at(NAME).map(({ type }) => type).toSorted(), ['AAAA', 'DHCID']);
});

test('RFC 4703 §5.5: the updater prepares an UPDATE request that contains a prerequisite that asserts that the DHCID RR exists whose data is the client identity and an update section that deletes the client\'s specific A RR', () => {
  const update = new Procedure(dnsJob({ action: 'remove-forward' })).next();
  assert.deepEqual(update.prerequisites, [{ kind: 'rrset-is', name, type: 'DHCID', data: dhcidOf(1) }]);
  assert.deepEqual(update.changes, [{ kind: 'delete-record', name, type: 'A', data: zoneRecord(NAME, 'A', '10.0.0.5').data }]);
});

test('RFC 4703 §5.5: If the UPDATE request succeeds, the updater prepares a second UPDATE request that contains three prerequisites and an update section that deletes all RRs for the FQDN', () => {
  const procedure = new Procedure(dnsJob({ action: 'remove-forward' }));
  assert.equal(procedure.onAnswer('NOERROR'), undefined);
  assert.deepEqual(procedure.next().prerequisites.map(({ kind }) => kind), ['rrset-is', 'rrset-absent', 'rrset-absent']);
  assert.deepEqual(procedure.next().changes, [{ kind: 'delete-name', name }]);
});

test('RFC 4703 §5.5: The first prerequisite asserts that the DHCID RR exists whose data is the client identity; the second that there are no A RRs; the third that there are no AAAA RRs', () => {
  const procedure = new Procedure(dnsJob({ action: 'remove-forward' }));
  procedure.onAnswer('NOERROR');
  assert.deepEqual(procedure.next().prerequisites, [
    { kind: 'rrset-is', name, type: 'DHCID', data: dhcidOf(1) }, { kind: 'rrset-absent', name, type: 'A' }, { kind: 'rrset-absent', name, type: 'AAAA' },
  ]);
});

test('RFC 4703 §5.5: If either request fails, the updater MUST NOT delete the FQDN', () => {
  const procedure = new Procedure(dnsJob({ action: 'remove-forward' }));
  assert.deepEqual(procedure.onAnswer('NXRRSET'), DONE, 'the first: no second one follows');
  const moved = forward(zoneRecord(NAME, 'A', '10.7.0.1'), zoneRecord(NAME, 'DHCID', '1'), zoneRecord(NAME, 'TXT', 'note'));
  assert.deepEqual(carryOut(dnsJob({ action: 'remove-forward' }), moved).outcome, DONE, 'the second');
  assert.deepEqual(moved.at(NAME).map(({ type }) => type).toSorted(), ['A', 'DHCID', 'TXT']);
});

test('RFC 4703 §6: Both DHCP clients and servers SHOULD use some form of update request authentication (e.g., TSIG) when performing DNS updates', async (t) => {
  const server = await startCannedNameServer((request) => [cannedAnswer(request, 5)]);
  t.after(() => server.close());
  const [key] = parseKeyFile(keyFileText(TEST_KEY), 'key');
  const updater = openDnsUpdater({ keys: { find: () => key }, onDone: () => undefined, now: readClock });
  t.after(() => updater.close());
  updater.start(dnsJob({ action: 'add-forward', zone: { name: 'example.test.', servers: [server.server], key: TEST_KEY.name } }));
  while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(server.requests[0]!.message.records.at(-1)?.type, TYPE_NUMBERS.TSIG);
});
