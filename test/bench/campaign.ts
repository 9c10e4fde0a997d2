/**
 * A whole run: the configurations take turns trial by trial, so that a noisy machine hits all alike.
 * First each one's highest rate is searched, several times over; then all carry the same rate, and their
 * waiting times and processor time are compared.
 */
import type { Network } from '../../deploy/lab/netns.ts';
import { RateSearch, median, quantile } from './search.ts';
import { startTarget, type Target, type TargetName } from './targets.ts';
import { holds, residentBytes, runTrial, type Trial } from './trial.ts';

export interface Plan {
  readonly searchTrialSeconds: number;
  readonly searches: number;
  readonly precision: number;
  /** How often a rate must fail. */
  readonly attempts: number;
  /** No further search is begun, and none goes on, after that long. */
  readonly searchSecondsMax: number;
  readonly fixedTrials: number;
  readonly fixedTrialSeconds: number;
  /** All carry this rate, and nothing is searched. */
  readonly rate?: number;
}

export const FULL: Plan = {
  searchTrialSeconds: 6, searches: 3, precision: 1.1, attempts: 2, searchSecondsMax: 500, fixedTrials: 3, fixedTrialSeconds: 8,
};
export const QUICK: Plan = {
  searchTrialSeconds: 3, searches: 1, precision: 1.25, attempts: 1, searchSecondsMax: 100, fixedTrials: 1, fixedTrialSeconds: 5,
};

export interface Latency {
  /** Of all exchanges, by perfdhcp; ms. */
  readonly meanMs: number;
  readonly maxMs: number;
  /** Of single clients, taken by the prober at the same time. */
  readonly p99Ms: number;
}

export interface TargetResult {
  readonly name: TargetName;
  /** Median over the searches of the highest rate at no more than 1 % drops in both halves. */
  readonly exchangesPerSecond: number;
  /** Each search's answer. */
  readonly searched: readonly number[];
  /** At the rate that all carry. */
  readonly offer: Latency;
  readonly ack: Latency;
  /** Part of the exchanges that were asked for at that rate and did not come about. */
  readonly droppedAtCommonRate: number;
  /** Processor time of all DHCP servers of the configuration for one exchange; ms. */
  readonly cpuMsAtCommonRate: number;
  /** In the highest trial that held. */
  readonly cpuMsAtMost: number;
  /** Of etcd, for one exchange at the common rate; ms. */
  readonly helperCpuMsAtCommonRate: number;
  /** Growth of one server's resident memory for each lease it has, bytes; the heap's slack included. */
  readonly memoryBytesPerLease: number;
  readonly leases: number;
}

export interface CampaignResult {
  /** Exchanges a second at which waiting and processor times were taken. */
  readonly commonRate: number;
  readonly targets: readonly TargetResult[];
}

const WARM_UP_RATE = 300;
const WARM_UP_SECONDS = 2;
const WARM_UPS_MAX = 10;
const SEARCH_START = 800;
/** All configurations carry this share of what the slowest does. */
const COMMON_SHARE = 0.8;
const COMMON_RATE_MIN = 50;

export type Say = (line: string) => void;

/** One configuration, and what is known of it so far. */
class Contestant {
  readonly target: Target;
  readonly searched: number[] = [];
  readonly fixed: Trial[] = [];
  exchanges = 0;
  memoryBefore: readonly number[] = [];
  /** The highest trial of the searches that held. */
  best: Trial | undefined;

  constructor(target: Target) {
    this.target = target;
  }

  async trial(rate: number, seconds: number, probe: boolean, say: Say): Promise<Trial> {
    const trial = await runTrial(this.target, rate, seconds, probe);
    this.exchanges += trial.exchanges;
    say(`${this.target.name.padEnd(12)} ${describeTrial(trial)} ${holds(trial, seconds) ? 'held' : 'failed'}`);
    return trial;
  }

  /** Until answers come: a pair may still be on its way, and code is compiled when it is used. */
  async warmUp(say: Say): Promise<void> {
    let steady = 0;
    for (let i = 0; i < WARM_UPS_MAX && steady < 2; i++) {
      const trial = await this.trial(WARM_UP_RATE, WARM_UP_SECONDS, false, say);
      steady = trial.ack.received > 0.5 * WARM_UP_RATE * WARM_UP_SECONDS ? steady + 1 : 0;
    }
    if (steady < 2) throw new Error(`${this.target.name} does not serve`);
    this.exchanges = 0;
    this.memoryBefore = residentBytes(this.target.servers);
  }
}

function describeTrial({ rate, offer, ack, exchanges, unread, serverCpuMs }: Trial): string {
  const share = (half: Trial['offer']): string => (half.sent === 0 ? '-' : `${(100 * (half.sent - half.received) / half.sent).toFixed(1)} %`);
  return `${String(rate).padStart(6)}/s  drops ${share(offer)} ${share(ack)} (${unread} unread)  mean ${offer.meanMs.toFixed(2)} ${ack.meanMs.toFixed(2)} ms  `
    + `CPU ${(serverCpuMs / Math.max(exchanges, 1)).toFixed(3)} ms `;
}

/** Starts the configurations, measures them and leaves them running; `network.remove()` ends them. */
export async function runCampaign(
  network: Network, folder: string, names: readonly TargetName[], plan: Plan, nodeOptions: readonly string[], say: Say,
): Promise<CampaignResult> {
  const contestants: Contestant[] = [];
  for (const name of names) {
    say(`starting ${name}`);
    contestants.push(new Contestant(await startTarget(network, folder, name, nodeOptions)));
  }
  for (const contestant of contestants) await contestant.warmUp(say);
  const until = performance.now() + plan.searchSecondsMax * 1000;
  for (let i = 0; plan.rate === undefined && i < plan.searches && performance.now() < until; i++) {
    say(`search ${i + 1} of ${plan.searches}`);
    await searchAll(contestants, plan, until, say);
  }
  const slowest = Math.min(...contestants.map(({ searched }) => median(searched)));
  const commonRate = plan.rate ?? Math.max(COMMON_RATE_MIN, roundDown(slowest * COMMON_SHARE));
  say(`all at ${commonRate}/s`);
  for (let i = 0; i < plan.fixedTrials; i++) {
    for (const contestant of contestants) {
      contestant.fixed.push(await contestant.trial(commonRate, plan.fixedTrialSeconds, true, say));
    }
  }
  return { commonRate, targets: contestants.map(summarize) };
}

/** One search of each, trial by trial in turns. One that time cuts short counts only if there is no other. */
async function searchAll(contestants: readonly Contestant[], plan: Plan, until: number, say: Say): Promise<void> {
  const searches = contestants.map(({ searched }) => {
    const known = searched.length === 0 ? 0 : median(searched);
    return known === 0
      ? new RateSearch({ start: SEARCH_START, step: 2, precision: plan.precision, attempts: plan.attempts })
      : new RateSearch({ start: known, step: 1.25, precision: plan.precision, attempts: plan.attempts });
  });
  const seconds = plan.searchTrialSeconds;
  while (searches.some(({ done }) => !done) && performance.now() < until) {
    for (const [i, contestant] of contestants.entries()) {
      const search = searches[i]!;
      const rate = search.next;
      if (rate === undefined) continue;
      const trial = await contestant.trial(rate, seconds, false, say);
      const held = holds(trial, seconds);
      search.tried(rate, held);
      if (held && rate > (contestant.best?.rate ?? 0)) contestant.best = trial;
    }
  }
  for (const [i, contestant] of contestants.entries()) {
    if (searches[i]!.done || contestant.searched.length === 0) contestant.searched.push(searches[i]!.held);
  }
}

/** To two digits. */
function roundDown(rate: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(rate)) - 1);
  return Math.floor(rate / unit) * unit;
}

function summarize({ target, searched, fixed, best, exchanges, memoryBefore }: Contestant): TargetResult {
  const cpu = (trials: readonly Trial[], of: (trial: Trial) => number): number => median(trials.map((trial) => of(trial) / trial.exchanges));
  const latency = (half: 'offer' | 'ack'): Latency => ({
    meanMs: median(fixed.map((trial) => trial[half].meanMs)),
    maxMs: median(fixed.map((trial) => trial[half].maxMs)),
    p99Ms: quantile(fixed.flatMap(({ probed }) => (half === 'offer' ? probed?.offers : probed?.acks) ?? []), 0.99),
  });
  const growth = residentBytes(target.servers).map((bytes, i) => (bytes - memoryBefore[i]!) / Math.max(exchanges, 1));
  return {
    name: target.name, exchangesPerSecond: median(searched), searched, offer: latency('offer'), ack: latency('ack'),
    droppedAtCommonRate: median(fixed.map((trial) => (trial.offer.sent - trial.ack.received) / trial.offer.sent)),
    cpuMsAtCommonRate: cpu(fixed, ({ serverCpuMs }) => serverCpuMs),
    cpuMsAtMost: best === undefined ? NaN : cpu([best], ({ serverCpuMs }) => serverCpuMs),
    helperCpuMsAtCommonRate: cpu(fixed, ({ helperCpuMs }) => helperCpuMs),
    memoryBytesPerLease: growth.reduce((sum, one) => sum + one, 0) / growth.length, leases: exchanges,
  };
}
