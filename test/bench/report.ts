/** The benchmark's figures as a table for people. */
import type { CampaignResult, TargetResult } from './campaign.ts';
import { TARGET_TITLES, type TargetName } from './targets.ts';
import { PROBER_RATE } from './trial.ts';

const COLUMNS: readonly { readonly title: readonly [string, string]; readonly cell: (result: TargetResult) => string }[] = [
  { title: ['', ''], cell: ({ name }) => TARGET_TITLES[name] },
  { title: ['exchanges/s', '<= 1 % drops'], cell: ({ exchangesPerSecond }) => (Number.isNaN(exchangesPerSecond) ? '-' : String(Math.round(exchangesPerSecond))) },
  { title: ['dropped', 'same rate'], cell: ({ droppedAtCommonRate }) => `${(100 * droppedAtCommonRate).toFixed(1)} %` },
  { title: ['DISCOVER to OFFER', 'mean / 99th, ms'], cell: ({ offer }) => `${ms(offer.meanMs)} / ${ms(offer.p99Ms)}` },
  { title: ['REQUEST to ACK', 'mean / 99th, ms'], cell: ({ ack }) => `${ms(ack.meanMs)} / ${ms(ack.p99Ms)}` },
  { title: ['CPU an exchange', 'same rate, ms'], cell: ({ cpuMsAtCommonRate }) => milli(cpuMsAtCommonRate) },
  { title: ['CPU an exchange', 'at its most, ms'], cell: ({ cpuMsAtMost }) => milli(cpuMsAtMost) },
  { title: ['etcd, BIND', 'besides, ms'], cell: ({ helperCpuMsAtCommonRate }) => (helperCpuMsAtCommonRate > 0 ? milli(helperCpuMsAtCommonRate) : '-') },
  { title: ['memory a lease', 'bytes'], cell: ({ memoryBytesPerLease }) => String(Math.round(memoryBytesPerLease)) },
];

/** Lessor's configuration, what it is compared with, and by what factor the exchanges are to be at least. */
const COMPARISONS: readonly { readonly ours: TargetName; readonly theirs: TargetName; readonly floor: number; readonly aim: number }[] = [
  { ours: 'lessor-pair', theirs: 'kea-pair', floor: 2, aim: 5 },
  { ours: 'lessor', theirs: 'kea', floor: 1, aim: 1.5 },
];

/** What costs something more, and what part of the exchanges that may cost. */
const EXTRAS: readonly { readonly extra: TargetName; readonly plain: TargetName; readonly lossMax: number }[] = [
  { extra: 'lessor-pair-dns', plain: 'lessor-pair-bare', lossMax: 0.15 },
  { extra: 'lessor-pair-dns', plain: 'lessor-pair', lossMax: 0.15 },
  { extra: 'lessor-pair', plain: 'lessor-pair-bare', lossMax: 0.15 },
  { extra: 'lessor-dns', plain: 'lessor', lossMax: 0.15 },
];

export function renderReport({ commonRate, targets }: CampaignResult): string {
  const rows = [
    COLUMNS.map(({ title }) => title[0]), COLUMNS.map(({ title }) => title[1]),
    ...targets.map((result) => COLUMNS.map(({ cell }) => cell(result))),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ').trimEnd());
  lines.splice(2, 0, widths.map((width) => '-'.repeat(width)).join('  '));
  lines.push('', `Waiting times and CPU "same rate" at ${commonRate} exchanges/s; the 99th percentile of ${PROBER_RATE} clients a second beside them.`);
  for (const { ours, theirs, floor, aim } of COMPARISONS) {
    const own = targets.find(({ name }) => name === ours);
    const other = targets.find(({ name }) => name === theirs);
    if (own === undefined || other === undefined) continue;
    const ratio = own.exchangesPerSecond / other.exchangesPerSecond;
    const most = Number.isNaN(ratio) ? '' : `${ratio.toFixed(1)} times the exchanges (at least ${floor}, aim ${aim}), `;
    lines.push(`${TARGET_TITLES[ours]} against ${TARGET_TITLES[theirs]}: ${most}`
      + `${(other.cpuMsAtCommonRate / own.cpuMsAtCommonRate).toFixed(2)} times less CPU at ${commonRate}/s`);
  }
  for (const { extra, plain, lossMax } of EXTRAS) {
    const one = targets.find(({ name }) => name === extra);
    const other = targets.find(({ name }) => name === plain);
    if (one === undefined || other === undefined) continue;
    const carried = ({ droppedAtCommonRate }: TargetResult): number => 1 - droppedAtCommonRate;
    const most = Number.isNaN(one.exchangesPerSecond) ? '' : `${percent(1 - one.exchangesPerSecond / other.exchangesPerSecond)} of the most, `;
    lines.push(`${TARGET_TITLES[extra]} loses against ${TARGET_TITLES[plain]}: ${most}${percent(1 - carried(one) / carried(other))} of the exchanges at ${commonRate}/s `
      + `(at most ${percent(lossMax)}), for ${(one.cpuMsAtCommonRate / other.cpuMsAtCommonRate).toFixed(2)} times the CPU`);
  }
  lines.push('Lessor flushes each lease to the disk of every node before its ACK; Kea flushes none.');
  return `${lines.join('\n')}\n`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

function ms(value: number): string {
  return Number.isNaN(value) ? '-' : value.toFixed(value < 10 ? 2 : 1);
}

function milli(value: number): string {
  return Number.isNaN(value) ? '-' : value.toFixed(3);
}
