/** Whose reservation it is: every combination of identifiers, ends, and addresses given back to their pool. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Reservation } from '../../node/config/types.ts';
import { BindingState } from '../../node/lease/record.ts';
import { Reservations } from '../../node/lease/reservations.ts';
import type { ReservationSubject } from '../../node/lease/reservations.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import type { SlotChoice } from '../../node/lease/table.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { SimDisk } from '../sim/disk.ts';
import type { ReservationSpec } from '../support/configs.ts';
import { at, ip, Model, recordOf, subnet, tableConfig } from './lease-model.ts';

const T = 1_800_000_000;
const ALL: SlotChoice = { owns: () => true, homeOf: () => 'a' };
const key = (text: string): Buffer => Buffer.from(text);

function suboptions(...parts: readonly (readonly [code: number, value: string | undefined])[]): Buffer {
  return Buffer.concat(parts.flatMap(([code, value]) => (value === undefined ? [] : [Buffer.of(code, value.length), Buffer.from(value, 'latin1')])));
}

/** A request of a client with a DUID, if it shows one, behind a relay. */
function shows({ chaddr = '\x52\x54\0\0\0\x01', circuitId, clientId, duid, htype = 1, relayId, remoteId }: {
  htype?: number; chaddr?: string; clientId?: string | undefined; duid?: string | undefined;
  circuitId?: string | undefined; remoteId?: string | undefined; relayId?: string | undefined;
}): ReservationSubject {
  const identifier = duid === undefined ? clientId : `\xff\0\0\0\x07${duid}`;
  return {
    htype, chaddr: Buffer.from(chaddr, 'latin1'), clientId: identifier === undefined ? undefined : Buffer.from(identifier, 'latin1'),
    relayAgentInformation: suboptions([1, circuitId], [2, remoteId], [12, relayId]),
  };
}

const TEXTS = ['', 'a', 'b', '\xff\0'];
const aText = fc.constantFrom(...TEXTS);
const maybe = fc.option(aText, { nil: undefined });
const aReservation: fc.Arbitrary<Reservation> = fc.record({
  networkIndex: fc.constantFrom(undefined, 0, 1), address: fc.constant(undefined), overlay: fc.constant({ options: [] }),
  description: fc.string({ maxLength: 3 }), endsAt: fc.constantFrom(T - 1, T, T + 1, T + 2, INFINITE_SECONDS),
  client: fc.record({
    clientId: aText, duid: aText.filter((text) => text !== ''), hardware: aText.map((text) => `\x01${text}`), circuitId: aText, remoteId: aText, relayId: aText,
  }, { requiredKeys: [] }),
});

test('of all reservations that match, the one that says most counts, whichever identifiers they use', () => {
  const aSubject = fc.record({ chaddr: aText, clientId: maybe, duid: fc.option(aText.filter((t) => t !== ''), { nil: undefined }), circuitId: maybe, remoteId: maybe, relayId: maybe });
  fc.assert(fc.property(
    fc.array(aReservation, { maxLength: 30 }), fc.array(aSubject, { minLength: 1, maxLength: 10 }), fc.nat(2), fc.integer({ min: -2, max: 3 }),
    (reservations, subjects, networkIndex, age) => {
      const second = T + age;
      const model = new Model({ ...tableConfig([]), reservations });
      for (const found of [new Reservations(reservations, 0), new Reservations(reservations, second)]) {
        for (const shown of subjects) {
          const clientId = shown.duid === undefined ? shown.clientId : `\xff\0\0\0\x07${shown.duid}`;
          const keys = Object.fromEntries(Object.entries({ ...shown, clientId, hardware: `\x01${shown.chaddr}` }).filter(([, value]) => value !== undefined));
          const expected = model.reservationFor(networkIndex, keys as Record<string, string>, at(second));
          const answer = found.find(networkIndex, shows(shown), second);
          // Of those that say the same and end together it does not matter which.
          const same = (r: Reservation | undefined): unknown => r && [r.networkIndex, r.client, r.endsAt];
          assert.deepEqual(same(answer), same(expected));
        }
      }
    },
  ), { numRuns: 300 });
});

test('identifiers that together have the same bytes do not stand for each other', () => {
  const [, found] = oneFor({ circuitId: key('ab'), remoteId: key('c') });
  assert.equal(found(shows({ circuitId: 'a', remoteId: 'bc' })), false);
  assert.equal(found(shows({ circuitId: 'ab', remoteId: 'c' })), true);
});

function oneFor(spec: ReservationSpec): [LeaseTable, (subject: ReservationSubject) => boolean] {
  const table = tableOf([{ address: ip('10.0.0.1'), ...spec }]);
  return [table, (subject) => table.reservationFor(0, subject, at(T)) !== undefined];
}

function tableOf(reservations: readonly ReservationSpec[], pools: readonly [string, string][] = [['10.0.0.1', '10.0.0.2']]): LeaseTable {
  const table = new LeaseTable(new BindingStore(new SimDisk()), tableConfig([subnet('10.0.0.0/16', pools, reservations)]));
  table.load(at(T));
  return table;
}

test('RFC 4361 §6.1: the IAID is immediately followed by the DUID, which consumes the remaining contents of the option', () => {
  const [, found] = oneFor({ duid: Buffer.from('000300015254', 'hex') });
  const subject = (hex: string | undefined): ReservationSubject =>
    ({ ...shows({}), clientId: hex === undefined ? undefined : Buffer.from(hex, 'hex') });
  assert.equal(found(subject('ff00000001000300015254')), true);
  assert.equal(found(subject('ffabcdef99000300015254')), true, 'whichever interface it is');
  assert.equal(found(subject('01000300015254')), false, 'another type');
  assert.equal(found(subject('ff00000001')), false, 'no DUID at all');
  assert.equal(found(subject('ff')), false);
  assert.equal(found(subject('')), false);
  assert.equal(found(subject(undefined)), false);
});

test('a reservation by relay-id is for whoever asks through that relay (RFC 6925 §3.2)', () => {
  const [, found] = oneFor({ relayId: key('relay') });
  assert.equal(found(shows({ relayId: 'relay' })), true);
  assert.equal(found(shows({ relayId: 'relay 2' })), false);
  assert.equal(found({ ...shows({}), relayAgentInformation: undefined }), false);
});

test('a hardware address counts with its type', () => {
  const [, found] = oneFor({ hardware: { htype: 1, chaddr: Buffer.from('\x52\x54\0\0\0\x01', 'latin1') } });
  assert.equal(found(shows({})), true);
  assert.equal(found(shows({ htype: 6 })), false);
  assert.equal(found(shows({ chaddr: '\x52\x54\0\0\0' })), false);
});

test('a reservation counts for nothing from its end on, whether that was noticed or not', () => {
  const table = tableOf([{ clientId: key('c'), address: ip('10.0.0.1'), endsAt: T + 10 }]);
  const found = (second: number): boolean => table.reservationFor(0, shows({ clientId: 'c' }), at(second)) !== undefined;
  assert.deepEqual([found(T + 9), found(T + 9.999), found(T + 10)], [true, true, false]);
  const address = ip('10.0.0.1');
  const taken = (second: number): boolean[] => [table.isReserved(address, at(second)), !table.mayGive(address, key('other'), 0, at(second), false)];
  table.advance(at(T + 9), 10);
  assert.deepEqual([taken(T + 9), taken(T + 10)], [[true, true], [false, false]]);
  table.advance(at(T + 10), 10);
  assert.deepEqual(taken(T + 10), [false, false]);
});

test('the address of a reservation that ended is its pool\'s again, once, whatever was done with it', () => {
  const address = ip('10.0.0.1');
  const spec = { clientId: key('c'), address, endsAt: T + 10 };
  const binding = (state: BindingState): Parameters<typeof recordOf>[0] =>
    ({ state, client: 'c', since: T - 3000, lastTransaction: T - 3100, expires: T - 2000, leaseSeconds: 1100 });
  const cases: [string, (table: LeaseTable) => void, number][] = [
    ['never touched', () => {}, 2],
    ['its neighbour used', (table) => table.put(ip('10.0.0.2'), recordOf({ ...binding(BindingState.ACTIVE), expires: INFINITE_SECONDS }), at(T)), 1],
    ['passed by already', (table) => assert.equal(table.allocate([0], ALL, 'a', 0, at(T)), ip('10.0.0.2')), 2],
    ['active', (table) => table.put(address, recordOf({ ...binding(BindingState.ACTIVE), expires: INFINITE_SECONDS }), at(T)), 1],
    ['expired long ago', (table) => table.put(address, recordOf(binding(BindingState.EXPIRED)), at(T)), 2],
    ['abandoned', (table) => table.put(address, recordOf(binding(BindingState.ABANDONED)), at(T)), 1],
    ['forgotten', (table) => {
      table.put(address, recordOf(binding(BindingState.ACTIVE)), at(T));
      table.remove(address, at(T));
    }, 2],
    ['held', (table) => assert.ok(table.offers.hold(address, key('c'), at(T), 1)), 1],
  ];
  for (const [what, prepare, free] of cases) {
    const table = tableOf([spec]);
    prepare(table);
    for (const second of [T + 10, T + 11, T - 50, T + 12]) table.advance(at(second, 0), 10);
    assert.equal(table.counts(0).free, free, what);
    const taken: number[] = [];
    for (let i = 0; i < 4; i++) {
      const given = table.allocate([0], ALL, 'a', 0, at(T + 12, 0));
      if (given === 0) break;
      taken.push(given);
      table.offers.hold(given, key(`new ${i}`), at(T + 12, 0), 1);
    }
    assert.equal(new Set(taken).size, free, what);
    assert.equal(taken.length, free, what);
    if (what === 'abandoned') assert.equal(table.allocateAbandoned([0], ALL, at(T + 12, 0)), address);
    if (what === 'held') {
      table.offers.release(address);
      assert.equal(table.allocate([0], ALL, 'a', 0, at(T + 12, 0)), address);
    }
  }
});

test('a pool all of whose slot was passed by takes the address of an ended reservation back', () => {
  const pools: [string, string][] = [['10.0.1.7', '10.0.1.7'], ['10.0.2.7', '10.0.2.7']];
  const table = tableOf([{ clientId: key('c'), address: ip('10.0.1.7'), endsAt: T + 10 }], pools);
  table.offers.hold(table.allocate([0], ALL, 'a', 0, at(T)), key('x'), at(T), 1);
  assert.equal(table.allocate([0], ALL, 'a', 0, at(T)), 0);
  table.advance(at(T + 10), 10);
  assert.equal(table.allocate([0], ALL, 'a', 0, at(T + 10)), ip('10.0.1.7'));
});

test('an ended reservation stays ended when the clock steps back', () => {
  const table = tableOf([{ clientId: key('c'), address: ip('10.0.0.1'), endsAt: T + 10 }]);
  table.advance(at(T + 10), 10);
  table.advance(at(T - 100), 10);
  assert.equal(table.reservationFor(0, shows({ clientId: 'c' }), at(T - 100)), undefined);
  assert.equal(table.isReserved(ip('10.0.0.1'), at(T - 100)), false);
});

test('of many that end in one second a turn ends no more than it may', () => {
  const reservations = Array.from({ length: 30 }, (_, i) => ({ clientId: key(`c${i}`), address: ip('10.0.0.1') + i, endsAt: T + 5 }));
  const table = tableOf(reservations, [['10.0.0.1', '10.0.0.30']]);
  const free: number[] = [];
  for (let i = 0; i < 4; i++) {
    table.advance(at(T + 5), 12);
    free.push(table.counts(0).free);
  }
  assert.deepEqual(free, [12, 24, 30, 30]);
});

test('an address reserved twice is free when the last reservation has ended', () => {
  const address = ip('10.0.0.1');
  for (const [first, second] of [[T + 10, T + 20], [T + 20, T + 10], [T + 20, T + 20]] as const) {
    const table = tableOf([{ clientId: key('a'), address, endsAt: first }, { clientId: key('b'), address, endsAt: second }]);
    table.advance(at(T + 10), 10);
    assert.deepEqual([table.isReserved(address, at(T + 10)), table.counts(0).free], [true, 1]);
    table.advance(at(T + 20), 10);
    assert.deepEqual([table.isReserved(address, at(T + 20)), table.counts(0).free], [false, 2]);
  }
});

test('reserved addresses are found in order, each once', () => {
  const address = fc.integer({ min: 0xffff_ffff - 40, max: 0xffff_ffff });
  fc.assert(fc.property(fc.array(address, { maxLength: 20 }), address, address, (addresses, first, last) => {
    const { reservations } = tableConfig([], { reservations: addresses.map((a) => ({ clientId: key(`${a}`), address: a })) });
    const found = new Reservations(reservations, 0);
    const expected = [...new Set(addresses)].filter((a) => a >= first && a <= last).sort((a, b) => a - b);
    assert.deepEqual([...found.within(first, last)], expected);
    for (let a = 0xffff_ffff - 41; a <= 0xffff_ffff; a++) assert.equal(found.at(a)?.address, addresses.includes(a) ? a : undefined);
  }));
});
