/** What anybody on the network may send: a node goes on serving, and counts every packet by its reason. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import type { DropReason } from '../../node/telemetry/counters.ts';
import { Random } from '../sim/random.ts';
import { Capture } from '../support/capture.ts';
import { chaddrOf, clientPacket, discover, ip, release, request } from '../support/client-packets.ts';
import type { RawDatagram } from '../support/raw-datagrams.ts';
import { ADDRESSES, needs, ServedNetwork, type ServedNode } from '../support/served-network.ts';

const WAIT_MS = 20_000;
const MUTATIONS = 10_000;
const rawFile = join(import.meta.dirname, '../support/raw-datagrams.ts');
const ATTACKER = '10.1.0.66';

/** What a node has counted. */
interface Counts {
  readonly received: number;
  readonly sent: number;
  readonly drops: ReadonlyMap<string, number>;
  /** Accepted without an answer: RELEASE and DECLINE have none. */
  readonly silent: number;
}

async function countsOf(node: ServedNode): Promise<Counts> {
  const [received, sent, drops, events] = await Promise.all(
    ['lessor_dhcp_received_total', 'lessor_dhcp_sent_total', 'lessor_dhcp_dropped_total', 'lessor_events_total'].map((name) => node.metric(name)));
  const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);
  return {
    received: sum(received!.values()), sent: sum(sent!.values()),
    drops: new Map([...drops!].map(([label, count]) => [/reason="([^"]*)"/.exec(label)?.[1] ?? label, count])),
    silent: (events!.get('event="lease.released"') ?? 0) + (events!.get('event="lease.declined"') ?? 0),
  };
}

/** By reason, what was dropped in between. */
function newDrops(before: Counts, after: Counts): Record<string, number> {
  return Object.fromEntries([...after.drops].map(([reason, count]) => [reason, count - (before.drops.get(reason) ?? 0)] as const).filter(([, count]) => count > 0));
}

async function send(served: ServedNetwork, datagrams: readonly RawDatagram[]): Promise<void> {
  const file = join(served.folder, 'datagrams.json');
  writeFileSync(file, JSON.stringify(datagrams));
  const { stdout } = await served.host('attacker').exec([process.execPath, rawFile, file], { timeoutMs: 120_000 });
  assert.match(stdout, new RegExp(`^sent ${datagrams.length}$`, 'm'));
}

/**
 * Resolves with the counts once all `expected` packets were read and each has come to its end. There may
 * be more: answers to a "relay" that is the node itself come back to it.
 */
async function settled(node: ServedNode, before: Counts, expected: number): Promise<Counts> {
  let last: Counts | undefined;
  try {
    return await waitUntil('every packet counted', WAIT_MS, async () => {
      const now = await countsOf(node);
      const same = last !== undefined && now.received === last.received;
      last = now;
      const received = now.received - before.received;
      return same && received >= expected && outcomes(before, now) === received ? now : undefined;
    });
  } catch (error) {
    const seen = last === undefined ? 'nothing' : `${last.received - before.received} received, ${last.sent - before.sent} sent, ` +
      `${last.silent - before.silent} accepted in silence, dropped: ${JSON.stringify(newDrops(before, last))}`;
    throw new Error(`of ${expected} packets: ${seen}`, { cause: error });
  }
}

/** Each packet has exactly one; an answer that the system refuses to send is counted as sent all the same. */
function outcomes(before: Counts, after: Counts): number {
  const { 'send-failed': _refused, ...drops } = newDrops(before, after);
  return Object.values(drops).reduce((a, b) => a + b, 0) + after.sent - before.sent + after.silent - before.silent;
}

function startNetwork(): Promise<ServedNetwork> {
  return ServedNetwork.start({ nodes: ['a'], clients: ['attacker', 'udhcpc', 'dhclient', 'dhcpcd', 'newcomer'], leaseTime: '1h' });
}

async function stillServes(served: ServedNetwork, pid: number): Promise<void> {
  const [node] = served.nodes;
  const client = new RealClient({ kind: 'udhcpc', host: served.host('newcomer'), folder: join(served.folder, 'newcomer') });
  const { address } = await client.waitForLease(WAIT_MS);
  await client.release(WAIT_MS);
  await served.agreed(address, 'RELEASED');
  assert.equal(node!.pid, pid, 'the same process');
  assert.ok(node!.running);
  assert.doesNotMatch(node!.output, /"level":"error"/);
  assert.equal(await node!.stop(), 0, node!.output);
}

const head = (bytes: Buffer, ...options: number[]): Buffer => Buffer.concat([bytes.subarray(0, 240), Buffer.from(options)]);
const patched = (at: number, ...values: number[]): Buffer => {
  const bytes = discover({ chaddr: chaddrOf(at) });
  bytes.set(values, at);
  return bytes;
};

interface Bad {
  readonly what: string;
  readonly bytes: Buffer;
  readonly reason: DropReason;
  readonly fromPort?: number;
}

const BAD: readonly Bad[] = [
  { what: 'nothing at all', bytes: Buffer.alloc(0), reason: 'too-short' },
  { what: 'a truncated header', bytes: discover().subarray(0, 100), reason: 'too-short' },
  { what: 'a header without its magic cookie', bytes: discover().subarray(0, 236), reason: 'too-short' },
  { what: 'a wrong magic cookie', bytes: patched(236, 0x63, 0x82, 0x53, 0x64), reason: 'bad-magic' },
  { what: 'options that end in the middle of one', bytes: discover().subarray(0, 242), reason: 'option-truncated' },
  { what: 'an option past the end', bytes: head(discover(), 53, 1, 1, 12, 200, 97), reason: 'option-truncated' },
  { what: 'an option of length 255 past the end', bytes: head(discover(), 53, 1, 1, 61, 255, 1, 2, 3), reason: 'option-truncated' },
  { what: 'a message type of length 0', bytes: head(discover(), 53, 0, 255), reason: 'bad-message-type' },
  { what: 'a requested address of length 0', bytes: head(discover(), 53, 1, 1, 50, 0, 255), reason: 'bad-option' },
  { what: 'a client identifier of length 0', bytes: head(discover(), 53, 1, 1, 61, 0, 255), reason: 'bad-option' },
  { what: 'hlen 17', bytes: patched(2, 17), reason: 'bad-hlen' },
  { what: 'hlen 255', bytes: patched(2, 255), reason: 'bad-hlen' },
  { what: 'a reply', bytes: patched(0, 2), reason: 'bad-op' },
  { what: 'a message that only a server sends', bytes: clientPacket(2, {}), reason: 'bad-message-type' },
  { what: 'a message from port 0', bytes: discover(), fromPort: 0, reason: 'bad-source-port' },
  { what: 'a relay address in no subnet', bytes: discover({ giaddr: ip('192.0.2.1') }), reason: 'unknown-relay' },
  { what: 'a relay address that is a multicast group', bytes: discover({ giaddr: ip('224.0.0.1') }), reason: 'unknown-relay' },
  { what: 'a relay address that is a broadcast', bytes: discover({ giaddr: 0xffff_ffff }), reason: 'unknown-relay' },
  { what: 'a release from somebody else than the client', bytes: release({ ciaddr: ip('10.1.16.0') }), reason: 'spoofed-release' },
  { what: 'more relay hops than there are', bytes: discover({ hops: 255, giaddr: ip('10.2.0.1') }), reason: 'hops-exceeded' },
  { what: 'more bytes than the interface carries', bytes: Buffer.concat([discover(), Buffer.alloc(1600)]), reason: 'too-long' },
  { what: 'more bytes than are read', bytes: Buffer.concat([discover(), Buffer.alloc(8000)]), reason: 'too-long' },
];

test('malformed and forged packets get no answer, each is counted by its reason, and clients are served on', needs('udhcpc'), async (t) => {
  await using served = await startNetwork();
  const [node] = served.nodes;
  const { pid } = node!;
  served.host('attacker').ip(`address add ${ATTACKER}/16 brd + dev eth0`);
  for (const { what, bytes, reason, fromPort } of BAD) {
    for (const to of ['255.255.255.255', ADDRESSES.a]) {
      await t.test(`${what}, ${to === ADDRESSES.a ? 'to the node' : 'broadcast'}: ${reason}`, async () => {
        const before = await countsOf(node!);
        await send(served, [{ from: ATTACKER, to, fromPort: fromPort ?? 68, hex: bytes.toString('hex') }]);
        const after = await settled(node!, before, 1);
        assert.deepEqual(newDrops(before, after), { [reason]: 1 });
      });
    }
  }
  await t.test('the longest option there is counts as any other', async () => {
    const before = await countsOf(node!);
    const bytes = discover({ chaddr: chaddrOf(7), options: { 60: Buffer.alloc(255, 97), 61: Buffer.alloc(255, 98) } });
    await send(served, [{ from: ATTACKER, to: '255.255.255.255', fromPort: 68, hex: bytes.toString('hex') }]);
    const after = await settled(node!, before, 1);
    assert.deepEqual([newDrops(before, after), after.sent - before.sent], [{}, 1]);
  });
  await t.test('a forged relay address of another segment brings the forger no answer, the node\'s own no storm', async () => {
    const before = await countsOf(node!);
    const forged = [ip('10.2.0.1'), ip(ADDRESSES.a)].map((giaddr, i) => ({
      from: ATTACKER, to: ADDRESSES.a, fromPort: 67, hex: discover({ xid: 900 + i, chaddr: chaddrOf(90 + i), giaddr }).toString('hex'),
    }));
    const capture = await Capture.start({ host: served.host('attacker'), file: join(served.folder, 'attacker.pcapng') });
    await send(served, forged);
    // The node's answer to "its own relay" comes back to it, as a reply that no client sends.
    const after = await settled(node!, before, forged.length + 1);
    await capture.stop();
    assert.deepEqual(newDrops(before, after), { 'bad-op': 1 });
    assert.deepEqual(await capture.read(['ip.dst'], 'dhcp.type == 2'), []);
  });
  await t.test('the node serves on, has logged no error, and stops cleanly', () => stillServes(served, pid));
});

/** Whole UDP payloads that real clients sent, as hex. */
async function realPackets(served: ServedNetwork): Promise<string[]> {
  const found: string[] = [];
  for (const kind of ['udhcpc', 'dhclient', 'dhcpcd'] as const) {
    const host = served.host(kind);
    const capture = await Capture.start({ host, file: join(served.folder, `${kind}.pcapng`) });
    const client = new RealClient({ kind, host, folder: join(served.folder, kind), hostname: kind, renewAfterSeconds: 1 });
    await client.waitForLease(WAIT_MS);
    await client.renew(WAIT_MS);
    await client.release(WAIT_MS);
    await capture.stop();
    found.push(...(await capture.read(['udp.payload'], 'dhcp.type == 1')).map(([hex = '']) => hex.replaceAll(':', '')));
  }
  return found;
}

type Mutation = (bytes: Buffer, random: Random) => Buffer;

const anywhere = (bytes: Buffer, random: Random): number => random.int(0, Math.max(0, bytes.length - 1));
/** Where it matters most: the header's numbers, and the options. */
const somewhere = (bytes: Buffer, random: Random): number =>
  (random.chance(0.5) ? anywhere(bytes, random) : random.chance(0.3) ? random.int(0, 43) : random.int(236, Math.max(236, bytes.length - 1)));

const MUTATIONS_OF: readonly Mutation[] = [
  (bytes, random) => {
    const at = somewhere(bytes, random);
    if (at < bytes.length) bytes[at] = bytes[at]! ^ (1 << random.int(0, 7));
    return bytes;
  },
  (bytes, random) => {
    const at = somewhere(bytes, random);
    if (at < bytes.length) bytes[at] = random.pick([0, 1, 127, 128, 254, 255, random.int(0, 255)]);
    return bytes;
  },
  (bytes, random) => bytes.subarray(0, random.int(0, bytes.length)),
  (bytes, random) => Buffer.concat([bytes, Buffer.from(Array.from({ length: random.int(1, 300) }, () => random.int(0, 255)))]),
  (bytes, random) => {
    const at = somewhere(bytes, random);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.int(1, 16))]);
  },
  (bytes, random) => {
    const at = somewhere(bytes, random);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - random.int(1, 32)))]);
  },
  (bytes, random) => {
    const at = random.pick([12, 16, 20, 24, 24, 24]);
    if (at + 4 <= bytes.length) bytes.writeUInt32BE(random.pick([random.u32(), ip('10.1.16.0') + random.int(0, 40), ip('10.2.0.1'), ip(ADDRESSES.a)]), at);
    return bytes;
  },
  (bytes, random) => {
    const options = Buffer.from([random.int(0, 255), random.int(0, 8), ...Array.from({ length: random.int(0, 12) }, () => random.int(0, 255))]);
    return Buffer.concat([bytes.subarray(0, Math.min(bytes.length, 243)), options, bytes.subarray(Math.min(bytes.length, 243))]);
  },
  (bytes, random) => {
    for (let i = 28; i < Math.min(34, bytes.length); i++) bytes[i] = random.int(0, 255);
    return bytes;
  },
];

function mutated(original: string, random: Random): Buffer {
  let bytes = Buffer.from(original, 'hex');
  for (let i = random.int(1, 4); i > 0; i--) bytes = Buffer.from(random.pick(MUTATIONS_OF)(bytes, random));
  return bytes.subarray(0, 1400);
}

test(`${MUTATIONS} random mutations of packets of real clients: each is counted once, and clients are served on`, needs('udhcpc', 'dhclient', 'dhcpcd', 'tshark'), async (t) => {
  const seed = Number(process.env['MUTATION_SEED'] ?? Date.now() % 1_000_000_000);
  t.diagnostic(`replay: MUTATION_SEED=${seed} npm test -- test/e2e/bad-input.test.ts`);
  await using served = await startNetwork();
  const [node] = served.nodes;
  const { pid } = node!;
  const originals = [...await realPackets(served), request({ chaddr: chaddrOf(1), giaddr: ip('10.2.0.1'), requestedAddress: ip('10.2.16.9') }).toString('hex')];
  assert.ok(originals.length > 9, `${originals.length} packets of real clients`);
  served.host('attacker').ip(`address add ${ATTACKER}/16 brd + dev eth0`);
  const random = new Random(seed);
  const datagrams = Array.from({ length: MUTATIONS }, (): RawDatagram => ({
    from: random.chance(0.2) ? '0.0.0.0' : random.chance(0.1) ? `10.1.16.${random.int(0, 40)}` : ATTACKER,
    to: random.chance(0.5) ? '255.255.255.255' : ADDRESSES.a,
    fromPort: random.chance(0.02) ? 0 : random.pick([67, 68, 68, 1024]),
    hex: mutated(random.pick(originals), random).toString('hex'),
  }));
  const before = await countsOf(node!);
  await send(served, datagrams);
  const after = await settled(node!, before, MUTATIONS);
  const drops = newDrops(before, after);
  t.diagnostic(`${after.sent - before.sent} answered, ${after.silent - before.silent} accepted in silence, dropped: ${JSON.stringify(drops)}`);
  assert.ok(Object.keys(drops).length >= 10, 'many kinds of damage were met');
  assert.ok(after.sent > before.sent, 'some were still good');
  assert.ok(after.received - before.received - MUTATIONS <= after.sent - before.sent, 'no more than its own answers come back');
  await stillServes(served, pid);
});
