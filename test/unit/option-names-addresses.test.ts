/** Domain names and IPv6 addresses between text and bytes. */
import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  domainNameExtent, formatDomainName, formatPartialName, parseDomainName, parsePartialName, readDomainList, writeDomainList,
} from '../../node/codec/domain-name.ts';
import { formatIpv6, parseIpv6 } from '../../node/codec/ipv6.ts';
import { labels } from '../support/option-wire.ts';

const hex = (bytes: Buffer | undefined): string | undefined => bytes?.toString('hex');

test('a domain name is its labels, each after its length, and a zero', () => {
  assert.equal(hex(parseDomainName('example.net')), labels('example.net'));
  assert.equal(hex(parseDomainName('example.net.')), labels('example.net'));
  assert.equal(hex(parseDomainName('.')), '00');
  assert.equal(formatDomainName(Buffer.from(labels('Example.Net'), 'hex')), 'Example.Net');
});

test('what is no domain name is refused', () => {
  for (const text of ['', '..', 'a..b', '.a', 'a b', 'ä.de', 'a\\', 'a\\12', 'a\\999', 'a\nb', 'x'.repeat(64), `${'x.'.repeat(127)}x`, '\u{1f600}.net', 'a\\ b']) {
    assert.equal(parseDomainName(text), undefined, text);
  }
  assert.equal(parseDomainName('x'.repeat(63))?.length, 65);
  assert.equal(parseDomainName('x.'.repeat(127))?.length, 255);
});

test('bytes that are no visible characters, dots and backslashes are escaped', () => {
  assert.equal(hex(parseDomainName('a\\.b.c\\\\.\\000\\255')), '03612e6202635c0200ff00');
  assert.equal(formatDomainName(Buffer.from('03612e6202635c0200ff00', 'hex')), 'a\\.b.c\\\\.\\000\\255');
  assert.equal(hex(parseDomainName('a\\\\.')), '02615c00', 'a backslash, then the dot at the end');
  assert.equal(hex(parseDomainName('a\\.')), '02612e00', 'a dot in the label');
});

test('every name of the wire has a text that leads back to it', () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 63 });
  fc.assert(fc.property(fc.array(label, { maxLength: 3 }), (parts) => {
    const bytes = Buffer.concat([...parts.flatMap((part) => [Buffer.from([part.length]), part]), Buffer.alloc(1)]);
    const text = formatDomainName(bytes)!;
    assert.deepEqual(parseDomainName(text), bytes);
    assert.equal(domainNameExtent(Buffer.concat([Buffer.alloc(3), bytes, Buffer.from([1])]), 3), bytes.length);
    assert.deepEqual(readDomainList(writeDomainList([text, text], true)!), [text, text]);
    for (const partial of [bytes, bytes.subarray(0, -1)]) assert.deepEqual(parsePartialName(formatPartialName(partial)!), partial);
  }));
});

test('the extent of a name that is cut off, too long or compressed is not known', () => {
  for (const bytes of ['', '03', '036162', '03616263', 'c000', '4061', '01'.repeat(2) + 'ff'.repeat(2)]) {
    assert.equal(domainNameExtent(Buffer.from(bytes, 'hex'), 0), undefined, bytes);
  }
  assert.equal(domainNameExtent(Buffer.from(`${'0161'.repeat(127)}00`, 'hex'), 0), 255);
  assert.equal(domainNameExtent(Buffer.from(`${'0161'.repeat(128)}00`, 'hex'), 0), undefined);
});

test('a name may not grow past 255 bytes by its pointer', () => {
  const long = Buffer.from(`${'0161'.repeat(126)}00`, 'hex');
  assert.deepEqual(readDomainList(Buffer.concat([long, Buffer.from('0162c000', 'hex')]))?.length, 2);
  assert.equal(readDomainList(Buffer.concat([long, Buffer.from('026262c000', 'hex')]))?.length, undefined);
});

test('pointers reach the first 16384 bytes only; what lies past them is written out', () => {
  const names = Array.from({ length: 2000 }, (_, i) => `host-${i}.zone-${i}`);
  const bytes = writeDomainList([...names, 'host-1999.zone-1999', 'host-0.zone-0'], true)!;
  assert.ok(bytes.length > 0x4000);
  assert.deepEqual(readDomainList(bytes)?.slice(-2), ['host-1999.zone-1999', 'host-0.zone-0']);
  assert.equal(hex(bytes.subarray(-2)), 'c000');
});

test('IPv6 addresses as RFC 5952 writes them', () => {
  const cases = [
    ['::', '::'], ['::1', '::1'], ['1::', '1::'], ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0db8::0001', '2001:db8::1'], ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'], ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'], ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ];
  for (const [text, formatted] of cases) assert.equal(formatIpv6(parseIpv6(text!)!), formatted);
});

test('what is no IPv6 address is refused, and every address leads back to itself', () => {
  const wrong = [
    '', ':', ':::', '1', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', '1:2:3:4:5:6:7:8::', '::1:2:3:4:5:6:7:8', '12345::', 'g::',
    '::ffff:10.0.0.1', 'fe80::1%eth0', ' ::1', '1:', ':1', '::1:',
  ];
  for (const text of wrong) {
    assert.equal(parseIpv6(text), undefined, text);
  }
  fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(0xffff), (bytes, zeros) => {
    const address = bytes.map((byte, i) => ((zeros >> i) & 1) === 1 ? 0 : byte);
    const text = formatIpv6(address);
    assert.ok(isIPv6(text));
    assert.deepEqual(parseIpv6(text), Buffer.from(address));
  }));
});
