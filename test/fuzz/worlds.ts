/** The networks that packets are sent into, and what their configurations promise, said once more in plain words. */
import type { Identity } from '../../node/config/types.ts';
import { dnsScope } from '../support/client-names.ts';
import { chaddrOf, ip } from '../support/client-packets.ts';
import { leaseTimes, NO_GUARD, subnetConfig } from '../support/configs.ts';
import type { ConfigSpec, SubnetSpec } from '../support/configs.ts';
import type { Reading } from './reference.ts';

export interface WorldOptions {
  readonly name: string;
  /** Two nodes that share the pools. */
  readonly pair: boolean;
  readonly config: Pick<ConfigSpec, 'subnets' | 'classes' | 'limits'>;
  /** What a lease may last; BOOTP clients' last for ever. */
  readonly leaseSeconds: { readonly min: number; readonly max: number };
  readonly identityOf: (reading: Reading) => Identity;
  /** Whether the client's classes let it have an address of this pool, by the pool's first address. */
  readonly mayUse: (pool: number, reading: Reading) => boolean;
}

/** More than most replies have room for: some go into 'file' and 'sname', and some are left out. */
const MANY_OPTIONS = Object.entries({ 3: 8, 6: 40, 12: 30, 15: 60, 43: 300, 67: 120, 119: 90, 121: 64 })
  .map(([code, length]) => ({ code: Number(code), value: Buffer.alloc(length, Number(code)), send: code === '43' ? 'always' as const : 'requested' as const }));

const CHECKS = { rapidCommit: true, leaseCache: 0.3, conflictCheck: { method: 'icmp' as const, timeoutMs: 500, cacheSeconds: 20 } };

const UDHCP_POOL = ip('10.0.0.140');
const FLOOR: readonly SubnetSpec[] = [
  subnetConfig({
    sharedNetwork: 'floor', scope: { ...CHECKS, dns: dnsScope({ replaceName: 'when-missing', clientUpdates: 'override' }) },
    pools: [
      { first: ip('10.0.0.100'), last: ip('10.0.0.139') },
      { first: UDHCP_POOL, last: ip('10.0.0.159'), guard: { allow: [0], deny: [] } },
    ],
    reservations: [
      { hardware: { htype: 1, chaddr: chaddrOf(5) }, address: ip('10.0.0.150'), hostname: 'reserved' },
      { clientId: Buffer.of(0, 3, 7), address: ip('10.0.0.20') },
      { circuitId: Buffer.of(7), address: ip('10.0.0.130') },
    ],
  }),
  subnetConfig({
    name: '10.0.1.0/24', network: ip('10.0.1.0'), sharedNetwork: 'floor', scope: CHECKS,
    pools: [{ first: ip('10.0.1.100'), last: ip('10.0.1.119'), guard: NO_GUARD, allocation: 'random' }],
  }),
  subnetConfig({
    name: '192.0.2.0/24', network: ip('192.0.2.0'), leaseSeconds: 600, scope: { bootp: true },
    pools: [{ first: ip('192.0.2.10'), last: ip('192.0.2.19'), guard: NO_GUARD, allocation: 'hashed' }],
    options: [{ code: 108, value: Buffer.from([0, 0, 1, 44]) }, { code: 116, value: Buffer.of(1) }],
  }),
];

const startsWith = (value: Buffer | undefined, text: string): boolean => value?.subarray(0, text.length).toString() === text;
const VENDOR = { from: 'option' as const, code: 60, path: [] };

export const WORLDS: readonly WorldOptions[] = [
  {
    name: 'one node', pair: false, config: { subnets: [subnetConfig({ scope: { rapidCommit: true, dns: dnsScope() } })] }, leaseSeconds: { min: 3600, max: 3600 },
    identityOf: () => 'client-id', mayUse: () => true,
  },
  {
    name: 'one node, by hardware address, authoritative, short leases, limits', pair: false, leaseSeconds: { min: 30, max: 600 },
    config: {
      subnets: [subnetConfig({
        identity: 'hardware', authoritative: true, options: MANY_OPTIONS,
        scope: {
          lease: leaseTimes(60, { minSeconds: 30, maxSeconds: 600 }), bootp: true, dns: dnsScope({ generated: 'h-{hardware}', replaceName: 'when-missing' }),
          boot: { nextServer: ip('10.0.0.9'), serverHostname: Buffer.from('boot.example'), bootFileName: Buffer.alloc(0) },
        },
      })],
      limits: {
        packetsPerClient: { perSecond: 1, burst: 2 }, packetsPerRelay: { perSecond: 2, burst: 5 }, declinesPerClient: { perSecond: 0.0001, burst: 1 },
        leasesPerCircuit: 2,
      },
    },
    identityOf: () => 'hardware', mayUse: () => true,
  },
  {
    name: 'two nodes', pair: true, config: { subnets: [subnetConfig({ authoritative: true, scope: { rapidCommit: true } })] },
    leaseSeconds: { min: 3600, max: 3600 }, identityOf: () => 'client-id', mayUse: () => true,
  },
  {
    name: 'two nodes, a shared network and another, classes, reservations, probes', pair: true, leaseSeconds: { min: 600, max: 3600 },
    config: {
      subnets: FLOOR, limits: { leasesPerCircuit: 2 },
      classes: [
        { name: 'udhcp', condition: { kind: 'test', subject: VENDOR, test: { kind: 'prefix', values: [Buffer.from('udhcp')] } } },
        { name: 'ipxe', condition: { kind: 'test', subject: { ...VENDOR, code: 77 }, test: { kind: 'equals', values: [Buffer.from('iPXE')] } }, drop: true },
        { name: 'pxe', condition: { kind: 'test', subject: VENDOR, test: { kind: 'prefix', values: [Buffer.from('PXEClient')] } }, identity: 'hardware' },
      ],
    },
    identityOf: ({ options }) => (startsWith(options.get(60), 'PXEClient') ? 'hardware' : 'client-id'),
    mayUse: (pool, { options }) => pool !== UDHCP_POOL || startsWith(options.get(60), 'udhcp'),
  },
];

/** Every address that the world gives out. */
export function addressesOf({ config }: WorldOptions): number[] {
  const pools = config.subnets.flatMap((subnet) => subnet.pools);
  const reserved = config.subnets.flatMap(({ reservations }) => reservations.map(({ address }) => address!));
  return [...new Set([...pools.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i)), ...reserved])];
}

const networkName = ({ name, sharedNetwork }: SubnetSpec): string => sharedNetwork ?? name;

/** The name of the network that the address lies in. */
export function networkOf({ config }: WorldOptions, address: number): string | undefined {
  const found = config.subnets.find(({ network, prefixLength }) => address >= network && address < network + 2 ** (32 - prefixLength));
  return found === undefined ? undefined : networkName(found);
}

/** The subnet in one of whose pools the address lies, and the pool's first address. */
export function poolOf({ config }: WorldOptions, address: number): { readonly subnet: SubnetSpec; readonly first: number } | undefined {
  for (const subnet of config.subnets) {
    const pool = subnet.pools.find(({ first, last }) => address >= first && address <= last);
    if (pool !== undefined) return { subnet, first: pool.first };
  }
  return undefined;
}

/** Whose the address is by a reservation: of the client of this packet, of another one, or of nobody. */
export function reservedFor(
  { config }: WorldOptions, address: number, { htype, chaddr, options }: Reading, circuitId: Buffer | undefined,
): 'client' | 'another' | 'nobody' {
  const reservation = config.subnets.flatMap(({ reservations }) => reservations).find((each) => each.address === address);
  if (reservation === undefined) return 'nobody';
  const { hardware, clientId } = reservation;
  const matches = hardware === undefined || (hardware.htype === htype && hardware.chaddr.equals(chaddr));
  const sends = (expected: Buffer | undefined, sent: Buffer | undefined): boolean => expected === undefined || sent?.equals(expected) === true;
  return matches && sends(clientId, options.get(61)) && sends(reservation.circuitId, circuitId) ? 'client' : 'another';
}
