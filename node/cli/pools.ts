/** `lessor pools`: how full the pools are, and when they will be. */
import { Option, type Command } from 'commander';
import { pools as listed } from '../admin/operations/pools.ts';
import type { PoolEntry, PoolTrendEntry } from '../admin/operations/pools.ts';
import { TREND_SPANS } from '../admin/pool-trends.ts';
import type { TrendSpan } from '../admin/pool-trends.ts';
import { parseDurationMs } from '../config/time-kinds.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { csvRow } from './csv.ts';
import { addReadingOptions, readingClient } from './operation-target.ts';
import type { ReadingOptions } from './operation-target.ts';
import type { CliOutput } from './output.ts';
import { formatDuration, printable, renderTable } from './table.ts';

interface Options extends ReadingOptions {
  readonly by?: 'pool' | 'subnet' | 'network';
  readonly subnet?: string;
  readonly network?: string;
  readonly fullWithin?: string;
  readonly csv?: true;
  readonly json?: true;
}

const SPAN_SECONDS: Readonly<Record<TrendSpan, number>> = { hour: 3600, day: 86_400, week: 604_800 };

export function addPoolsCommand(program: Command, output: CliOutput): void {
  addReadingOptions(program.command('pools'))
    .description('show how full pools are, and when they will be, if it goes on as in the last hour, day and week (as the node has counted since its start)')
    .addOption(new Option('--by <level>', 'each pool, or all of each subnet or shared network').choices(['pool', 'subnet', 'network']).default('pool'))
    .option('--subnet <subnet>', 'only pools of this subnet')
    .option('--network <name>', 'only pools of this shared network')
    .option('--full-within <duration>', 'only those that are full, or will be within 2h, 1d, 7d; where there is one, the exit code is 1')
    .addOption(new Option('--csv', 'as comma-separated values (RFC 4180)').conflicts('json'))
    .option('--json', 'one pool a line, as JSON')
    .action((options: Options) => showPools(options, output));
}

async function showPools({ by, csv, fullWithin, json, network, subnet, ...target }: Options, output: CliOutput): Promise<void> {
  const within = fullWithin === undefined ? undefined : secondsOf(fullWithin);
  const all: PoolEntry[] = [];
  // What has come, but for those that are not asked for: the widest cell of all makes a column.
  for await (const page of readingClient(target).list<PoolEntry>(listed.path, { ...(by === undefined ? {} : { by }), subnet, network })) all.push(...page);
  const now = Date.now() / 1000;
  const shown = within === undefined ? all : all.filter((pool) => isFullWithin(pool, within, now));
  if (json) await output.out(shown.map((pool) => `${JSON.stringify(pool)}\n`).join(''));
  else if (csv) await output.out([CSV_HEAD, ...shown.map(csvOf)].join(''));
  else if (shown.length > 0) await output.out(renderTable(TITLES, shown.map((pool) => cellsOf(pool, now))));
  if (within === undefined) {
    if (all.length === 0) output.err('The configuration has no pools.\n');
    return;
  }
  const unknown = all.filter(({ free, trends }) => free > 0 && trends.every(({ trend }) => trend === 'unknown')).length;
  if (unknown > 0) output.err(`${unknown} of ${all.length}: nothing is known of a trend yet: that takes an hour from the start of the node.\n`);
  if (shown.length > 0) throw new CliError(ExitCode.no, `${shown.length} of ${all.length} are full, or will be within ${fullWithin!}`);
}

/** @throws CliError */
function secondsOf(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined || ms === 0) throw new CliError(ExitCode.usage, `--full-within: expected a duration such as 2h, 1d or 7d, found "${text}"`);
  return ms / 1000;
}

/**
 * By the trend of the longest span that is known and not longer than what is looked ahead to: an hour says little of
 * a week, and what fills up every morning says nothing of tomorrow.
 */
export function isFullWithin({ free, trends }: PoolEntry, seconds: number, now: number): boolean {
  if (free === 0) return true;
  const fitting = trends.filter(({ span, trend }) => trend !== 'unknown' && SPAN_SECONDS[span] <= Math.max(seconds, SPAN_SECONDS.hour));
  const fullAt = fitting.at(-1)?.fullAt;
  return fullAt !== undefined && Date.parse(fullAt) / 1000 - now <= seconds;
}

const TITLES = ['POOL', 'SUBNET', 'NETWORK', 'SIZE', 'ACTIVE', 'RESERVED', 'ABANDONED', 'FREE', 'USED', 'FREE BY OWNER', 'FULL BY HOUR / DAY / WEEK'];

function cellsOf(pool: PoolEntry, now: number): string[] {
  const { abandoned, active, free, freeByOwner, network, reserved, size, subnet, trends, usedPercent } = pool;
  return [
    pool.pool || 'all', subnet || 'all', network === subnet ? '-' : network, ...[size, active, reserved, abandoned, free].map(String), `${usedPercent.toFixed(1)} %`,
    Object.entries(freeByOwner).map(([owner, count]) => `${owner} ${count}`).join(', ') || '-',
    free === 0 ? 'full' : TREND_SPANS.map((span) => trendText(trends.find((trend) => trend.span === span), now)).join(' / '),
  ];
}

/** "in 3d 4h (2d 7h to 6d 1h)", "steady", "?". */
function trendText(trend: PoolTrendEntry | undefined, now: number): string {
  if (trend === undefined || trend.trend === 'unknown') return '?';
  if (trend.trend === 'steady') return 'steady';
  if (trend.fullAt === undefined) return `${trend.freePerHour} an hour`;
  const left = (at: string | undefined): string => (at === undefined ? 'never' : formatDuration(Date.parse(at) / 1000 - now));
  return `in ${left(trend.fullAt)} (${left(trend.earliest)} to ${left(trend.latest)})`;
}

const NUMBERS = ['size', 'active', 'reserved', 'expired', 'released', 'abandoned', 'free', 'usedPercent'] as const;
const CSV_HEAD = csvRow(['pool', 'subnet', 'network', ...NUMBERS, 'freeByOwner', ...TREND_SPANS.flatMap((span) => [`${span}Trend`, `${span}FreePerHour`, `${span}FullAt`, `${span}Earliest`, `${span}Latest`])]);

function csvOf(pool: PoolEntry): string {
  const owners = Object.entries(pool.freeByOwner).map(([owner, count]) => `${owner} ${count}`).join(' ');
  return csvRow([
    ...[pool.pool, pool.subnet, pool.network].map(printable), ...NUMBERS.map((name) => pool[name]), owners,
    ...pool.trends.flatMap(({ earliest, freePerHour, fullAt, latest, trend }) => [trend, freePerHour, fullAt, earliest, latest]),
  ]);
}
