/** One example or more of every type: what is configured, the bytes, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OptionCatalogue, parseOptionValue, readOptionValue } from '../../node/codec/options.ts';
import type { CustomOption, OptionDefinition } from '../../node/codec/options.ts';
import { ascii, definition, labels, malformed, refused, shown, wire } from '../support/option-wire.ts';

function custom(option: Omit<CustomOption, 'code' | 'name'>): OptionDefinition {
  const result = OptionCatalogue.standard.extend([{ code: 224, name: 'mine', ...option }]);
  assert.ok(result.ok, JSON.stringify(result));
  return result.catalogue.find('mine')!;
}

/** Hexadecimal of what is written, or undefined. */
function written(definition: OptionDefinition, value: unknown): string | undefined {
  const result = parseOptionValue(definition, value);
  return result.ok ? result.value.toString('hex') : undefined;
}

const read = (definition: OptionDefinition, hex: string): unknown => readOptionValue(definition, Buffer.from(hex, 'hex'));

test('values of another type or out of bounds are refused with what was expected', () => {
  assert.match(refused('routers', []), /list of IPv4 addresses/);
  refused('routers', ['10.0.0.256']);
  refused('routers', ['10.0.0.1', 7]);
  refused('routers', { 0: '10.0.0.1' });
  refused('swap-server', ['10.0.0.1']);
  refused('swap-server', '010.0.0.1');
  assert.match(refused('interface-mtu', 67), /68 to 65535/);
  refused('interface-mtu', 65_536);
  refused('interface-mtu', '1500');
  refused('interface-mtu', 1500.5);
  refused('default-ip-ttl', 0);
  refused('time-offset', 2 ** 31);
  refused('ip-forwarding', 1);
  refused('ip-forwarding', 'true');
  refused('netbios-node-type', 3);
  refused('netbios-node-type', 'x-node');
  refused('domain-name', '');
  refused('domain-name', 7);
  refused('domain-name', 'a\nb');
  refused('domain-name', '\ud800');
  refused('static-routes', [['0.0.0.0', '10.0.0.1']]);
  refused('static-routes', [['10.1.0.0']]);
  refused('policy-filter', ['10.1.0.0', '10.0.0.1']);
  refused('path-mtu-plateau-table', [67]);
  refused('vendor-encapsulated-options', '0');
  refused('vendor-encapsulated-options', '01:2');
  refused('vendor-encapsulated-options', 12);
  refused('domain-name', 'x'.repeat(4097));
  for (const value of [null, undefined, Number.NaN, Number.POSITIVE_INFINITY, 1n, Symbol('x'), new Date(0), new Map(), Buffer.from('a')]) {
    for (const { name } of OptionCatalogue.standard.options) refused(name, value);
  }
});

test('one value may be written without a list, and a number by its name', () => {
  assert.equal(wire('routers', '10.0.0.1'), '0a000001');
  assert.equal(wire('domain-search', 'example.net'), labels('example.net'));
  assert.equal(wire('classless-static-route', '10.0.0.0/8 - 10.1.0.1'), '080a0a010001');
  assert.equal(wire('netbios-node-type', 'h-node'), wire('netbios-node-type', 8));
});

test('what a client sent is read as far as it fits its type', () => {
  assert.equal(shown(12, '686f73740000'), 'host');
  assert.equal(malformed(12, 'ff41'), true);
  assert.equal(malformed(3, '010203'), true);
  assert.equal(malformed(3, ''), true);
  assert.equal(malformed(53, '4d'), true);
  assert.equal(shown(60, ascii('PXEClient:Arch:00007')), 'PXEClient:Arch:00007');
  assert.deepEqual(shown(60, 'c3a9'), { hex: 'c3:a9' });
});

test('integers of every width and sign', () => {
  const cases = [
    ['u8', 255, 'ff'], ['u16', 258, '0102'], ['u32', 0xffff_ffff, 'ffffffff'], ['i8', -1, 'ff'], ['i16', -2, 'fffe'], ['i32', -(2 ** 31), '80000000'],
  ] as const;
  for (const [type, value, hex] of cases) {
    assert.equal(written(custom({ type }), value), hex);
    assert.equal(read(custom({ type }), hex), value);
    assert.equal(written(custom({ type }), value < 0 ? value - 2 ** 31 : value + 2 ** 32), undefined);
    assert.equal(read(custom({ type }), `${hex}00`), undefined);
  }
  assert.equal(written(custom({ type: 'i8' }), -129), undefined);
  assert.equal(written(custom({ type: 'i8' }), 128), undefined);
});

test('IPv6 addresses and prefixes', () => {
  assert.equal(written(custom({ type: 'ipv6' }), '2001:db8::1'), '20010db8000000000000000000000001');
  assert.equal(read(custom({ type: 'ipv6' }), '20010db8'), undefined);
  assert.equal(written(custom({ type: 'ipv6', array: true }), ['::', '::1'])?.length, 64);
  assert.equal(written(custom({ type: 'ipv6-prefix' }), '2001:db8::/33'), '2120010db800');
  assert.equal(written(custom({ type: 'ipv6-prefix' }), '2001:db8:8000::/32'), undefined);
  assert.equal(written(custom({ type: 'ipv6-prefix' }), '::/129'), undefined);
  assert.equal(read(custom({ type: 'ipv6-prefix' }), '2120010db8ff'), '2001:db8:8000::/33');
  assert.equal(read(custom({ type: 'ipv6-prefix' }), '8120010db8'), undefined);
  assert.equal(written(custom({ type: 'prefix', array: true }), ['10.0.0.0/9', '0.0.0.0/0']), '090a0000');
  assert.equal(written(custom({ type: 'prefix' }), '10.0.0.0/08'), undefined);
});

test('a flag, and text of every kind', () => {
  assert.equal(written(custom({ type: 'flag' }), true), '');
  assert.equal(written(custom({ type: 'flag' }), false), undefined);
  assert.equal(written(custom({ type: 'uri' }), 'coap://x'), ascii('coap://x'));
  assert.equal(written(custom({ type: 'text8', array: true }), ['ab', '']), '02616200');
  assert.equal(written(custom({ type: 'text8' }), 'x'.repeat(256)), undefined);
  assert.equal(written(custom({ type: 'text16' }), 'x'.repeat(256))?.slice(0, 4), '0100');
  assert.equal(written(custom({ type: 'bytes16', array: true }), ['01:02', '']), '000201020000');
  assert.equal(read(custom({ type: 'bytes16' }), '00020102ff'), undefined);
  assert.equal(written(custom({ type: 'text-or-bytes' }), 'tab\t'), undefined);
  assert.equal(written(custom({ type: 'text-or-bytes' }), { hex: '01', text: 'a' }), undefined);
});

test('domain names, one and many', () => {
  assert.equal(wire('v4-lost', 'lost.example.net'), labels('lost.example.net'));
  assert.equal(malformed('v4-lost', `${labels('lost.example.net')}00`), true);
  assert.equal(malformed('v4-lost', 'c000'), true);
  assert.equal(wire('sip-ua-cs-domains', ['a.net', 'b.net']), labels('a.net') + labels('b.net'));
  assert.deepEqual(shown('sip-ua-cs-domains', `${labels('a.net')}0162c002`), ['a.net', 'b.net']);
  const compressed = custom({ type: 'compressed-domain-list' });
  assert.equal(written(compressed, ['a.net', 'b.net']), `${labels('a.net')}0162c002`);
  assert.equal(written(custom({ type: 'fqdn', array: true }), ['a.net', 'b.net']), labels('a.net') + labels('b.net'));
});

test('a record is a list where its parts have no names, and may be repeated', () => {
  const one = custom({ type: 'record', record: ['u8', 'ip', 'text'] });
  assert.equal(written(one, [1, '10.0.0.1', 'a']), '010a00000161');
  assert.deepEqual(read(one, '010a00000161'), [1, '10.0.0.1', 'a']);
  for (const value of [[1, '10.0.0.1'], [1, '10.0.0.1', 'a', 'b'], { 0: 1 }, [256, '10.0.0.1', 'a']]) assert.equal(written(one, value), undefined);
  assert.equal(read(one, '010a0000'), undefined);
  const many = custom({ type: 'record', record: ['u16', 'text8'], array: true });
  assert.equal(written(many, [[1, 'a'], [2, '']]), '00010161000200');
  assert.deepEqual(read(many, '00010161000200'), [[1, 'a'], [2, '']]);
  assert.equal(read(many, '000101610002'), undefined);
  assert.equal(written(many, [1, 'a']), undefined);
});

test('RFC 2610: SLP agents and scopes, where the scopes may be empty', () => {
  assert.equal(wire(78, { mandatory: true, addresses: ['10.0.0.1'] }), '010a000001');
  assert.equal(wire(79, { mandatory: false, scopes: '' }), '00');
  assert.deepEqual(shown(79, `01${ascii('lab')}`), { mandatory: true, scopes: 'lab' });
});

test('RFC 4776: a civic location is a country and elements by type', () => {
  const value = { what: 'client', country: 'DE', elements: [{ type: 0, value: 'de' }, { type: 3, value: 'Ulm' }] };
  const bytes = `024445 0002${ascii('de')} 0303${ascii('Ulm')}`.replaceAll(' ', '');
  assert.equal(wire(99, value), bytes);
  assert.deepEqual(shown(99, bytes), value);
  assert.deepEqual(shown(99, '024445'), { what: 'client', country: 'DE', elements: [] });
  assert.equal(malformed(99, '0244'), true);
});

test('RFC 6225: a location is 16 bytes of bit fields, degrees with 25 bits after the point', () => {
  const value = {
    latitudeResolution: 34, latitude: 38.8976, longitudeResolution: 34, longitude: -77.0365,
    altitudeType: 1, altitudeResolution: 30, altitude: 15.5, datum: 1,
  };
  const bytes = wire('geoconf', value);
  assert.equal(bytes.length, 32);
  const read = shown('geoconf', bytes) as typeof value;
  assert.ok(Math.abs(read.latitude - value.latitude) < 2 ** -25 && Math.abs(read.longitude - value.longitude) < 2 ** -25);
  assert.deepEqual({ ...read, latitude: 0, longitude: 0 }, { ...value, latitude: 0, longitude: 0 });
  // 6 bits of resolution, then 34 of latitude: -1 degree is all ones above 25 zeros.
  assert.equal(wire('geoconf', { ...value, latitude: -1 }).slice(0, 10), ((34n << 34n) | BigInt.asUintN(34, -(1n << 25n))).toString(16));
  refused('geoconf', { ...value, latitude: 300 });
  refused('geoconf', { ...value, datum: 8 });
  refused('geoconf', { ...value, altitude: '1' });
  assert.equal(malformed('geoconf', bytes.slice(2)), true);
  const { latitudeUncertainty, version } = shown('geoloc', `${bytes.slice(0, -2)}41`) as Record<string, number>;
  assert.deepEqual([latitudeUncertainty, version], [34, 1]);
});

test('RFC 3495, RFC 3594 and RFC 3634: CableLabs client configuration', () => {
  const value = {
    'tsp-primary-server': '10.0.0.1', 'tsp-provisioning-server': ['p.example.net'], 'tsp-as-parameters': { nominalTimeout: 1, maximumTimeout: 2, maximumRetries: 3 },
    'tsp-realm': 'EXAMPLE.NET', 'tsp-use-tgt': true, 'tsp-ticket-control-mask': 2, 200: '0a',
  };
  const bytes = `01040a000001 0310 00${labels('p.example.net')} 040c000000010000000200000003 060d${labels('EXAMPLE.NET')} 070101 09020002 c8010a`.replaceAll(' ', '');
  // A key of digits goes before the others in every map of JavaScript.
  assert.equal(wire('cablelabs-client-conf', value), `c8010a${bytes.slice(0, -6)}`);
  assert.deepEqual(shown('cablelabs-client-conf', bytes), value);
  assert.equal(wire(122, { 'tsp-provisioning-server': '10.0.0.9' }), '0305010a000009');
  refused(122, { 'tsp-provisioning-server': ['10.0.0.9', '10.0.0.8'] });
  refused(122, { 'tsp-realm': 'EXAMPLE.NET', 6: '00' });
  refused(122, { 'tsp-other': 1 });
  refused(122, {});
});

test('option 43: the sub-options of a vendor by the name of its space', () => {
  const value = {
    pxe: {
      'discovery-control': 3, 'boot-servers': [{ type: 1, addresses: ['10.0.0.1', '10.0.0.2'] }, { type: 2, addresses: [] }],
      'menu-prompt': { timeout: 10, text: 'PXE' },
    },
  };
  const bytes = `060103 080e 0001 02 0a000001 0a000002 0002 00 0a04 0a${ascii('PXE')}`.replaceAll(' ', '');
  assert.equal(wire('vendor-encapsulated-options', value), bytes);
  // Nobody knows whose the sub-options of a packet are, so that they are shown by code.
  assert.deepEqual(shown(43, bytes), { 6: '03', 8: '00:01:02:0a:00:00:01:0a:00:00:02:00:02:00', 10: '0a:50:58:45' });
  refused(43, { pxe: {} });
  refused(43, { pxe: { 'discovery-control': 256 } });
  refused(43, { other: { 1: '00' } });
  assert.equal(wire(43, { pxe: { 'discovery-control': { hex: '01:02' } } }), '06020102', 'bytes go past the type');
});

test('RFC 8572: URIs after their length in two bytes', () => {
  assert.equal(wire('v4-sztp-redirect', ['https://a', 'https://b']), `0009${ascii('https://a')}0009${ascii('https://b')}`);
  assert.equal(malformed(143, `000a${ascii('https://a')}`), true);
});

test('RFC 6731: servers for domains, the root among them', () => {
  const value = { preference: 'high', primary: '10.0.0.1', secondary: '10.0.0.2', domains: ['.', 'corp.example.net'] };
  assert.equal(wire('rdnss-selection', value), `010a0000010a00000200${labels('corp.example.net')}`);
  assert.equal(malformed(146, '020a0000010a00000200'), true, 'a preference that is reserved');
});

test('RFC 7291: lists of addresses, each list a server', () => {
  assert.equal(wire('v4-pcp-server', [['10.0.0.1', '10.0.0.2'], ['10.0.0.3']]), '080a0000010a000002040a000003');
  assert.deepEqual(shown(158, '080a0000010a000002040a000003'), [['10.0.0.1', '10.0.0.2'], ['10.0.0.3']]);
  assert.equal(malformed(158, '00'), true);
  assert.equal(malformed(158, '050a000001ff'), true);
});

test('RFC 9463: resolvers with addresses and parameters, or by name alone', () => {
  const name = labels('dns.example.net');
  const full = { priority: 1, name: 'dns.example.net', addresses: ['10.0.0.1'], parameters: { alpn: ['dot', 'h2'], port: 853, dohpath: '/q{?dns}' } };
  const parameters = `00010007 03${ascii('dot')}02${ascii('h2')} 0003000203 55 00070008${ascii('/q{?dns}')}`.replaceAll(' ', '');
  const instance = `000111${name}040a000001${parameters}`;
  const length = (instance.length / 2).toString(16).padStart(4, '0');
  assert.equal(wire('v4-dnr', [full]), length + instance);
  assert.deepEqual(shown(162, length + instance), [full]);
  assert.equal(wire(162, { priority: 2, name: 'dns.example.net' }), `0014000211${name}`);
  assert.deepEqual(shown(162, `0014000211${name}${length}${instance}`), [{ priority: 2, name: 'dns.example.net' }, full]);
  const withParameters = (parameters: unknown): unknown => [{ ...full, parameters }];
  assert.equal(wire(162, withParameters({ port: 853, alpn: 'dot' })), wire(162, withParameters({ alpn: ['dot'], port: 853 })), 'keys rise');
  wire(162, withParameters({}));
  refused(162, withParameters({ 4: '0a:00:00:01' }));
  refused(162, [{ priority: 1, name: 'dns.example.net', parameters: {} }]);
  const [port, dohpath] = ['000300020355', `00070002${ascii('/q')}`];
  const instanceOf = (parameters: string): string => `00250001 11${name}040a000001${parameters}`;
  assert.deepEqual(shown(162, instanceOf(port + dohpath)), [{ ...full, parameters: { port: 853, dohpath: '/q' } }]);
  assert.equal(malformed(162, instanceOf(dohpath + port)), true, 'RFC 9460 §2.2: strictly increasing numeric order');
  assert.equal(malformed(162, `001d000111${name}040a00000100040000`), true, 'an address hint');
});

test('RFC 5969: the 6rd option', () => {
  const value = { ipv4MaskLength: 8, prefixLength: 32, prefix: '2001:db8::', relays: ['10.0.0.1'] };
  assert.equal(wire('option-6rd', value), '082020010db80000000000000000000000000a000001');
  assert.deepEqual(shown(212, '082020010db80000000000000000000000000a000001'), value);
  refused(212, { ...value, ipv4MaskLength: 33 });
  refused(212, { ...value, relays: [] });
  refused(212, { ...value, more: 1 });
  assert.equal(malformed(212, '082020010db8000000000000000000000000'), true);
});

test('RFC 4174: the iSNS option', () => {
  const value = { functions: 1, discoveryDomainAccess: 2, administrativeFlags: 3, serverSecurity: 4, addresses: ['10.0.0.1'] };
  assert.equal(wire('isns', value), '000100020003000000040a000001');
});

test('RFC 6926 §6.2.2 and §6.2.7: the status with an optional text, and the states by name', () => {
  assert.deepEqual(shown(151, `03${ascii('no')}`), { code: 'malformed-query', message: 'no' });
  assert.equal(wire(151, { code: 4, message: '' }), '04');
  assert.equal(shown(156, '05'), 'abandoned');
});

test('RFC 3118 §2: authentication, a header of 11 bytes', () => {
  assert.deepEqual(shown(90, `010200 0102030405060708 ff`), {
    protocol: 1, algorithm: 2, replayDetectionMethod: 0, replayDetection: '01:02:03:04:05:06:07:08', information: 'ff',
  });
  assert.equal(malformed(90, '01020001020304050607'), true);
});

test('leases, messages and the rest of what the server itself decides cannot be configured', () => {
  const server = [1, 12, 51, 52, 53, 54, 56, 58, 59, 80, 81, 91, 92, 118, 145, 151, 152, 153, 156, 157, 221];
  const client = [50, 55, 57, 61, 77, 82, 90, 93, 94, 97, 109, 154, 155, 161, 220];
  const codes = (origin: string): number[] => OptionCatalogue.standard.options.filter((option) => option.origin === origin).map(({ code }) => code);
  assert.deepEqual(codes('server'), server);
  assert.deepEqual(codes('client'), client);
  assert.equal(definition('boot-file-name').origin, 'configuration');
});
