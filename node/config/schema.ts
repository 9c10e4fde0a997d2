/**
 * cluster.yaml: every key with its type, default, unit, bound and help text, in one place. Loading,
 * error messages, the reference and the editors' JSON Schema are made from it; what concerns several
 * keys at once is in check.ts. Options and what a class matches depend on the options that the file
 * itself defines: they are let through here as they are, and read in option-values.ts and condition.ts.
 */
import { z } from 'zod';
import { CUSTOM_TYPES } from '../codec/options.ts';
import * as byteKinds from './byte-kinds.ts';
import { dnsMap } from './dns-schema.ts';
import { OptionCatalogue } from '../codec/options.ts';
import { DEFAULT_QUERY_OPTIONS } from '../leasequery/default-options.ts';
import * as kinds from './kinds.ts';
import type { JsonSchema, Kind } from './kinds.ts';
import { defaulted, documented, group, list, listOf, map, optional, optionalList, optionalPlainOrMap, plainOrMap, required } from './settings.ts';
import { byteSize } from './size-kinds.ts';
import * as timeKinds from './time-kinds.ts';
import type { AddressRange, ConflictCheck, LeaseTimes, Rate } from './types.ts';

/** Ten years: with it the end of a lease stays within 32 bits of UTC seconds until 2096. */
const leaseSeconds = timeKinds.durationSeconds({ min: '1s', max: '3650d', infinite: true });

export type LeaseRange = Pick<LeaseTimes, 'defaultSeconds' | 'minSeconds' | 'maxSeconds'>;

const fixedLease: Kind<LeaseRange> = {
  ...leaseSeconds,
  read(value) {
    const seconds = leaseSeconds.read(value);
    return seconds === undefined ? undefined : { defaultSeconds: seconds, minSeconds: seconds, maxSeconds: seconds };
  },
};

const leaseTime = plainOrMap(fixedLease, {
  default: required(leaseSeconds, 'What a client gets that asks for no time of its own.'),
  min: optional(leaseSeconds, 'What a client gets that asks for less. Left out: `default`.'),
  max: optional(leaseSeconds, 'What a client gets that asks for more. Left out: `default`.'),
}, ({ default: defaultSeconds, min = defaultSeconds, max = defaultSeconds }): LeaseRange => ({ defaultSeconds, minSeconds: min, maxSeconds: max }));

const conflictMethod = kinds.oneOf('none', 'icmp', 'arp');
/** Whoever waits longer has no time left to answer: see `REPLY_AGE_MS_MAX`. */
const probeTimeout = timeKinds.durationMs({ min: '10ms', max: '4s' });
const probeCache = timeKinds.durationSeconds({ min: '0s', max: '1d' });
const PROBE_TIMEOUT = '500ms';
const PROBE_CACHE = '5m';

const conflictCheck = plainOrMap<ConflictCheck, {
  method: ReturnType<typeof required<ConflictCheck['method']>>;
  timeout: ReturnType<typeof defaulted<number>>;
  cache: ReturnType<typeof defaulted<number>>;
}>({
  ...conflictMethod,
  read(value) {
    const method = conflictMethod.read(value);
    return method === undefined ? undefined : { method, timeoutMs: probeTimeout.read(PROBE_TIMEOUT)!, cacheSeconds: probeCache.read(PROBE_CACHE)! };
  },
}, {
  method: required(conflictMethod, 'How an address is asked for: by ping, or by ARP where the server is on the client\'s link.'),
  timeout: defaulted(probeTimeout, PROBE_TIMEOUT, 'How long an answer is waited for. The client waits as long for its DHCPOFFER.'),
  cache: defaulted(probeCache, PROBE_CACHE, 'An address that was found free is not asked for again for so long.'),
}, ({ method, timeout, cache }) => ({ method, timeoutMs: timeout, cacheSeconds: cache }));

const options = z.record(z.string(), z.unknown(), 'a map of DHCP options').optional();

/** What a class and a reservation can say too, over any scope. */
export const overlaySettings = {
  leaseTime: optionalPlainOrMap(leaseTime, 'How long a client may keep an address without renewing it. A plain duration is what every client gets; a map lets clients choose.', '12h'),
  renewTime: optional(timeKinds.leaseFraction, 'When a client renews with the node that gave the lease (T1, option 58): a part of the lease, or so long after it was given.', '50%'),
  rebindTime: optional(timeKinds.leaseFraction, 'When it asks any node (T2, option 59); later than `renewTime`.', '87.5%'),
  nextServer: optional(kinds.address, 'The server that the client boots from (\'siaddr\'). `0.0.0.0`: none.', '0.0.0.0'),
  serverHostname: optional(kinds.serverHostname, 'Its name (\'sname\').', '""'),
  bootFileName: optional(kinds.bootFileName, 'The file that the client boots (\'file\'). Options 66 and 67 are set under `options`.', '""'),
  options: documented(options, {
    type: 'map: option name or code to value', required: false, default: '{}', json: { $ref: '#/definitions/options' },
    help: 'DHCP options: a value, or `{ value, send }` with `send` one of `requested` (the default: if the client asks for it), `always` and `never`. An option that is set here replaces one of the same code from further out; the others stay.',
  }),
};

/** What can be said for all clients, a shared network, a subnet or a pool; the nearest counts. */
export const scopeSettings = {
  ...overlaySettings,
  leaseCache: optional(timeKinds.percentage(0, 90), 'A renewal before this part of the lease has passed changes nothing: the client is told what is left. It saves writes where clients renew too often. `0%`: every renewal counts.', '0%'),
  rapidCommit: optional(kinds.bool, 'Whether a client that asks for it (option 80) is given its address in two packets instead of four (RFC 4039).', false),
  bootp: optional(kinds.bool, 'Whether BOOTP clients (RFC 951) get an address from the pools, for ever.', false),
  allocation: optional(kinds.oneOf('iterative', 'random', 'hashed'), 'How a new client\'s address is chosen: in order and then the one that is free for longest, at random, or by the client\'s own hash (it tends to get the same one again).', 'iterative'),
  conflictCheck: optionalPlainOrMap(conflictCheck, 'Whether somebody uses an address already is asked before it is offered.', 'none'),
  dns: documented(dnsMap.optional(), { type: 'map', required: false, help: 'Names of clients in DNS: A and PTR records that follow every lease, and the names that clients are told (RFC 4702). Each key counts for itself: what is not set here is taken from the next `dns` further out.' }),
};

const scope = map(scopeSettings);
export type ScopeFile = z.output<typeof scope>;
export type OverlayFile = Pick<ScopeFile, keyof typeof overlaySettings>;

/** What counts where the file says nothing. */
export const SCOPE_DEFAULTS: ScopeFile = scope.parse({
  leaseTime: '12h', renewTime: '50%', rebindTime: '87.5%', leaseCache: '0%', nextServer: '0.0.0.0', serverHostname: '', bootFileName: '', options: {},
  rapidCommit: false, bootp: false, allocation: 'iterative', conflictCheck: 'none',
});

const identity = kinds.oneOf('client-id', 'hardware');
const authoritativeHelp = 'Whether this server knows all addresses of its networks, and so refuses clients with wrong ones (DHCPNAK) and answers DHCPINFORM.';
const identityHelp = 'Who a client is: option 61 where it sends one, or always its hardware address.';

const networkSettings = {
  identity: optional(identity, 'As at the top, for this network.'),
  authoritative: optional(kinds.bool, 'As at the top, for this network.'),
};

const guardSettings = {
  allow: optionalList(kinds.classReference, 'Only clients in one of these classes get addresses here. Left out: any client.'),
  deny: optionalList(kinds.classReference, 'Clients in one of these classes get no address here.'),
};

export const reservation = map({
  hardware: optional(byteKinds.hardware, 'The client by its hardware address.'),
  clientId: optional(byteKinds.clientIdentifier, 'The client by what it sends as option 61.'),
  duid: optional(byteKinds.duid, 'The client by the DUID in its option 61 (RFC 4361), which it has in DHCPv6 too.'),
  circuitId: optional(byteKinds.relayIdentifier, 'The port of the relay that the client is behind (option 82, sub-option 1).'),
  remoteId: optional(byteKinds.relayIdentifier, 'What the relay knows the client by (option 82, sub-option 2).'),
  relayId: optional(byteKinds.relayIdentifier, 'The relay itself (option 82, sub-option 12).'),
  address: optional(kinds.address, 'The address that is this client\'s, in a subnet of this network; inside or outside its pools. Left out: the settings only.'),
  hostname: optional(kinds.hostname, 'Sent to the client as its host name (option 12), and its name in DNS, whatever it calls itself.'),
  description: optional(kinds.description, 'For people.'),
  until: optional(timeKinds.until, 'When the reservation ends. Left out: never.'),
  ...overlaySettings,
});

function reservations(help: string) {
  return listOf(reservation, 'reservation', 'reservations', help);
}

export type PoolFile = ScopeFile & {
  readonly ranges: readonly AddressRange[];
  readonly exclude: readonly AddressRange[];
  readonly allow?: readonly string[] | undefined;
  readonly deny?: readonly string[] | undefined;
};

const poolRange: Kind<PoolFile> = {
  ...kinds.range,
  read(value) {
    const range = kinds.range.read(value);
    return range === undefined ? undefined : { ranges: [range], exclude: [] };
  },
};

const pool = plainOrMap(poolRange, {
  range: optional(kinds.range, 'The addresses that are given out, first and last included. Exactly one of `range` and `ranges`.'),
  ranges: optionalList(kinds.range, 'Several of them.'),
  exclude: list(kinds.addressOrRange, 'Addresses in it that are not given out.'),
  ...guardSettings,
  ...scopeSettings,
}, ({ range, ranges, ...settings }): PoolFile => ({ ...settings, ranges: range === undefined ? (ranges ?? []) : [range] }));

const subnet = map({
  subnet: required(kinds.prefix, 'The network that these clients are in.'),
  pools: listOf(pool, 'pool', 'pools', 'The addresses that are given out: `first-last`, or a map. Without one only reservations are served.'),
  exclude: list(kinds.addressOrRange, 'Addresses that no pool of this subnet gives out.'),
  ...guardSettings,
  reservations: reservations('Addresses and settings that are kept for one client each.'),
  ...networkSettings,
  ...scopeSettings,
});

const sharedNetwork = map({
  name: required(kinds.label, 'What the network is called.'),
  subnets: documented(z.array(subnet, 'a list of subnets').min(1, 'at least one subnet'), {
    type: 'list of [subnet](#subnet)', required: true, help: 'The subnets that are on this link. A client gets an address of the one that its request came from, or of the next one in order that lets it in and has one free.',
  }),
  reservations: reservations('Addresses in any of its subnets, and settings, that are kept for one client each.'),
  ...networkSettings,
  ...scopeSettings,
});

const VALUE_JSON: JsonSchema = { description: 'a value, or a list of which one must fit' };

/** For the reference, the editors and the names of the keys: condition.ts reads it. */
function told(type: string, help: string, json: JsonSchema = {}) {
  return optional<unknown>({ expected: type, type, json, read: (value) => value }, help);
}

const CONDITION: JsonSchema = { $ref: '#/definitions/condition' };
const NAME_OR_CODE: JsonSchema = { type: ['string', 'integer'] };

export const condition = map({
  option: told('option name or code', 'The option that is looked at.', NAME_OR_CODE),
  suboption: told('sub-option name or code, or a list of them', 'The sub-option inside it; a list leads further in.', { anyOf: [NAME_OR_CODE, { type: 'array', items: NAME_OR_CODE }] }),
  enterprise: told('number', 'The enterprise whose part of option 124 or 125 is looked at.', { type: 'integer' }),
  relay: told('sub-option name or code', 'The sub-option of option 82 that is looked at, which the relay has added.', NAME_OR_CODE),
  field: told('hardware, htype, giaddr, ciaddr, interface', 'What is looked at besides options: the hardware address, its type, the address of the relay, of the client, or the name of the interface that the request came in on.', { enum: ['hardware', 'htype', 'giaddr', 'ciaddr', 'interface'] }),
  equals: told('value, or a list', 'It is this, or one of these; written as the option itself would be under `options`, or as bytes: `{ hex: "0a:1b" }`.', VALUE_JSON),
  prefix: told('value, or a list', 'It begins with this, or with one of these.', VALUE_JSON),
  contains: told('value, or a list', 'This, or one of these, lies somewhere in it.', VALUE_JSON),
  network: told('IPv4 network, or a list', 'It is an address in this network, or in one of these.', { anyOf: [kinds.prefix.json, { type: 'array', items: kinds.prefix.json }] }),
  exists: told('true or false', 'It is there, or it is not.', { type: 'boolean' }),
  all: told('list of conditions', 'All of these are met.', { type: 'array', items: CONDITION, minItems: 1 }),
  any: told('list of conditions', 'One of these is met.', { type: 'array', items: CONDITION, minItems: 1 }),
  not: told('condition', 'This is not met.', CONDITION),
  class: told('name of a class', 'The client is in this class, which stands before the one at hand or is built in.', kinds.classReference.json),
});

const customType = { ...kinds.oneOf(...CUSTOM_TYPES), type: 'a type as above' };
const vendorSpace: Kind<string | number> = {
  expected: 'the name of a vendor (option 43), or an enterprise number (option 125)',
  type: 'name or number',
  json: { type: ['string', 'integer'] },
  read: (value) => (typeof value === 'string' || typeof value === 'number' ? value : undefined),
};

export const optionDefinition = map({
  code: required(kinds.integer(1, 254), 'Its code: one that IANA has given to nobody, or one from 128 on.'),
  name: required(kinds.optionName, 'What it is called under `options` and in conditions.'),
  type: required(kinds.oneOf(...CUSTOM_TYPES, 'record'), 'What a value is.'),
  array: optional(kinds.bool, 'Whether several values follow each other.'),
  record: optionalList(customType, 'With `type: record`: the types of its parts, in order.'),
  space: optional(vendorSpace, 'Left out: a DHCP option. The name of a vendor: a sub-option of option 43. An enterprise number: a sub-option of option 125.'),
});

const clientClass = map({
  name: required(kinds.label, 'What the class is called.'),
  match: documented(z.record(z.string(), z.unknown(), 'a map that says what the clients of this class have in common').optional(), {
    type: '[condition](#condition)', required: false, help: 'What a client must show to be in the class. Only the class that `quarantine.class` names may do without: operators put clients into it.', json: CONDITION,
  }),
  identity: optional(identity, 'Who a client of this class is; goes before its network\'s.'),
  drop: defaulted(kinds.bool, false, 'Clients of this class get no answer at all.'),
  ...overlaySettings,
});

const nodeEntry = map({
  weight: defaulted(kinds.integer(0, 100), 1, 'The share of the clients and addresses. 1 and 1: half each; 1 and 0: hot standby.'),
});

const rate = map({
  rate: required(kinds.decimal(0, 1_000_000), 'So many a second, in the long run. 0: no limit.'),
  burst: optional(kinds.integer(1, 10_000_000), 'So many at once. Left out: twice the rate, at least 5.'),
}).transform(({ rate: perSecond, burst = Math.max(5, Math.ceil(perSecond * 2)) }): Rate => ({ perSecond, burst: perSecond === 0 ? 0 : burst }));

function limit(help: string) {
  return documented(rate.optional(), { type: 'map', required: false, help: `${help} Left out: no limit.` });
}

export const clusterSchema = map({
  nodes: documented(z.record(z.string(), nodeEntry, 'a map of nodes such as { a: { weight: 1 }, b: { weight: 1 } }').prefault({}), {
    type: 'map: node name to map', required: false, default: '{}', help: 'The nodes of the cluster, by the names that their `node.yaml` gives them. Left out for a single node.',
  }),
  subnets: listOf(subnet, 'subnet', 'subnets', 'The networks that are served, each on a link of its own. No two subnets of the file may overlap.'),
  sharedNetworks: listOf(sharedNetwork, 'shared network', 'shared networks', 'Links with several subnets: a client on one has one address of any of them.'),
  reservations: reservations('Settings for clients wherever they are; with an address, for the network that it is in.'),
  classes: listOf(clientClass, 'class', 'classes', 'Clients that have something in common. What an earlier class sets goes before a later one.'),
  ...scopeSettings,
  optionDefinitions: listOf(optionDefinition, 'option definition', 'option definitions', 'Options that this server does not know, or that are something of your own here.'),
  authoritative: defaulted(kinds.bool, false, authoritativeHelp),
  identity: defaulted(identity, 'client-id', identityHelp),
  subnetSelection: defaulted(kinds.bool, false, 'Whether a client may say by option 118 (RFC 3011) which link its address is to be from.'),
  knownServers: list(kinds.prefix, 'Other DHCP servers that may answer the same clients, as during a migration, by address: `10.0.0.9/32`. Of any other one that clients choose the event `rogue-server` tells.'),
  limits: group({
    packetsPerClient: limit('Requests of one client, counted for each relay that it is behind; what is over is dropped.'),
    packetsPerRelay: limit('Requests that come from one relay; what is over is dropped.'),
    declinesPerClient: limit('DHCPDECLINEs of one client: each takes an address out of service. What is over is dropped.'),
    leasesPerCircuit: defaulted(kinds.integer(0, 1_000_000), 0, 'Leases that the clients behind one port of one relay (circuit-id) may hold at a time. 0: no limit.'),
  }, 'Protection against floods, and against one client that takes all addresses.'),
  leasequery: group({
    requestors: list(kinds.prefix, 'Who may ask, by address: a LEASEQUERY over UDP by where its answer goes (giaddr) and where it comes from, a connection by where it comes from. Empty: nobody, and no port is opened.'),
    options: optionalList(kinds.optionReference, `What may be told of a lease beside its times and state, as far as the requestor asks for it (RFC 4388 §6.4.2). Left out: ${DEFAULT_QUERY_OPTIONS.map((code) => OptionCatalogue.standard.find(code)!.name).join(', ')}.`),
    queriesPerRequestor: limit('Queries of one address, over UDP and over TCP alike; what is over gets no answer over UDP, and NotAllowed over TCP.'),
    connections: defaulted(kinds.integer(1, 1000), 10, 'Connections at a time; further ones are closed at once (RFC 6926 §8.1).'),
    queriesPerConnection: defaulted(kinds.integer(1, 16), 4, 'Queries that are answered at a time on one connection; further ones wait.'),
    idleTimeout: defaulted(timeKinds.durationSeconds({ min: '1s', max: '1h' }), '5m', 'A connection without a query, or whose requestor reads nothing, is closed after so long.'),
    active: group({
      enabled: defaulted(kinds.bool, false, 'Whether requestors may follow all changes of leases (RFC 7724). Over TLS, with `leasequery.tls` in each `node.yaml`.'),
      insecure: defaulted(kinds.bool, false, 'Whether they may without TLS. Then whoever sends from an address of `requestors` learns all of it.'),
      names: list(kinds.certificateName, 'Whose certificates are taken, by their common name or a DNS name in them. Empty: all that the authority of `leasequery.tls` has signed.'),
      history: defaulted(timeKinds.durationSeconds({ min: '1m', max: '30d' }), '1h', 'How long changes are kept for requestors that were away.'),
      historySize: defaulted(kinds.integer(1, 65_536, 'MiB'), 256, 'And how much of them at most, on each node\'s disk.'),
    }, 'Requestors that are told of each change as it happens.'),
  }, 'Who may ask which leases there are (RFC 4388, RFC 6926, RFC 7724).'),
  history: group({
    days: defaulted(kinds.integer(0, 3650, 'days'), 90, 'How long a lease is remembered after it has ended; it is gone within a day more. 0: not at all, and what was kept is removed.'),
    size: defaulted(byteSize('10MB', '200GB'), '2GB', 'And how much of them at most, on each node\'s disk; past it the oldest day goes. A lease takes about 180 bytes.'),
  }, 'Who held which address when (`lessor history`).'),
  quarantine: group({
    answer: defaulted(kinds.oneOf('nak', 'silence'), 'nak', 'What a client in quarantine is answered when it asks for the address that it had: that it is not its own any more (DHCPNAK), or nothing. It is never offered another one.'),
    class: optional(kinds.label, 'The class of `classes` that `lessor quarantine add --mode class` puts clients into. They are in no other one, and get addresses only where `allow` names it, with its options and lease times.'),
  }, 'What becomes of clients that an operator has put into quarantine (`lessor quarantine`).'),
  loadBalance: group({
    maxSeconds: defaulted(kinds.integer(0, 3600, 'seconds'), 3, 'A client that has asked for so long is answered by any node, not only by its own (RFC 3074).'),
  }, 'Which node answers which client.'),
  maxClockSkew: defaulted(timeKinds.durationMs({ min: '0s', max: '10m' }), '10s', 'The most by which the nodes\' clocks may differ. An address whose lease has ended waits for so long before another client gets it.'),
  ackTimeout: defaulted(timeKinds.durationMs({ min: '10ms', max: '3s' }), '250ms', 'A link whose acknowledgements stay out for so long is down; changes then go through etcd.'),
  evictAfter: defaulted(timeKinds.durationMs({ min: '1s', max: '1h' }), '30s', 'A node that has not taken a change for so long leaves the view.'),
  coldStartWait: defaulted(timeKinds.durationMs({ min: '0s', max: '10m' }), '20s', 'How long restarted nodes wait for one that still runs before they go on by themselves.'),
  log: group({ leases: defaulted(kinds.bool, false, 'A log line for every grant and renewal, on all nodes. It costs more than the packet.') }, 'What is logged.'),
});

export type ClusterFile = z.output<typeof clusterSchema>;
export type SubnetFile = z.output<typeof subnet>;
export type SharedNetworkFile = z.output<typeof sharedNetwork>;
export type ReservationFile = z.output<typeof reservation>;
export type ClassFile = z.output<typeof clientClass>;
