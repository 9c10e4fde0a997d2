/** What a server does about names of clients (RFC 4702 §2, §4 and §5), from the outside. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeDnsEntries, dnsWork } from '../../node/ddns/entries.ts';
import { ttlSecondsOf } from '../../node/ddns/zone-of.ts';
import { BindingState, recordState, SectionKind, withSection } from '../../node/lease/record.ts';
import { clientPacket, decline, discover, ip, option, release, request } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { dnsScope, E, entriesOf, entryTexts, fqdn, lease, N, namingServer, O, renew, S, sends, sendsHostName, toldOf } from '../support/client-names.ts';
import { optionCodes, packetsOf, replyOf } from '../support/dhcp-server.ts';
import type { TestServer } from '../support/dhcp-server.ts';

const told = (server: TestServer, fields: ClientFields) => toldOf(lease(server, fields).ack);

/** As the owner of the address does once DNS has confirmed. */
function settle(server: TestServer, address: number): void {
  const settled = entriesOf(server, address).filter(({ current }) => current).map((entry) => ({ ...entry, forwardSettled: true, reverseSettled: true }));
  server.store(address, withSection(server.table.read(address)!, SectionKind.dns, encodeDnsEntries(settled)));
}

test('RFC 4702 §2: servers supporting this option MUST implement DHCP option concatenation', () => {
  const value = fqdn(E | S, 'printer.example.com.');
  const server = namingServer();
  const whole = clientPacket(1, { options: { 81: value.subarray(0, 7) } });
  const end = whole.indexOf(255, 240);
  const split = Buffer.concat([whole.subarray(0, end), option(81, value.subarray(7)), Buffer.of(255)]);
  assert.deepEqual(toldOf(replyOf(server.receive(split))), { flags: E | S, rcodes: [255, 255], name: 'printer.example.com.' });
});

test('RFC 4702 §2: the option may be instantiated in a message as multiple options', () => {
  const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(49)}.example.com.`;
  assert.equal(fqdn(E | S, long).length, 258);
  const { offer, ack } = lease(namingServer(), sends(E | S, long));
  assert.equal(toldOf(offer)?.name, long);
  assert.equal(toldOf(ack)?.name, long);
});

test('RFC 4702 §2: the minimum value of the length is 3: a shorter option says nothing', () => {
  const server = namingServer();
  const { ack } = lease(server, { options: { 81: Buffer.of(E | S, 0), 12: Buffer.from('pc') } });
  assert.equal(ack.has(81), false);
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ pc.lan.example.com. A PTR']);
});

test('RFC 4702 §2.1: the "S" bit in the reply indicates the action: if 1, the server has taken responsibility for A RR updates', () => {
  for (const [flags, naming] of [[S, {}], [0, {}], [0, { clientUpdates: 'override' }], [S, { forward: false }]] as const) {
    const server = namingServer(naming);
    const { ack } = lease(server, sends(E | flags, 'pc.example.com.'));
    const adds = entriesOf(server, ack.yiaddr).some(({ current, forward }) => current && forward);
    assert.equal((toldOf(ack)!.flags & S) !== 0, adds);
  }
});

test('RFC 4702 §2.1: a server MUST set the "O" bit to 1 if the "S" bit in its reply does not match the "S" bit received', () => {
  for (const sent of [0, S, O, S | O, N, N | S]) {
    for (const naming of [{}, { clientUpdates: 'override' }, { noUpdates: 'override' }, { forward: false }, { forward: false, reverse: false }] as const) {
      const { flags } = told(namingServer(naming), sends(E | sent, 'pc.example.com.'))!;
      assert.equal((flags & O) !== 0, (flags & S) !== (sent & S), JSON.stringify([sent, naming]));
    }
  }
});

test('RFC 4702 §2.1: a server sets the "N" bit to indicate whether the server SHALL (0) or SHALL NOT (1) perform DNS updates', () => {
  const cases = [[S, {}], [0, {}], [N, {}], [N, { noUpdates: 'override' }], [0, { reverse: false }], [S, { forward: false, reverse: false }]] as const;
  for (const [flags, naming] of cases) {
    const server = namingServer(naming);
    const { ack } = lease(server, sends(E | flags, 'pc.example.com.'));
    assert.equal((toldOf(ack)!.flags & N) !== 0, entriesOf(server, ack.yiaddr).length === 0, JSON.stringify([flags, naming]));
  }
  assert.equal(told(namingServer(), sends(E | S, ''))!.flags, E | N | O, 'without a name nothing is done');
});

test('RFC 4702 §2.1: if the "N" bit is 1, the "S" bit MUST be 0', () => {
  for (const sent of [N, N | S]) assert.equal(told(namingServer(), sends(E | sent, 'pc.example.com.'))!.flags & (N | S), N);
});

test('RFC 4702 §2.1: a server MUST use the same encoding as that used by the client', () => {
  assert.deepEqual(told(namingServer(), sends(E | S, 'pc')), { flags: E | S, rcodes: [255, 255], name: 'pc.lan.example.com.' });
  assert.deepEqual(told(namingServer(), sends(S, 'pc')), { flags: S, rcodes: [255, 255], name: 'pc.lan.example.com' });
});

test('RFC 4702 §2.1: servers that send the option MUST clear the MBZ bits, and they MUST ignore these bits', () => {
  const server = namingServer();
  const { ack } = lease(server, sends(0xf0 | E | S, 'pc.example.com.'));
  assert.equal(toldOf(ack)?.flags, E | S);
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ pc.example.com. A PTR']);
});

test('RFC 4702 §2.2: a server SHOULD set the RCODEs to 255 when sending the option and MUST ignore them on receipt', () => {
  for (const rcodes of [0, 5, 255]) {
    const server = namingServer();
    const { ack } = lease(server, { options: { 81: fqdn(E | S, 'pc.example.com.', rcodes) } });
    assert.deepEqual(toldOf(ack), { flags: E | S, rcodes: [255, 255], name: 'pc.example.com.' });
  }
});

test('RFC 4702 §2.3: the server MUST NOT alter the Domain Name field contents unless the FQDN has actually changed', () => {
  const value = (flags: number, name: string): Buffer | undefined => lease(namingServer(), sends(flags, name)).ack.option(81)?.subarray(3);
  assert.deepEqual(value(E | S, 'My-PC.Example.com.'), fqdn(E, 'My-PC.Example.com.').subarray(3), 'case is none of it');
  assert.deepEqual(value(S, 'My-PC.Example.com'), Buffer.from('My-PC.Example.com'));
  assert.deepEqual(value(S, 'My-PC.Example.com.'), Buffer.from('My-PC.Example.com.'), 'nor is a dot at the end');
  const server = namingServer();
  const { ack } = lease(server, sends(E | S, 'My-PC'));
  assert.equal(toldOf(ack)?.name, 'My-PC.lan.example.com.');
  assert.deepEqual(toldOf(renew(server, ack.yiaddr, sends(E | S, 'My-PC.lan.example.com.'))), toldOf(ack), 'who sends what it was told is told the same');
});

test('RFC 4702 §2.3: a partial name lacks the terminating zero-length label, and the zone in which it is to be embedded is not known to the client', () => {
  assert.equal(told(namingServer(), sends(E | S, 'pc'))?.name, 'pc.lan.example.com.');
  assert.equal(told(namingServer(), sends(E | S, 'pc.floor-2'))?.name, 'pc.floor-2.lan.example.com.');
  assert.equal(told(namingServer(), sends(E | S, 'pc.example.com.'))?.name, 'pc.example.com.');
});

test('RFC 4702 §2.3: a client MAY also leave the Domain Name field empty if it desires the server to provide a name', () => {
  assert.equal(told(namingServer({ replaceName: 'when-missing' }), sends(E | S, ''))?.name, 'host-10-0-0-100.lan.example.com.');
  assert.equal(told(namingServer({ replaceName: 'when-missing' }), sends(S, ''))?.name, 'host-10-0-0-100.lan.example.com');
});

test('RFC 4702 §2.3.1: clients that send the option with the "E" bit set to 0 are using an ASCII encoding, a single label if not configured with a fully qualified name', () => {
  assert.deepEqual(told(namingServer(), sends(S, 'pc.example.com')), { flags: S, rcodes: [255, 255], name: 'pc.example.com' });
  assert.equal(told(namingServer(), sends(S, 'pc'))?.name, 'pc.lan.example.com');
  assert.equal(told(namingServer(), sends(S, 'pc\0'))?.name, 'pc.lan.example.com', 'RFC 2132 §2: trailing nulls are deleted');
});

test('RFC 4702 §2.3.1: servers SHOULD follow the character set rules of RFC 952 and RFC 1123', () => {
  const name = (sent: string, naming = {}) => told(namingServer(naming), sends(S, sent))?.name;
  assert.equal(name("Bob's PC"), 'Bob-s-PC.lan.example.com');
  assert.equal(name("Bob's PC", { invalidCharacters: 'remove' }), 'BobsPC.lan.example.com');
  assert.equal(name("Bob's PC", { invalidCharacters: 'refuse' }), '');
  assert.equal(name('7-up'), '7-up.lan.example.com', 'RFC 1123 §2.1: the first character may be a digit');
  assert.equal(name('-pc-'), 'pc.lan.example.com');
});

test('RFC 4702 §4: the server sets to 0 the "S", "O" and "N" bits in its copy and copies the client\'s "E" bit; then it decides', () => {
  const reply = (sent: number, naming = {}): number => told(namingServer(naming), sends(sent, 'pc.example.com.'))!.flags;
  for (const encoding of [0, E]) {
    assert.equal(reply(encoding), encoding, 'the client adds its A record');
    assert.equal(reply(encoding | O), encoding, 'its "O" bit means nothing');
    assert.equal(reply(encoding | S), encoding | S);
    assert.equal(reply(encoding | N), encoding | N);
    assert.equal(reply(encoding, { clientUpdates: 'override' }), encoding | S | O);
    assert.equal(reply(encoding | N, { noUpdates: 'override' }), encoding | S | O);
    assert.equal(reply(encoding | S, { forward: false }), encoding | O, 'nobody here adds A records');
    assert.equal(reply(encoding | S, { forward: false, reverse: false }), encoding | N | O);
  }
});

test('RFC 4702 §4: the server MAY be configured to use the name supplied, to modify it or to substitute a different name', () => {
  const name = (naming: object, sent: string) => told(namingServer(naming), sends(E | S, sent))?.name;
  assert.equal(name({ replaceName: 'never' }, 'pc'), 'pc.lan.example.com.');
  for (const replaceName of ['always', 'when-sent']) assert.equal(name({ replaceName }, 'pc'), 'host-10-0-0-100.lan.example.com.');
  assert.equal(name({ replaceName: 'when-missing' }, 'pc'), 'pc.lan.example.com.');
  assert.equal(name({ replaceName: 'always', generated: 'x{hardware}' }, 'pc'), 'x52-54-00-12-34-56.lan.example.com.');
  const reserved = namingServer({ replaceName: 'always' }, { reservations: [{ hardware: { htype: 1, chaddr: Buffer.from('525400123456', 'hex') }, hostname: 'Printer' }] });
  assert.equal(told(reserved, sends(E | S, 'pc'))?.name, 'Printer.lan.example.com.', 'a reservation goes before all');
});

test('RFC 4702 §4: the server SHOULD send its notion of the complete FQDN for the client, in a DHCPOFFER or DHCPACK', () => {
  const { offer, ack } = lease(namingServer(), sends(E | S, 'pc'));
  assert.equal(toldOf(offer)?.name, 'pc.lan.example.com.');
  assert.deepEqual(toldOf(ack), toldOf(offer));
  assert.equal(toldOf(lease(namingServer(), sends(E | N, 'pc')).ack)?.name, 'pc.lan.example.com.', 'also where it adds nothing');
});

test('RFC 4702 §4: the option is answered when the client\'s message includes it, and not otherwise', () => {
  const server = namingServer();
  const { offer, ack } = lease(server, { ...sendsHostName('pc'), parameters: [1, 3, 81] });
  assert.deepEqual([offer.has(81), ack.has(81)], [false, false]);
  assert.equal(renew(server, ack.yiaddr).has(81), false);
  assert.equal(toldOf(renew(server, ack.yiaddr, sends(E | S, 'pc')))?.name, 'pc.lan.example.com.');
  assert.equal(lease(namingServer('off'), sends(E | S, 'pc')).ack.has(81), false, 'without DNS it is no server that implements the option');
});

test('RFC 4702 §4: the option stands once in an answer, whatever else the client asks for', () => {
  const packets = packetsOf(namingServer().receive(discover({ ...sends(E | S, 'pc'), parameters: [81, 1, 81] })));
  assert.equal(optionCodes(packets[0]!.bytes).filter((code) => code === 81).length, 1);
});

test('RFC 4702 §4: if a client sends both the Client FQDN and Host Name option, the server SHOULD ignore the Host Name option', () => {
  const server = namingServer();
  const { ack } = lease(server, { options: { 12: Buffer.from('other'), 81: fqdn(E | S, 'pc') }, parameters: [12] });
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ pc.lan.example.com. A PTR']);
  assert.equal(ack.has(12), false);
  const empty = namingServer();
  const { ack: second } = lease(empty, { options: { 12: Buffer.from('other'), 81: fqdn(E | S, '') } });
  assert.deepEqual(entryTexts(empty, second.yiaddr), []);
});

test('RFC 4702 §4.1: the server SHOULD NOT perform any DNS updates if the "N" bit is 1 in the DHCPACK, and SHOULD delete any RRs that it previously added', () => {
  const server = namingServer();
  const { ack } = lease(server, sends(E | S, 'pc'));
  settle(server, ack.yiaddr);
  assert.equal(dnsWork(server.table.read(ack.yiaddr)!), false);
  assert.equal(toldOf(renew(server, ack.yiaddr, sends(E | N, 'pc')))!.flags, E | N);
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['- pc.lan.example.com. A PTR']);
  assert.equal(dnsWork(server.table.read(ack.yiaddr)!), true);
});

test('RFC 4702 §4.1: the server MAY perform the PTR RR DNS update (unless the "N" bit is 1), and the A RR DNS update if the "S" bit is 1 in the DHCPACK', () => {
  for (const [flags, texts] of [[S, ['+ pc.example.com. A PTR']], [0, ['+ pc.example.com. PTR']], [N, []]] as const) {
    const server = namingServer();
    assert.deepEqual(entryTexts(server, lease(server, sends(E | flags, 'pc.example.com.')).ack.yiaddr), texts);
  }
});

test('RFC 4702 §4.1: the server MAY perform these updates even if the client\'s DHCPREQUEST did not carry the Client FQDN option', () => {
  const server = namingServer();
  const { ack } = lease(server, sendsHostName('pc'));
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ pc.lan.example.com. A PTR']);
  const nameless = namingServer({ replaceName: 'when-missing' });
  assert.deepEqual(entryTexts(nameless, lease(nameless).ack.yiaddr), ['+ host-10-0-0-100.lan.example.com. A PTR']);
});

test('RFC 4702 §4.1: the server MUST NOT initiate DNS updates when responding to DHCPDISCOVER messages from a client', () => {
  const server = namingServer();
  const { changes, forwarded } = server.receive(discover(sends(E | S, 'pc')));
  assert.deepEqual([changes.length, forwarded.length], [0, 0]);
  const rapid = namingServer({}, {}, { rapidCommit: true });
  const ack = replyOf(rapid.receive(discover({ options: { 80: Buffer.alloc(0), 81: fqdn(E | S, 'pc') } })));
  assert.equal(ack.type, 5);
  assert.deepEqual(entryTexts(rapid, ack.yiaddr), ['+ pc.lan.example.com. A PTR'], 'a lease that is given at once is no response of that kind (RFC 4039)');
});

test('RFC 4702 §4.1: if the server previously performed DNS updates and the client\'s information has not changed, it MAY skip performing additional DNS updates', () => {
  const server = namingServer();
  const { ack } = lease(server, sends(E | S, 'pc'));
  settle(server, ack.yiaddr);
  for (const fields of [sends(E | S, 'PC'), sends(E | S, 'pc.lan.example.com.'), {}]) {
    renew(server, ack.yiaddr, fields);
    assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ pc.lan.example.com. a ptr']);
  }
  renew(server, ack.yiaddr, sends(E | S, 'laptop'));
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ laptop.lan.example.com. A PTR', '- pc.lan.example.com. A PTR']);
});

test('RFC 4702 §4.1: a client that takes over its A record keeps its PTR record, and the server\'s A record SHOULD be deleted', () => {
  const server = namingServer();
  const { ack } = lease(server, sends(E | S, 'pc'));
  settle(server, ack.yiaddr);
  renew(server, ack.yiaddr, sends(E, 'pc'));
  assert.deepEqual(entryTexts(server, ack.yiaddr), ['+ pc.lan.example.com. ptr', '- pc.lan.example.com. A']);
});

test('RFC 4702 §4.1: when a lease has expired, or is terminated before, the server SHOULD delete any PTR RR that it added, and the A RR', () => {
  const ends: readonly [BindingState, (server: TestServer, address: number) => void][] = [
    [BindingState.EXPIRED, (server) => {
      server.advance(3_700_000);
      server.tick();
    }],
    [BindingState.RELEASED, (server, ciaddr) => server.receive(release({ ciaddr, xid: 5, serverIdentifier: ip('10.0.0.2') }), { unicast: true, sourceAddress: ciaddr })],
    [BindingState.ABANDONED, (server, requestedAddress) => server.receive(decline({ requestedAddress, xid: 6, serverIdentifier: ip('10.0.0.2') }))],
  ];
  for (const [state, end] of ends) {
    const server = namingServer();
    const { yiaddr } = lease(server, sends(E | S, 'pc')).ack;
    settle(server, yiaddr);
    end(server, yiaddr);
    const record = server.table.read(yiaddr)!;
    assert.equal(recordState(record), state);
    assert.equal(dnsWork(record), true);
    assert.deepEqual(entryTexts(server, yiaddr), ['+ pc.lan.example.com. a ptr']);
  }
});

test('RFC 4702 §4.1: another client\'s lease of the address does not forget what is to be deleted of the earlier one', () => {
  const server = namingServer();
  const { yiaddr } = lease(server, sends(E | S, 'pc')).ack;
  settle(server, yiaddr);
  server.advance(3_700_000);
  server.tick();
  server.advance(60_000);
  const chaddr = Buffer.from('020000000001', 'hex');
  const ack = replyOf(server.receive(request({ chaddr, requestedAddress: yiaddr, serverIdentifier: ip('10.0.0.2'), ...sends(E | S, 'pc') })));
  assert.equal(ack.yiaddr, yiaddr);
  assert.deepEqual(entryTexts(server, yiaddr), ['+ pc.lan.example.com. A PTR', '- pc.lan.example.com. A PTR']);
  const [mine, theirs] = entriesOf(server, yiaddr);
  assert.notDeepEqual(mine?.dhcid, theirs?.dhcid);
});

test('RFC 4702 §5: the RR TTL SHOULD NOT exceed 1/3 of the lease time, but SHOULD NOT be less than 10 minutes', () => {
  const { updates } = dnsScope();
  for (const seconds of [1800, 3600, 86_400]) {
    const ttl = ttlSecondsOf(updates, seconds);
    assert.ok(ttl >= 600 && ttl <= Math.max(600, seconds / 3), `${ttl} s`);
  }
});

test('RFC 4702 §5: servers SHOULD allow administrators to configure TTLs and upper and lower bounds on the TTL values', () => {
  const updates = { ...dnsScope().updates, ttl: { part: 0.5, minSeconds: 60, maxSeconds: 3600 } };
  assert.deepEqual([100, 1000, 86_400].map((seconds) => ttlSecondsOf(updates, seconds)), [60, 500, 3600]);
});
