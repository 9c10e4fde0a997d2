/**
 * One run: a cluster with clients and a load, faults from the schedule one after the other, and after each
 * the wait until all nodes are NORMAL again. Now and then, and at the end, all is quiet for a moment and what
 * the nodes know is compared with what the clients hold.
 */
import { join } from 'node:path';
import { AckWatcher, Load, type LoadAck } from '../../deploy/lab/load.ts';
import { sleep } from '../../deploy/lab/processes.ts';
import { nodeAddress, type ClusterWorld } from '../support/cluster-world.ts';
import { Clients } from './clients.ts';
import type { ClientEvent } from './events.ts';
import { kindOf, notServed, type FaultWindow } from './gaps.ts';
import { History } from './history.ts';
import { Judge } from './judge.ts';
import { compareKnowledge } from './known-leases.ts';
import { Nemesis } from './nemesis.ts';
import { Requestor } from './requestor.ts';
import { describeFault, schedule, type FaultKind, type Plan } from './schedule.ts';

export interface RunOptions {
  readonly minutes: number;
  readonly nodes: number;
  readonly seed: number;
  readonly clients: number;
  /** perfdhcp's four-way exchanges a second. */
  readonly rate: number;
  readonly only?: readonly FaultKind[];
  /** For the history. */
  readonly folder: string;
}

/** The clients' part of the segment; 10.77.0.11 and up are the nodes', 10.77.0.21 and up etcd's. */
export const CLIENTS_HOST = 'clients';
export const LOAD_HOST = 'load';
export const LOAD_ADDRESS = '10.79.0.31';
export const REQUESTOR_HOST = 'requestor';
export const REQUESTOR_ADDRESS = '10.77.0.61';
const RELAY = { address: '10.77.0.51', giaddr: '10.78.0.1' } as const;

/** So small that addresses come to other clients soon after a lease has ended. */
export const CONFIGURATION = `leaseTime: 30s
authoritative: true
leasequery: { requestors: [${REQUESTOR_ADDRESS}/32] }
subnets:
  - subnet: 10.77.0.0/16
    pools: [10.77.16.0-10.77.17.255]
    options: { routers: [10.77.0.1] }
  - subnet: 10.78.0.0/16
    pools: [10.78.16.0-10.78.17.255]
    options: { routers: [10.78.0.1] }
  - subnet: 10.79.0.0/16
    pools: [10.79.16.0-10.79.23.255]
`;

const START_MS = 60_000;
/** From the end of a fault until all nodes must be NORMAL; after a power cut they wait for each other first. */
const RECOVERY_MS = 90_000;
const PROBE_EVERY_MS = 150;
const LOAD_CLIENTS = 1500;
const LOAD_POLL_MS = 500;
/** From a command to be quiet until nobody asks any more. */
const QUIET_MS = 20_000;
const COMPARE_EVERY_MS = 60_000;
/** A lease that is over so soon need not be known any more. */
const HELD_MARGIN_MS = 1500;
/** Of the end of a run so much is left for the last comparison. */
const ENDING_MS = 8000;
const WRONG_SHOWN = 20;

export class Run {
  readonly judge = new Judge();
  readonly windows: FaultWindow[] = [];
  /** From the end of a fault until all nodes were NORMAL, by the plan's number. */
  readonly recoveries = new Map<number, number>();
  readonly history: History;
  comparisons = 0;
  faultsDone = 0;
  /** What the nemesis is at. */
  doing = 'starts';
  clients!: Clients;
  requestor: Requestor | undefined;
  readonly #world: ClusterWorld;
  readonly #options: RunOptions;
  readonly #nemesis: Nemesis;
  readonly #clockOffset = Date.now() - monotonicMs();
  #load: Load | undefined;
  #loadWanted = false;
  #stopped = false;
  #loading: Promise<void> = Promise.resolve();

  constructor(world: ClusterWorld, options: RunOptions) {
    this.#world = world;
    this.#options = options;
    this.history = new History(join(options.folder, 'history.jsonl'));
    this.#nemesis = new Nemesis(world, [CLIENTS_HOST, LOAD_HOST, REQUESTOR_HOST].map((name) => world.host(name)));
  }

  get now(): number {
    return monotonicMs() + this.#clockOffset;
  }

  /** Rejects with what was wrong, in words; the history has it too. */
  async run(): Promise<void> {
    const { seed, nodes, minutes } = this.#options;
    this.history.add({ event: 'run', at: this.now, seed, nodes, minutes });
    try {
      await this.#start();
      await this.#torture(this.now + minutes * 60_000 - ENDING_MS);
      this.doing = 'the last comparison';
      await this.#compare();
    } catch (error) {
      this.history.add({ event: 'wrong', at: this.now, what: error instanceof Error ? error.message : String(error) });
      throw error;
    } finally {
      this.#stopped = true;
      this.requestor?.end();
      await this.#loading;
      await this.history.close();
    }
  }

  async #start(): Promise<void> {
    const { clients, seed } = this.#options;
    await this.#world.start(START_MS);
    this.#routes();
    this.clients = new Clients(this.#world.host(CLIENTS_HOST), {
      device: 'eth0', seed, clockOffset: this.#clockOffset, relay: RELAY,
      nodes: this.#world.nodes.map(({ name, host }) => [nodeAddress(name), host.hardware().replaceAll(':', '')]),
    }, (event) => this.#onClient(event));
    await this.clients.ready();
    this.requestor = new Requestor(this.#world.host(REQUESTOR_HOST), {
      address: REQUESTOR_ADDRESS, clockOffset: this.#clockOffset, seed, now: () => this.now, nodes: this.#world.nodes.map(({ name }) => ({ name, address: nodeAddress(name) })),
    });
    await this.requestor.begin();
    await new AckWatcher(this.#world.host(LOAD_HOST), (ack) => this.#onLoad(ack)).ready();
    const relayed = Math.floor(clients * 0.4);
    this.clients.do({ do: 'machines', direct: clients - relayed, relayed, withinMs: 8000 });
    this.clients.do({ do: 'probe', everyMs: PROBE_EVERY_MS });
    this.#loadWanted = true;
    this.#loading = this.#keepLoading();
    this.doing = 'clients come';
    await sleep(10_000);
  }

  /** To the relay's clients and to perfdhcp, which is in a subnet of its own. */
  #routes(): void {
    for (const { host } of this.#world.nodes) {
      host.ip(`route add 10.78.0.0/16 via ${RELAY.address}`);
      host.ip('route add 10.79.0.0/16 dev eth0');
    }
    this.#world.host(LOAD_HOST).ip('route add 10.77.0.0/16 dev eth0');
  }

  #onClient(event: ClientEvent): void {
    this.judge.on(event);
    this.requestor?.on(event);
    this.history.add(event);
  }

  #onLoad(ack: LoadAck): void {
    this.judge.onLoad(ack);
    this.history.add({ event: 'load-granted', ...ack });
  }

  /** perfdhcp ends by itself when answers stay out for long. */
  async #keepLoading(): Promise<void> {
    const { rate } = this.#options;
    while (!this.#stopped) {
      if (this.#loadWanted && rate > 0 && this.#load?.running !== true) {
        this.#load = new Load({ host: this.#world.host(LOAD_HOST), rate, renewRate: Math.floor(rate / 4), clients: LOAD_CLIENTS });
      }
      await sleep(LOAD_POLL_MS);
    }
  }

  async #stopLoad(): Promise<void> {
    this.#loadWanted = false;
    // Without a report it ended before it had sent anything.
    if (this.#load?.running === true) await this.#load.stop().catch(() => undefined);
  }

  async #torture(until: number): Promise<void> {
    const { seed, nodes, minutes, only } = this.#options;
    let comparedAt = this.now;
    for (const plan of schedule({ seed, nodes, long: minutes >= 10, ...(only === undefined ? {} : { only }) })) {
      if (this.now + plan.holdMs + plan.calmMs > until) return;
      await this.#phase(plan);
      this.faultsDone += plan.faults.length;
      this.#assertClean();
      if (this.now - comparedAt < COMPARE_EVERY_MS) continue;
      await this.#compare();
      comparedAt = this.now;
    }
  }

  async #phase(plan: Plan): Promise<void> {
    const what = this.#describe(plan);
    this.doing = what;
    const begin = this.now;
    this.history.add({ event: 'fault-begins', at: begin, ...plan });
    let recoveryMs = 0;
    try {
      for (const [i, fault] of plan.faults.entries()) {
        if (i > 0) await sleep(plan.staggerMs);
        await this.#nemesis.begin(fault);
      }
      await sleep(plan.holdMs);
      for (const fault of plan.faults.toReversed()) await this.#nemesis.end(fault);
      this.history.add({ event: 'fault-ends', at: this.now, number: plan.number });
      this.doing = `after ${what}`;
      recoveryMs = await this.#world.waitForNormal(RECOVERY_MS);
    } catch (error) {
      throw new Error(`fault ${plan.number} (${what}): ${(error as Error).message}`, { cause: error });
    }
    this.recoveries.set(plan.number, recoveryMs);
    this.windows.push({ plan, begin, end: this.now });
    this.history.add({ event: 'recovered', at: this.now, number: plan.number });
    await sleep(plan.calmMs);
    this.history.add({ event: 'calm-ends', at: this.now, number: plan.number });
  }

  #describe(plan: Plan): string {
    const names = (number: number): string => this.#world.nodes[number]!.name;
    return plan.faults.map((fault) => describeFault(fault, names)).join(' and ');
  }

  /** Throws with what is wrong so far. */
  #assertClean(): void {
    const wrong = [...this.judge.duplicates(), ...this.judge.lost, ...this.requestor?.contradictions ?? [], ...notServed(this.judge.waits, this.windows, (plan) => this.#describe(plan))];
    if (wrong.length > 0) throw new Error(shown(wrong));
  }

  async #compare(): Promise<void> {
    await this.#stopLoad();
    await this.clients.quiet(QUIET_MS);
    const held = () => this.judge.heldAt(this.now + HELD_MARGIN_MS);
    const { bindings, differences, unknown } = await compareKnowledge(this.#world.nodes, held);
    this.history.add({ event: 'stores-compared', at: this.now, bindings, leasesHeld: held().length });
    this.comparisons++;
    if (differences.length > 0) throw new Error(`${differences.length} of ${bindings} bindings differ:\n${shown(differences)}`);
    this.judge.lost.push(...unknown);
    this.#assertClean();
    await this.requestor?.checkAllAnswer();
    this.clients.do({ do: 'quiet', quiet: false });
    this.#loadWanted = true;
  }

  /** What the summary counts: faults by kind. */
  get kinds(): string[] {
    return this.windows.map(({ plan }) => kindOf(plan));
  }
}

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function shown(lines: readonly string[]): string {
  return [...lines.slice(0, WRONG_SHOWN), ...(lines.length > WRONG_SHOWN ? [`and ${lines.length - WRONG_SHOWN} more`] : [])].join('\n');
}
