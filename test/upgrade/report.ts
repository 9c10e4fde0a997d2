/** The table of an upgrade. */
import { renderTable } from '../../node/cli/table.ts';
import type { UpgradeResult } from './run.ts';

export function formatReport({ broken, report, versions }: UpgradeResult): string {
  const rows = report.buckets.map(({ exchange, lost, name, renewal }) => [
    name, exchange.ended, exchange.secondTry, exchange.failed, `${exchange.p99Ms} ms`, `${exchange.maxMs} ms`,
    renewal.ended, renewal.secondTry, renewal.failed, Object.values(lost).reduce((sum, count) => sum + count, 0),
  ].map(String));
  const table = renderTable(['STEP', 'EXCHANGES', '2ND TRY', 'FAILED', '99 %', 'LONGEST', 'RENEWALS', '2ND TRY', 'FAILED', 'LEASES LOST'], rows);
  const verdict = broken.length === 0
    ? 'No exchange took more than one retransmission, no lease was lost, no address was given twice.\n'
    : `BROKEN:\n${[...broken, ...report.stories].map((line) => `  ${line}\n`).join('')}`;
  return `\n${table}\nProtocol version in force: ${versions.join(', then ')}. The load was held up by the machine ${report.stalls} times.\n${verdict}`;
}
