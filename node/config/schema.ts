/**
 * The configuration files: every key with its type, default, unit, bound and help text, in one place.
 * Loading, error messages and the reference are made from it; what concerns several keys at once is
 * in check.ts.
 */
import { z } from 'zod';
import { OptionCatalogue, parseOptionValue } from '../codec/options.ts';
import * as kinds from './kinds.ts';
import type { Kind } from './kinds.ts';
import { didYouMean } from './nearest.ts';
import type { OptionValue } from './types.ts';

export interface SettingDoc {
  readonly type: string;
  readonly unit?: string;
  /** As written in YAML; undefined: none. */
  readonly default?: string;
  readonly required: boolean;
  readonly help: string;
}

/** What describes the reference; keyed by the schema of the setting. */
export const settingDocs = z.registry<SettingDoc>();

function documented<S extends z.core.$ZodType>(schema: S, doc: SettingDoc): S {
  settingDocs.add(schema, doc);
  return schema;
}

function leaf<T>(kind: Kind<T>) {
  return z.unknown().transform((value, context): T => {
    const read = kind.read(value);
    if (read !== undefined) return read;
    context.addIssue({ code: 'custom', message: kind.expected, input: value });
    return z.NEVER;
  });
}

function docOf(kind: { readonly type: string; readonly unit?: string }, required: boolean, help: string, fallback?: string | number | boolean): SettingDoc {
  return {
    type: kind.type, required, help,
    ...(kind.unit === undefined ? {} : { unit: kind.unit }),
    ...(fallback === undefined ? {} : { default: String(fallback) }),
  };
}

function required<T>(kind: Kind<T>, help: string) {
  return documented(leaf(kind), docOf(kind, true, help));
}

function optional<T>(kind: Kind<T>, help: string) {
  return documented(leaf(kind).optional(), docOf(kind, false, help));
}

/** `fallback` is written as the file would have it. */
function defaulted<T>(kind: Kind<T>, fallback: string | number | boolean, help: string) {
  return documented(leaf(kind).prefault(fallback), docOf(kind, false, help, fallback));
}

function list<T>(kind: Kind<T>, help: string, least = 0) {
  const type = `list: ${kind.type}`;
  const array = z.array(leaf(kind), `a list, each entry ${kind.expected}`).min(least, `at least ${least === 1 ? 'one entry' : `${least} entries`}`);
  return least > 0
    ? documented(array, { type, required: true, help })
    : documented(array.prefault([]), { type, required: false, default: '[]', help });
}

function map<S extends z.core.$ZodLooseShape>(shape: S) {
  // Unknown keys come as issues of their own, which say which keys there are.
  return z.strictObject(shape, 'a map');
}

function group<S extends z.core.$ZodLooseShape>(shape: S, help: string) {
  return documented(map(shape).prefault({} as never), { type: 'map', required: false, help });
}

/** `options:` by name or code, to wire bytes; every wrong one is an issue at its own key. */
const options = z.record(z.string(), z.unknown(), 'a map of DHCP options').transform((record, context): OptionValue[] => {
  const values = new Map<number, OptionValue>();
  for (const [key, given] of Object.entries(record)) {
    const problem = (message: string): void => context.addIssue({ code: 'custom', message, path: [key], input: given });
    const option = OptionCatalogue.standard.find(key);
    if (option === undefined) {
      problem(`the name of a DHCP option or its code (1 to 254)${didYouMean(key, OptionCatalogue.standard.names)}`);
    } else if (option.origin !== 'configuration') {
      problem(`no value here: ${option.name} ${option.origin === 'server' ? 'follows from the rest of the configuration' : 'comes from clients and relays only'}`);
    } else if (values.has(option.code)) {
      problem(`each option once: ${option.name} is option ${option.code}, which is set here too`);
    } else {
      const parsed = parseOptionValue(option, given);
      if (parsed.ok) values.set(option.code, { code: option.code, value: parsed.value });
      else problem(parsed.expected);
    }
  }
  return [...values.values()];
});

function optionsSetting(help: string) {
  return documented(options.prefault({}), { type: 'map: option name or code to value', required: false, default: '{}', help });
}

/** Ten years: with it the end of a lease stays within 32 bits of UTC seconds until 2096. */
const leaseTime = kinds.durationSeconds({ min: '1s', max: '3650d', infinite: true });
const identity = kinds.oneOf('client-id', 'hardware');

const reservation = map({
  hardware: optional(kinds.hardware, 'The client by its hardware address. Exactly one of `hardware` and `clientId`.'),
  clientId: optional(kinds.clientIdentifier, 'The client by what it sends as option 61.'),
  address: required(kinds.address, 'The address that is this client\'s, inside the subnet; inside or outside its pools.'),
  hostname: optional(kinds.hostname, 'Sent to the client as its host name.'),
});

const subnet = map({
  subnet: required(kinds.prefix, 'The network that these clients are in.'),
  pools: list(kinds.range, 'The addresses that are given out, first and last included. Without one only reservations are served.'),
  leaseTime: optional(leaseTime, 'As above, for this subnet.'),
  identity: optional(identity, 'As above, for this subnet.'),
  authoritative: optional(kinds.bool, 'As above, for this subnet.'),
  options: optionsSetting('Options for this subnet; they replace the global ones of the same code.'),
  reservations: documented(z.array(reservation, 'a list of reservations').prefault([]), {
    type: 'list of maps', required: false, default: '[]', help: 'Addresses that are kept for one client each.',
  }),
});

const nodeEntry = map({
  weight: defaulted(kinds.integer(0, 100), 1, 'The share of the clients and addresses. 1 and 1: half each; 1 and 0: hot standby.'),
});

/** cluster.yaml */
export const clusterSchema = map({
  leaseTime: defaulted(leaseTime, '12h', 'How long a client may keep an address without renewing it.'),
  authoritative: defaulted(kinds.bool, false, 'Whether this server knows all addresses of its subnets, and so refuses clients with wrong ones (DHCPNAK) and answers DHCPINFORM.'),
  identity: defaulted(identity, 'client-id', 'Who a client is: option 61 where it sends one, or always its hardware address.'),
  nodes: documented(z.record(z.string(), nodeEntry, 'a map of nodes such as { a: { weight: 1 }, b: { weight: 1 } }').prefault({}), {
    type: 'map: node name to map', required: false, default: '{}', help: 'The nodes of the cluster, by the names that their `node.yaml` gives them. Left out for a single node.',
  }),
  subnets: documented(z.array(subnet, 'a list of subnets').min(1, 'at least one subnet'), {
    type: 'list of maps', required: true, help: 'The networks that are served. They may not overlap.',
  }),
  options: optionsSetting('DHCP options for all subnets.'),
  loadBalance: group({
    maxSeconds: defaulted(kinds.integer(0, 3600, 'seconds'), 3, 'A client that has asked for so long is answered by any node, not only by its own (RFC 3074).'),
  }, 'Which node answers which client.'),
  maxClockSkew: defaulted(kinds.durationMs({ min: '0s', max: '10m' }), '10s', 'The most by which the nodes\' clocks may differ. An address whose lease has ended waits for so long before another client gets it.'),
  ackTimeout: defaulted(kinds.durationMs({ min: '10ms', max: '3s' }), '250ms', 'A link whose acknowledgements stay out for so long is down; changes then go through etcd.'),
  evictAfter: defaulted(kinds.durationMs({ min: '1s', max: '1h' }), '30s', 'A node that has not taken a change for so long leaves the view.'),
  coldStartWait: defaulted(kinds.durationMs({ min: '0s', max: '10m' }), '20s', 'How long restarted nodes wait for one that still runs before they go on by themselves.'),
  log: group({ leases: defaulted(kinds.bool, false, 'A log line for every grant and renewal, on all nodes. It costs more than the packet.') }, 'What is logged.'),
});

/** node.yaml */
export const nodeSchema = map({
  node: required(kinds.id, 'The name of this node, as in `nodes` of the cluster\'s configuration.'),
  dataDir: defaulted(kinds.filePath, '/var/lib/lessor', 'Where the leases are kept. Relative to the folder of this file.'),
  dhcp: documented(map({
    interfaces: list(kinds.interfaceName, 'The network interfaces on which clients and relays are answered.', 1),
  }), { type: 'map', required: true, help: 'Where DHCP is served.' }),
  http: group({
    listen: defaulted(kinds.hostAndPort(0), '127.0.0.1:9067', 'Where `/metrics`, `/livez` and `/readyz` are; port 0 takes any free one.'),
  }, 'Metrics and health checks.'),
  cluster: documented(map({
    name: required(kinds.id, 'The name of the cluster: the root of its keys in etcd.'),
    listen: required(kinds.hostAndPort(1), 'Where the other nodes reach this one.'),
    etcd: list(kinds.etcdUrl, 'The members of etcd.', 1),
    sessionTtl: defaulted(kinds.durationSeconds({ min: '1s', max: '60s' }), '3s', 'How long a silent node stays a member. etcd raises it to 1.5 times its election timeout.'),
  }).optional(), { type: 'map', required: false, help: 'Without it: a single node, no etcd.' }),
  config: defaulted(kinds.filePath, './cluster.yaml', 'The cluster\'s configuration, taken when etcd holds none yet, or without etcd. Relative to the folder of this file.'),
  log: group({
    level: defaulted(kinds.oneOf('debug', 'info', 'warn', 'error'), 'info', 'The least important that is logged.'),
    leases: defaulted(kinds.bool, false, 'A log line for every grant and renewal of this node. It costs more than the packet.'),
  }, 'What is logged.'),
});

export type ClusterFile = z.output<typeof clusterSchema>;
export type NodeFile = z.output<typeof nodeSchema>;
export type SubnetFile = ClusterFile['subnets'][number];
