import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ascii, malformed, refused, shown, wire } from '../support/option-wire.ts';

test('RFC 8910 §2.1: the Captive-Portal DHCPv4 option (114) holds the URI, which is not null terminated', () => {
  assert.equal(wire(114, 'https://portal.example.net/api'), ascii('https://portal.example.net/api'));
  assert.equal(shown('v4-captive-portal', ascii('https://portal.example.net/api')), 'https://portal.example.net/api');
});

test('RFC 8910 §2: networks with no captive portals may use the value urn:ietf:params:capport:unrestricted', () => {
  assert.equal(wire(114, 'urn:ietf:params:capport:unrestricted'), ascii('urn:ietf:params:capport:unrestricted'));
});

test('RFC 8910 §2.1: the URI is encoded following the rules in RFC 3986: a scheme, and no spaces', () => {
  for (const value of ['portal.example.net', '//portal.example.net', 'https://portal.example.net/a b', 'https:', '', 1]) refused(114, value);
  assert.equal(malformed(114, ascii('portal')), true);
});

test('RFC 8910 §2.2: the maximum length of the URI that can be carried in IPv4 DHCP is 255 bytes', () => {
  wire(114, `https://a/${'x'.repeat(245)}`);
  refused(114, `https://a/${'x'.repeat(246)}`);
});
