/**
 * One trial: perfdhcp at a fixed rate against one configuration, and what that cost the servers.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep, type LabProcess } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import type { ProberReport } from './prober.ts';
import { PROBER_ADDRESS, type Target } from './targets.ts';

/** What perfdhcp counted of one half of the exchange; milliseconds. */
export interface Half {
  readonly sent: number;
  readonly received: number;
  readonly meanMs: number;
  readonly maxMs: number;
}

export interface Trial {
  /** Exchanges a second that were asked for. */
  readonly rate: number;
  readonly offer: Half;
  readonly ack: Half;
  readonly exchanges: number;
  /** Answers that came, and that the kernel dropped because perfdhcp had not read what came before. */
  readonly unread: number;
  /** Processor milliseconds of all servers together, and of what they need besides. */
  readonly serverCpuMs: number;
  readonly helperCpuMs: number;
  /** Not taken in a search. */
  readonly probed: ProberReport | undefined;
}

/** Drops of either half up to this share pass. */
const DROPS_MAX = 0.01;
/** perfdhcp must have sent this share of what was asked, or it is perfdhcp that is measured. */
const SENT_MIN = 0.95;
const TICK_MS = 10;
/** Clients a second, besides perfdhcp's, whose waiting times are taken one by one. */
export const PROBER_RATE = 100;
const PROBER_START_MS = 300;
/** What a trial takes over its time before it is given up. */
const OVERTIME_MS = 15_000;
/** perfdhcp waits so long for answers that are under way when its time is over: they are no drops. */
const LAST_ANSWERS_US = 100_000;
/** Work that is left over from a trial. */
const SETTLE_MS = 250;

let trials = 0;

/** Clients are new in each trial, up to two million of them. */
export async function runTrial(target: Target, rate: number, seconds: number, probe: boolean): Promise<Trial> {
  target.checkAlive();
  const number = ++trials;
  const { command, env } = requireProgram('perfdhcp');
  const prober = probe ? startProber(target, seconds, number) : undefined;
  if (prober !== undefined) await sleep(PROBER_START_MS);
  const unreadBefore = await unreadDatagrams(target);
  const before = [cpuMs(target.servers), cpuMs(target.helpers)] as const;
  const base = `mac=02:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}:00:00:00`;
  const load = target.client.spawn([
    command, '-4', '-r', String(rate), '-R', '2000000', '-p', String(seconds), '-W', String(LAST_ANSWERS_US), '-b', base, '-l', target.client.interfaceName(),
  ], { name: `perfdhcp against ${target.name}`, env });
  await endOf(load, seconds);
  const probed = prober === undefined ? undefined : await proberReport(prober, seconds);
  await sleep(SETTLE_MS);
  const costs = { serverCpuMs: cpuMs(target.servers) - before[0], helperCpuMs: cpuMs(target.helpers) - before[1] };
  const halves = parseHalves(load.output);
  const unread = await unreadDatagrams(target) - unreadBefore;
  return { rate, ...halves, exchanges: halves.ack.received + (probed?.acks.length ?? 0), unread, ...costs, probed };
}

/** Whether the servers carried the rate. What perfdhcp could not read counts as dropped: a burst is theirs to avoid. */
export function holds({ rate, offer, ack }: Trial, seconds: number): boolean {
  const drops = (half: Half): number => (half.sent === 0 ? 1 : (half.sent - half.received) / half.sent);
  return offer.sent >= SENT_MIN * rate * seconds && drops(offer) <= DROPS_MAX && drops(ack) <= DROPS_MAX;
}

async function endOf(process: LabProcess, seconds: number): Promise<void> {
  const timer = setTimeout(() => process.signal('SIGKILL'), seconds * 1000 + OVERTIME_MS);
  try {
    await process.exited;
  } finally {
    clearTimeout(timer);
  }
}

function startProber(target: Target, seconds: number, number: number): LabProcess {
  return target.prober.spawn([
    process.execPath, join(import.meta.dirname, 'prober.ts'), PROBER_ADDRESS, String(seconds), String(PROBER_RATE), String(number * 100_000),
  ], { name: `prober of ${target.name}` });
}

async function proberReport(prober: LabProcess, seconds: number): Promise<ProberReport> {
  await endOf(prober, seconds);
  const line = prober.output.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`${prober.name} made no report; its output:\n${prober.output}`);
  return JSON.parse(line) as ProberReport;
}

/** Of perfdhcp's final report. Throws if there is none. */
export function parseHalves(output: string): { offer: Half; ack: Half } {
  const half = (title: string): Half => {
    const section = output.split(`***Statistics for: ${title}***`)[1]?.split('***')[0];
    if (section === undefined) throw new Error(`perfdhcp made no report; its output:\n${output}`);
    const number = (name: string): number => Number(new RegExp(`^${name}: ([\\d.e+-]+)`, 'm').exec(section)?.[1] ?? 0);
    return { sent: number('sent packets'), received: number('received packets'), meanMs: number('avg delay'), maxMs: number('max delay') };
  };
  return { offer: half('DISCOVER-OFFER'), ack: half('REQUEST-ACK') };
}

/** What the kernel of the client's host has dropped so far because a socket's buffer was full. */
async function unreadDatagrams(target: Target): Promise<number> {
  const { stdout } = await target.client.exec(['cat', '/proc/net/snmp']);
  const [names, values] = stdout.split('\n').filter((line) => line.startsWith('Udp:')).map((line) => line.split(' '));
  return Number(values?.[names?.indexOf('RcvbufErrors') ?? -1] ?? 0);
}

/** User and system time of processes with all their threads, ms, to 10 ms. */
function cpuMs(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * TICK_MS;
}

/** Resident memory of each process, bytes. */
export function residentBytes(pids: readonly number[]): number[] {
  return pids.map((pid) => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024);
}
