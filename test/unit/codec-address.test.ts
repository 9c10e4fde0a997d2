import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import * as address from '../../node/codec/address.ts';

test('writing and reading an address, a prefix, a range and a hardware address is the identity', () => {
  const ip = fc.nat(0xffff_ffff);
  fc.assert(fc.property(ip, ip, fc.nat(32), (a, b, prefixLength) => {
    assert.equal(address.parseIpv4(address.formatIpv4(a)), a);
    const prefix = { network: (a & address.prefixMask(prefixLength)) >>> 0, prefixLength };
    assert.deepEqual(address.parsePrefix(address.formatPrefix(prefix)), prefix);
    assert.ok(address.prefixContains(prefix, a));
    assert.ok(address.prefixContains(prefix, address.lastAddress(prefix)));
    assert.deepEqual(address.parseRange(address.formatRange({ first: a, last: b })), { first: a, last: b });
  }));
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 16 }), fc.integer({ min: 0, max: 255 }), (bytes, type) => {
    const htype = type === 1 && bytes.length !== 6 ? 2 : type;
    const hardware = { htype, chaddr: Buffer.from(bytes) };
    assert.deepEqual(address.parseHardware(address.formatHardware(hardware)), hardware);
  }));
});

test('addresses are read strictly', () => {
  assert.equal(address.parseIpv4('255.255.255.255'), 0xffff_ffff);
  for (const text of ['', '1', '1.2.3', '1.2.3.4.5', '01.2.3.4', '1.2.3.256', '1.2.3.-4', ' 1.2.3.4', '1.2.3.4 ', '1..3.4', '0x1.2.3.4', '1.2.3.4e0', '1.2.3.999']) {
    assert.equal(address.parseIpv4(text), undefined, text);
  }
});

test('a prefix has no bits below its length', () => {
  assert.deepEqual(address.parsePrefix('10.0.0.0/8'), { network: 0x0a000000, prefixLength: 8 });
  assert.deepEqual(address.parsePrefix('0.0.0.0/0'), { network: 0, prefixLength: 0 });
  assert.deepEqual(address.parsePrefix('192.0.2.1/32'), { network: 0xc0000201, prefixLength: 32 });
  for (const text of ['10.0.0.1/8', '10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/8/8', '10.0.0/8']) {
    assert.equal(address.parsePrefix(text), undefined, text);
  }
  assert.equal(address.lastAddress({ network: 0xc0a80000, prefixLength: 16 }), 0xc0a8ffff);
});

test('a range may have spaces around its dash', () => {
  assert.deepEqual(address.parseRange('10.0.0.1 - 10.0.0.9'), { first: 0x0a000001, last: 0x0a000009 });
  for (const text of ['10.0.0.1', '10.0.0.1-', '-10.0.0.1', '10.0.0.1-9', '10.0.0.1-10.0.0.2-10.0.0.3']) assert.equal(address.parseRange(text), undefined, text);
});

test('hardware addresses are Ethernet unless a type is named', () => {
  assert.deepEqual(address.parseHardware('52:54:00:12:34:56'), { htype: 1, chaddr: Buffer.from('525400123456', 'hex') });
  assert.deepEqual(address.parseHardware('52-54-00-12-34-5A'), { htype: 1, chaddr: Buffer.from('52540012345a', 'hex') });
  assert.deepEqual(address.parseHardware('6/00:01'), { htype: 6, chaddr: Buffer.from([0, 1]) });
  for (const text of ['', '52:54:00:12:34', '52:54:00:12:34:56:78', '525400123456', '52:54-00:12:34:56', '5:54:00:12:34:56', '1/', '256/00:01', '06/00:01', `6/${'00:'.repeat(16)}00`]) {
    assert.equal(address.parseHardware(text), undefined, text);
  }
});
