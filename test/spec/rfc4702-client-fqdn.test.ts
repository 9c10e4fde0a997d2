import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ascii, labels, malformed, shown, wire } from '../support/option-wire.ts';

test('RFC 4702 §2: the minimum length is 3 octets: the flags, RCODE1 and RCODE2', () => {
  assert.deepEqual(shown(81, '040000'), { flags: ['E'], name: '' });
  assert.equal(malformed(81, '0400'), true);
});

test('RFC 4702 §2.1: the flags are S, O, E and N from the lowest bit on, and the remaining bits MUST be ignored', () => {
  assert.deepEqual(shown(81, `0f0000${labels('host.example.net')}`), { flags: ['S', 'O', 'E', 'N'], name: 'host.example.net.' });
  assert.deepEqual(shown(81, 'f50000'), { flags: ['S', 'E'], name: '' });
});

test('RFC 4702 §2.2: a server SHOULD set the RCODEs to 255 when sending the option and MUST ignore them on receipt', () => {
  assert.equal(wire(81, { flags: ['S', 'E'], name: 'host.example.net.' }), `05ffff${labels('host.example.net')}`);
  assert.deepEqual(shown(81, `050102${labels('host')}`), { flags: ['S', 'E'], name: 'host.' });
});

test('RFC 4702 §2.3: a partial name is sent without the terminating zero-length label', () => {
  assert.deepEqual(shown(81, `050000${labels('host.lab').slice(0, -2)}`), { flags: ['S', 'E'], name: 'host.lab' });
  assert.equal(wire(81, { flags: ['S', 'E'], name: 'host.lab' }), `05ffff${labels('host.lab').slice(0, -2)}`);
  assert.equal(malformed(81, '0500000468'), true);
});

test('RFC 4702 §2.3.1: with the "E" bit set to 0 the name is in ASCII', () => {
  assert.deepEqual(shown(81, `010000${ascii('host.lab')}`), { flags: ['S'], name: 'host.lab' });
  assert.equal(wire(81, { flags: ['S'], name: 'host.lab' }), `01ffff${ascii('host.lab')}`);
});
