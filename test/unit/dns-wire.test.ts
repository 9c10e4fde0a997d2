/** Messages of DNS: what is written another reader understands, and what is read may be anything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as dnsPacket from 'dns-packet';
import * as fc from 'fast-check';
import { formatDomainName, parseDomainName, readWireName } from '../../node/codec/domain-name.ts';
import type { DnsUpdate } from '../../node/ddns/update.ts';
import { CLASS_NUMBERS, decodeMessage, encodeQuery, encodeRecord, encodeUpdate, TYPE_NUMBERS } from '../../node/ddns/wire.ts';
import { dhcidOf } from '../support/dns-zone.ts';

const name = parseDomainName('a.example.test')!;

const everything: DnsUpdate = {
  zone: 'example.test.',
  prerequisites: [
    { kind: 'name-in-use', name }, { kind: 'name-not-in-use', name }, { kind: 'rrset-exists', name, type: 'A' }, { kind: 'rrset-absent', name, type: 'AAAA' },
    { kind: 'rrset-is', name, type: 'DHCID', data: dhcidOf(1) },
  ],
  changes: [
    { kind: 'add', name, type: 'A', ttlSeconds: 600, data: Buffer.of(10, 0, 0, 1) }, { kind: 'delete-record', name, type: 'PTR', data: name }, { kind: 'delete-rrset', name, type: 'CNAME' }, { kind: 'delete-name', name },
  ],
};

test('an update has the classes, types and data that RFC 2136 has for each of its parts', () => {
  const message = decodeMessage(encodeUpdate(0x1234, everything))!;
  assert.deepEqual({ ...message, records: [] }, {
    id: 0x1234, isResponse: false, opcode: 5, code: 'NOERROR', truncated: false, question: { name: parseDomainName('example.test')!, type: TYPE_NUMBERS.SOA, class: CLASS_NUMBERS.IN }, records: [],
  });
  const { A, AAAA, ANY, CNAME, DHCID, PTR } = TYPE_NUMBERS;
  assert.deepEqual(message.records.map((one) => [one.section, one.class, one.type, one.ttlSeconds, one.data.length]), [
    ['answer', 255, ANY, 0, 0], ['answer', 254, ANY, 0, 0], ['answer', 255, A, 0, 0], ['answer', 254, AAAA, 0, 0], ['answer', 1, DHCID, 0, 35],
    ['authority', 1, A, 600, 4], ['authority', 254, PTR, 0, 16], ['authority', 255, CNAME, 0, 0], ['authority', 255, ANY, 0, 0],
  ]);
  assert.ok(message.records.every((one) => one.name.equals(name)));
});

test('another reader finds the same question and records', () => {
  const question = dnsPacket.decode(encodeQuery(7, name, 'DHCID'));
  assert.deepEqual([question.id, question.type, question.questions], [7, 'query', [{ name: 'a.example.test', type: 'DHCID', class: 'IN' }]]);
  const { answers, authorities } = dnsPacket.decode(encodeUpdate(7, { ...everything, prerequisites: everything.prerequisites.slice(4), changes: everything.changes.slice(0, 2) }));
  assert.deepEqual(answers?.map((one) => [one.type, one.name]), [['DHCID', 'a.example.test']]);
  assert.deepEqual(authorities?.map((one) => [one.type, 'data' in one ? one.data : undefined]), [['A', '10.0.0.1'], ['PTR', 'a.example.test']]);
});

test('names in answers are read through pointers, in lower case, and their data too', () => {
  const bytes = dnsPacket.encode({
    type: 'response', id: 1, flags: dnsPacket.TRUNCATED_RESPONSE, questions: [{ name: 'A.Example.TEST', type: 'PTR' }], answers: [{ name: 'x', type: 'PTR', ttl: 5, data: 'y' }],
  });
  // The one-letter names become a pointer to the question's name and "b." with one.
  const answer = Buffer.concat([Buffer.of(0xc0, 12), Buffer.from('000c00010000000500040162c00c', 'hex')]);
  const message = decodeMessage(Buffer.concat([bytes.subarray(0, 12 + 16 + 4), answer]))!;
  assert.equal(message.truncated, true);
  assert.deepEqual([message.records[0]!.name, message.records[0]!.data].map((one) => formatDomainName(one)), ['a.example.test', 'b.a.example.test']);
});

test('a name in lower case without pointers, and where it ends; no name is none', () => {
  assert.deepEqual(readWireName(Buffer.from('\u0003FoO\0rest', 'latin1'), 0), { name: Buffer.from('\u0003foo\0', 'latin1'), end: 5 });
  assert.equal(readWireName(Buffer.of(0xc0, 0), 0), undefined);
  assert.equal(readWireName(Buffer.of(3, 0x61), 0), undefined);
});

test('what is no whole message is none', () => {
  const whole = encodeUpdate(1, everything);
  for (let length = 0; length < whole.length; length++) assert.equal(decodeMessage(whole.subarray(0, length)), undefined, `${length} bytes`);
  const questions = Buffer.from(whole);
  questions.writeUInt16BE(2, 4);
  assert.equal(decodeMessage(questions), undefined);
  // A pointer's data that goes on after its name.
  assert.equal(decodeMessage(Buffer.concat([Buffer.from('000180000000000100000000', 'hex'), encodeRecord(name, TYPE_NUMBERS.PTR, 'IN', 1, Buffer.concat([name, Buffer.of(0)]))])), undefined);
});

test('property: whatever comes is read or refused, and never throws', () => {
  const whole = encodeUpdate(1, everything);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    decodeMessage(Buffer.from(bytes));
  }));
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
    const bytes = Buffer.from(whole);
    for (const [at, byte] of changes) bytes[at] = byte;
    for (const record of decodeMessage(bytes)?.records ?? []) assert.ok(record.start >= 12 && record.start < bytes.length);
  }), { numRuns: 2000 });
});
