/** `lessor history`: who held an address, which addresses a client held. */
import * as z from 'zod';
import { parseIpv4 } from '../../codec/address.ts';
import { until } from '../../config/time-kinds.ts';
import { HistorySearch } from '../../history/search.ts';
import type { HistoryPeriod, HistorySubject, Tenure } from '../../history/search.ts';
import { wallSeconds } from '../../time.ts';
import { clientKeysOf } from '../client-text.ts';
import { heldLease, heldLeaseView, historyCoverage } from '../history-view.ts';
import { isoSeconds } from '../lease-view.ts';
import { OperationError } from '../operation.ts';
import type { Operation, OperationHost } from '../operation.ts';

const FOR_EVER = 0xffff_ffff;
const time = z.iso.datetime({ offset: true, precision: 0 });

const parameters = z.strictObject({
  address: z.ipv4().optional().describe('who held this address'),
  client: z.string().min(1).max(600).optional().describe('which addresses this client held: a hardware address, or a client identifier in hex'),
  at: time.optional().describe('at this time'),
  from: time.optional().describe('from then on'),
  to: time.optional().describe('until then'),
  goOnAt: time.optional().describe('what goesOnAt of an earlier answer to the same question said: the rest'),
}).refine(({ address, client }) => (address === undefined) !== (client === undefined), 'expected one of address and client')
  .refine(({ at, from, to }) => at === undefined || (from === undefined && to === undefined), 'expected at, or from and to, and not both');

type Parameters = z.output<typeof parameters>;

const entry = z.discriminatedUnion('kind', [historyCoverage, heldLease]);

export const history: Operation<Parameters, z.output<typeof entry>> = {
  id: 'history', kind: 'list', method: 'GET', path: '/v1/history', role: 'operator', parameters, result: entry,
  summary: 'Who held an address, or which addresses a client held. First comes from when on the history knows, then the leases, the newest first.',
  async *run(host, given) {
    const { tenures: kept } = host;
    if (kept?.since === undefined) throw new OperationError('not-found', 'no history of leases is kept: history.days is 0 in cluster.yaml');
    const period = periodOf(given);
    const second = wallSeconds(host.now().wall);
    const found = new Map<string, Tenure>();
    let goesOnAt: number | undefined;
    for (const subject of subjectsOf(given)) {
      const result = await searched(host, new HistorySearch(kept, host.table, subject, period, second, secondOf(given.goOnAt, 0)));
      if (result.goesOnAt !== undefined) goesOnAt = Math.min(result.goesOnAt, goesOnAt ?? FOR_EVER);
      for (const tenure of result.tenures) found.set(nameOf(tenure), tenure);
    }
    const { gap } = kept;
    yield {
      kind: 'coverage', node: host.node, since: isoSeconds(kept.since),
      gap: gap === undefined ? null : { from: isoSeconds(gap.from), to: gap.to === FOR_EVER ? null : isoSeconds(gap.to) },
      goesOnAt: goesOnAt === undefined ? null : isoSeconds(goesOnAt),
    };
    for (const tenure of [...found.values()].sort((a, b) => b.from - a.from)) yield heldLeaseView(tenure);
  },
};

async function searched(host: OperationHost, search: HistorySearch): Promise<NonNullable<ReturnType<HistorySearch['result']>>> {
  while (search.step()) await host.pause();
  const result = search.result();
  if (result === undefined) throw new OperationError('refused', 'too many leases of this client ended in one day: ask for one of its addresses, or for a shorter time');
  return result;
}

function nameOf({ from, row: { address, clientKey, start }, to }: Tenure): string {
  return `${address} ${start} ${from} ${to ?? ''} ${clientKey.toString('hex')}`;
}

/** @throws OperationError */
function subjectsOf({ address, client }: Parameters): HistorySubject[] {
  if (address !== undefined) return [{ address: parseIpv4(address)! }];
  const subjects = clientKeysOf(client!).map(({ isHardware, key }) => ({ client: key, isHardware }));
  if (subjects.length === 0) {
    throw new OperationError('bad-request', `client: expected a hardware address like 52:54:00:12:34:56, or a client identifier in hex, found "${client!}" (host names are told, but nothing is found by them)`);
  }
  return subjects;
}

function periodOf({ at, from, to }: Parameters): HistoryPeriod {
  const period = { from: secondOf(at ?? from, 0), to: secondOf(at ?? to, FOR_EVER) };
  if (period.from > period.to) throw new OperationError('bad-request', 'from is after to');
  return period;
}

/** UTC seconds; without a time the other one. @throws OperationError */
function secondOf(text: string | undefined, otherwise: number): number {
  const second = text === undefined ? otherwise : until.read(text);
  if (second === undefined) throw new OperationError('bad-request', `expected ${until.expected}, found "${text!}"`);
  return second;
}
