/**
 * Mutated packets through the codec and the DHCP server: a small run of `npm run fuzz`, and whether what
 * watches over it would notice anything.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BindingState, encodeRecord, withState } from '../../node/lease/record.ts';
import type { BindingFields } from '../../node/lease/record.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import type { MonotonicMs, WallMs } from '../../node/time.ts';
import { MUTATIONS, mutate } from '../fuzz/mutations.ts';
import { whyNotAnswered, whyNotDue, whyTooLate, whyUnasked } from '../fuzz/oracle.ts';
import type { Asked, Before } from '../fuzz/oracle.ts';
import { Crowd } from '../fuzz/packets.ts';
import { clientKeyOf, read, readTwice } from '../fuzz/reference.ts';
import type { Reading } from '../fuzz/reference.ts';
import { Finding, fuzz } from '../fuzz/run.ts';
import { Random } from '../sim/random.ts';
import { clientPacket, ip } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { overloadedDiscover, packet, SAMPLES, tlv } from './codec-packets.ts';

const NO_BYTES = Buffer.alloc(0);
const ADDRESS = ip('10.0.0.100');
const OTHER_ADDRESS = ip('10.0.0.101');

test('45,000 mutated packets and 15,000 valid ones: no crash, one reading of each, and no binding changes that no client asked for', () => {
  const { packets, mutated, outcomes, changes, replies } = fuzz(20_251, 45_000);
  assert.ok(mutated === 45_000 && packets > 55_000);
  const often = (counts: Record<string, number>, names: readonly string[], least: number): void => {
    for (const name of names) assert.ok((counts[name] ?? 0) >= least, `${name}: ${counts[name] ?? 0}`);
  };
  // Otherwise nothing would be shown by it.
  often(outcomes, ['option-truncated', 'bad-option', 'bad-message-type', 'too-short', 'bad-magic', 'bad-op', 'bad-hlen', 'too-long'], 100);
  often(outcomes, ['no-binding', 'unknown-client', 'other-server', 'spoofed-release', 'unknown-server', 'not-responsible', 'pool-exhausted'], 100);
  often(outcomes, ['class-dropped', 'bootp-refused', 'client-rate', 'asked the network', 'asked another owner', 'answered again'], 50);
  often(changes, ['ACTIVE', 'EXPIRED', 'RELEASED', 'ABANDONED', 'forwarded', 'forwarded in vain', 'borrowed', 'found in use', 'found free'], 50);
  often(replies, ['offer', 'ack', 'nak', 'with option overload', 'with rapid commit', 'to a BOOTP client'], 100);
});

test('the same seed sends the same packets', () => {
  const stream = (): Buffer[] => {
    const random = new Random(9);
    const crowd = new Crowd(random, [ADDRESS, OTHER_ADDRESS]);
    return Array.from({ length: 200 }, () => mutate(crowd.next().bytes, random, crowd.next().bytes));
  };
  assert.deepEqual(stream(), stream());
});

test('every mutation changes something, and leaves the packet that it was made of as it is', () => {
  for (const [name, mutation] of Object.entries(MUTATIONS)) {
    const random = new Random(4);
    const crowd = new Crowd(random, [ADDRESS, OTHER_ADDRESS]);
    let different = 0;
    for (let i = 0; i < 100; i++) {
      const { bytes } = crowd.next();
      const other = crowd.next().bytes;
      const [before, otherBefore] = [Buffer.from(bytes), Buffer.from(other)];
      if (!mutation(bytes, random, other).equals(before)) different++;
      assert.ok(bytes.equals(before) && other.equals(otherBefore), name);
    }
    assert.ok(different >= 15, `${name}: ${different} of 100`);
    for (const short of [NO_BYTES, Buffer.alloc(1), Buffer.alloc(240)]) mutation(short, random, NO_BYTES);
  }
});

test('a finding tells how to see it again', () => {
  const { message } = new Finding(7, 42, 'one node', Buffer.of(1, 2), new Error('it broke'));
  assert.equal(message, 'it broke (one node)\nthe packet: 0102\nagain: node test/fuzz/main.ts --seed 7 --packets 42');
});

// ── the second reader ────────────────────────────────────────────────────────────────────────────

function readingOf(bytes: Buffer, op = 1): Reading {
  const reading = read(bytes, op);
  if (typeof reading === 'string') assert.fail(reading);
  return reading;
}

test('the reference reads options from all three fields, and joins those that are split', () => {
  const { type, options } = readingOf(overloadedDiscover());
  assert.equal(type, 1);
  assert.deepEqual([options.get(43), options.get(12)?.toString(), options.get(60)?.toString()], [Buffer.of(1, 2, 3, 4, 5, 6), 'in-file', 'in-sname']);
  for (const sample of SAMPLES) assert.deepEqual(readTwice(sample()), read(sample()));
});

test('the reference reads no options where the cookie is zero (RFC 951 §3)', () => {
  const bytes = packet({ options: tlv(53, [1]) });
  bytes.fill(0, 236, 240);
  const { type, options } = readingOf(bytes);
  assert.deepEqual([type, options.size], [0, 0]);
  readTwice(bytes);
});

test('the reference says why a packet is none', () => {
  const made = (options: Buffer, fields = {}): Buffer => packet({ options, ...fields });
  const rows: [Buffer, string][] = [
    [Buffer.alloc(239), 'too-short'], [made(NO_BYTES, { op: 2 }), 'bad-op'], [made(NO_BYTES, { chaddr: Array.from({ length: 17 }, () => 1) }), 'bad-hlen'],
    [Buffer.concat([Buffer.of(1), Buffer.alloc(239, 1)]), 'bad-magic'], [made(tlv(53, [0])), 'bad-message-type'], [made(Buffer.of(53, 1)), 'option-truncated'],
    [made(Buffer.concat([tlv(52, [1]), tlv(53, [1])]), { file: Buffer.alloc(128, 7) }), 'option-truncated'],
    [made(tlv(52, [1, 1])), 'bad-option'], [made(Buffer.concat([tlv(53, [1]), tlv(53, [1])])), 'bad-message-type'],
    [made(tlv(61, [1])), 'bad-option'], [made(tlv(54, [1, 2, 3])), 'bad-option'],
  ];
  for (const [bytes, reason] of rows) assert.equal(read(bytes), reason);
});

// ── what watches over the bindings ───────────────────────────────────────────────────────────────

const SECOND = 1_700_000_000;
const ME = Buffer.from('01525400123456', 'hex');
const SOMEBODY = Buffer.from('01020000000001', 'hex');

function asked(type: number, fields: ClientFields = {}, sourceAddress = 0): Asked {
  const reading = readingOf(clientPacket(type, fields));
  const now = { mono: 1 as MonotonicMs, wall: SECOND * 1000 as WallMs };
  return {
    reading, now, sourceAddress, sourcePort: 68, clientKey: clientKeyOf(reading, 'client-id'), byClientIdentifier: reading.options.has(61),
    relayAgentInformation: reading.options.get(82) ?? NO_BYTES, leaseSeconds: { min: 60, max: 120 }, receivedAt: now.mono,
  };
}

function record(fields: Partial<BindingFields> = {}): Buffer {
  return encodeRecord({
    state: BindingState.ACTIVE, hasClientIdentifier: false, reserved: false, htype: 1, chaddr: ME.subarray(1), clientKey: ME,
    stateSince: SECOND, lastTransaction: SECOND, expires: SECOND + 60, leaseSeconds: 60, xid: 0x1234_5678,
    relayAgentInformation: NO_BYTES, hostname: NO_BYTES, ...fields,
  });
}

const offerTo = (clientKey: Buffer): Before['offer'] => ({ address: ADDRESS, networkIndex: 0, clientKey, xid: 1, until: 9 as MonotonicMs });
const theirs = (fields: Partial<BindingFields> = {}): Buffer => record({ clientKey: SOMEBODY, chaddr: SOMEBODY.subarray(1), xid: 1, ...fields });
const mine = record({ xid: 1 });
const released = (of: Buffer): Buffer => withState(of, BindingState.RELEASED, SECOND, 0x1234_5678);
const abandoned = (of: Buffer): Buffer => withState(of, BindingState.ABANDONED, SECOND, 0x1234_5678);

const FREE: Before = { record: undefined, offer: undefined, reserved: 'nobody', usable: true, rapidCommit: false, bootp: false };
const REQUEST = asked(3, { requestedAddress: ADDRESS });
const BOOTP = { ...REQUEST, reading: { ...REQUEST.reading, type: 0 } };
const RENEWAL = asked(3, { ciaddr: ADDRESS });
const RELEASE = asked(7, { ciaddr: ADDRESS }, ADDRESS);
const DECLINE = asked(4, { requestedAddress: ADDRESS });

interface Row {
  readonly what: string;
  readonly asked: Asked;
  readonly change: Buffer;
  readonly address?: number;
  readonly before?: Partial<Before>;
  /** What is said about it; undefined: the client asked for it. */
  readonly why?: string;
}

const ROWS: readonly Row[] = [
  { what: 'a grant of a free address', asked: REQUEST, change: record() },
  { what: 'a grant of an offered address', asked: REQUEST, change: record(), before: { offer: offerTo(ME) } },
  { what: 'a renewal', asked: RENEWAL, change: record(), before: { record: mine } },
  { what: 'a grant with rapid commit', asked: asked(1, { options: { 80: NO_BYTES } }), change: record(), before: { rapidCommit: true } },
  { what: 'a grant with rapid commit that is not configured', asked: asked(1, { options: { 80: NO_BYTES } }), change: record(), why: 'granted without a request' },
  { what: 'a BOOTP client\'s', asked: BOOTP, change: record({ leaseSeconds: INFINITE_SECONDS, expires: INFINITE_SECONDS }), before: { bootp: true } },
  { what: 'a BOOTP client\'s that is reserved', asked: BOOTP, change: record({ leaseSeconds: INFINITE_SECONDS, expires: INFINITE_SECONDS, reserved: true }), before: { reserved: 'client' } },
  { what: 'a BOOTP client\'s that is not configured', asked: BOOTP, change: record({ leaseSeconds: INFINITE_SECONDS, expires: INFINITE_SECONDS }), why: 'granted to a BOOTP client' },
  { what: 'a BOOTP client\'s that ends', asked: BOOTP, change: record(), before: { bootp: true }, why: 'a lease time that is not configured' },
  { what: 'a grant without rapid commit', asked: asked(1), change: record(), before: { rapidCommit: true }, why: 'granted without a request' },
  { what: 'a grant for an inform', asked: asked(8, { ciaddr: ADDRESS }), change: record(), why: 'granted without a request' },
  { what: 'a grant of another address', asked: REQUEST, change: record(), address: OTHER_ADDRESS, why: 'another address than the requested one' },
  { what: 'a renewal by option 50', asked: asked(3, { ciaddr: ADDRESS, requestedAddress: OTHER_ADDRESS }), change: record(), address: OTHER_ADDRESS, why: 'another address than the requested one' },
  { what: "a grant in another's name", asked: REQUEST, change: theirs(), why: 'in the name of another client' },
  { what: "a grant of another's lease", asked: REQUEST, change: record(), before: { record: theirs() }, why: "another client's lease" },
  { what: "a grant of another's lease that ended just now", asked: REQUEST, change: record(), before: { record: theirs({ state: BindingState.EXPIRED, expires: SECOND }) }, why: 'an address that its last client may still use' },
  { what: "a grant of another's lease that ended long ago", asked: REQUEST, change: record(), before: { record: theirs({ state: BindingState.EXPIRED, expires: SECOND - 20 }) } },
  { what: "a grant of what another has just released", asked: REQUEST, change: record(), before: { record: released(theirs()) }, why: 'an address that its last client may still use' },
  { what: "a grant of what is held for another", asked: REQUEST, change: record(), before: { offer: offerTo(SOMEBODY) }, why: 'an address held for another client' },
  { what: 'a grant of an abandoned address', asked: REQUEST, change: record(), before: { record: abandoned(mine) }, why: 'an abandoned address that was not offered' },
  { what: 'a grant of an abandoned address that was offered', asked: REQUEST, change: record(), before: { record: abandoned(mine), offer: offerTo(ME) } },
  { what: 'a grant of an abandoned address that is reserved', asked: REQUEST, change: record({ reserved: true }), before: { record: withState(mine, BindingState.ABANDONED, SECOND - 600), reserved: 'client' } },
  { what: 'a grant outside the pools', asked: REQUEST, change: record(), before: { usable: false }, why: 'an address that the client may not have' },
  { what: 'a grant of a reserved address outside the pools', asked: REQUEST, change: record({ reserved: true }), before: { usable: false, reserved: 'client' } },
  { what: 'a grant of a reserved address as any other', asked: REQUEST, change: record(), before: { reserved: 'client' }, why: 'another kind of address' },
  { what: "a grant of what is reserved for another", asked: REQUEST, change: record(), before: { reserved: 'another' }, why: 'an address reserved for another client' },
  { what: 'a grant for too long', asked: REQUEST, change: record({ leaseSeconds: 121, expires: SECOND + 121 }), why: 'a lease time that is not configured' },
  { what: 'a grant to another hardware address', asked: REQUEST, change: record({ chaddr: SOMEBODY.subarray(1) }), why: 'another hardware address' },
  { what: 'a grant with another xid', asked: REQUEST, change: record({ xid: 1 }), why: 'another xid' },
  { what: 'a grant with another kind of key', asked: REQUEST, change: record({ hasClientIdentifier: true }), why: 'another kind of client key' },
  { what: 'a grant that ends too late', asked: REQUEST, change: record({ expires: SECOND + 61 }), why: 'ends at another time than the lease time says' },
  { what: 'a grant with option 82 from nowhere', asked: REQUEST, change: record({ relayAgentInformation: Buffer.of(1, 1, 1) }), why: 'relay agent information that nobody sent' },
  { what: 'a release', asked: RELEASE, change: released(mine), before: { record: mine } },
  { what: 'a release of what is free', asked: RELEASE, change: released(mine), why: 'not a lease' },
  { what: "a release of another's lease", asked: RELEASE, change: released(theirs()), before: { record: theirs() }, why: 'in the name of another client' },
  { what: 'a release from elsewhere', asked: asked(7, { ciaddr: ADDRESS }, 9), change: released(mine), before: { record: mine }, why: 'a release from another address' },
  { what: 'a release through a relay', asked: asked(7, { ciaddr: ADDRESS, giaddr: 7 }, 9), change: released(mine), before: { record: mine } },
  { what: 'a release that was sent before', asked: RELEASE, change: released(record()), before: { record: record() }, why: 'a release with the xid of the grant' },
  { what: 'a release of another address', asked: RELEASE, change: released(mine), address: OTHER_ADDRESS, before: { record: mine }, why: 'another address than the released one' },
  { what: 'a release by a request', asked: RENEWAL, change: released(mine), before: { record: mine }, why: 'released without a release' },
  { what: 'a decline', asked: DECLINE, change: abandoned(mine), before: { record: mine } },
  { what: 'a decline of an offer', asked: DECLINE, change: abandoned(record()), before: { offer: offerTo(ME) } },
  { what: 'a decline of what was offered to another', asked: DECLINE, change: abandoned(record()), before: { offer: offerTo(SOMEBODY) }, why: 'declined by a client that neither has it nor was offered it' },
  { what: "a decline of another's lease", asked: DECLINE, change: abandoned(record()), before: { record: theirs() }, why: "another client's lease" },
  { what: 'a decline of another address', asked: DECLINE, change: abandoned(mine), address: OTHER_ADDRESS, before: { record: mine }, why: 'another address than the declined one' },
  { what: 'a decline by a release', asked: RELEASE, change: abandoned(mine), before: { record: mine }, why: 'abandoned without a decline' },
  { what: 'an end of a lease', asked: RELEASE, change: withState(mine, BindingState.EXPIRED, SECOND), before: { record: mine }, why: 'a state that no message asks for' },
  { what: 'no record at all', asked: REQUEST, change: NO_BYTES, why: 'no record' },
];

for (const { what, asked, change, address = ADDRESS, before, why } of ROWS) {
  test(`${what}: ${why ?? 'asked for'}`, () => {
    assert.equal(whyUnasked(asked, address, change, { ...FREE, ...before }), why);
  });
}

test('leases end when they are due, and nothing else does', () => {
  const { now } = REQUEST;
  const due = record({ expires: SECOND });
  const ended = withState(due, BindingState.EXPIRED, SECOND);
  assert.deepEqual(
    [[ended, due], [ended, record({ expires: SECOND + 1 })], [ended, undefined], [due, due], [ended, theirs()], [ended, ended]]
      .map(([change, before]) => whyNotDue(change!, before, now)),
    [undefined, 'before its end', 'not a lease', 'not an end of a lease', 'in the name of another client', 'not a lease'],
  );
});

test('what arrives late finds the address of nobody else', () => {
  const late = (record: Buffer | undefined, offer?: Before['offer']): string | undefined => whyTooLate(mine, REQUEST, { ...FREE, record, offer });
  assert.deepEqual([late(undefined), late(mine), late(released(theirs())), late(theirs()), late(undefined, offerTo(SOMEBODY)), late(undefined, offerTo(ME))],
    [undefined, undefined, undefined, "another client's lease", 'held for another client', undefined]);
});

test('an answer tells its client of what is the client\'s', () => {
  const reply = (type: number, yiaddr: number, leased: boolean, xid = 0x1234_5678): Reading => readingOf(packet({
    op: 2, xid, yiaddr, options: Buffer.concat([type === 0 ? NO_BYTES : tlv(53, [type]), leased ? tlv(51, [0, 0, 0, 60]) : NO_BYTES]),
  }), 2);
  const free = { record: undefined, offer: undefined };
  const rows: [Asked, Reading, { record: Buffer | undefined; offer: Before['offer'] }, string | undefined][] = [
    [asked(1), reply(2, ADDRESS, true), { ...free, offer: offerTo(ME) }, undefined],
    [asked(1), reply(2, ADDRESS, true), free, 'offers what it does not hold'],
    [asked(1), reply(2, ADDRESS, true), { record: theirs(), offer: offerTo(ME) }, "offers another client's lease"],
    [REQUEST, reply(2, ADDRESS, true), { ...free, offer: offerTo(ME) }, 'an offer without a discover'],
    [REQUEST, reply(5, ADDRESS, true), { ...free, record: record() }, undefined],
    [REQUEST, reply(5, ADDRESS, true), { ...free, record: theirs() }, 'acknowledges what the client does not have'],
    [REQUEST, reply(5, ADDRESS, true), { ...free, record: released(record()) }, 'acknowledges what the client does not have'],
    [REQUEST, reply(5, ADDRESS, true, 1), { ...free, record: record() }, 'an answer to another packet'],
    [asked(8, { ciaddr: ADDRESS }), reply(5, 0, false), free, undefined],
    [asked(8, { ciaddr: ADDRESS }), reply(5, 0, true), free, 'an address or a lease for an inform'],
    [REQUEST, reply(6, 0, false), free, undefined],
    [REQUEST, reply(6, ADDRESS, false), free, 'a refusal with an address'],
    [asked(1), reply(6, 0, false), free, 'refuses what was not requested'],
    [REQUEST, reply(0, ADDRESS, false), { ...free, record: record() }, 'no answer that a server gives'],
    [BOOTP, reply(0, ADDRESS, false), { ...free, record: record() }, undefined],
    [BOOTP, reply(0, ADDRESS, false), { ...free, record: theirs() }, 'no answer that a server gives'],
    [BOOTP, reply(2, 0, false), free, 'an offer without a discover'],
    [asked(1), reply(2, 0, false), free, 'an offer of nothing'],
    [asked(1, { options: { 116: Buffer.of(1) } }), reply(2, 0, false), free, undefined],
    [asked(1, { parameters: [1, 108] }), reply(2, 0, true), free, undefined],
  ];
  for (const [question, answer, told, why] of rows) assert.equal(whyNotAnswered(question, answer, told), why);
});
