/** Reservations added, replaced and removed in the text of a configuration. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { editReservations } from '../../node/config/edit-reservations.ts';
import type { ReservationEdit } from '../../node/config/edit-reservations.ts';
import { parseClusterConfig } from '../../node/config/load.ts';
import { plainValue } from '../../node/config/plain-text.ts';
import { ReservationPlaces } from '../../node/config/reservation-places.ts';

const FILE = `# The office.
leaseTime: 12h   # half a day
subnets:
  - subnet: 10.1.0.0/16
    pools: [10.1.1.0-10.1.1.255]
    reservations:
      # Printers.
      - { hardware: "02:00:00:00:00:01", address: 10.1.9.1, hostname: printer }   # first floor

      # Phones.
      - hardware: 02-00-00-00-00-02
        address: 10.1.9.2
        options:
          # ring
          domain-name: phones.example.net
      - clientId: "01:02:00:00:00:00:03"
        address: 10.1.9.3
    options: { routers: [10.1.0.1] }
  - subnet: 10.2.0.0/16
sharedNetworks:
  - name: floors
    subnets: [{ subnet: 10.3.0.0/16 }, { subnet: 10.4.0.0/16, reservations: [{ duid: "00:01:02:03", address: 10.4.0.9 }] }]
`;

const FIRST = ['subnets', 0, 'reservations'];

function edit(...edits: ReservationEdit[]): string {
  const result = editReservations(FILE, plainValue(FILE), edits);
  assert.ok(result !== undefined);
  assert.deepEqual(plainValue(result.text), result.value);
  parseClusterConfig(result.text, 'edited');
  return result.text;
}

test('one is added below the others, and nothing else changes', () => {
  const entry = { hardware: '02:00:00:00:00:09', address: '10.1.9.9', description: 'on the "roof"' };
  assert.equal(edit({ kind: 'add', list: FIRST, entry }),
    FILE.replace('        address: 10.1.9.3\n', `        address: 10.1.9.3\n      - { hardware: "02:00:00:00:00:09", address: 10.1.9.9, description: 'on the "roof"' }\n`));
});

test('one is removed with all its lines; comments between the others stay', () => {
  assert.equal(edit({ kind: 'remove', list: FIRST, index: 1 }), FILE.replace(/ {6}- hardware: 02-00-00-00-00-02\n[\s\S]*?phones\.example\.net\n/, ''));
  assert.equal(edit({ kind: 'remove', list: FIRST, index: 0 }), FILE.replace(/.*printer.*\n/, ''));
});

test('one is replaced where it stands', () => {
  const entry = { hardware: '02:00:00:00:00:02', address: '10.1.9.22', options: { 'domain-name': 'x.example.net' } };
  assert.equal(edit({ kind: 'replace', list: FIRST, index: 1, entry }), FILE.replace(/ {6}- hardware: 02-00-00-00-00-02\n[\s\S]*?phones\.example\.net\n/,
    '      - { hardware: "02:00:00:00:00:02", address: 10.1.9.22, options: { domain-name: x.example.net } }\n'));
});

test('a subnet without reservations gets its list, and so does the file', () => {
  const entry = { hardware: '02:00:00:00:00:09', address: '10.2.9.9' };
  assert.equal(edit({ kind: 'add', list: ['subnets', 1, 'reservations'], entry }),
    FILE.replace('  - subnet: 10.2.0.0/16\n', '  - subnet: 10.2.0.0/16\n    reservations:\n      - { hardware: "02:00:00:00:00:09", address: 10.2.9.9 }\n'));
  assert.equal(edit({ kind: 'add', list: ['reservations'], entry: { hardware: '02:00:00:00:00:09', hostname: 'guest' } }),
    `${FILE}reservations:\n  - { hardware: "02:00:00:00:00:09", hostname: guest }\n`);
});

test('lists in brackets, and the last entry of a list, go the long way round', () => {
  const bracketed = edit({ kind: 'add', list: ['sharedNetworks', 0, 'subnets', 1, 'reservations'], entry: { duid: '00:01:02:04', address: '10.4.0.10' } });
  assert.match(bracketed, /# first floor/);
  assert.match(bracketed, /10\.4\.0\.10/);
  const emptied = edit(...[0, 1, 2].map((index): ReservationEdit => ({ kind: 'remove', list: FIRST, index })));
  assert.match(emptied, /reservations: *\[\]|reservations:\n/);
  assert.match(emptied, /# half a day/);
});

test('several edits at once, of several lists', () => {
  const entry = { hardware: '02:00:00:00:00:09', address: '10.1.9.9' };
  const text = edit(
    { kind: 'remove', list: FIRST, index: 0 }, { kind: 'replace', list: FIRST, index: 2, entry }, { kind: 'add', list: FIRST, entry: { ...entry, hardware: '02:00:00:00:00:0a', address: '10.1.9.10' } },
    { kind: 'add', list: ['subnets', 1, 'reservations'], entry: { ...entry, address: '10.2.9.9' } },
  );
  assert.deepEqual(new ReservationPlaces(plainValue(text)).all.map(({ entry: { address } }) => address), ['10.4.0.9', '10.1.9.2', '10.1.9.9', '10.1.9.10', '10.2.9.9']);
});

test('whatever is edited, the text says what was meant', () => {
  const text = fc.constantFrom('plain', 'two words', '10.1.2.3', '12', 'true', 'null', 'yes', '', ' x', 'a: b', 'a #b', '"', "'", `"'`, '\\', '\n', 'ü', '- x', '{', '0x1f', '1e3', '~', '@', '[a]');
  const entry = fc.dictionary(fc.constantFrom('hardware', 'address', 'hostname', 'description', 'x y'), fc.oneof(text, fc.dictionary(text, text, { maxKeys: 2, noNullPrototype: true }), fc.integer(), fc.boolean()), { minKeys: 1, maxKeys: 3, noNullPrototype: true });
  const edits = fc.array(fc.oneof(
    entry.map((value): ReservationEdit => ({ kind: 'add', list: FIRST, entry: value })),
    entry.map((value): ReservationEdit => ({ kind: 'add', list: ['subnets', 1, 'reservations'], entry: value })),
    fc.tuple(fc.nat(2), entry).map(([index, value]): ReservationEdit => ({ kind: 'replace', list: FIRST, index, entry: value })),
    fc.nat(2).map((index): ReservationEdit => ({ kind: 'remove', list: FIRST, index })),
  ), { minLength: 1, maxLength: 4 }).filter((list) => {
    const places = list.flatMap((each) => (each.kind === 'add' ? [] : [each.index]));
    return new Set(places).size === places.length;
  });
  fc.assert(fc.property(edits, fc.boolean(), (list, crowded) => {
    const file = crowded ? FILE.replaceAll(/^ *#.*\n|^\n/gm, '').trimEnd() : FILE;
    const result = editReservations(file, plainValue(file), list);
    assert.ok(result !== undefined, 'one of the two ways leads there');
    assert.deepEqual(plainValue(result.text), result.value);
    assert.match(result.text, /10\.1\.0\.1\b/);
  }), { numRuns: 1500 });
});

const places = new ReservationPlaces(plainValue(FILE));

test('a reservation is found by its address and by any identifier of its client, however that is written', () => {
  const address = (who: string): unknown[] => places.find(who).map(({ entry }) => entry['address']);
  assert.deepEqual(address('10.1.9.1'), ['10.1.9.1']);
  assert.deepEqual(address('02:00:00:00:00:02'), ['10.1.9.2']);
  assert.deepEqual(address('02-00-00-00-00-01'), ['10.1.9.1']);
  assert.deepEqual(address('01:02:00:00:00:00:03'), ['10.1.9.3']);
  assert.deepEqual(address('0x00010203'), ['10.4.0.9']);
  assert.deepEqual(address('10.1.9.99'), []);
  assert.deepEqual(places.ofClient({ hardware: '02-00-00-00-00-01' }).length, 1);
  assert.deepEqual(places.ofClient({ hardware: '02-00-00-00-00-01', circuitId: 'x' }).length, 0, 'another client');
});

test('a new one belongs to the subnet of its address, or where it is said', () => {
  assert.deepEqual(places.listFor({ address: '10.2.0.1' }, {}), ['subnets', 1, 'reservations']);
  assert.deepEqual(places.listFor({ address: '10.4.0.1' }, {}), ['sharedNetworks', 0, 'subnets', 1, 'reservations']);
  assert.deepEqual(places.listFor({}, {}), ['reservations']);
  assert.deepEqual(places.listFor({}, { subnet: '10.2.0.0/16' }), ['subnets', 1, 'reservations']);
  assert.deepEqual(places.listFor({}, { sharedNetwork: 'floors' }), ['sharedNetworks', 0, 'reservations']);
  assert.match(String(places.listFor({ address: '10.9.0.1' }, {})), /no subnet has 10\.9\.0\.1/);
  assert.match(String(places.listFor({ address: '10.9.0' }, {})), /expected an IPv4 address/);
  assert.match(String(places.listFor({}, { subnet: '10.9.0.0/16' })), /no subnet 10\.9/);
});
