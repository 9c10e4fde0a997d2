/**
 * The DHCP options as data: RFC 2132's, and those of later RFCs that this server writes. Reading,
 * writing, configuration and documentation all follow this table. Names are those that Kea uses.
 */

/** How a value lies on the wire; numbers are big-endian. */
export type OptionType =
  /** One IPv4 address. */
  | 'ip'
  /** IPv4 addresses, one after the other. */
  | 'ip-list'
  /** Pairs of IPv4 addresses. */
  | 'ip-pairs'
  | 'u8' | 'u16' | 'u32'
  /** Two's complement. */
  | 'i32'
  /** 0 or 1. */
  | 'bool'
  | 'u8-list' | 'u16-list'
  /** UTF-8 without a NUL (RFC 2132 asks for NVT ASCII; clients send more). */
  | 'text'
  /** Anything, written as pairs of hexadecimal digits. */
  | 'bytes';

/**
 * Who decides the value. `configuration`: may be set under `options`. `server`: follows from the rest
 * of the configuration or the protocol, a configured one would contradict it. `client`: only clients
 * and relays send it.
 */
export type OptionOrigin = 'configuration' | 'server' | 'client';

export interface OptionDefinition {
  readonly code: number;
  readonly name: string;
  readonly type: OptionType;
  readonly origin: OptionOrigin;
  /** Bounds of a number, inclusive; the type's own where absent. */
  readonly min?: number;
  readonly max?: number;
  /** The only numbers that are allowed, with their names where there are any. */
  readonly values?: Readonly<Record<number, string>>;
  /** Least entries of a list, or bytes of text or bytes; 1 where absent. */
  readonly minCount?: number;
  /** `ip-pairs`: the first of a pair may not be 0.0.0.0 (RFC 2132 §5.8). */
  readonly firstNotZero?: true;
  /** Where it is defined. */
  readonly rfc: string;
}

type Extra = Partial<Pick<OptionDefinition, 'origin' | 'min' | 'max' | 'values' | 'minCount' | 'firstNotZero'>>;

function option(code: number, name: string, type: OptionType, rfc: string, extra: Extra = {}): OptionDefinition {
  return { code, name, type, rfc, origin: 'configuration', ...extra };
}

const SERVER = { origin: 'server' } as const;
const CLIENT = { origin: 'client' } as const;

/** In order of code. Pad (0) and end (255) have no value and are not in here. */
export const OPTIONS: readonly OptionDefinition[] = [
  option(1, 'subnet-mask', 'ip', 'RFC 2132 §3.3', SERVER),
  option(2, 'time-offset', 'i32', 'RFC 2132 §3.4'),
  option(3, 'routers', 'ip-list', 'RFC 2132 §3.5'),
  option(4, 'time-servers', 'ip-list', 'RFC 2132 §3.6'),
  option(5, 'name-servers', 'ip-list', 'RFC 2132 §3.7'),
  option(6, 'domain-name-servers', 'ip-list', 'RFC 2132 §3.8'),
  option(7, 'log-servers', 'ip-list', 'RFC 2132 §3.9'),
  option(8, 'cookie-servers', 'ip-list', 'RFC 2132 §3.10'),
  option(9, 'lpr-servers', 'ip-list', 'RFC 2132 §3.11'),
  option(10, 'impress-servers', 'ip-list', 'RFC 2132 §3.12'),
  option(11, 'resource-location-servers', 'ip-list', 'RFC 2132 §3.13'),
  option(12, 'host-name', 'text', 'RFC 2132 §3.14', SERVER),
  option(13, 'boot-size', 'u16', 'RFC 2132 §3.15'),
  option(14, 'merit-dump', 'text', 'RFC 2132 §3.16'),
  option(15, 'domain-name', 'text', 'RFC 2132 §3.17'),
  option(16, 'swap-server', 'ip', 'RFC 2132 §3.18'),
  option(17, 'root-path', 'text', 'RFC 2132 §3.19'),
  option(18, 'extensions-path', 'text', 'RFC 2132 §3.20'),
  option(19, 'ip-forwarding', 'bool', 'RFC 2132 §4.1'),
  option(20, 'non-local-source-routing', 'bool', 'RFC 2132 §4.2'),
  option(21, 'policy-filter', 'ip-pairs', 'RFC 2132 §4.3'),
  option(22, 'max-dgram-reassembly', 'u16', 'RFC 2132 §4.4', { min: 576 }),
  option(23, 'default-ip-ttl', 'u8', 'RFC 2132 §4.5', { min: 1 }),
  option(24, 'path-mtu-aging-timeout', 'u32', 'RFC 2132 §4.6'),
  option(25, 'path-mtu-plateau-table', 'u16-list', 'RFC 2132 §4.7', { min: 68 }),
  option(26, 'interface-mtu', 'u16', 'RFC 2132 §5.1', { min: 68 }),
  option(27, 'all-subnets-local', 'bool', 'RFC 2132 §5.2'),
  option(28, 'broadcast-address', 'ip', 'RFC 2132 §5.3'),
  option(29, 'perform-mask-discovery', 'bool', 'RFC 2132 §5.4'),
  option(30, 'mask-supplier', 'bool', 'RFC 2132 §5.5'),
  option(31, 'router-discovery', 'bool', 'RFC 2132 §5.6'),
  option(32, 'router-solicitation-address', 'ip', 'RFC 2132 §5.7'),
  option(33, 'static-routes', 'ip-pairs', 'RFC 2132 §5.8', { firstNotZero: true }),
  option(34, 'trailer-encapsulation', 'bool', 'RFC 2132 §6.1'),
  option(35, 'arp-cache-timeout', 'u32', 'RFC 2132 §6.2'),
  option(36, 'ieee802-3-encapsulation', 'bool', 'RFC 2132 §6.3'),
  option(37, 'default-tcp-ttl', 'u8', 'RFC 2132 §7.1', { min: 1 }),
  option(38, 'tcp-keepalive-interval', 'u32', 'RFC 2132 §7.2'),
  option(39, 'tcp-keepalive-garbage', 'bool', 'RFC 2132 §7.3'),
  option(40, 'nis-domain', 'text', 'RFC 2132 §8.1'),
  option(41, 'nis-servers', 'ip-list', 'RFC 2132 §8.2'),
  option(42, 'ntp-servers', 'ip-list', 'RFC 2132 §8.3'),
  option(43, 'vendor-encapsulated-options', 'bytes', 'RFC 2132 §8.4'),
  option(44, 'netbios-name-servers', 'ip-list', 'RFC 2132 §8.5'),
  option(45, 'netbios-dd-server', 'ip-list', 'RFC 2132 §8.6'),
  option(46, 'netbios-node-type', 'u8', 'RFC 2132 §8.7', { values: { 1: 'b-node', 2: 'p-node', 4: 'm-node', 8: 'h-node' } }),
  option(47, 'netbios-scope', 'text', 'RFC 2132 §8.8'),
  option(48, 'font-servers', 'ip-list', 'RFC 2132 §8.9'),
  option(49, 'x-display-manager', 'ip-list', 'RFC 2132 §8.10'),
  option(50, 'dhcp-requested-address', 'ip', 'RFC 2132 §9.1', CLIENT),
  option(51, 'dhcp-lease-time', 'u32', 'RFC 2132 §9.2', SERVER),
  option(52, 'dhcp-option-overload', 'u8', 'RFC 2132 §9.3', { ...SERVER, values: { 1: 'file', 2: 'sname', 3: 'both' } }),
  option(53, 'dhcp-message-type', 'u8', 'RFC 2132 §9.6', {
    ...SERVER,
    values: { 1: 'discover', 2: 'offer', 3: 'request', 4: 'decline', 5: 'ack', 6: 'nak', 7: 'release', 8: 'inform' },
  }),
  option(54, 'dhcp-server-identifier', 'ip', 'RFC 2132 §9.7', SERVER),
  option(55, 'dhcp-parameter-request-list', 'u8-list', 'RFC 2132 §9.8', CLIENT),
  option(56, 'dhcp-message', 'text', 'RFC 2132 §9.9', SERVER),
  option(57, 'dhcp-max-message-size', 'u16', 'RFC 2132 §9.10', { ...CLIENT, min: 576 }),
  option(58, 'dhcp-renewal-time', 'u32', 'RFC 2132 §9.11', SERVER),
  option(59, 'dhcp-rebinding-time', 'u32', 'RFC 2132 §9.12', SERVER),
  option(60, 'vendor-class-identifier', 'text', 'RFC 2132 §9.13'),
  option(61, 'dhcp-client-identifier', 'bytes', 'RFC 2132 §9.14', { ...CLIENT, minCount: 2 }),
  option(62, 'nwip-domain-name', 'text', 'RFC 2242 §2'),
  option(63, 'nwip-suboptions', 'bytes', 'RFC 2242 §3'),
  option(64, 'nisplus-domain-name', 'text', 'RFC 2132 §8.11'),
  option(65, 'nisplus-servers', 'ip-list', 'RFC 2132 §8.12'),
  option(66, 'tftp-server-name', 'text', 'RFC 2132 §9.4'),
  option(67, 'boot-file-name', 'text', 'RFC 2132 §9.5'),
  option(68, 'mobile-ip-home-agent', 'ip-list', 'RFC 2132 §8.13', { minCount: 0 }),
  option(69, 'smtp-server', 'ip-list', 'RFC 2132 §8.14'),
  option(70, 'pop-server', 'ip-list', 'RFC 2132 §8.15'),
  option(71, 'nntp-server', 'ip-list', 'RFC 2132 §8.16'),
  option(72, 'www-server', 'ip-list', 'RFC 2132 §8.17'),
  option(73, 'finger-server', 'ip-list', 'RFC 2132 §8.18'),
  option(74, 'irc-server', 'ip-list', 'RFC 2132 §8.19'),
  option(75, 'streettalk-server', 'ip-list', 'RFC 2132 §8.20'),
  option(76, 'streettalk-directory-assistance-server', 'ip-list', 'RFC 2132 §8.21'),
  option(81, 'fqdn', 'bytes', 'RFC 4702 §2', { ...SERVER, minCount: 3 }),
  option(82, 'dhcp-agent-options', 'bytes', 'RFC 3046 §2.0', { ...CLIENT, minCount: 2 }),
  option(90, 'authenticate', 'bytes', 'RFC 3118 §2', CLIENT),
  option(91, 'client-last-transaction-time', 'u32', 'RFC 4388 §6.1', SERVER),
  option(92, 'associated-ip', 'ip-list', 'RFC 4388 §6.1', SERVER),
];
