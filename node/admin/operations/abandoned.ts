/** `lessor abandoned`: addresses that were found in use by somebody without a lease, and are given to nobody. */
import * as z from 'zod';
import { formatIpv4, lastAddress, parseIpv4, parsePrefix } from '../../codec/address.ts';
import { believedEnd } from '../../lease/reuse.ts';
import { BindingState, givenUpLease, recordClientKey, recordState, recordStateSince, takenLease } from '../../lease/record.ts';
import { ABANDONED_CLEARED_MAX, OPERATION_REASON_CHARACTERS_MAX } from '../../limits.ts';
import { NOTE_KEYS_END } from '../../notes/note.ts';
import type { OwnChange } from '../../server/ports.ts';
import { wallSeconds } from '../../time.ts';
import type { Now } from '../../time.ts';
import { clientHardware, leaseText } from '../lease-text.ts';
import { LEASE_PAGE_RECORDS } from '../limits.ts';
import { isoSeconds } from '../lease-view.ts';
import { OperationError } from '../operation.ts';
import type { ChangeOperation, ListOperation, OperationHost } from '../operation.ts';

const entry = z.strictObject({
  address: z.ipv4(),
  since: z.string().describe('ISO 8601 UTC'),
  found: z.enum(['declined', 'probed']).describe('declined: by the client that was to have it; probed: somebody answered when the node asked'),
  hardware: z.string().describe('of that client, or of who answered; empty: not known'),
  subnet: z.string(),
});
type Entry = z.output<typeof entry>;

interface Range {
  readonly first: number;
  readonly last: number;
}

const ALL: Range = { first: NOTE_KEYS_END, last: 0xffff_ffff };

const listed = z.strictObject({ subnet: z.string().max(100).optional().describe('of this subnet of the configuration alone') });

export const abandonedList: ListOperation<z.output<typeof listed>, Entry> = {
  id: 'abandoned.list', kind: 'list', method: 'GET', path: '/v1/abandoned', role: 'viewer', parameters: listed, result: entry,
  summary: 'List abandoned addresses, in order.',
  async *run(host, { subnet }) {
    const { subnets } = host.config();
    for await (const found of pagesOf(host, subnet === undefined ? ALL : subnetRange(host, subnet))) {
      for (const { address, record } of found) {
        yield {
          address: formatIpv4(address), since: isoSeconds(recordStateSince(record)), found: recordClientKey(record).length === 0 ? 'probed' : 'declined',
          hardware: clientHardware(record), subnet: subnets[host.table.subnetOf(address)]?.name ?? '',
        };
      }
    }
  },
};

const cleared = z.strictObject({
  address: z.ipv4().optional().describe('this address'),
  subnet: z.string().max(100).optional().describe('all of this subnet of the configuration'),
  all: z.literal(true).optional().describe('all there are'),
  reason: z.string().max(OPERATION_REASON_CHARACTERS_MAX).default('').describe('why, for the audit log'),
}).refine(({ address, all, subnet }) => [address, subnet, all].filter((each) => each !== undefined).length === 1, 'expected one of address, subnet and all');

const clearedResult = z.strictObject({ cleared: z.int().describe('how many are free now, or in a moment') });

export const abandonedClear: ChangeOperation<z.output<typeof cleared>, z.output<typeof clearedResult>> = {
  id: 'abandoned.clear', kind: 'change', method: 'POST', path: '/v1/abandoned/clear', role: 'operator', parameters: cleared, result: clearedResult,
  summary: 'Make abandoned addresses free again: whoever used them without a lease is gone.',
  async run(host, { address, subnet }) {
    const range = address === undefined ? (subnet === undefined ? ALL : subnetRange(host, subnet)) : { first: parseIpv4(address)!, last: parseIpv4(address)! };
    const target = address ?? subnet ?? 'all';
    let count = 0;
    let next: number[] = [];
    const clearNext = async (): Promise<void> => {
      let freed = 0;
      await host.change((now) => {
        const records = next.flatMap((each) => abandonedAt(host, each));
        freed = records.length;
        if (freed === 0) return `${target} is not abandoned`;
        return {
          changes: records.map(({ address: each, record }) => freedAddress(each, record, now)),
          audited: { target, before: records.map(({ address: each, record }) => leaseText(each, record)).join('; '), after: `${freed} free` },
        };
      });
      count += freed;
      next = [];
    };
    for await (const found of pagesOf(host, range)) {
      if (next.length + found.length > ABANDONED_CLEARED_MAX) await clearNext();
      next.push(...found.map((each) => each.address));
    }
    if (next.length > 0 || count === 0) await clearNext();
    return { cleared: count };
  },
};

/** Its client, if it was one who declined it and may have asked again since, keeps it until the lease that it may go by has ended. */
export function freedAddress(address: number, record: Buffer, now: Now): OwnChange {
  const second = wallSeconds(now.wall);
  return { address, record: believedEnd(record) > second ? takenLease(record, second) : givenUpLease(record, second) };
}

export function abandonedAt({ table }: Pick<OperationHost, 'table'>, address: number): { readonly address: number; readonly record: Buffer }[] {
  const record = table.networkOf(address) < 0 ? undefined : table.read(address);
  return record !== undefined && recordState(record) === BindingState.ABANDONED ? [{ address, record }] : [];
}

/** At most as many at a time as a change may free. */
async function* pagesOf(host: OperationHost, { first, last }: Range): AsyncGenerator<{ address: number; record: Buffer }[]> {
  for (let after = first - 1; after < last;) {
    const page = host.table.records(after, Math.min(LEASE_PAGE_RECORDS, last - after));
    const end = page.at(-1)?.address;
    const found = page.filter(({ address, record }) => address <= last && recordState(record) === BindingState.ABANDONED);
    for (let at = 0; at < found.length; at += ABANDONED_CLEARED_MAX) yield found.slice(at, at + ABANDONED_CLEARED_MAX);
    if (end === undefined || end >= last) return;
    after = end;
    await host.pause();
  }
}

/** @throws OperationError */
function subnetRange(host: OperationHost, name: string): Range {
  const { subnets } = host.config();
  const prefix = subnets.some((each) => each.name === name) ? parsePrefix(name) : undefined;
  if (prefix === undefined) throw new OperationError('bad-request', `subnet: expected one of ${subnets.map((each) => each.name).join(', ')}, found "${name}"`);
  return { first: prefix.network, last: lastAddress(prefix) };
}
