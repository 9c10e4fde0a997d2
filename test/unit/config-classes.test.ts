/** Classes: what may be matched, how it is written, and what it becomes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition } from '../../node/classes/types.ts';
import { assertOne, clusterConfig, clusterMistakes } from '../support/config-mistakes.ts';

const SUBNET = 'subnets: [{ subnet: 10.0.0.0/8 }]\n';
const DEFINITIONS = 'optionDefinitions: [{ code: 224, name: vlan, type: u16 }, { code: 2, name: host, type: text, space: acme }, { code: 7, name: port, type: u16, space: 3561 }]\n';

const conditionOf = (match: string): Condition => clusterConfig(`${SUBNET}${DEFINITIONS}classes:\n  - { name: a, match: ${match} }\n`).classes[0]!.condition;
const mistakes = (match: string): string[] => clusterMistakes(`${SUBNET}classes:\n- { name: a, match: ${match} }\n`);

function test60(kind: 'equals' | 'prefix' | 'contains', ...values: readonly (string | Buffer)[]): Condition {
  return { kind: 'test', subject: { from: 'option', code: 60, path: [] }, test: { kind, values: values.map((value) => Buffer.from(value as string)) } };
}

function testOf(subject: Extract<Condition, { kind: 'test' }>['subject'], kind: 'equals' | 'prefix' | 'contains', ...values: readonly string[]): Condition {
  return { kind: 'test', subject, test: { kind, values: values.map((hex) => Buffer.from(hex, 'hex')) } };
}

test('an option is compared with values as they are written under options', () => {
  assert.deepEqual(conditionOf('{ option: vendor-class-identifier, equals: PXEClient }'), test60('equals', 'PXEClient'));
  assert.deepEqual(conditionOf('{ option: 60, prefix: [PXEClient, HTTPClient] }'), test60('prefix', 'PXEClient', 'HTTPClient'));
  assert.deepEqual(conditionOf('{ option: 60, contains: { hex: "00ff" } }'), test60('contains', Buffer.from([0, 255])));
  assert.deepEqual(conditionOf('{ option: 60, equals: ["0x6162", { hex: "63:64" }, { text: "0x" }] }'), test60('equals', 'ab', 'cd', '0x'));
  const option = (code: number) => ({ from: 'option', code, path: [] }) as const;
  assert.deepEqual(conditionOf('{ option: client-system, equals: [7, 9] }'), testOf(option(93), 'equals', '0007', '0009'));
  assert.deepEqual(conditionOf('{ option: client-system, equals: [[7, 9]] }'), testOf(option(93), 'equals', '00070009'), 'a whole list');
  assert.deepEqual(conditionOf('{ option: dhcp-parameter-request-list, contains: 108 }'), testOf(option(55), 'contains', '6c'));
  assert.deepEqual(conditionOf('{ option: dhcp-client-identifier, prefix: "01:52:54" }'), testOf(option(61), 'prefix', '015254'));
  assert.deepEqual(conditionOf('{ option: 222, equals: "01:02" }'), testOf(option(222), 'equals', '0102'));
  assert.deepEqual(conditionOf('{ option: vlan, equals: 17 }'), testOf(option(224), 'equals', '0011'), 'one that the file defines');
  assert.deepEqual(conditionOf('{ option: dhcp-requested-address, network: [10.0.0.0/8, 192.0.2.0/24] }'), {
    kind: 'test', subject: option(50), test: { kind: 'network', networks: [{ network: 0x0a000000, prefixLength: 8 }, { network: 0xc0000200, prefixLength: 24 }] },
  });
  assert.deepEqual(conditionOf('{ option: rapid-commit, exists: true }'), { kind: 'test', subject: option(80), test: { kind: 'exists' } });
  assert.deepEqual(conditionOf('{ option: 81, exists: false }'), { kind: 'not', of: { kind: 'test', subject: option(81), test: { kind: 'exists' } } });
});

test('sub-options are found by name or code, of relays, of vendors and of enterprises', () => {
  const relay = (code: number) => ({ from: 'option', code: 82, path: [code] }) as const;
  assert.deepEqual(conditionOf('{ relay: circuit-id, prefix: wifi-guest }'), testOf(relay(1), 'prefix', Buffer.from('wifi-guest').toString('hex')));
  assert.deepEqual(conditionOf('{ relay: 2, equals: { hex: "0a:ff" } }'), testOf(relay(2), 'equals', '0aff'));
  assert.deepEqual(conditionOf('{ relay: link-selection, equals: 10.0.0.1 }'), testOf(relay(5), 'equals', '0a000001'));
  assert.deepEqual(conditionOf('{ relay: 5, network: 10.0.0.0/8 }').kind, 'test');
  assert.deepEqual(conditionOf('{ relay: 200, equals: abc }'), testOf(relay(200), 'equals', '616263'));
  assert.deepEqual(conditionOf('{ option: 82, suboption: remote-id, equals: sw }'), testOf(relay(2), 'equals', '7377'));
  const vendor = (...path: readonly number[]) => ({ from: 'option', code: 43, path }) as const;
  assert.deepEqual(conditionOf('{ option: 43, suboption: host, equals: abc }'), testOf(vendor(2), 'equals', '616263'));
  assert.deepEqual(conditionOf('{ option: 43, suboption: [9, 1], equals: abc }'), testOf(vendor(9, 1), 'equals', '616263'));
  assert.deepEqual(conditionOf('{ option: 125, enterprise: 3561, suboption: port, equals: 80 }'),
    testOf({ from: 'option', code: 125, path: [7], enterprise: 3561 }, 'equals', '0050'));
  assert.deepEqual(conditionOf('{ option: vivco-suboptions, enterprise: 9, contains: phone }'),
    testOf({ from: 'option', code: 124, path: [], enterprise: 9 }, 'contains', Buffer.from('phone').toString('hex')));
});

test('fields of the header and the interface are compared in their own form', () => {
  assert.deepEqual(conditionOf('{ field: hardware, prefix: ["00:1b:63", 52-54] }'), testOf({ from: 'hardware' }, 'prefix', '001b63', '5254'));
  assert.deepEqual(conditionOf('{ field: htype, equals: [1, 6] }'), testOf({ from: 'htype' }, 'equals', '01', '06'));
  assert.deepEqual(conditionOf('{ field: giaddr, equals: 10.0.0.1 }'), testOf({ from: 'giaddr' }, 'equals', '0a000001'));
  assert.deepEqual(conditionOf('{ field: ciaddr, exists: true }'), { kind: 'test', subject: { from: 'ciaddr' }, test: { kind: 'exists' } });
  assert.deepEqual(conditionOf('{ field: interface, equals: eth1 }'), testOf({ from: 'interface' }, 'equals', Buffer.from('eth1').toString('hex')));
});

test('conditions are put together, and refer to classes further up and to those built in', () => {
  const { classes } = clusterConfig(`${SUBNET}
classes:
  - { name: first, match: { field: htype, equals: 1 } }
  - name: second
    match:
      all:
        - { class: first }
        - { not: { class: KNOWN } }
        - { any: [{ class: BOOTP }, { class: VENDOR_CLASS_x y }] }
`);
  assert.deepEqual(classes.map(({ index, name }) => [index, name]), [[0, 'first'], [1, 'second']], 'a built-in one in a condition is no class of its own');
  assert.deepEqual(classes[1]?.condition, {
    kind: 'all',
    of: [{ kind: 'class', index: 0 }, { kind: 'not', of: { kind: 'known' } }, { kind: 'any', of: [{ kind: 'bootp' }, test60('equals', 'x y')] }],
  });
});

test('a condition has one head, and what belongs to it', () => {
  const at = 'c.yaml:3:';
  assertOne(mistakes('{ }'), `${at}21: classes[0].match: expected exactly one of option, relay, field, all, any, not, class, found none of them`);
  assertOne(mistakes('{ option: 60, relay: 1, equals: x }'), `${at}21: classes[0].match: expected exactly one of option, relay, field, all, any, not, class, found option and relay`);
  assertOne(mistakes('{ optin: 60, equals: x }'), `${at}23: classes[0].match.optin: unknown key; did you mean option?`);
  assertOne(mistakes('{ option: 60, equal: x }'), `${at}35: classes[0].match.equal: unknown key; did you mean equals?`);
  assertOne(mistakes('{ option: 60 }'), `${at}21: classes[0].match: expected exactly one of equals, prefix, contains, network, exists, found none of them`);
  assertOne(mistakes('{ option: 60, equals: x, prefix: y }'), `${at}21: classes[0].match: expected exactly one of equals, prefix, contains, network, exists, found equals and prefix`);
  assertOne(mistakes('{ class: ALL, equals: x }'), `${at}35: classes[0].match.equals: expected no equals beside class`);
  assertOne(mistakes('{ relay: 1, suboption: 2, equals: x }'), `${at}33: classes[0].match.suboption: expected no suboption beside relay`);
  assertOne(mistakes('{ all: [] }'), `${at}28: classes[0].match.all: expected a list of conditions, found an empty list`);
  assertOne(mistakes('{ any: [7, { optin: 1 }] }').slice(0, 1), `${at}29: classes[0].match.any[0]: expected a condition such as { option: vendor-class-identifier, prefix: PXEClient }, found 7`);
  assertOne(mistakes('{ any: [7, { optin: 1 }] }').slice(1), `${at}34: classes[0].match.any[1].optin: unknown key; did you mean option?`);
  assertOne(mistakes('{ not: [] }'), `${at}28: classes[0].match.not: expected a condition`);
  assertOne(mistakes('text'), `${at}21: classes[0].match: expected a map that says what the clients of this class have in common, found "text"`);
  assertOne(mistakes(`${'{ not: '.repeat(20)}{ class: ALL }${' }'.repeat(20)}`), `${at}133: classes[0].match.${'not.'.repeat(15)}not: expected at most 16 conditions inside each other`);
});

test('what is looked at exists, and is compared with what it can be', () => {
  const at = 'c.yaml:3:';
  assertOne(mistakes('{ option: vendor-class, equals: x }'), `${at}31: classes[0].match.option: expected the name of a DHCP option or its code (1 to 254)`);
  assertOne(mistakes('{ option: 255, equals: x }'), `${at}31: classes[0].match.option: expected the name of a DHCP option`);
  assertOne(mistakes('{ option: [60], equals: x }'), `${at}31: classes[0].match.option: expected the name of a DHCP option`);
  assertOne(mistakes('{ relay: circuit, equals: x }'), `${at}30: classes[0].match.relay: expected the name of a sub-option or a code from 0 to 255`);
  assertOne(mistakes('{ relay: circuitid, equals: x }'), `${at}30: classes[0].match.relay: expected the name of a sub-option or a code from 0 to 255; did you mean circuit-id?, found "circuitid"`);
  assertOne(mistakes('{ option: 43, suboption: [1, x], equals: x }'), `${at}50: classes[0].match.suboption[1]: expected a code from 0 to 255`);
  assertOne(mistakes('{ option: 43, suboption: [], equals: x }'), `${at}46: classes[0].match.suboption: expected at least one sub-option`);
  assertOne(mistakes('{ option: 125, suboption: 1, equals: x }'), `${at}21: classes[0].match: expected enterprise too`);
  assertOne(mistakes('{ option: 60, enterprise: 9, equals: x }'), `${at}35: classes[0].match.enterprise: expected enterprise with options 124 and 125 only, not with vendor-class-identifier`);
  assertOne(mistakes('{ option: 125, enterprise: x, exists: true }'), `${at}48: classes[0].match.enterprise: expected a whole number from 0 to 4294967295`);
  assertOne(mistakes('{ field: chaddr, equals: x }'), `${at}30: classes[0].match.field: expected one of hardware, htype, giaddr, ciaddr, interface`);
  assertOne(mistakes('{ option: client-system, equals: [7, x] }'), `${at}58: classes[0].match.equals[1]: expected a list, each entry a whole number from 0 to 65535, or bytes such as { hex: "0a:1b" }, found "x"`);
  assertOne(mistakes('{ option: 60, equals: 7 }'), `${at}43: classes[0].match.equals: expected text`);
  assertOne(mistakes('{ option: 60, equals: [] }'), `${at}43: classes[0].match.equals: expected at least one value`);
  assertOne(mistakes('{ option: 60, prefix: "" }'), `${at}43: classes[0].match.prefix: expected text, or bytes`);
  assertOne(mistakes('{ option: 60, prefix: { hex: "" } }'), `${at}43: classes[0].match.prefix: expected text in visible ASCII, or bytes`);
  assertOne(mistakes('{ option: 60, network: 10.0.0.0/8 }'), `${at}35: classes[0].match.network: expected equals, prefix, contains or exists for vendor-class-identifier`);
  assertOne(mistakes('{ field: htype, prefix: 1 }'), `${at}37: classes[0].match.prefix: expected equals or exists for the field htype`);
  assertOne(mistakes('{ field: giaddr, network: 10.0.0.1/8 }'), `${at}47: classes[0].match.network: expected an IPv4 network`);
  assertOne(mistakes('{ field: hardware, equals: "0:1" }'), `${at}48: classes[0].match.equals: expected a hardware address or a part of it`);
  assertOne(mistakes('{ option: 61, prefix: abc }'), `${at}43: classes[0].match.prefix: expected pairs of hexadecimal digits, or bytes`);
  assertOne(mistakes('{ option: 60, equals: "0x0" }'), `${at}43: classes[0].match.equals: expected pairs of hexadecimal digits after 0x, found "0x0"`);
  assertOne(mistakes('{ relay: 200, equals: "0x0" }'), `${at}43: classes[0].match.equals: expected text, or bytes such as`);
  assertOne(mistakes('{ option: 60, exists: 1 }'), `${at}43: classes[0].match.exists: expected true or false`);
});

test('classes have names of their own, and refer to those before them', () => {
  const classes = (text: string): string[] => clusterMistakes(`${SUBNET}classes:\n${text}`);
  assertOne(classes('- { name: a, match: { class: b } }\n- { name: b, match: { class: ALL } }\n'), 'c.yaml:3:30: classes[0].match.class: expected a class that stands before this one, found "b"');
  assertOne(classes('- { name: a, match: { class: a } }\n'), 'c.yaml:3:30: classes[0].match.class: expected a class that stands before this one');
  assertOne(classes('- { name: phones, match: { class: ALL } }\n- { name: b, match: { class: phone } }\n'), 'c.yaml:4:30: classes[1].match.class: expected the name of a class that stands before this one; did you mean phones?');
  assertOne(classes('- { name: a, match: { class: ALL } }\n- { name: a, match: { class: ALL } }\n'), 'c.yaml:4:11: classes[1].name: expected each name once; classes[0] has a too');
  for (const name of ['ALL', 'KNOWN', 'UNKNOWN', 'BOOTP', 'VENDOR_CLASS_x']) {
    assertOne(classes(`- { name: ${name}, match: { class: ALL } }`), `c.yaml:3:11: classes[0].name: expected a name of its own: ${name} is built in`);
  }
  assertOne(classes('- { name: a b, match: { class: ALL } }'), 'c.yaml:3:11: classes[0].name: expected a name of 1 to 64 letters');
  assertOne(classes('- { name: a }'), 'c.yaml:3:3: classes[0].match: expected a map that says what the clients of this class have in common, but it is missing');
  assertOne(classes('- { name: a, match: { class: ALL }, allocation: random }'), 'c.yaml:3:37: classes[0].allocation: unknown key');
});
