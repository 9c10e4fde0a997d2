/** Reservations: how a client is told, where the reservation may stand, and until when it counts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { until } from '../../node/config/time-kinds.ts';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { assertOne, clusterConfig, clusterMistakes } from '../support/config-mistakes.ts';

const SUBNET = 'subnets: [{ subnet: 10.0.0.0/8 }]\n';
const clientOf = (text: string) => clusterConfig(`${SUBNET}reservations: [{ ${text} }]`).reservations[0]!.client;

test('a client is told by any of its identifiers, and by those of its relay', () => {
  assert.deepEqual(clientOf('hardware: 52:54:00:12:34:56'), { hardware: '\x01\x52\x54\x00\x12\x34\x56' });
  assert.deepEqual(clientOf('hardware: 32/00:01'), { hardware: '\x20\x00\x01' });
  assert.deepEqual(clientOf('clientId: 01:ff'), { clientId: '\x01\xff' });
  assert.deepEqual(clientOf('clientId: { text: "host-1" }'), { clientId: 'host-1' });
  assert.deepEqual(clientOf('duid: 00:03:00:01'), { duid: '\x00\x03\x00\x01' });
  assert.deepEqual(clientOf('circuitId: ge-0/0/7, remoteId: "0x0aff", relayId: { hex: "00:02" }'), { circuitId: 'ge-0/0/7', remoteId: '\x0a\xff', relayId: '\x00\x02' });
  assert.deepEqual(clientOf('circuitId: "01:02"'), { circuitId: '01:02' }, 'text is text');
  assert.deepEqual(clientOf('circuitId: é'), { circuitId: '\xc3\xa9' }, 'as UTF-8');
  assert.deepEqual(clientOf('circuitId: { text: "0x01" }'), { circuitId: '0x01' });
  assert.deepEqual(clientOf('hardware: 52:54:00:12:34:56, circuitId: a, remoteId: b'), { hardware: '\x01\x52\x54\x00\x12\x34\x56', circuitId: 'a', remoteId: 'b' });
});

test('an identifier has a form and a length', () => {
  const one = (text: string): string[] => clusterMistakes(`${SUBNET}reservations: [{ ${text} }]`);
  for (const [key, values] of Object.entries({
    clientId: ['01', 'x', '"0x"', '"0x1"', '{ hex: "0" }', '{ hex: "01:02", text: x }', '{ text: x }', '{ text: 7 }', '{ hx: "01:02" }', `"0x${'00'.repeat(256)}"`, '7'],
    duid: ['01:02', `"0x${'00'.repeat(131)}"`], circuitId: ['""', '7', '[a]', `"0x${'00'.repeat(256)}"`], hardware: ['x', '"1/52:54"', '300/00'],
  })) {
    for (const value of values) assert.match(one(`${key}: ${value}`)[0]!, new RegExp(`^c\\.yaml:2:\\d+: reservations\\[0\\]\\.${key}: expected an? `), `${key}: ${value}`);
  }
});

test('a reservation stands in a subnet, in a shared network, or at the top', () => {
  const { reservations } = clusterConfig(`
reservations:
  - { hardware: 02:00:00:00:00:01 }
  - { hardware: 02:00:00:00:00:02, address: 10.3.0.2 }
  - { hardware: 02:00:00:00:00:03, address: 10.2.0.3, description: "by the door" }
sharedNetworks:
  - name: link
    subnets:
      - { subnet: 10.1.0.0/16, reservations: [{ hardware: 02:00:00:00:00:04, address: 10.1.0.4 }] }
      - { subnet: 10.2.0.0/16 }
    reservations:
      - { hardware: 02:00:00:00:00:05, address: 10.2.0.5 }
      - { hardware: 02:00:00:00:00:01, hostname: here }
subnets:
  - { subnet: 10.3.0.0/16, reservations: [{ hardware: 02:00:00:00:00:04, address: 10.3.0.4 }] }
`);
  assert.deepEqual(reservations.map(({ networkIndex, client, address }) => [networkIndex, client.hardware?.charCodeAt(6), address && address & 0xffff, (address ?? 0) >>> 16]), [
    [undefined, 1, undefined, 0], [1, 2, 2, 0x0a03], [0, 3, 3, 0x0a02], [0, 5, 5, 0x0a02], [0, 1, undefined, 0], [0, 4, 4, 0x0a01], [1, 4, 4, 0x0a03],
  ]);
  assert.deepEqual(reservations.map(({ description }) => description).filter((text) => text !== ''), ['by the door']);
  assert.ok(reservations.every(({ endsAt }) => endsAt === INFINITE_SECONDS));
});

test('the address lies in a subnet of its place, and is nobody else\'s', () => {
  const files = (top: string, link: string, subnet: string): string[] => clusterMistakes(`
reservations: [${top}]
sharedNetworks:
- { name: link, subnets: [{ subnet: 10.1.0.0/16 }, { subnet: 10.2.0.0/16 }], reservations: [${link}] }
subnets:
- { subnet: 10.3.0.0/16, reservations: [${subnet}] }
`);
  const a = (address: string, client = '01'): string => `{ hardware: "02:00:00:00:00:${client}", address: ${address} }`;
  assert.deepEqual(files(a('10.1.0.1'), a('10.2.0.1', '02'), a('10.3.0.1')), []);
  assertOne(files(a('10.4.0.1'), '', ''), 'c.yaml:2:58: reservations[0].address: expected an address in one of the subnets, found 10.4.0.1');
  assertOne(files('', a('10.3.0.1'), ''), 'c.yaml:4:135: sharedNetworks[0].reservations[0].address: expected an address in one of the subnets of this network, found 10.3.0.1');
  assertOne(files('', '', a('10.2.0.1')), 'c.yaml:6:83: subnets[0].reservations[0].address: expected an address inside 10.3.0.0/16');
  assertOne(files(a('10.3.0.0'), '', ''), 'c.yaml:2:58: reservations[0].address: expected a host\'s address, found the network\'s own address 10.3.0.0');
  assertOne(files(a('10.3.0.1'), '', a('10.3.0.1', '02')), 'c.yaml:6:83: subnets[0].reservations[0].address: expected each address once; reservations[0] has 10.3.0.1 too');
});

test('a client has one reservation in a network, and one for all', () => {
  const top = (...entries: string[]): string[] => clusterMistakes(`${SUBNET}reservations:\n${entries.map((entry) => `- { ${entry} }\n`).join('')}`);
  assertOne(top('hardware: 02:00:00:00:00:01', 'hardware: 02-00-00-00-00-01, hostname: x'),
    'c.yaml:4:15: reservations[1].hardware: expected each client once among the reservations for all networks; reservations[0] is for the same one');
  assertOne(top('circuitId: a, remoteId: b', 'remoteId: b, circuitId: "0x61"'), 'c.yaml:4:29: reservations[1].circuitId: expected each client once');
  assert.deepEqual(top('circuitId: a, remoteId: b', 'circuitId: a', 'remoteId: b', 'circuitId: ab', 'hardware: 02:00:00:00:00:01, circuitId: a', 'hardware: 02:00:00:00:00:01'), []);
  assert.deepEqual(top('hardware: 02:00:00:00:00:01', 'hardware: 02:00:00:00:00:01, address: 10.0.0.1'), [], 'the latter is of the network');
  assertOne(top('hardware: 02:00:00:00:00:01, address: 10.0.0.2', 'hardware: 02:00:00:00:00:01, address: 10.0.0.1'), 'c.yaml:4:15: reservations[1].hardware: expected each client once in a network; reservations[0]');
});

test('a reservation ends at the end of a day, or at a time of a zone', () => {
  const seconds = (text: string): number => Date.parse(text) / 1000;
  assert.equal(until.read('2027-03-31'), seconds('2027-04-01T00:00:00Z'));
  assert.equal(until.read('2028-02-29'), seconds('2028-03-01T00:00:00Z'));
  assert.equal(until.read('2027-03-31T18:00Z'), seconds('2027-03-31T18:00:00Z'));
  assert.equal(until.read('2027-03-31 18:00:07+02:00'), seconds('2027-03-31T16:00:07Z'));
  assert.equal(until.read('2027-12-31T23:30:00-05:30'), seconds('2028-01-01T05:00:00Z'));
  for (const text of [
    '2027-02-29', '2027-00-01', '2027-13-01', '2027-04-31', '2027-01-00', '2027-1-1', '27-01-01', '2027-01-01T18:00', '2027-01-01T24:00Z', '2027-01-01T18:60Z',
    '2027-01-01T18:00:60Z', '2027-01-01T18:00+15:00', '1969-12-30', '2107-01-01', 'tomorrow', '', '2027-01-01T', '2027-01-01Z',
  ]) assert.equal(until.read(text), undefined, text);
  fc.assert(fc.property(fc.date({ min: new Date('1970-01-02'), max: new Date('2106-01-01'), noInvalidDate: true }), (date) => {
    const text = date.toISOString();
    assert.equal(until.read(`${text.slice(0, 19)}Z`), Math.floor(date.getTime() / 1000));
    assert.equal(until.read(text.slice(0, 10)), (Math.floor(date.getTime() / 86_400_000) + 1) * 86_400);
  }));
  const { reservations } = clusterConfig(`${SUBNET}reservations: [{ hardware: 02:00:00:00:00:01, until: 2027-03-31 }]`);
  assert.equal(reservations[0]?.endsAt, seconds('2027-04-01T00:00:00Z'));
  assertOne(clusterMistakes(`${SUBNET}reservations: [{ hardware: 02:00:00:00:00:01, until: 2027-03-32 }]`), 'c.yaml:2:54: reservations[0].until: expected a day such as 2027-03-31');
});

test('where clients are known by their hardware address an identifier of their own says nothing', () => {
  const file = (identity: string, client: string): string[] => clusterMistakes(`subnets: [{ subnet: 10.0.0.0/8, ${identity} reservations: [{ ${client} }] }]`);
  assert.deepEqual(file('identity: hardware,', 'circuitId: x'), []);
  assertOne(file('identity: hardware,', 'duid: 01:02:03'), 'c.yaml:1:76: subnets[0].reservations[0].duid: expected hardware instead');
  assert.deepEqual(file('', 'duid: 01:02:03'), []);
});
