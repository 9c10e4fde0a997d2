/** BOOTP clients at a DHCP server: RFC 1534, with the packets of RFC 951 and RFC 1542. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { recordExpires } from '../../node/lease/record.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { addressOption, bootRequest, chaddrOf, CLIENT_CHADDR, discover, ip, parseReply, request } from '../support/client-packets.ts';
import { packetsOf, replyOf, subnetConfig, TestServer } from '../support/dhcp-server.ts';

const bootp = (): TestServer => new TestServer({ subnets: [subnetConfig({ scope: { bootp: true } })] });

test("RFC 1534 §2: Messages without the DHCP Message Type option are assumed to have been sent by a BOOTP client", () => {
  const server = bootp();
  const decision = server.receive(bootRequest());
  assert.equal(decision.changes.length, 1);
  assert.equal(server.counters.received[0], 1);
});

test('RFC 1534 §2: A server not configured to support BOOTP clients silently discards the BOOTREQUEST message', () => {
  const server = new TestServer();
  assert.deepEqual(packetsOf(server.receive(bootRequest())), []);
  assert.deepEqual(server.drops(), { 'bootp-refused': 1 });
});

test('RFC 1534 §2: Static addresses have been previously assigned by a system administrator: they need no switch', () => {
  const server = new TestServer({ subnets: [subnetConfig({ reservations: [{ hardware: { htype: 1, chaddr: CLIENT_CHADDR }, address: ip('10.0.0.7') }] })] });
  assert.equal(replyOf(server.receive(bootRequest())).yiaddr, ip('10.0.0.7'));
});

test('RFC 1534 §2: a server MAY allocate addresses to BOOTP clients: from those pools that say so, wherever they lie', () => {
  const pools = [
    { first: ip('10.0.0.10'), last: ip('10.0.0.19') }, { first: ip('10.0.0.20'), last: ip('10.0.0.20'), scope: { bootp: true } },
  ];
  const server = new TestServer({ subnets: [subnetConfig({ pools })] });
  // A lease that it had as a DHCP client, and what it asks for, are of the other pool.
  server.receive(request({ requestedAddress: ip('10.0.0.11'), serverIdentifier: ip('10.0.0.2') }));
  assert.equal(replyOf(server.receive(bootRequest({ xid: 2, requestedAddress: ip('10.0.0.12') }))).yiaddr, ip('10.0.0.20'));
  assert.deepEqual(packetsOf(server.receive(bootRequest({ chaddr: chaddrOf(1) }))), []);
  assert.deepEqual(server.drops(), { 'pool-exhausted': 1 }, 'its pool is full');
  assert.equal(replyOf(server.receive(discover({ chaddr: chaddrOf(1) }))).yiaddr, ip('10.0.0.10'));
});

test('a BOOTP client that is refused has no address held for it, and nobody is asked whether one is in use', () => {
  const conflictCheck = { method: 'icmp', timeoutMs: 500, cacheSeconds: 0 } as const;
  const server = new TestServer({ subnets: [subnetConfig({ scope: { conflictCheck } })] });
  const decision = server.receive(bootRequest());
  assert.deepEqual([decision.probes, decision.allocations, server.table.offers.size, server.drops()], [[], [], 0, { 'bootp-refused': 1 }]);
  const shut = new TestServer({ classes: [{ name: 'nobody', condition: { kind: 'any', of: [] } }], subnets: [subnetConfig({ guard: { allow: [0], deny: [] }, scope: { bootp: true } })] });
  assert.deepEqual([packetsOf(shut.receive(bootRequest())), shut.drops()], [[], { 'not-permitted': 1 }]);
});

test('RFC 1542 §5.4: a BOOTREPLY goes to the relay agent at the server port, with the state of the BROADCAST flag preserved', () => {
  const server = bootp();
  for (const broadcast of [false, true]) {
    const decision = server.receive(bootRequest({ giaddr: ip('10.0.0.1'), broadcast }));
    const { address, port } = packetsOf(decision)[0]!;
    assert.deepEqual([address, port, replyOf(decision).broadcast], [ip('10.0.0.1'), 67, broadcast]);
  }
  const [direct] = packetsOf(server.receive(bootRequest({ broadcast: true, xid: 2 })));
  assert.deepEqual([direct!.address, direct!.port], [0xffff_ffff, 68]);
});

test("RFC 1542 §5.3: the contents of 'ciaddr' in a BOOTREPLY message SHOULD exactly match those in the BOOTREQUEST message", () => {
  const decision = bootp().receive(bootRequest({ ciaddr: ip('10.0.0.55') }));
  assert.deepEqual([replyOf(decision).ciaddr, packetsOf(decision)[0]!.address], [ip('10.0.0.55'), ip('10.0.0.55')]);
});

test('RFC 1534 §2: the DHCP server must assign an infinite lease duration for automatic addresses assigned to BOOTP clients', () => {
  const server = bootp();
  const address = replyOf(server.receive(bootRequest())).yiaddr;
  assert.equal(recordExpires(server.table.read(address)!), INFINITE_SECONDS);
  server.advance(400 * 86_400_000);
  server.carryOut(server.server.tick(server.now));
  assert.equal(replyOf(server.receive(bootRequest({ xid: 9 }))).yiaddr, address);
});

test("RFC 1534 §2: the server MUST NOT include the 'DHCP message type' option and MUST NOT exceed the size limit for BOOTREPLY messages", () => {
  const options = [{ code: 43, value: Buffer.alloc(200, 1) }, { code: 3, value: addressOption(ip('10.0.0.1')) }];
  const server = new TestServer({ subnets: [subnetConfig({ options, scope: { bootp: true } })] });
  const [packet] = packetsOf(server.receive(bootRequest({ options: { 57: Buffer.of(5, 220) } })));
  assert.equal(packet!.bytes.length, 300);
  const reply = parseReply(packet!.bytes);
  for (const code of [53, 54, 51, 58, 59, 61, 52]) assert.equal(reply.has(code), false, `option ${code}`);
  assert.equal(reply.optionU32(1), 0xffff_ff00);
  assert.equal(reply.optionU32(3), ip('10.0.0.1'));
  assert.equal(reply.has(43), false, 'what has no room is left out');
});

test('RFC 1534 §2: The server marks a binding for a BOOTP client as BOUND: its reply waits for the commit', () => {
  const decision = bootp().receive(bootRequest());
  assert.equal(decision.sendNow.length, 0);
  assert.deepEqual(decision.sendOnCommit.map(({ confirm }) => confirm), [false]);
});

test('a BOOTP client that asks again changes nothing', () => {
  const server = bootp();
  const address = replyOf(server.receive(bootRequest())).yiaddr;
  for (const wait of [1000, 3_600_000]) {
    server.advance(wait);
    const again = server.receive(bootRequest({ xid: 2 }));
    assert.deepEqual(again.changes, []);
    assert.equal(replyOf(again).yiaddr, address);
  }
});

test("RFC 951 §3: a vendor area without a magic cookie is a BOOTP client's that has nothing to say", () => {
  const server = bootp();
  const bytes = bootRequest();
  bytes.fill(0, 236);
  assert.notEqual(replyOf(server.receive(bytes)).yiaddr, 0);
  bytes[236] = 1;
  assert.deepEqual(packetsOf(server.receive(bytes)), []);
  assert.deepEqual(server.drops(), { 'bad-magic': 1 });
});

test("RFC 951 §7.3: 'siaddr' and 'file' tell the client where to boot from", () => {
  const boot = { nextServer: ip('10.0.0.9'), serverHostname: Buffer.from('boot.example.net'), bootFileName: Buffer.from('/images/x') };
  const server = new TestServer({ subnets: [subnetConfig({ scope: { bootp: true, boot } })] });
  const [packet] = packetsOf(server.receive(bootRequest()));
  assert.equal(parseReply(packet!.bytes).siaddr, ip('10.0.0.9'));
  assert.equal(packet!.bytes.toString('latin1', 44, 44 + 17), 'boot.example.net\0');
  assert.equal(packet!.bytes.toString('latin1', 108, 108 + 10), '/images/x\0');
});

test('a DHCP client with the identifier of a BOOTP client keeps its address, with a lease that ends', () => {
  const server = bootp();
  const address = replyOf(server.receive(bootRequest())).yiaddr;
  assert.equal(replyOf(server.receive(discover({ xid: 2 }))).yiaddr, address);
  const ack = replyOf(server.receive(request({ xid: 2, requestedAddress: address, serverIdentifier: ip('10.0.0.2') })));
  assert.deepEqual([ack.type, ack.optionU32(51)], [5, 3600]);
});
