import { test } from 'node:test';
import assert from 'node:assert/strict';
import { parseIpv4 } from '../../node/codec/address.ts';
import { addressFromText, directedBroadcasts, isOnLink } from '../../node/io/interfaces.ts';
import type { InterfaceInfo } from '../../node/server/ports.ts';

function iface(...addresses: string[]): InterfaceInfo {
  return {
    name: 'eth0', index: 2, mtu: 1500,
    addresses: addresses.map((text) => {
      const [address = '', prefixLength] = text.split('/');
      return { address: parseIpv4(address)!, prefixLength: Number(prefixLength) };
    }),
  };
}

test('an address from the system is read as the strict reader reads it', () => {
  for (const text of ['0.0.0.0', '10.0.0.1', '127.0.0.1', '192.168.255.254', '255.255.255.255']) {
    assert.equal(addressFromText(text), parseIpv4(text));
  }
});

test('an address is on the link if any address of the interface has it in its subnet', () => {
  const two = iface('10.1.0.1/16', '192.168.7.1/24');
  const answers = ['10.1.255.9', '192.168.7.200', '10.2.0.1', '192.168.8.1'].map((text) => isOnLink(two, parseIpv4(text)!));
  assert.deepEqual(answers, [true, true, false, false]);
  assert.equal(isOnLink(iface('10.0.0.1/32'), parseIpv4('10.0.0.2')!), false);
  assert.equal(isOnLink(iface('200.0.0.1/0'), parseIpv4('10.0.0.2')!), true);
});

test('each subnet has one directed broadcast address, but for those of RFC 3021 and single hosts', () => {
  const all = directedBroadcasts(iface('10.1.0.1/16', '10.1.0.2/16', '192.168.7.1/24', '172.16.0.1/31', '172.16.9.1/32'));
  assert.deepEqual(all, [parseIpv4('10.1.255.255'), parseIpv4('192.168.7.255')]);
});
