/**
 * Sub-options as data: of relay agent information (82), of the options that are made of sub-options, and of the
 * vendors' spaces of option 43 that need no definition in the configuration.
 */
import type { OptionDefinition, ValueShape } from './option-shape.ts';

function suboption(code: number, name: string, shape: ValueShape, rfc: string): OptionDefinition {
  return { code, name, ...shape, rfc, origin: 'configuration' };
}

function relayed(code: number, name: string, shape: ValueShape, rfc: string): OptionDefinition {
  return { ...suboption(code, name, shape, rfc), origin: 'client' };
}

const IP = { type: 'ip' } as const;
const IPS = { type: 'ip', array: true } as const;
const U8 = { type: 'u8' } as const;
const U16 = { type: 'u16' } as const;
const U32 = { type: 'u32' } as const;
const TEXT = { type: 'text' } as const;
const BYTES = { type: 'bytes' } as const;
const TEXT_OR_BYTES = { type: 'text-or-bytes', minBytes: 0 } as const;
const DOMAINS = { type: 'domain-list' } as const;

/** RFC 6607 §3.5. */
export const VIRTUAL_SUBNET: ValueShape = {
  type: 'record',
  fields: [{ name: 'type', ...U8, values: { 0: 'nvt-ascii', 1: 'vpn-id', 255: 'global' } }, { name: 'information', ...TEXT_OR_BYTES }],
};

/** Of option 82, in order of code: the registry "DHCP Relay Agent Sub-Option Codes", and Cisco's 150. */
export const RELAY_SUBOPTIONS: readonly OptionDefinition[] = [
  relayed(1, 'circuit-id', TEXT_OR_BYTES, 'RFC 3046 §3.1'),
  relayed(2, 'remote-id', TEXT_OR_BYTES, 'RFC 3046 §3.2'),
  relayed(4, 'docsis-device-class', U32, 'RFC 3256'),
  relayed(5, 'link-selection', IP, 'RFC 3527 §3'),
  relayed(6, 'subscriber-id', TEXT_OR_BYTES, 'RFC 3993'),
  relayed(7, 'radius-attributes', BYTES, 'RFC 4014'),
  relayed(8, 'authentication', {
    type: 'record',
    fields: [
      { name: 'algorithm', ...U8 }, { name: 'replayDetectionMethod', ...U8 },
      { name: 'replayDetection', ...BYTES, minBytes: 8, maxBytes: 8 },
      { name: 'relayIdentifier', ...U32 }, { name: 'information', ...BYTES, minBytes: 0 },
    ],
  }, 'RFC 4030'),
  relayed(9, 'vendor-specific-information', { type: 'by-enterprise', of: { type: 'suboptions', minCount: 0, orBytes: true } }, 'RFC 4243'),
  relayed(10, 'relay-agent-flags', U8, 'RFC 5010 §3'),
  relayed(11, 'server-identifier-override', IP, 'RFC 5107 §4'),
  relayed(12, 'relay-id', { ...TEXT_OR_BYTES, minBytes: 1 }, 'RFC 6925 §4'),
  relayed(13, 'access-technology-type', U16, 'RFC 7839'),
  relayed(14, 'access-network-name', TEXT, 'RFC 7839'),
  relayed(15, 'access-point-name', TEXT, 'RFC 7839'),
  relayed(16, 'access-point-bssid', { ...BYTES, minBytes: 6, maxBytes: 6 }, 'RFC 7839'),
  relayed(17, 'operator-identifier', U32, 'RFC 7839'),
  relayed(18, 'operator-realm', TEXT, 'RFC 7839'),
  relayed(19, 'relay-port', { type: 'flag' }, 'RFC 8357 §4.1'),
  relayed(150, 'cisco-link-selection', IP, 'RFC 3527, before it had a code'),
  relayed(151, 'virtual-subnet-selection', VIRTUAL_SUBNET, 'RFC 6607 §3.2'),
  relayed(152, 'virtual-subnet-selection-control', { type: 'flag' }, 'RFC 6607 §3.3'),
];

const BACKOFF: ValueShape = {
  type: 'record', fields: [{ name: 'nominalTimeout', ...U32 }, { name: 'maximumTimeout', ...U32 }, { name: 'maximumRetries', ...U32 }],
};

/** Of option 122. */
export const CABLELABS_SUBOPTIONS: readonly OptionDefinition[] = [
  suboption(1, 'tsp-primary-server', IP, 'RFC 3495'),
  suboption(2, 'tsp-secondary-server', IP, 'RFC 3495'),
  suboption(3, 'tsp-provisioning-server', { type: 'names-or-addresses', maxCount: 1 }, 'RFC 3495'),
  suboption(4, 'tsp-as-parameters', BACKOFF, 'RFC 3495'),
  suboption(5, 'tsp-ap-parameters', BACKOFF, 'RFC 3495'),
  suboption(6, 'tsp-realm', { type: 'fqdn' }, 'RFC 3495'),
  suboption(7, 'tsp-use-tgt', { type: 'bool' }, 'RFC 3495'),
  suboption(8, 'tsp-provisioning-timer', U8, 'RFC 3495'),
  suboption(9, 'tsp-ticket-control-mask', U16, 'RFC 3594'),
  suboption(10, 'kdc-server-addresses', IPS, 'RFC 3634'),
];

/** Of options 139 and 140. */
const MOS_SERVICES: readonly (readonly [number, string])[] = [[1, 'information-service'], [2, 'command-service'], [3, 'event-service']];
const mosSuboptions = (shape: ValueShape): OptionDefinition[] => MOS_SERVICES.map(([code, name]) => suboption(code, name, shape, 'RFC 5678'));
export const MOS_ADDRESS_SUBOPTIONS: readonly OptionDefinition[] = mosSuboptions(IPS);
export const MOS_NAME_SUBOPTIONS: readonly OptionDefinition[] = mosSuboptions(DOMAINS);

/** Of option 63. */
export const NETWARE_SUBOPTIONS: readonly OptionDefinition[] = [
  suboption(1, 'nwip-does-not-exist', { type: 'flag' }, 'RFC 2242 §3'),
  suboption(2, 'nwip-exists-in-options', { type: 'flag' }, 'RFC 2242 §3'),
  suboption(3, 'nwip-exists-in-sname-file', { type: 'flag' }, 'RFC 2242 §3'),
  suboption(4, 'nwip-exists-but-too-big', { type: 'flag' }, 'RFC 2242 §3'),
  suboption(5, 'nsq-broadcast', { type: 'bool' }, 'RFC 2242 §4'),
  suboption(6, 'preferred-dss', IPS, 'RFC 2242 §4'),
  suboption(7, 'nearest-nwip-server', IPS, 'RFC 2242 §4'),
  suboption(8, 'autoretries', U8, 'RFC 2242 §4'),
  suboption(9, 'autoretry-seconds', U8, 'RFC 2242 §4'),
  suboption(10, 'nwip-1-1', { type: 'bool' }, 'RFC 2242 §4'),
  suboption(11, 'primary-dss', IP, 'RFC 2242 §4'),
];

/** Of one resolver in option 162: the parameters of RFC 9460 §7. */
export const SERVICE_PARAMETERS: readonly OptionDefinition[] = [
  suboption(0, 'mandatory', { ...U16, array: true }, 'RFC 9460 §8'),
  suboption(1, 'alpn', { type: 'sized', lengthBytes: 1, of: { type: 'text-or-bytes' }, array: true }, 'RFC 9460 §7.1'),
  suboption(2, 'no-default-alpn', { type: 'flag' }, 'RFC 9460 §7.1'),
  suboption(3, 'port', U16, 'RFC 9460 §7.2'),
  suboption(7, 'dohpath', TEXT, 'RFC 9461 §5'),
];

/** Of option 43 for PXE clients (Preboot Execution Environment 2.1, §2.2). */
export const PXE_SUBOPTIONS: readonly OptionDefinition[] = [
  suboption(1, 'mtftp-address', IP, 'PXE 2.1'),
  suboption(2, 'mtftp-client-port', U16, 'PXE 2.1'),
  suboption(3, 'mtftp-server-port', U16, 'PXE 2.1'),
  suboption(4, 'mtftp-timeout', U8, 'PXE 2.1'),
  suboption(5, 'mtftp-delay', U8, 'PXE 2.1'),
  suboption(6, 'discovery-control', U8, 'PXE 2.1'),
  suboption(7, 'discovery-address', IP, 'PXE 2.1'),
  // The addresses follow their count.
  suboption(8, 'boot-servers', {
    type: 'record', array: true,
    fields: [{ name: 'type', ...U16 }, { name: 'addresses', type: 'sized', lengthBytes: 1, unitBytes: 4, of: { ...IPS, minCount: 0 } }],
  }, 'PXE 2.1'),
  suboption(9, 'boot-menu', {
    type: 'record', array: true, fields: [{ name: 'type', ...U16 }, { name: 'text', type: 'sized', lengthBytes: 1, of: TEXT }],
  }, 'PXE 2.1'),
  suboption(10, 'menu-prompt', { type: 'record', fields: [{ name: 'timeout', ...U8 }, { name: 'text', ...TEXT }] }, 'PXE 2.1'),
  suboption(71, 'boot-item', { type: 'record', fields: [{ name: 'type', ...U16 }, { name: 'layer', ...U16 }] }, 'PXE 2.1'),
];
