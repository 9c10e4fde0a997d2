/** `lessor dns`: how names get into DNS, and the comparison of leases and zones. */
import * as z from 'zod';
import type { DnsStatus } from '../../ddns/status.ts';
import { OPERATION_REASON_CHARACTERS_MAX } from '../../limits.ts';
import type { AnswerOperation, ChangeOperation } from '../operation.ts';
import { OperationError } from '../operation.ts';

const zone = z.strictObject({
  zone: z.string().describe('with the dot at its end; empty: names that lie in no configured zone'),
  pending: z.int().describe('updates that wait for it or are under way'),
  failing: z.string().describe('why it cannot be changed; empty: it can'),
  failingSeconds: z.int().describe('since the first failure'),
  retrySeconds: z.int().describe('until it is tried again'),
});

const resyncStatus = z.strictObject({
  state: z.enum(['running', 'done', 'failed']),
  step: z.string().describe('what it does at the moment, or how it ended'),
  records: z.int().describe('records of zones that were read'),
  bindings: z.int().describe('leases that were compared with them'),
  missing: z.int().describe('leases whose names are put in again'),
  stray: z.int().describe('entries without a lease that are taken out'),
});

const status: z.ZodType<DnsStatus> = z.strictObject({
  pending: z.int().describe('addresses with something to be done, of those that the node owns'),
  underWay: z.int(),
  estimated: z.boolean().describe('whether the numbers of zones are estimates'),
  zones: z.array(zone).describe('zones with something to be done, or that fail'),
  resync: resyncStatus.nullable().describe('null: there was none since the start'),
});

const nothing = z.strictObject({});

export const dnsStatus: AnswerOperation<z.output<typeof nothing>, DnsStatus> = {
  id: 'dns.status', kind: 'answer', method: 'GET', path: '/v1/dns', role: 'viewer', parameters: nothing, result: status,
  summary: 'How names get into DNS, of the addresses that this node owns: each node tells of its own.',
  run: (host) => Promise.resolve(host.status().dns),
};

const reasoned = z.strictObject({
  reason: z.string().max(OPERATION_REASON_CHARACTERS_MAX).default('').describe('why, for the audit log'),
});

export const dnsResync: ChangeOperation<z.output<typeof reasoned>, DnsStatus> = {
  id: 'dns.resync', kind: 'change', method: 'POST', path: '/v1/dns/resync', role: 'operator', parameters: reasoned, result: status,
  summary: 'Begin to compare the leases of the addresses that this node owns with what the DNS zones hold: names that DNS lacks are put in again, names without a lease are taken out. GET /v1/dns tells how it goes on.',
  async run(host) {
    if (host.names === undefined) throw new OperationError('unavailable', 'this node does not reach name servers');
    await host.change(() => (host.status().dns.resync?.state === 'running' ? 'leases and zones are being compared already'
      : { changes: [], audited: { target: 'dns', before: '', after: 'leases and zones are compared' } }));
    host.names.resync();
    return host.status().dns;
  },
};
