/**
 * `npm start -- --check`: the lab's main job as a script of steps. Each step prints one line with its
 * time and what was seen; the first that does not hold ends the check.
 */
import { join } from 'node:path';
import { AddressChecker } from './address-checker.ts';
import { ClientGroup } from './client-group.ts';
import { compareStores } from './compare-stores.ts';
import { NODE_NAMES, serverIdOf, type LabCluster, type NodeName } from './lab-cluster.ts';
import { AckWatcher, Load } from './load.ts';
import { sleep, waitUntil } from './processes.ts';
import { RealClient } from './real-clients.ts';
import type { ClientEvent } from './scripted-client.ts';

const START_MS = 20_000;
const LEASE_MS = 10_000;
/** What a killed node may take from its restart until it is back. */
const REJOIN_MS = 10_000;
/** What a new client may take from the kill, without its own retransmission. */
const TAKEOVER_MS = 1000;
const NEWCOMER_RETRY_MS = 200;
const NEWCOMERS = 16;
const HELD_CLIENTS = 60;
const RATE = 500;
const RENEW_RATE = 150;
const LOAD_CLIENTS = 4000;
const LOAD_SECONDS = 5;
const DROPS_MAX = 0.01;
/** dhclient renews by itself so long after each lease. */
const DHCLIENT_RENEWS_AFTER = 6;
/** udhcpc asks again after so long. */
const REAL_RETRY_MS = 1000;
const REAL_NEWCOMER_MS = 5000;

const wallNow = (): number => performance.timeOrigin + performance.now();
const other = (node: NodeName): NodeName => (node === 'a' ? 'b' : 'a');

export class Check {
  readonly #lab: LabCluster;
  readonly #print: (line: string) => void;
  #udhcpc!: RealClient;
  #dhclient!: RealClient;
  #clients!: ClientGroup;
  #load: Load | undefined;
  readonly #newcomers: RealClient[] = [];
  readonly #loadClients = new AddressChecker();
  readonly #takeoversMs: number[] = [];
  readonly #rejoinsMs: number[] = [];
  #groups = 0;

  constructor(lab: LabCluster, print: (line: string) => void) {
    this.#lab = lab;
    this.#print = print;
  }

  /** Rejects with the first step that does not hold. */
  async run(): Promise<void> {
    await this.#begin();
    await this.#realClients();
    await this.#underLoad();
    for (const node of NODE_NAMES) {
      await this.#killUnderLoad(node);
      await this.#comeBack(node);
    }
    await this.#drain('b');
    await this.#endLoad();
    await this.#killQuietly('a');
    await this.#verdict();
  }

  /** What was measured, in a line. */
  get summary(): string {
    return `After a node is gone a new client has a lease within ${ms(Math.max(...this.#takeoversMs))}; ` +
      `a node that starts is back within ${ms(Math.max(...this.#rejoinsMs))}.`;
  }

  async #step(name: string, work: () => Promise<string>): Promise<void> {
    const began = performance.now();
    try {
      const seen = await work();
      this.#print(`ok      ${ms(performance.now() - began).padStart(8)}  ${name}: ${seen}`);
    } catch (error) {
      this.#print(`FAILED  ${ms(performance.now() - began).padStart(8)}  ${name}`);
      throw error;
    }
  }

  async #begin(): Promise<void> {
    await this.#step('etcd runs', async () => {
      await this.#lab.startEtcd();
      return 'one member';
    });
    await this.#step('both nodes are NORMAL in one view', async () => {
      for (const node of NODE_NAMES) this.#lab.nodes[node].start();
      await this.#lab.waitForBothNormal(START_MS);
      const [a] = await this.#lab.statuses();
      return `view ${a?.view?.epoch ?? 0}; ${(a?.view?.members ?? []).map(({ node, slots }) => `${node} has ${slots} of 256 slots`).join(', ')}`;
    });
  }

  async #realClients(): Promise<void> {
    const client = (kind: 'udhcpc' | 'dhclient'): RealClient => new RealClient({
      kind, host: this.#lab.network.host(kind), folder: join(this.#lab.folder, kind), renewAfterSeconds: DHCLIENT_RENEWS_AFTER,
    });
    await this.#step('udhcpc gets a lease', async () => {
      this.#udhcpc = client('udhcpc');
      return lease(await this.#udhcpc.waitForLease(LEASE_MS));
    });
    await this.#step('dhclient gets a lease', async () => {
      this.#dhclient = client('dhclient');
      return lease(await this.#dhclient.waitForLease(LEASE_MS));
    });
    await this.#step('udhcpc renews', async () => lease(await this.#udhcpc.renew(LEASE_MS)));
    await this.#step('dhclient -r gives its lease back', async () => {
      const { address } = this.#dhclient.lease()!;
      await this.#dhclient.release(LEASE_MS);
      await waitUntil(`${address} RELEASED on both nodes`, 2000, async () => {
        const states = await Promise.all(NODE_NAMES.map((node) => this.#lab.nodes[node].fetch(`/v1/leases?address=${address}`)));
        return states.every((text) => text.includes('"RELEASED"')) ? true : undefined;
      });
      return `${address} is RELEASED on both nodes`;
    });
    await this.#step('dhclient gets a lease again', async () => {
      await this.#dhclient.restart();
      return lease(await this.#dhclient.waitForLease(LEASE_MS));
    });
  }

  async #underLoad(): Promise<void> {
    await this.#step(`${HELD_CLIENTS} scripted clients get a lease`, async () => {
      this.#clients = new ClientGroup(this.#lab.network.host('clients'));
      await this.#clients.ready();
      const leases = await this.#clients.getLeases('held', HELD_CLIENTS, 1000, LEASE_MS);
      return byServer(leases);
    });
    await this.#step(`perfdhcp runs at ${RATE}/s for ${LOAD_SECONDS} s with less than 1 % drops`, async () => {
      const host = this.#lab.network.host('load');
      await new AckWatcher(host, ({ hardware, address, at, until }) => this.#loadClients.held(`perfdhcp's ${hardware}`, address, at, until)).ready();
      const measure = async (): Promise<{ held: boolean; seen: string }> => {
        const load = new Load({ host, rate: RATE, renewRate: RENEW_RATE, clients: LOAD_CLIENTS, seconds: LOAD_SECONDS });
        const { sent, drops, ackMeanMs, ackMaxMs } = await load.finished();
        const seen = `${drops} of ${sent} packets got no answer; REQUEST to ACK ${ackMeanMs.toFixed(1)} ms mean, ${ackMaxMs.toFixed(0)} ms at most`;
        return { held: sent > 0 && drops <= sent * DROPS_MAX, seen };
      };
      const first = await measure();
      if (first.held) return first.seen;
      // Another program may have taken the processors for a moment: once more, and both are told.
      const second = await measure();
      const seen = `${second.seen} (at first: ${first.seen})`;
      if (!second.held) throw new Error(seen);
      return seen;
    });
    this.#load = new Load({ host: this.#lab.network.host('load'), rate: RATE, renewRate: RENEW_RATE, clients: LOAD_CLIENTS });
    await sleep(500);
  }

  /** Clients that never asked before. */
  #newClients(reason: string, retryMs: number, timeoutMs: number): Promise<ClientEvent[]> {
    return this.#clients.getLeases(`${++this.#groups}-${reason}`, NEWCOMERS, retryMs, timeoutMs);
  }

  /** New clients, that know nothing of the cluster, from the moment of `fault`. */
  async #newClientsAfter(reason: string, fault: () => void, from: NodeName): Promise<string> {
    const at = wallNow();
    fault();
    const real = this.#startNewcomer();
    const leases = await this.#newClients(reason, NEWCOMER_RETRY_MS, TAKEOVER_MS + 5000);
    const slowest = Math.max(...leases.map((event) => event.at)) - at;
    const strange = leases.filter(({ serverId }) => serverId !== serverIdOf(from)).length;
    const realLease = await real.waitForLease(REAL_NEWCOMER_MS);
    const realMs = Number(realLease.timeNs / 1000n) / 1000 - at;
    const seen = `${NEWCOMERS} new clients have a lease within ${ms(slowest)} (they ask every ${NEWCOMER_RETRY_MS} ms), a new udhcpc after ${ms(realMs)}` +
      (strange > 0 ? `; ${strange} got theirs from ${other(from)} before it ended` : '');
    this.#takeoversMs.push(slowest);
    if (slowest > TAKEOVER_MS + NEWCOMER_RETRY_MS) throw new Error(`too late: ${seen}`);
    return seen;
  }

  #startNewcomer(): RealClient {
    const number = this.#newcomers.length + 1;
    const newcomer = new RealClient({
      kind: 'udhcpc', host: this.#lab.network.host('newcomer'), folder: join(this.#lab.folder, 'newcomer'),
      name: `newcomer-${number}`, clientId: `newcomer-${number}`,
    });
    this.#newcomers.push(newcomer);
    return newcomer;
  }

  async #stopNewcomer(): Promise<void> {
    // Without a word to the server: the address stays leased until its time is over.
    await this.#newcomers.at(-1)?.stop();
  }

  async #killUnderLoad(node: NodeName): Promise<void> {
    const { nodes } = this.#lab;
    await this.#step(`kill -9 of node ${node} under load, new clients come`, () =>
      this.#newClientsAfter(`after-kill-${node}`, () => void nodes[node].kill(), other(node)));
    await this.#renewals(`clients keep their leases without node ${node}`);
    await this.#stopNewcomer();
  }

  async #renewals(name: string): Promise<void> {
    await this.#step(name, async () => {
      const [answers] = await Promise.all([this.#clients.renewAll(LEASE_MS), this.#udhcpc.renew(LEASE_MS)]);
      const rebound = answers.filter(({ event }) => event === 'rebound').length;
      const { losses } = this.#holdings();
      if (losses.length > 0) throw new Error(losses.join('\n'));
      return `${answers.length - rebound} clients renew with the node that they know, ${rebound} rebind with the other, udhcpc too; none lost its address`;
    });
  }

  async #comeBack(node: NodeName): Promise<void> {
    await this.#step(`node ${node} returns`, async () => {
      this.#lab.nodes[node].start();
      const took = await this.#lab.waitForBothNormal(REJOIN_MS);
      const status = await this.#lab.nodes[node].status();
      this.#rejoinsMs.push(took);
      return `NORMAL ${ms(took)} after its start, with its ${status?.slotsOwned ?? 0} home slots, view ${status?.view?.epoch ?? 0}`;
    });
    await this.#step('both nodes serve new clients', async () => {
      const leases: ClientEvent[] = [];
      // While the link between them is down, one answers for both: on a busy machine that can happen.
      for (const end = performance.now() + LEASE_MS; !servedByAll(leases) && performance.now() < end;) {
        leases.push(...await this.#newClients(`after-return-${node}`, 500, LEASE_MS));
      }
      if (!servedByAll(leases)) throw new Error(`only one node serves: ${byServer(leases)}`);
      return byServer(leases);
    });
  }

  async #drain(node: NodeName): Promise<void> {
    let stopped: Promise<number | NodeJS.Signals> | undefined;
    let stoppedMs = 0;
    await this.#step(`SIGTERM drains node ${node} under load, new clients come`, () =>
      this.#newClientsAfter(`after-drain-${node}`, () => {
        const began = performance.now();
        stopped = this.#lab.nodes[node].stop().finally(() => {
          stoppedMs = performance.now() - began;
        });
      }, other(node)));
    await this.#step(`node ${node} ends by itself`, async () => {
      const code = await stopped;
      if (code !== 0) throw new Error(`it ended with ${String(code)}, not with exit code 0`);
      return `exit code 0, ${ms(stoppedMs)} after SIGTERM`;
    });
    await this.#stopNewcomer();
    await this.#comeBack(node);
  }

  async #endLoad(): Promise<void> {
    await this.#step('the load ends', async () => {
      const { sent, drops } = await this.#load!.stop();
      return `${drops} of ${sent} packets got no answer, through two kills and a drain`;
    });
  }

  async #killQuietly(node: NodeName): Promise<void> {
    const { nodes } = this.#lab;
    await this.#step(`kill -9 of node ${node} on a quiet network, one new client comes`, async () => {
      const at = wallNow();
      void nodes[node].kill();
      const { timeNs, serverId } = await this.#startNewcomer().waitForLease(REAL_NEWCOMER_MS);
      const took = Number(timeNs / 1000n) / 1000 - at;
      if (took > TAKEOVER_MS + REAL_RETRY_MS) throw new Error(`too late: after ${ms(took)}`);
      return `a new udhcpc has a lease from ${nodeOf(serverId)} after ${ms(took)}`;
    });
    await this.#renewals(`clients keep their leases without node ${node}`);
    await this.#comeBack(node);
  }

  #holdings(): { checker: AddressChecker; losses: string[] } {
    const checker = new AddressChecker();
    for (const event of this.#clients.events) checker.addScripted(event);
    for (const client of [this.#udhcpc, this.#dhclient, ...this.#newcomers]) checker.addHistory(client.history());
    const losses = [...this.#clients.losses(), ...lostBy(this.#udhcpc, 0), ...lostBy(this.#dhclient, 1)];
    return { checker, losses };
  }

  async #verdict(): Promise<void> {
    await this.#step('dhclient renews', async () => lease(await this.#dhclient.waitForRenewal(LEASE_MS)));
    await this.#step('both stores are the same', async () => {
      const { bindings, states, differences } = await compareStores(this.#lab.nodes.a, this.#lab.nodes.b);
      if (differences.length > 0) {
        throw new Error(`${differences.length} of ${bindings} bindings differ (on a | on b):\n${differences.slice(0, 10).join('\n')}`);
      }
      return `${bindings} bindings compared one by one (${Object.entries(states).map(([state, count]) => `${count} ${state}`).join(', ')})`;
    });
    await this.#step('no address was held by two clients, and none was lost', async () => {
      const { checker, losses } = this.#holdings();
      checker.addAll(this.#loadClients);
      const wrong = [...checker.conflicts(), ...losses];
      if (wrong.length > 0) throw new Error(wrong.join('\n'));
      return `by ${checker.leases} acknowledgements that ${checker.clients} clients received, for ${checker.addresses} addresses`;
    });
  }
}

/** Leases that a real client lost; `released` times it gave one back itself. */
function lostBy(client: RealClient, released: number): string[] {
  const ended = client.history().filter(({ event }) => event === 'ended' || event === 'refused').slice(released);
  return ended.map(({ address, reason }) => `${client.name} lost ${address} (${reason})`);
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}

function lease({ address, serverId, leaseSeconds }: { address: string; serverId: string; leaseSeconds: number }): string {
  return `${address} from ${nodeOf(serverId)} for ${leaseSeconds} s`;
}

function nodeOf(serverId: string): string {
  return NODE_NAMES.find((name) => serverIdOf(name) === serverId) ?? serverId;
}

function servedByAll(leases: readonly ClientEvent[]): boolean {
  return NODE_NAMES.every((node) => leases.some(({ serverId }) => serverId === serverIdOf(node)));
}

function byServer(leases: readonly ClientEvent[]): string {
  const slowest = Math.max(...leases.map(({ tookMs }) => tookMs));
  const counts = NODE_NAMES.map((node) => `${leases.filter(({ serverId }) => serverId === serverIdOf(node)).length} from ${node}`);
  return `${counts.join(', ')}, the slowest in ${ms(slowest)}`;
}
