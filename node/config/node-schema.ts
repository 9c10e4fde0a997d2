/** node.yaml: every key with its type, default, unit, bound and help text, in one place. */
import { z } from 'zod';
import { ROLES } from '../admin/roles.ts';
import { PROTOCOL } from '../protocol.ts';
import * as kinds from './kinds.ts';
import { defaulted, documented, group, leaf, list, map, optional, required } from './settings.ts';
import * as timeKinds from './time-kinds.ts';

/** Both sides show a certificate. */
const mutualTls = <S extends z.core.$ZodLooseShape>(whose: string, help: string, more: S) => documented(map({
  certificate: required(kinds.filePath, 'This node\'s certificate, with what leads to its authority (PEM).'),
  key: required(kinds.filePath, 'Its private key (PEM, without a passphrase).'),
  authority: required(kinds.filePath, `The authority that signs ${whose} certificates (PEM; several while one replaces another).`),
  ...more,
}).optional(), { type: 'map', required: false, help: `${help} Paths are relative to the folder of this file; renewed files are taken up by themselves.` });

export const nodeSchema = map({
  node: required(kinds.id, 'The name of this node, as in `nodes` of the cluster\'s configuration.'),
  dataDir: defaulted(kinds.filePath, '/var/lib/lessor', 'Where the leases are kept. Relative to the folder of this file.'),
  user: optional(kinds.userName, 'The user of this host that the process becomes, with its groups, when root starts it; the data folder must be its own, and the files that are named here readable for it. Left out: whoever starts it. In either case the process keeps CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW, and no other capability.'),
  dhcp: documented(map({
    interfaces: list(kinds.interfaceName, 'The network interfaces on which clients and relays are answered.', 1),
  }), { type: 'map', required: true, help: 'Where DHCP is served.' }),
  http: group({
    listen: defaulted(kinds.hostAndPort(0), '127.0.0.1:9067', 'Where `/metrics`, `/livez`, `/readyz` and the API are; port 0 takes any free one.'),
    tls: documented(map({
      certificate: required(kinds.filePath, 'The certificate that is shown, with what leads to its authority (PEM).'),
      key: required(kinds.filePath, 'Its private key (PEM, without a passphrase).'),
      authority: optional(kinds.filePath, 'The authority that signs the clients\' certificates (PEM). With it only those are answered who show one.'),
    }).optional(), { type: 'map', required: false, help: 'Files for HTTPS; without them HTTP is spoken. Paths are relative to the folder of this file; renewed files are taken up by themselves.' }),
    tokens: optional(kinds.filePath, 'The tokens of the API, as `lessor token create` writes them: what they let do, and their hashes. Relative to the folder of this file; changes are taken up by themselves.'),
    roles: documented(z.record(z.string(), leaf(kinds.oneOf(...ROLES)), 'a map of names and roles such as { noc.example.net: operator }').prefault({}), {
      type: 'map: name to role', required: false, default: '{}', json: { type: 'object', additionalProperties: { enum: ROLES } },
      help: 'What clients may do by their certificates (`http.tls.authority`): a DNS name or the common name, and `viewer`, `operator` or `admin`. Those without a role get metrics, status and health checks.',
    }),
  }, 'Metrics, health checks and the API.'),
  leasequery: group({
    listen: defaulted(kinds.hostAndPort(0), '0.0.0.0:67', 'Where bulk and active LEASEQUERY is (TCP), once `leasequery.requestors` of the cluster\'s configuration lets somebody ask.'),
    tls: mutualTls('the requestors\'', 'Files for LEASEQUERY over TLS. Left out: TLS is refused.', {}),
  }, 'LEASEQUERY over TCP.'),
  dnsKeys: list(kinds.filePath, 'Files with the TSIG keys that `key` of a DNS zone names, one or several in each, as `tsig-keygen` writes them (HMAC-SHA256, -SHA384 or -SHA512). Only the node\'s user should be able to read them. Relative to the folder of this file; changed files are taken up by themselves. Each node has files of its own: the cluster\'s configuration holds no secrets.'),
  cluster: documented(map({
    name: required(kinds.id, 'The name of the cluster: the root of its keys in etcd.'),
    listen: required(kinds.hostAndPort(1), 'Where the other nodes reach this one.'),
    etcd: list(kinds.etcdUrl, 'The members of etcd; `https://` with the files of `etcdTls`, or else of `tls`.', 1),
    tls: mutualTls('the other nodes\'', 'Files for TLS between the nodes, and to etcd. Each node\'s certificate has its name (`node`) among its DNS names. Left out: the links are in the clear, and every node of the cluster has to leave it out.', {
      optional: defaulted(kinds.bool, false, 'Nodes that do not speak TLS are talked to in the clear. Only while a cluster is moved to TLS, node by node: until then it protects from nobody.'),
    }),
    etcdTls: mutualTls('etcd\'s', 'Files for etcd, where it takes others than those of `tls`. With etcd\'s RBAC the certificate\'s common name is the user.', {}),
    sessionTtl: defaulted(timeKinds.durationSeconds({ min: '1s', max: '60s' }), '3s', 'How long a silent node stays a member. etcd raises it to 1.5 times its election timeout.'),
    protocolMax: optional(kinds.integer(PROTOCOL.min, PROTOCOL.max), 'The newest protocol version that this node speaks: to hold an upgraded cluster at the old one for a while.', PROTOCOL.max),
    protocolMin: optional(kinds.integer(PROTOCOL.min, PROTOCOL.max), 'The oldest one. A node that speaks only older ones is not let in beside this one, nor this one beside it.', PROTOCOL.min),
  }).optional(), { type: 'map', required: false, help: 'Without it: a single node, no etcd.' }),
  config: defaulted(kinds.filePath, './cluster.yaml', 'The cluster\'s configuration, taken when etcd holds none yet, or without etcd. Relative to the folder of this file.'),
  log: group({
    level: defaulted(kinds.oneOf('debug', 'info', 'warn', 'error'), 'info', 'The least important that is logged.'),
    leases: defaulted(kinds.bool, false, 'A log line for every grant and renewal of this node. It costs more than the packet.'),
  }, 'What is logged.'),
});

export type NodeFile = z.output<typeof nodeSchema>;
