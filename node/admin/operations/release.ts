/** `lessor release`: ends a lease as its client's DHCPRELEASE would. */
import * as z from 'zod';
import { formatIpv4, parseIpv4 } from '../../codec/address.ts';
import { BindingState, givenUpLease, recordClientKey, recordState, recordTaken } from '../../lease/record.ts';
import { OPERATION_REASON_CHARACTERS_MAX } from '../../limits.ts';
import type { OwnChange } from '../../server/ports.ts';
import { wallSeconds } from '../../time.ts';
import type { Now } from '../../time.ts';
import { clientKeysOf } from '../client-text.ts';
import { clientHardware, leaseText } from '../lease-text.ts';
import { OperationError } from '../operation.ts';
import type { ChangeOperation, OperationHost } from '../operation.ts';

const parameters = z.strictObject({
  address: z.ipv4().optional().describe('the lease of this address'),
  client: z.string().min(1).max(600).optional().describe('all leases of this client: a hardware address, or a client identifier in hex'),
  reason: z.string().max(OPERATION_REASON_CHARACTERS_MAX).default('').describe('why, for the audit log'),
}).refine(({ address, client }) => (address === undefined) !== (client === undefined), 'expected one of address and client');

const result = z.strictObject({
  released: z.array(z.strictObject({ address: z.ipv4(), client: z.string(), hardware: z.string() })),
});

export const release: ChangeOperation<z.output<typeof parameters>, z.output<typeof result>> = {
  id: 'release', kind: 'change', method: 'POST', path: '/v1/release', role: 'operator', parameters, result,
  summary: 'End leases as a DHCPRELEASE of their client would. The client is not told: it must be gone, or have its address quarantined.',
  async run(host, { address, client }) {
    let released: z.output<typeof result>['released'] = [];
    await host.change((now) => {
      const addresses = address === undefined ? addressesOf(host, client!) : [parseIpv4(address)!];
      const found = addresses.flatMap((each) => activeAt(host, each));
      if (found.length === 0) return `there is no lease of ${address ?? client!}`;
      released = found.map(({ address: each, record }) => ({ address: formatIpv4(each), ...whoHas(record) }));
      return {
        changes: found.map(({ address: each, record }) => releasedLease(each, record, now)),
        audited: { target: address ?? client!, before: found.map(({ address: each, record }) => leaseText(each, record)).join('; '), after: 'released' },
      };
    });
    return { released };
  },
};

/** @throws OperationError */
function addressesOf({ table }: OperationHost, client: string): number[] {
  const keys = clientKeysOf(client);
  if (keys.length === 0) throw new OperationError('bad-request', `client: expected a hardware address like 52:54:00:12:34:56, or a client identifier in hex, found "${client}"`);
  return [...new Set(keys.flatMap(({ key, isHardware }) => (isHardware ? table.findAllByHardware(key) : table.findAllByClient(key))))];
}

function activeAt({ table }: OperationHost, address: number): { readonly address: number; readonly record: Buffer }[] {
  const record = table.networkOf(address) < 0 ? undefined : table.read(address);
  // One that was taken from its client is kept for it: it is known to be gone now.
  return record !== undefined && (recordState(record) === BindingState.ACTIVE || isKept(record)) ? [{ address, record }] : [];
}

function isKept(record: Buffer): boolean {
  return recordState(record) === BindingState.RELEASED && recordTaken(record);
}

function releasedLease(address: number, record: Buffer, now: Now): OwnChange {
  return { address, record: givenUpLease(record, wallSeconds(now.wall)) };
}

function whoHas(record: Buffer): { client: string; hardware: string } {
  return { client: recordClientKey(record).toString('hex'), hardware: clientHardware(record) };
}
