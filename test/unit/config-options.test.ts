/** Options of the configuration: their values, when they are sent, and definitions of the file's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertOne, clusterConfig, clusterMistakes } from '../support/config-mistakes.ts';

const SUBNET = 'subnets: [{ subnet: 10.0.0.0/8 }]\n';
const optionsOf = (text: string) => clusterConfig(`${SUBNET}${text}`).subnets[0]!.scope.options.map(({ code, value, send }) => [code, value.toString('hex'), send]);

test('an option is a value, or a value and when it is sent', () => {
  assert.deepEqual(optionsOf('options: { routers: [10.0.0.1], domain-name: { value: a, send: always }, 42: { value: 10.0.0.2 }, ntp-servers-x: 1 }'.replace(', ntp-servers-x: 1', '')), [
    [3, '0a000001', 'requested'], [15, '61', 'always'], [42, '0a000002', 'requested'],
  ]);
  assert.deepEqual(optionsOf('options: { domain-name: { send: never }, routers: { value: 10.0.0.1, send: never } }'), [[3, '0a000001', 'never'], [15, '', 'never']]);
});

test('what is wrong with an option is told at its place', () => {
  const options = (text: string): string[] => clusterMistakes(`${SUBNET}options: { ${text} }`);
  assertOne(options('routers: { value: x, send: always }'), 'c.yaml:2:30: options.routers.value: expected a list of IPv4 addresses');
  assertOne(options('routers: { value: 10.0.0.1, send: sometimes }'), 'c.yaml:2:46: options.routers.send: expected one of requested, always, never, found "sometimes"');
  assertOne(options('routers: { value: 10.0.0.1, snd: always }'), 'c.yaml:2:40: options.routers.snd: unknown key; did you mean send?');
  assertOne(options('routers: { send: always }'), 'c.yaml:2:21: options.routers.value: expected a list of IPv4 addresses such as [10.0.0.1, 10.0.0.2], but it is missing');
  assertOne(options('routers:'), 'c.yaml:2:12: options.routers: expected a list of IPv4 addresses such as [10.0.0.1, 10.0.0.2], found nothing');
  assertOne(clusterMistakes(`${SUBNET}options: [routers]`), 'c.yaml:2:10: options: expected a map of DHCP options, found ["routers"]');
  assertOne(clusterMistakes(`classes: [{ name: a, match: { class: ALL }, options: { mtu: 9 } }]\n${SUBNET}`), 'c.yaml:1:61: classes[0].options.mtu: expected the name of a DHCP option');
  assertOne(clusterMistakes(`reservations: [{ circuitId: a, options: { interface-mtu: 9 } }]\n${SUBNET}`), 'c.yaml:1:58: reservations[0].options.interface-mtu: expected a whole number from 68');
});

test('RFC 8925 §3.4: the wait of option 108 is at least 300 seconds', () => {
  assert.deepEqual(optionsOf('options: { v6-only-preferred: 1800 }'), [[108, '00000708', 'requested']]);
  assert.match(clusterMistakes(`${SUBNET}options: { v6-only-preferred: 299 }`)[0]!, /options\.v6-only-preferred: expected .*300/);
});

test('options that the file defines are options like any others', () => {
  const definitions = `optionDefinitions:
  - { code: 224, name: phone-vlan, type: u16 }
  - { code: 225, name: menu, type: record, record: [u8, text] }
  - { code: 226, name: doors, type: ip, array: true }
  - { code: 1, name: controller, type: ip, space: access-point }
  - { code: 2, name: serial, type: text, space: 3561 }
`;
  assert.deepEqual(optionsOf(`${definitions}options:
  phone-vlan: { value: 17, send: always }
  225: [7, x]
  doors: [10.0.0.1, 10.0.0.2]
  vendor-encapsulated-options: { access-point: { controller: 10.0.0.9 } }
  vivso-suboptions: { 3561: { serial: ab } }
`), [[43, '01040a000009', 'requested'], [125, '00000de90402026162', 'requested'], [224, '0011', 'always'], [225, '0778', 'requested'], [226, '0a0000010a000002', 'requested']]);
  assertOne(clusterMistakes(`${SUBNET}${definitions}options: { phone-vlan: many }`), 'c.yaml:8:24: options.phone-vlan: expected a whole number from 0 to 65535, found "many"');
  assertOne(clusterMistakes(`${SUBNET}${definitions}options: { phone-vlam: 1 }`), 'c.yaml:8:24: options.phone-vlam: expected the name of a DHCP option or its code (1 to 254); did you mean phone-vlan?');
});

test('a definition that cannot be is told of, and the others hold', () => {
  const define = (text: string, rest = ''): string[] => clusterMistakes(`${SUBNET}optionDefinitions:\n- ${text}\n${rest}`);
  assertOne(define('{ code: 6, name: x, type: u8 }'), 'c.yaml:3:3: optionDefinitions[0]: expected a code that IANA has given to nobody');
  assertOne(define('{ code: 224, name: routers, type: u8 }'), 'c.yaml:3:3: optionDefinitions[0]: expected a name of its own');
  assertOne(define('{ code: 224, name: x, type: u9 }'), 'c.yaml:3:31: optionDefinitions[0].type: expected one of ip, ');
  assertOne(define('{ code: 224, name: X, type: u8 }'), 'c.yaml:3:22: optionDefinitions[0].name: expected a name');
  assertOne(define('{ code: 300, name: x, type: u8 }'), 'c.yaml:3:11: optionDefinitions[0].code: expected a whole number from 1 to 254');
  assertOne(define('{ code: 224, name: x, type: u8, arrays: true }'), 'c.yaml:3:35: optionDefinitions[0].arrays: unknown key; did you mean array?');
  assertOne(define('{ code: 224, name: x, type: record }'), 'c.yaml:3:3: optionDefinitions[0]: expected type: record together with the list record');
  assertOne(define('{ code: 6, name: x, type: u8 }\n- { code: 224, name: y, type: u8 }\n', 'options: { y: 7 }'), 'c.yaml:3:3: optionDefinitions[0]: expected a code');
  assertOne(define('{ code: 224, name: y, type: u8 }\n- { code: 224, name: z, type: u8 }\n', 'options: { y: 7 }'), 'c.yaml:4:3: optionDefinitions[1]: expected each code once');
});
