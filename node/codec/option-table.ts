/**
 * The DHCP options as data: every code that IANA has assigned (registry "BOOTP Vendor Extensions and DHCP
 * Options"), and two that are common without. Reading, writing, configuration and documentation all follow
 * this table. Names are those that Kea uses where it knows the option.
 */
import type { OptionDefinition, OptionOrigin, ValueShape } from './option-shape.ts';
import {
  CABLELABS_SUBOPTIONS, MOS_ADDRESS_SUBOPTIONS, MOS_NAME_SUBOPTIONS, NETWARE_SUBOPTIONS, PXE_SUBOPTIONS, RELAY_SUBOPTIONS,
  SERVICE_PARAMETERS, VIRTUAL_SUBNET,
} from './suboption-tables.ts';

function option(code: number, name: string, shape: ValueShape, rfc: string, origin: OptionOrigin = 'configuration'): OptionDefinition {
  return { code, name, ...shape, rfc, origin };
}

function list(shape: ValueShape): ValueShape {
  return { ...shape, array: true };
}

function pair(first: ValueShape, second: ValueShape): ValueShape {
  return { type: 'record', fields: [first, second] };
}

/** After its length in one byte, or two. */
function sized(of: ValueShape, lengthBytes: 1 | 2 = 1): ValueShape {
  return { type: 'sized', lengthBytes, of };
}

const IP = { type: 'ip' } as const;
const IPS = list(IP);
const U8 = { type: 'u8' } as const;
const U16 = { type: 'u16' } as const;
const U32 = { type: 'u32' } as const;
const I32 = { type: 'i32' } as const;
const BOOL = { type: 'bool' } as const;
const TEXT = { type: 'text' } as const;
const URI = { type: 'uri' } as const;
const BYTES = { type: 'bytes' } as const;
const TEXT_OR_BYTES = { type: 'text-or-bytes' } as const;
const FQDN = { type: 'fqdn' } as const;
const DOMAINS = { type: 'domain-list' } as const;
const ROUTES = list({ type: 'route' });

const MESSAGE_TYPES = {
  1: 'discover', 2: 'offer', 3: 'request', 4: 'decline', 5: 'ack', 6: 'nak', 7: 'release', 8: 'inform',
  9: 'forcerenew', 10: 'leasequery', 11: 'leaseunassigned', 12: 'leaseunknown', 13: 'leaseactive',
  14: 'bulkleasequery', 15: 'leasequerydone', 16: 'activeleasequery', 17: 'leasequerystatus', 18: 'tls',
};

/** RFC 2132 §8.4: sub-options by code, those of a vendor's space by name, or bytes as they are. */
const VENDOR_OPTIONS: ValueShape = { type: 'suboptions', padded: true, orBytes: true, spaces: { pxe: PXE_SUBOPTIONS } };

/** RFC 6225 §2.2: degrees with 25 bits after the point, an altitude with 8. */
function location(accuracy: 'Resolution' | 'Uncertainty', version: boolean): ValueShape {
  return {
    type: 'bit-fields',
    bits: [
      { name: `latitude${accuracy}`, bits: 6 }, { name: 'latitude', bits: 34, signed: true, fraction: 25 },
      { name: `longitude${accuracy}`, bits: 6 }, { name: 'longitude', bits: 34, signed: true, fraction: 25 },
      { name: 'altitudeType', bits: 4 }, { name: `altitude${accuracy}`, bits: 6 },
      { name: 'altitude', bits: 30, signed: true, fraction: 8 },
      ...(version ? [{ name: 'version', bits: 2 }, { bits: 3 }] : [{ bits: 5 }]), { name: 'datum', bits: 3 },
    ],
  };
}

/** RFC 9463 §5.1: without addresses and parameters the resolver is known by its name alone. */
const RESOLVER: ValueShape = {
  type: 'record',
  fields: [
    { name: 'priority', ...U16 }, { name: 'name', ...sized(FQDN) },
    { name: 'addresses', ...sized(IPS), optional: true },
    // RFC 9463 §3.1.8: the hints of addresses (4 and 6) have no place here, the option has addresses of its own.
    {
      name: 'parameters', type: 'suboptions', wide: true, minCount: 0, excluded: [4, 6], suboptions: SERVICE_PARAMETERS,
      optional: true,
    },
  ],
};

/** In order of code. Pad (0) and end (255) have no value and are not in here. */
export const OPTIONS: readonly OptionDefinition[] = [
  option(1, 'subnet-mask', IP, 'RFC 2132 §3.3', 'server'),
  option(2, 'time-offset', I32, 'RFC 2132 §3.4'),
  option(3, 'routers', IPS, 'RFC 2132 §3.5'),
  option(4, 'time-servers', IPS, 'RFC 2132 §3.6'),
  option(5, 'name-servers', IPS, 'RFC 2132 §3.7'),
  option(6, 'domain-name-servers', IPS, 'RFC 2132 §3.8'),
  option(7, 'log-servers', IPS, 'RFC 2132 §3.9'),
  option(8, 'cookie-servers', IPS, 'RFC 2132 §3.10'),
  option(9, 'lpr-servers', IPS, 'RFC 2132 §3.11'),
  option(10, 'impress-servers', IPS, 'RFC 2132 §3.12'),
  option(11, 'resource-location-servers', IPS, 'RFC 2132 §3.13'),
  option(12, 'host-name', TEXT, 'RFC 2132 §3.14', 'server'),
  option(13, 'boot-size', U16, 'RFC 2132 §3.15'),
  option(14, 'merit-dump', TEXT, 'RFC 2132 §3.16'),
  option(15, 'domain-name', TEXT, 'RFC 2132 §3.17'),
  option(16, 'swap-server', IP, 'RFC 2132 §3.18'),
  option(17, 'root-path', TEXT, 'RFC 2132 §3.19'),
  option(18, 'extensions-path', TEXT, 'RFC 2132 §3.20'),
  option(19, 'ip-forwarding', BOOL, 'RFC 2132 §4.1'),
  option(20, 'non-local-source-routing', BOOL, 'RFC 2132 §4.2'),
  option(21, 'policy-filter', list(pair(IP, IP)), 'RFC 2132 §4.3'),
  option(22, 'max-dgram-reassembly', { ...U16, min: 576 }, 'RFC 2132 §4.4'),
  option(23, 'default-ip-ttl', { ...U8, min: 1 }, 'RFC 2132 §4.5'),
  option(24, 'path-mtu-aging-timeout', U32, 'RFC 2132 §4.6'),
  option(25, 'path-mtu-plateau-table', list({ ...U16, min: 68 }), 'RFC 2132 §4.7'),
  option(26, 'interface-mtu', { ...U16, min: 68 }, 'RFC 2132 §5.1'),
  option(27, 'all-subnets-local', BOOL, 'RFC 2132 §5.2'),
  option(28, 'broadcast-address', IP, 'RFC 2132 §5.3'),
  option(29, 'perform-mask-discovery', BOOL, 'RFC 2132 §5.4'),
  option(30, 'mask-supplier', BOOL, 'RFC 2132 §5.5'),
  option(31, 'router-discovery', BOOL, 'RFC 2132 §5.6'),
  option(32, 'router-solicitation-address', IP, 'RFC 2132 §5.7'),
  option(33, 'static-routes', list(pair({ ...IP, notZero: true }, IP)), 'RFC 2132 §5.8'),
  option(34, 'trailer-encapsulation', BOOL, 'RFC 2132 §6.1'),
  option(35, 'arp-cache-timeout', U32, 'RFC 2132 §6.2'),
  option(36, 'ieee802-3-encapsulation', BOOL, 'RFC 2132 §6.3'),
  option(37, 'default-tcp-ttl', { ...U8, min: 1 }, 'RFC 2132 §7.1'),
  option(38, 'tcp-keepalive-interval', U32, 'RFC 2132 §7.2'),
  option(39, 'tcp-keepalive-garbage', BOOL, 'RFC 2132 §7.3'),
  option(40, 'nis-domain', TEXT, 'RFC 2132 §8.1'),
  option(41, 'nis-servers', IPS, 'RFC 2132 §8.2'),
  option(42, 'ntp-servers', IPS, 'RFC 2132 §8.3'),
  option(43, 'vendor-encapsulated-options', VENDOR_OPTIONS, 'RFC 2132 §8.4'),
  option(44, 'netbios-name-servers', IPS, 'RFC 2132 §8.5'),
  option(45, 'netbios-dd-server', IPS, 'RFC 2132 §8.6'),
  option(46, 'netbios-node-type', { ...U8, values: { 1: 'b-node', 2: 'p-node', 4: 'm-node', 8: 'h-node' } }, 'RFC 2132 §8.7'),
  option(47, 'netbios-scope', TEXT, 'RFC 2132 §8.8'),
  option(48, 'font-servers', IPS, 'RFC 2132 §8.9'),
  option(49, 'x-display-manager', IPS, 'RFC 2132 §8.10'),
  option(50, 'dhcp-requested-address', IP, 'RFC 2132 §9.1', 'client'),
  option(51, 'dhcp-lease-time', U32, 'RFC 2132 §9.2', 'server'),
  option(52, 'dhcp-option-overload', { ...U8, values: { 1: 'file', 2: 'sname', 3: 'both' } }, 'RFC 2132 §9.3', 'server'),
  option(53, 'dhcp-message-type', { ...U8, values: MESSAGE_TYPES }, 'RFC 2132 §9.6', 'server'),
  option(54, 'dhcp-server-identifier', IP, 'RFC 2132 §9.7', 'server'),
  option(55, 'dhcp-parameter-request-list', list(U8), 'RFC 2132 §9.8', 'client'),
  option(56, 'dhcp-message', TEXT, 'RFC 2132 §9.9', 'server'),
  option(57, 'dhcp-max-message-size', { ...U16, min: 576 }, 'RFC 2132 §9.10', 'client'),
  option(58, 'dhcp-renewal-time', U32, 'RFC 2132 §9.11', 'server'),
  option(59, 'dhcp-rebinding-time', U32, 'RFC 2132 §9.12', 'server'),
  option(60, 'vendor-class-identifier', TEXT_OR_BYTES, 'RFC 2132 §9.13'),
  option(61, 'dhcp-client-identifier', { ...BYTES, minBytes: 2 }, 'RFC 2132 §9.14', 'client'),
  option(62, 'nwip-domain-name', TEXT, 'RFC 2242 §2'),
  option(63, 'nwip-suboptions', { type: 'suboptions', suboptions: NETWARE_SUBOPTIONS }, 'RFC 2242 §3'),
  option(64, 'nisplus-domain-name', TEXT, 'RFC 2132 §8.11'),
  option(65, 'nisplus-servers', IPS, 'RFC 2132 §8.12'),
  option(66, 'tftp-server-name', TEXT, 'RFC 2132 §9.4'),
  option(67, 'boot-file-name', TEXT, 'RFC 2132 §9.5'),
  option(68, 'mobile-ip-home-agent', { ...IPS, minCount: 0 }, 'RFC 2132 §8.13'),
  option(69, 'smtp-server', IPS, 'RFC 2132 §8.14'),
  option(70, 'pop-server', IPS, 'RFC 2132 §8.15'),
  option(71, 'nntp-server', IPS, 'RFC 2132 §8.16'),
  option(72, 'www-server', IPS, 'RFC 2132 §8.17'),
  option(73, 'finger-server', IPS, 'RFC 2132 §8.18'),
  option(74, 'irc-server', IPS, 'RFC 2132 §8.19'),
  option(75, 'streettalk-server', IPS, 'RFC 2132 §8.20'),
  option(76, 'streettalk-directory-assistance-server', IPS, 'RFC 2132 §8.21'),
  option(77, 'user-class', { type: 'user-class' }, 'RFC 3004 §4', 'client'),
  option(78, 'slp-directory-agent', {
    type: 'record', fields: [{ name: 'mandatory', ...BOOL }, { name: 'addresses', ...IPS }],
  }, 'RFC 2610'),
  option(79, 'slp-service-scope', {
    type: 'record', fields: [{ name: 'mandatory', ...BOOL }, { name: 'scopes', ...TEXT, minBytes: 0 }],
  }, 'RFC 2610'),
  option(80, 'rapid-commit', { type: 'flag' }, 'RFC 4039 §4', 'server'),
  option(81, 'fqdn', { type: 'client-fqdn' }, 'RFC 4702 §2', 'server'),
  option(82, 'dhcp-agent-options', { type: 'suboptions', suboptions: RELAY_SUBOPTIONS }, 'RFC 3046 §2.0', 'client'),
  option(83, 'isns', {
    type: 'record',
    fields: [
      { name: 'functions', ...U16 }, { name: 'discoveryDomainAccess', ...U16 }, { name: 'administrativeFlags', ...U16 },
      { name: 'serverSecurity', ...U32 }, { name: 'addresses', ...IPS },
    ],
  }, 'RFC 4174'),
  option(85, 'nds-servers', IPS, 'RFC 2241'),
  option(86, 'nds-tree-name', TEXT, 'RFC 2241'),
  option(87, 'nds-context', TEXT, 'RFC 2241'),
  option(88, 'bcms-controller-names', DOMAINS, 'RFC 4280'),
  option(89, 'bcms-controller-address', IPS, 'RFC 4280'),
  option(90, 'authenticate', {
    type: 'record',
    fields: [
      { name: 'protocol', ...U8 }, { name: 'algorithm', ...U8 }, { name: 'replayDetectionMethod', ...U8 },
      { name: 'replayDetection', ...BYTES, minBytes: 8, maxBytes: 8 }, { name: 'information', ...BYTES, minBytes: 0 },
    ],
  }, 'RFC 3118 §2', 'client'),
  option(91, 'client-last-transaction-time', U32, 'RFC 4388 §6.1', 'server'),
  option(92, 'associated-ip', IPS, 'RFC 4388 §6.1', 'server'),
  option(93, 'client-system', list(U16), 'RFC 4578 §2.1', 'client'),
  option(94, 'client-ndi', {
    type: 'record', fields: [{ name: 'type', ...U8 }, { name: 'major', ...U8 }, { name: 'minor', ...U8 }],
  }, 'RFC 4578 §2.2', 'client'),
  option(95, 'ldap', TEXT, 'RFC 3679'),
  option(97, 'uuid-guid', {
    type: 'record', fields: [{ name: 'type', ...U8 }, { name: 'identifier', ...BYTES }],
  }, 'RFC 4578 §2.3', 'client'),
  option(98, 'uap-servers', TEXT, 'RFC 2485'),
  option(99, 'geoconf-civic', {
    type: 'record',
    fields: [
      { name: 'what', ...U8, values: { 0: 'dhcp-server', 1: 'network-element', 2: 'client' } },
      { name: 'country', ...TEXT, minBytes: 2, maxBytes: 2 },
      {
        name: 'elements', type: 'record', array: true, minCount: 0,
        fields: [{ name: 'type', ...U8 }, { name: 'value', ...sized({ ...TEXT, minBytes: 0 }) }],
      },
    ],
  }, 'RFC 4776 §3.1'),
  option(100, 'pcode', TEXT, 'RFC 4833'),
  option(101, 'tcode', TEXT, 'RFC 4833'),
  option(108, 'v6-only-preferred', { ...U32, min: 300, orZero: true }, 'RFC 8925 §3.1'),
  option(109, 'dhcp4o6-s46-saddr', { type: 'ipv6' }, 'RFC 8539', 'client'),
  option(112, 'netinfo-server-address', IPS, 'RFC 3679'),
  option(113, 'netinfo-server-tag', TEXT, 'RFC 3679'),
  option(114, 'v4-captive-portal', { ...URI, maxBytes: 255 }, 'RFC 8910 §2.1'),
  option(116, 'auto-config', { ...U8, values: { 0: 'do-not-auto-configure', 1: 'auto-configure' } }, 'RFC 2563 §2'),
  option(117, 'name-service-search', list(U16), 'RFC 2937'),
  option(118, 'subnet-selection', IP, 'RFC 3011 §2', 'server'),
  option(119, 'domain-search', { ...DOMAINS, compressed: true }, 'RFC 3397 §2'),
  option(120, 'sip-servers', { type: 'names-or-addresses' }, 'RFC 3361 §3'),
  option(121, 'classless-static-route', ROUTES, 'RFC 3442'),
  option(122, 'cablelabs-client-conf', { type: 'suboptions', suboptions: CABLELABS_SUBOPTIONS }, 'RFC 3495'),
  option(123, 'geoconf', location('Resolution', false), 'RFC 6225 §2.2'),
  option(124, 'vivco-suboptions', { type: 'by-enterprise', of: list(sized({ ...TEXT_OR_BYTES, minBytes: 0 })) }, 'RFC 3925 §3'),
  option(125, 'vivso-suboptions', {
    type: 'by-enterprise', of: { type: 'suboptions', minCount: 0, orBytes: true }, spaces: {},
  }, 'RFC 3925 §4'),
  ...[128, 129, 130, 131, 132, 133, 134, 135].map((code) => option(code, `pxe-${code}`, BYTES, 'RFC 4578 §2.4')),
  option(136, 'pana-agent', IPS, 'RFC 5192'),
  option(137, 'v4-lost', FQDN, 'RFC 5223'),
  option(138, 'capwap-ac-v4', IPS, 'RFC 5417'),
  option(139, 'mos-addresses', { type: 'suboptions', suboptions: MOS_ADDRESS_SUBOPTIONS }, 'RFC 5678'),
  option(140, 'mos-names', { type: 'suboptions', suboptions: MOS_NAME_SUBOPTIONS }, 'RFC 5678'),
  option(141, 'sip-ua-cs-domains', DOMAINS, 'RFC 6011'),
  option(142, 'andsf-addresses', IPS, 'RFC 6153'),
  option(143, 'v4-sztp-redirect', list(sized(URI, 2)), 'RFC 8572 §8.1'),
  option(144, 'geoloc', location('Uncertainty', true), 'RFC 6225 §2.2'),
  option(145, 'forcerenew-nonce-capable', list(U8), 'RFC 6704', 'server'),
  option(146, 'rdnss-selection', {
    type: 'record',
    fields: [
      { name: 'preference', ...U8, values: { 0: 'medium', 1: 'high', 3: 'low' } },
      { name: 'primary', ...IP }, { name: 'secondary', ...IP }, { name: 'domains', ...DOMAINS, minCount: 0 },
    ],
  }, 'RFC 6731 §4.3'),
  option(147, 'v4-dots-ri', FQDN, 'RFC 8973'),
  option(148, 'v4-dots-address', IPS, 'RFC 8973'),
  option(150, 'tftp-server-address', IPS, 'RFC 5859 §3'),
  option(151, 'status-code', {
    type: 'record',
    fields: [
      {
        name: 'code', ...U8,
        values: {
          0: 'success', 1: 'unspec-fail', 2: 'query-terminated', 3: 'malformed-query', 4: 'not-allowed',
          5: 'data-missing', 6: 'connection-active', 7: 'catch-up-complete', 8: 'tls-connection-refused',
        },
      },
      { name: 'message', ...TEXT, minBytes: 0 },
    ],
  }, 'RFC 6926 §6.2.2', 'server'),
  option(152, 'base-time', U32, 'RFC 6926 §6.2.3', 'server'),
  option(153, 'start-time-of-state', U32, 'RFC 6926 §6.2.4', 'server'),
  option(154, 'query-start-time', U32, 'RFC 6926 §6.2.5', 'client'),
  option(155, 'query-end-time', U32, 'RFC 6926 §6.2.6', 'client'),
  option(156, 'dhcp-state', {
    ...U8,
    values: { 1: 'available', 2: 'active', 3: 'expired', 4: 'released', 5: 'abandoned', 6: 'reset', 7: 'remote', 8: 'transitioning' },
  }, 'RFC 6926 §6.2.7', 'server'),
  option(157, 'data-source', U8, 'RFC 6926 §6.2.8', 'server'),
  option(158, 'v4-pcp-server', list(sized(IPS)), 'RFC 7291 §4'),
  // The PSID stands in the highest bits of its field, as many as its length says.
  option(159, 'v4-portparams', {
    type: 'record', fields: [{ name: 'offset', ...U8, max: 15 }, { name: 'psidLength', ...U8, max: 16 }, { name: 'psid', ...U16 }],
  }, 'RFC 7618'),
  option(161, 'mud-url-v4', { ...URI, maxBytes: 255 }, 'RFC 8520 §10', 'client'),
  option(162, 'v4-dnr', list(sized(RESOLVER, 2)), 'RFC 9463 §5.1'),
  option(175, 'etherboot', BYTES, 'IANA, tentatively'),
  option(176, 'ip-telephone', TEXT, 'IANA, tentatively'),
  option(177, 'packetcable-cablehome', BYTES, 'IANA, tentatively'),
  option(208, 'pxelinux-magic', { ...BYTES, minBytes: 4, maxBytes: 4 }, 'RFC 5071 §3'),
  option(209, 'configfile', TEXT, 'RFC 5071 §4'),
  option(210, 'pathprefix', TEXT, 'RFC 5071 §5'),
  option(211, 'reboottime', U32, 'RFC 5071 §6'),
  option(212, 'option-6rd', {
    type: 'record',
    fields: [
      { name: 'ipv4MaskLength', ...U8, max: 32 }, { name: 'prefixLength', ...U8, max: 128 },
      { name: 'prefix', type: 'ipv6' }, { name: 'relays', ...IPS },
    ],
  }, 'RFC 5969 §7.1.1'),
  option(213, 'v4-access-domain', FQDN, 'RFC 5986'),
  option(220, 'subnet-allocation', {
    type: 'record', fields: [{ name: 'flags', ...U8 }, { name: 'suboptions', type: 'suboptions', minCount: 0 }],
  }, 'RFC 6656', 'client'),
  option(221, 'virtual-subnet-selection', VIRTUAL_SUBNET, 'RFC 6607 §3.1', 'server'),
  // Site-specific codes that clients of one vendor made common: Microsoft's copy of 121, and the proxy's address.
  option(249, 'ms-classless-static-route', ROUTES, 'RFC 3942, site-specific'),
  option(252, 'wpad-url', TEXT, 'RFC 3942, site-specific'),
];
