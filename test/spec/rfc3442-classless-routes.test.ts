import assert from 'node:assert/strict';
import { test } from 'node:test';
import { malformed, refused, shown, wire } from '../support/option-wire.ts';

const ROUTER = '0a010001';
const via = '10.1.0.1';

test('RFC 3442 Classless Route Option Format: the code for this option is 121, and its minimum length is 5 bytes', () => {
  assert.equal(wire('classless-static-route', [{ to: '0.0.0.0/0', via }]), `00${ROUTER}`);
  refused('classless-static-route', []);
  assert.equal(malformed(121, ''), true);
  assert.equal(malformed(121, '000a0100'), true);
});

test('RFC 3442 Classless Route Option Format: one octet describes the width of the mask, followed by all the significant octets', () => {
  const examples = [
    ['0.0.0.0/0', '00'], ['10.0.0.0/8', '080a'], ['10.0.0.0/24', '180a0000'], ['10.17.0.0/16', '100a11'],
    ['10.27.129.0/24', '180a1b81'], ['10.229.0.128/25', '190ae50080'], ['10.198.122.47/32', '200ac67a2f'],
  ] as const;
  for (const [to, descriptor] of examples) {
    assert.equal(wire(121, [{ to, via }]), descriptor + ROUTER);
    assert.deepEqual(shown(121, descriptor + ROUTER), [{ to, via }]);
  }
  assert.equal(wire(121, examples.map(([to]) => ({ to, via }))), examples.map(([, descriptor]) => descriptor + ROUTER).join(''));
});

test('RFC 3442 Classless Route Option Format: the significant octets number the width divided by eight, rounding up', () => {
  for (let width = 0; width <= 32; width++) {
    const bytes = Buffer.from(wire(121, [{ to: `0.0.0.0/${width}`, via }]), 'hex');
    assert.equal(bytes.length, 1 + Math.ceil(width / 8) + 4);
    assert.equal(bytes[0], width);
  }
  assert.equal(malformed(121, `210a000000${ROUTER}`), true);
  assert.equal(malformed(121, `180a00${ROUTER}`), true);
});

test('RFC 3442 Local Subnet Routes: the server MAY be configured to specify a router IP address of 0.0.0.0', () => {
  assert.equal(wire(121, ['10.0.0.0/24 - 0.0.0.0']), '180a000000000000');
});

test('RFC 3442 DHCP Client Behavior: the client MUST zero any bits in the subnet number where the mask is zero', () => {
  // The RFC's own example (its hexadecimal has a slip: 210 is d2).
  assert.deepEqual(shown(121, `1981d2b184${ROUTER}`), [{ to: '129.210.177.128/25', via }]);
  refused(121, [{ to: '129.210.177.132/25', via }]);
});
