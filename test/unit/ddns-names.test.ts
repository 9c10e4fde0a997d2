/** Names of clients: whatever they send, what comes out is a name that DNS takes, and theirs to have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDomainName, parseDomainName } from '../../node/codec/domain-name.ts';
import { currentEntry, encodeDnsEntries } from '../../node/ddns/entries.ts';
import { endsWithName, FqdnFlag, generatedLabel, wishOf } from '../../node/ddns/names.ts';
import type { NameRequest, NameWish } from '../../node/ddns/names.ts';
import type { DnsNaming } from '../../node/ddns/types.ts';
import { SectionKind, withSection } from '../../node/lease/record.ts';
import { DNS_ENTRIES_PER_BINDING_MAX } from '../../node/limits.ts';
import { dnsScope, E, entriesOf, entryTexts, fqdn, lease, namingServer, renew, S, sends, sendsHostName, toldOf } from '../support/client-names.ts';
import { bootRequest, ip, request } from '../support/client-packets.ts';
import { chaddrHomedAt, FakeView, replyOf, twoNodes } from '../support/dhcp-server.ts';

const ADDRESS = 0x0a00_0001;
const CHADDR = Buffer.from('525400123456', 'hex');

function wish(given: Partial<NameRequest>, naming: Partial<DnsNaming> = {}): NameWish {
  return wishOf({ fqdn: undefined, hostName: undefined, reserved: undefined, earlier: undefined, address: ADDRESS, chaddr: CHADDR, ...given }, dnsScope(naming).naming);
}

const text = (name: Buffer | undefined): string | undefined => name && formatDomainName(name);
/** The name of a client that sends this in option 81, in the wire's form. */
const wireName = (hex: string, naming: Partial<DnsNaming> = {}): string | undefined => text(wish({ fqdn: Buffer.from(`050000${hex.replaceAll(' ', '')}`, 'hex') }, naming).name);
const hostName = (name: string, naming: Partial<DnsNaming> = {}): string | undefined => text(wish({ hostName: Buffer.from(name, 'latin1') }, naming).name);

const anyNaming: fc.Arbitrary<Partial<DnsNaming>> = fc.record({
  clientUpdates: fc.constantFrom('allow', 'override'), noUpdates: fc.constantFrom('honour', 'override'),
  replaceName: fc.constantFrom('never', 'always', 'when-sent', 'when-missing'), invalidCharacters: fc.constantFrom('replace', 'remove', 'refuse'),
  forward: fc.boolean(), reverse: fc.boolean(),
}, { noNullPrototype: true });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => Buffer.from(value));
/** Bytes as they come, and names that are nearly right. */
const nearlyName = fc.array(fc.oneof(fc.stringMatching(/^[A-Za-z0-9-]{1,63}$/).map((label) => Buffer.from(label)), bytes(64)), { maxLength: 6 })
  .map((labels) => Buffer.concat(labels.flatMap((label) => [Buffer.of(label.length), label])));
const anyFqdn = fc.oneof(bytes(300), fc.tuple(bytes(3), fc.oneof(nearlyName, bytes(260)), bytes(2)).map((parts) => Buffer.concat(parts)));
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

test('nothing throws, a name is one that DNS takes, and it is nobody else\'s by its nature', () => {
  const arpa = parseDomainName('arpa')!;
  fc.assert(fc.property(maybe(anyFqdn), maybe(bytes(300)), maybe(fc.constantFrom('printer', 'printer.example.net', 'a_b')), anyNaming, (given, name, reserved, naming) => {
    const { name: made, forward, reverse, fqdnAnswer, hostNameAnswer } = wish({ fqdn: given, hostName: name, reserved }, naming);
    const { apexes } = dnsScope().naming;
    if (made === undefined) assert.deepEqual([forward, reverse], [false, false]);
    else {
      assert.match(formatDomainName(made)!, /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/);
      assert.ok(!endsWithName(made, arpa) && !apexes.some((apex) => apex.equals(made)));
    }
    assert.equal(fqdnAnswer !== undefined, given !== undefined && given.length >= 3);
    if (fqdnAnswer !== undefined) {
      const flags = fqdnAnswer[0]!;
      assert.equal((flags & FqdnFlag.S) !== 0, forward);
      assert.equal((flags & FqdnFlag.N) !== 0, !forward && !reverse);
      assert.equal((flags & FqdnFlag.O) !== 0, (flags & S) !== (given![0]! & S));
      assert.equal(flags & E, given![0]! & E);
      assert.equal(flags & 0xf0, 0);
    }
    if (hostNameAnswer !== undefined) assert.match(hostNameAnswer.toString('latin1'), /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/);
  }), { numRuns: 500 });
});

test('who sends back what it was told is told the same', () => {
  fc.assert(fc.property(anyFqdn.filter(({ length }) => length >= 3), anyNaming, (given, naming) => {
    const first = wish({ fqdn: given }, naming);
    if (first.name === undefined || naming.replaceName !== 'never') return;
    const again = wish({ fqdn: Buffer.concat([Buffer.of(given[0]!), first.fqdnAnswer!.subarray(1)]) }, naming);
    assert.deepEqual(again, first);
  }));
});

test('hostile names in the wire\'s form are no names', () => {
  assert.equal(wireName('02 7063'), 'pc.lan.example.com');
  assert.equal(wireName('02 7063 00'), 'pc.lan.example.com', 'a single label is never fully qualified');
  assert.equal(wireName('02 7063 07 6578616d706c65 00'), 'pc.example');
  for (const hex of [
    'c00c', '02 7063 c000', '40 7063', 'ff', // pointers and reserved kinds of labels
    '05 7063', '02 7063 00 00', '02 7063 00 02 7063', '00', '00 02 7063', '02 7063 00 ff', // cut off, something behind, empty
    `3f ${'61'.repeat(63)} `.repeat(4), // too long
    '07 6578616d706c65 03 636f6d 00', // the zone itself
    '01 35 01 30 07 696e2d61646472 04 61727061 00', '02 7063 04 41525041 00', // under arpa, in any case
    '01 2d', '03 2d2d2d', '01 2e', '01 00', // nothing is left
  ]) assert.equal(wireName(hex), undefined, hex);
  assert.equal(wireName('03 6c616e', { suffix: parseDomainName('example.com')! }), undefined, 'a partial name that comes to be a zone');
  assert.equal(wireName('04 612e6263'), 'a-bc.lan.example.com', 'a dot inside a label is none between two');
  assert.equal(wireName('03 610062', { invalidCharacters: 'remove' }), 'ab.lan.example.com');
  assert.equal(wireName('01 2a'), undefined, 'a wildcard');
});

test('hostile names in text are no names', () => {
  assert.equal(hostName('PC'), 'pc.lan.example.com');
  assert.equal(hostName('pc.example.com'), 'pc.example.com');
  for (const name of ['', '.', '..', 'a..b', '.a', '\0', '-', 'example.com', '1.0.0.10.in-addr.arpa', 'a'.repeat(64), `${'a'.repeat(60)}.`.repeat(5)]) {
    assert.equal(hostName(name), undefined, name);
  }
  assert.equal(hostName('pc\0\0'), 'pc.lan.example.com');
  assert.equal(hostName('p\xc3\xa9c'), 'p-c.lan.example.com');
  assert.equal(hostName('p\xc3\xa9c', { invalidCharacters: 'remove' }), 'pc.lan.example.com');
  assert.equal(hostName('p\xc3\xa9c', { invalidCharacters: 'refuse' }), undefined);
  assert.equal(hostName('p\r\nc'), 'p-c.lan.example.com');
  assert.equal(hostName('a_b'), 'a-b.lan.example.com');
});

test('when a name is made up', () => {
  const names = (replaceName: DnsNaming['replaceName']) => ['pc', '', undefined].map((name) => {
    const given = name === undefined ? {} : { hostName: Buffer.from(name) };
    return text(wish(given, { replaceName }).name)?.replace('.lan.example.com', '');
  });
  assert.deepEqual(names('never'), ['pc', undefined, undefined]);
  assert.deepEqual(names('always'), ['host-10-0-0-1', 'host-10-0-0-1', 'host-10-0-0-1']);
  assert.deepEqual(names('when-sent'), ['host-10-0-0-1', undefined, undefined]);
  assert.deepEqual(names('when-missing'), ['pc', 'host-10-0-0-1', 'host-10-0-0-1']);
});

test('what stands in a made-up name', () => {
  assert.equal(generatedLabel('a-{address}-b', 0xffff_ffff, CHADDR), 'a-255-255-255-255-b');
  assert.equal(generatedLabel('{hardware}', 1, CHADDR), '52-54-00-12-34-56');
  assert.equal(generatedLabel('h{hardware}', 0x0a00_0001, Buffer.alloc(0)), 'h10-0-0-1');
});

test('a name ends with another one at a label only', () => {
  const ends = (name: string, ending: string): boolean => endsWithName(parseDomainName(name)!, parseDomainName(ending)!);
  assert.ok(ends('a.b.c', 'b.c') && ends('b.c', 'b.c') && ends('a', '.'));
  assert.ok(!ends('a.bb.c', 'b.c') && !ends('c', 'b.c') && !ends('b.c.d', 'b.c'));
});

test('the earlier name holds while the client says no other', () => {
  const earlier = parseDomainName('laptop.lan.example.com')!;
  assert.deepEqual([text(wish({ earlier }).name), wish({ earlier }).isEarlier], ['laptop.lan.example.com', true]);
  assert.equal(text(wish({ earlier }, { replaceName: 'when-missing' }).name), 'laptop.lan.example.com');
  assert.equal(text(wish({ earlier, hostName: Buffer.from('pc') }).name), 'pc.lan.example.com');
  assert.equal(text(wish({ earlier, reserved: 'printer' }).name), 'printer.lan.example.com');
  assert.equal(text(wish({ earlier }, { replaceName: 'always' }).name), 'host-10-0-0-1.lan.example.com');
  assert.equal(text(wish({ earlier, fqdn: fqdn(E | S, '') }).name), 'laptop.lan.example.com');
});

// ── from the outside ─────────────────────────────────────────────────────────────────────────────

test('a client whose name is made up or mended is told so where it asks for its host name', () => {
  const answer = (fields: object, naming: Partial<DnsNaming> = {}, more = {}): string | undefined =>
    lease(namingServer(naming, more), { parameters: [1, 12], ...fields }).ack.option(12)?.toString();
  assert.equal(answer({}, { replaceName: 'when-missing' }), 'host-10-0-0-100');
  assert.equal(answer(sendsHostName('pc'), { replaceName: 'always' }), 'host-10-0-0-100');
  assert.equal(answer(sendsHostName("Bob's PC")), 'Bob-s-PC');
  assert.equal(answer(sendsHostName('pc')), undefined, 'it knows');
  assert.equal(answer(sendsHostName('pc.example.com')), undefined);
  assert.equal(answer({ parameters: [1, 3] }, { replaceName: 'always' }), undefined, 'it does not ask');
  assert.equal(answer(sends(E | S, 'pc'), { replaceName: 'always' }), undefined, 'option 81 tells it');
  const reservations = [{ hardware: { htype: 1, chaddr: CHADDR }, hostname: 'printer' }];
  assert.equal(answer({}, { replaceName: 'always' }, { reservations }), 'printer', 'what is configured, once');
});

test('a reservation\'s host name is the name in DNS, whatever the client says', () => {
  const server = namingServer({}, { reservations: [{ hardware: { htype: 1, chaddr: CHADDR }, hostname: 'printer' }] });
  const { ack } = lease(server, sendsHostName('other'));
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ printer.lan.example.com. A PTR']);
});

test('a renewal that says nothing of names changes nothing of them, nor who adds what', () => {
  const reservations = [{ hardware: { htype: 1, chaddr: CHADDR }, hostname: 'printer' }];
  for (const [naming, more, name] of [[{ replaceName: 'always' }, {}, 'host-10-0-0-100'], [{ replaceName: 'when-sent' }, {}, 'host-10-0-0-100'], [{}, { reservations }, 'printer']] as const) {
    const server = namingServer(naming, more);
    const { ack } = lease(server, sends(E, 'pc'));
    renew(server, ack.yiaddr);
    assert.deepEqual(entryTexts(server, ack.yiaddr), [`+ ${name}.lan.example.com. PTR`]);
  }
  const server = namingServer();
  const { ack } = lease(server, sends(E, 'pc'));
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ pc.lan.example.com. PTR']);
  renew(server, ack.yiaddr);
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ pc.lan.example.com. PTR']);
  server.advance(3_700_000);
  server.tick();
  renew(server, ack.yiaddr);
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ pc.lan.example.com. PTR'], 'nor where it comes too late');
});

test('DNS that is switched off takes out what is there as leases are renewed; under an older protocol nothing is said of it', () => {
  const server = namingServer();
  const { ack } = lease(server, sends(E | S, 'pc'));
  server.configure({});
  assert.equal(toldOf(renew(server, ack.yiaddr, sends(E | S, 'pc'))), undefined);
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['- pc.lan.example.com. A PTR']);

  const view = new FakeView();
  view.speaks = 2;
  const old = namingServer({}, { view });
  const { ack: plain } = lease(old, sends(E | S, 'pc'));
  assert.deepEqual([plain.has(81), entryTexts(old, plain.yiaddr)], [false, []]);
  view.speaks = 3;
  assert.equal(toldOf(renew(old, plain.yiaddr, sends(E | S, 'pc')))?.flags, E | S);
  assert.deepEqual(entryTexts(old, plain.yiaddr), ['+ pc.lan.example.com. A PTR']);
});

test('what DNS has refused is tried again when the lease begins anew or the wish changes, not at each renewal', () => {
  const server = namingServer();
  const { ack } = lease(server, sends(E | S, 'pc'));
  const refuse = (): void => {
    const [entry] = entriesOf(server, ack.yiaddr);
    const refused = { ...entry!, forwardSettled: true, reverseSettled: true, refusal: 'conflict' as const };
    server.store(ack.yiaddr, withSection(server.table.read(ack.yiaddr)!, SectionKind.dns, encodeDnsEntries([refused])));
  };
  refuse();
  renew(server, ack.yiaddr, sends(E | S, 'pc'));
  assert.deepEqual(entriesOf(server, ack.yiaddr).map(({ refusal, forwardSettled }) => [refusal, forwardSettled]), [['conflict', true]]);
  renew(server, ack.yiaddr, sends(E, 'pc'));
  assert.deepEqual(entryTexts(server, ack.yiaddr)[0], '+ pc.lan.example.com. PTR');
  server.advance(10_000);
  const again = request({ xid: 77, requestedAddress: ack.yiaddr, ...sends(E | S, 'pc') });
  refuse();
  replyOf(server.receive(again));
  assert.deepEqual(entriesOf(server, ack.yiaddr).filter(({ current }) => current).map(({ refusal, forwardSettled }) => [refusal, forwardSettled]), [['none', false]]);
});

test('a renewal that is answered without a change (leaseCache) is one that says nothing new of names', () => {
  const server = namingServer({}, {}, { leaseCache: 0.4 });
  const { ack } = lease(server, sends(E | S, 'pc'));
  const changes = (fields: object, xid: number): number => {
    server.advance(10_000);
    return server.receive(request({ ciaddr: ack.yiaddr, xid, ...fields }), { unicast: true, sourceAddress: ack.yiaddr }).changes.length;
  };
  assert.equal(changes(sends(E | S, 'pc'), 1), 0);
  assert.equal(changes({}, 2), 0);
  assert.equal(changes(sends(E | S, 'laptop'), 3), 1);
  assert.equal(changes(sends(E | S, 'laptop'), 4), 0);
});

test('a copy of a request is told what the request was told', () => {
  const server = namingServer({ replaceName: 'when-missing' });
  const fields = { parameters: [12, 81], requestedAddress: ip('10.0.0.100'), serverIdentifier: ip('10.0.0.2') };
  const answers = [request(fields), request(fields)].map((bytes) => replyOf(server.receive(bytes)).option(12)?.toString());
  assert.deepEqual(answers, ['host-10-0-0-100', 'host-10-0-0-100']);
});

test('names that a binding has too many of are counted', () => {
  const server = namingServer();
  const { ack } = lease(server, sends(E | S, 'pc'));
  for (let n = 0; n < DNS_ENTRIES_PER_BINDING_MAX + 2; n++) renew(server, ack.yiaddr, sends(E | S, `pc${n}`));
  assert.equal(entriesOf(server, ack.yiaddr).length, DNS_ENTRIES_PER_BINDING_MAX);
  assert.equal(server.counters.dns.givenUp, 3);
});

test('a BOOTP client has a name too, and is told it as its host name', () => {
  const server = namingServer({ replaceName: 'when-missing' }, {}, { bootp: true });
  const reply = replyOf(server.receive(bootRequest({ options: { 81: fqdn(E | S, '') } })));
  assert.deepEqual(entryTexts(server, reply.yiaddr), ['+ host-10-0-0-100.lan.example.com. A PTR']);
  assert.equal(reply.has(81), false);
  const { yiaddr } = replyOf(server.receive(bootRequest({ chaddr: Buffer.from('020000000007', 'hex') })));
  assert.equal(entriesOf(server, yiaddr).length, 1);
});

test('a change that another node is to make says what the node that saw the request has decided', () => {
  const server = namingServer({}, { view: twoNodes() });
  const chaddr = chaddrHomedAt(server.view, 'a');
  const fields = { chaddr, requestedAddress: ip('10.0.0.101'), serverIdentifier: ip('10.0.0.2'), ...sends(E | S, 'pc') };
  server.server.holdOffered(ip('10.0.0.101'), Buffer.concat([Buffer.of(1), chaddr]), 1, server.now);
  const { changes, forwarded, sendOnCommit } = server.receive(request(fields));
  assert.deepEqual([changes.length, forwarded.length, sendOnCommit.length], [0, 1, 1]);
  assert.equal(forwarded[0]?.owner, 'b');
  assert.equal(text(currentEntry(forwarded[0].record)?.name), 'pc.lan.example.com');
});
