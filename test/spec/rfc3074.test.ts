import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rfc3074Hash } from '../../node/allocation/rfc3074.ts';

// Computed with the function printed in RFC 3074 §6.
const VECTORS: readonly (readonly [string, number])[] = [
  ['00', 175],
  ['ff', 234],
  ['000000000000', 254],
  ['ffffffffffff', 79],
  ['010203040506', 179],
  ['001122334455', 135],
  ['525400123456', 156],
  ['01525400123456', 253],
  ['616263', 170],
  ['00112233445566778899aabbccddeeff', 17],
];

test('RFC 3074 §6: the mapping of the service transaction ID into a hash value', () => {
  for (const [key, slot] of VECTORS) assert.equal(rfc3074Hash(Buffer.from(key, 'hex')), slot, key);
});

test('RFC 3074 §4: "At most the first sixteen bytes of the Client Identifier or chaddr are used."', () => {
  assert.equal(rfc3074Hash(Buffer.from('0100112233445566778899aabbccddeeff', 'hex')), 87);
  const sixteen = Buffer.from('0100112233445566778899aabbccddee', 'hex');
  assert.equal(rfc3074Hash(Buffer.concat([sixteen, Buffer.from('anything')])), rfc3074Hash(sixteen));
});

test('RFC 3074 §4: the function "generates hash values 0 to 255, and yields a fairly even hash bucket distribution"', () => {
  const buckets = new Uint32Array(256);
  const key = Buffer.from('525400000000', 'hex');
  for (let i = 0; i < 65_536; i++) {
    key.writeUInt32BE(i, 2);
    buckets[rfc3074Hash(key)]!++;
  }
  for (const [slot, count] of buckets.entries()) assert.ok(count > 128 && count < 512, `slot ${slot}: ${count}`);
});
