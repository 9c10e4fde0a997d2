/** `lessor leases`: the bindings of the cluster, as this node knows them. */
import * as z from 'zod';
import { wallSeconds } from '../../time.ts';
import { countLeases, listLeases } from '../lease-list.ts';
import type { LeaseSource } from '../lease-list.ts';
import { leaseConditionParameters, leaseParameters, LeaseQueryError, parseLeaseFilter, parseLeaseQuery } from '../lease-parameters.ts';
import type { LeaseConditions, LeaseParameters, LeaseQueryContext } from '../lease-parameters.ts';
import { OperationError } from '../operation.ts';
import type { AnswerOperation, ListOperation, OperationHost } from '../operation.ts';

/** As `LeaseView`. */
export const leaseEntry = z.strictObject({
  address: z.ipv4(),
  state: z.enum(['FREE', 'ACTIVE', 'EXPIRED', 'RELEASED', 'ABANDONED']),
  client: z.string().describe('hex: option 61 as sent, else hardware type and address; empty: no client'),
  clientIdentifier: z.boolean().describe('whether client is an option 61'),
  hardware: z.string(),
  hostname: z.string().optional(),
  expires: z.string().describe('ISO 8601 UTC, or never'),
  stateSince: z.string(),
  lastTransaction: z.string(),
  leaseSeconds: z.int().describe('4294967295 for ever'),
  subnet: z.string().describe('empty: the configuration has none for the address any more'),
  relayAgentInformation: z.string().optional().describe('option 82 in hex'),
  relay: z.unknown().optional().describe('the same by the names of its sub-options'),
  dns: z.strictObject({ name: z.string(), state: z.enum(['pending', 'added', 'conflict', 'refused', 'no-zone', 'leaving']) }).optional()
    .describe('the name that the address has in DNS, is to have, or is to lose'),
  reserved: z.boolean(),
  stamp: z.strictObject({ epoch: z.int(), incarnation: z.string(), seq: z.int() }).describe('which change wrote the record'),
  owner: z.string().optional().describe('the node that owns the address'),
});
export type LeaseEntry = z.output<typeof leaseEntry>;

const sources = new WeakMap<OperationHost['table'], LeaseSource>();

/** Of one node always the same one. */
function sourceOf(host: OperationHost): LeaseSource {
  const known = sources.get(host.table);
  if (known !== undefined) return known;
  const made: LeaseSource = {
    records: (after, limit) => host.table.records(after, limit), ownerOf: (slot) => host.ownerOf(slot), pause: () => host.pause(),
    get config() {
      return host.config();
    },
  };
  sources.set(host.table, made);
  return made;
}

function contextOf(host: OperationHost): LeaseQueryContext {
  return { config: host.config(), ownerOf: (slot) => host.ownerOf(slot), nowSeconds: wallSeconds(host.now().wall) };
}

export const leases: ListOperation<LeaseParameters, LeaseEntry> = {
  id: 'leases', kind: 'list', method: 'GET', path: '/v1/leases', role: 'viewer', parameters: leaseParameters, result: leaseEntry,
  summary: 'List bindings, in order of address or sorted; all conditions that are given hold at once.',
  async *run(host, parameters) {
    try {
      yield* listLeases(sourceOf(host), parseLeaseQuery(parameters, contextOf(host)));
    } catch (error) {
      throw asOperationError(error);
    }
  },
};

export const leaseCount: AnswerOperation<LeaseConditions, { count: number }> = {
  id: 'leases.count', kind: 'answer', method: 'GET', path: '/v1/leases/count', role: 'viewer', parameters: leaseConditionParameters,
  result: z.strictObject({ count: z.int() }),
  summary: 'Count the bindings for which all conditions that are given hold.',
  async run(host, conditions) {
    try {
      return { count: await countLeases(sourceOf(host), parseLeaseFilter(conditions, contextOf(host))) };
    } catch (error) {
      throw asOperationError(error);
    }
  },
};

function asOperationError(error: unknown): unknown {
  return error instanceof LeaseQueryError ? new OperationError('bad-request', error.message) : error;
}
