/**
 * Two real nodes and etcd on a network of namespaces, watched by a real Prometheus with the rules of
 * deploy/prometheus. Keeps when each alert fired and cleared.
 */
import { join } from 'node:path';
import { ClientGroup } from '../../deploy/lab/client-group.ts';
import { waitUntil } from '../../deploy/lab/processes.ts';
import { NameServer } from './name-server.ts';
import { hurriedConfiguration, hurriedRules, RULE_FILES } from './prometheus-files.ts';
import { PrometheusServer, type ActiveAlert } from './prometheus-server.ts';
import { ADDRESSES, ServedNetwork, type NodeName, type ServedNode } from './served-network.ts';

export const POOL_SIZE = 40;
const MONITOR = '10.1.0.41';
/** On a machine that is busy with other tests a node takes its time to start. */
const ALERT_MS = 40_000;
const CLI = join(import.meta.dirname, '../../node/cli/lessor.ts');

/** Leases end soon, and their addresses are free soon after: a pool is filled and empty again within a minute. */
const CONFIGURATION = `leaseTime: 8s
maxClockSkew: 1s
authoritative: true
limits: { declinesPerClient: { rate: 0.1, burst: 2 } }
dns:
  updates: true
  suffix: campus.test
  replaceName: when-missing
  zones: [{ zone: campus.test, servers: [${MONITOR}] }, { zone: 1.10.in-addr.arpa, servers: [${MONITOR}] }]
subnets:
  - subnet: 10.1.0.0/16
    pools: [10.1.16.1-10.1.16.${POOL_SIZE}]
  - subnet: 10.2.0.0/16
    pools: [10.2.16.0-10.2.17.255]
  - subnet: 10.3.0.0/24
    reservations: [{ hardware: '02:00:00:00:00:01', address: 10.3.0.5 }]
`;

/** What an alert did, in seconds since the cluster was whole. */
export interface AlertTimes {
  readonly alert: string;
  readonly cause: string;
  readonly causedAt: number;
  firedAt: number;
  endedAt: number;
  clearedAt: number;
}

export class MonitoredCluster {
  readonly served: ServedNetwork;
  readonly prometheus: PrometheusServer;
  readonly clients: ClientGroup;
  readonly times: AlertTimes[] = [];
  readonly #nameServer: NameServer;
  readonly #began = performance.now();

  static async start(): Promise<MonitoredCluster> {
    const served = await ServedNetwork.start({ nodes: ['a', 'b'], clients: ['clients'], configuration: CONFIGURATION, secureLinks: true });
    try {
      served.network.addHost(served.lan, { name: 'monitor', addresses: [`${MONITOR}/16`] });
      const nameServer = await NameServer.start({ kind: 'bind', host: served.host('monitor'), address: MONITOR, zones: [
        { name: 'campus.test.', updates: 'anybody' }, { name: '1.10.in-addr.arpa.', updates: 'anybody' },
      ] });
      const clients = new ClientGroup(served.host('clients'));
      const prometheus = await PrometheusServer.start({
        host: served.host('monitor'),
        configuration: hurriedConfiguration({
          lessor: [`${ADDRESSES.a}:9067`, `${ADDRESSES.b}:9067`], etcd: [`${ADDRESSES.etcd}:2379`],
        }),
        files: Object.fromEntries(RULE_FILES.map((name) => [name, hurriedRules(name)])),
      });
      await clients.ready();
      return new MonitoredCluster(served, prometheus, clients, nameServer);
    } catch (error) {
      await served.remove();
      throw error;
    }
  }

  private constructor(served: ServedNetwork, prometheus: PrometheusServer, clients: ClientGroup, nameServer: NameServer) {
    this.served = served;
    this.#nameServer = nameServer;
    this.prometheus = prometheus;
    this.clients = clients;
  }

  node(name: NodeName): ServedNode {
    return this.served.nodes.find((node) => node.name === name)!;
  }

  /** `lessor ARGS` on the host of a node; rejects where it fails. */
  async lessor(name: NodeName, ...args: string[]): Promise<void> {
    await this.node(name).host.exec([process.execPath, CLI, ...args, '--config', join(this.served.folder, `node-${name}.yaml`)]);
  }

  async firing(alert?: string): Promise<ActiveAlert[]> {
    return (await this.prometheus.alerts()).filter(({ name, state }) => state === 'firing' && (alert === undefined || name === alert));
  }

  /** Does something, and waits until these alerts fire that did not before. */
  async fires(alerts: readonly string[], cause: string, work: () => unknown): Promise<ActiveAlert[]> {
    const already = (await this.firing()).filter(({ name }) => alerts.includes(name));
    if (already.length > 0) throw new Error(`before ${cause}: ${already.map(({ name }) => name).join(', ')} fires already`);
    const causedAt = this.#seconds();
    await work();
    return Promise.all(alerts.map(async (alert) => {
      const [fired] = await this.#until(`${alert} fires`, () => this.firing(alert), (found) => found.length > 0);
      this.times.push({ alert, cause, causedAt, firedAt: this.#seconds(), endedAt: NaN, clearedAt: NaN });
      return fired!;
    }));
  }

  /** Takes the cause away, and waits until these alerts fire no more. */
  async clears(alerts: readonly string[], work: () => unknown = () => undefined): Promise<void> {
    const endedAt = this.#seconds();
    await work();
    await Promise.all(alerts.map(async (alert) => {
      await this.#until(`${alert} clears`, () => this.firing(alert), (found) => found.length === 0);
      const times = this.times.findLast((each) => each.alert === alert)!;
      Object.assign(times, { endedAt, clearedAt: this.#seconds() });
    }));
  }

  /** Waits until these fire no more, which may have fired meanwhile. */
  async quiet(alerts: readonly string[]): Promise<void> {
    for (const alert of alerts) await this.#until(`${alert} does not fire`, () => this.firing(alert), (found) => found.length === 0);
  }

  /** The table of what fired, for a person. */
  table(): string[] {
    const seconds = (value: number): string => value.toFixed(1).padStart(5);
    return [
      `${'alert'.padEnd(32)}${'cause'.padEnd(44)} cause fired ended cleared`,
      ...this.times.map(({ alert, cause, causedAt, firedAt, endedAt, clearedAt }) =>
        `${alert.padEnd(32)}${cause.padEnd(44)} ${seconds(causedAt)} ${seconds(firedAt)} ${seconds(endedAt)} ${seconds(clearedAt)}`),
    ];
  }

  async remove(): Promise<void> {
    await this.#nameServer.remove();
    await this.prometheus.remove();
    await this.served.remove();
  }

  #seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }

  async #until<T>(what: string, ask: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
    let seen: T | undefined;
    let asked = 0;
    try {
      return await waitUntil(what, ALERT_MS, async () => {
        // Prometheus decides once a second.
        if (performance.now() - asked < 200) return undefined;
        asked = performance.now();
        seen = await ask();
        return holds(seen) ? seen : undefined;
      });
    } catch (error) {
      const active = (await this.prometheus.alerts()).map(({ name, state, labels }) => `${name} ${state} ${labels['instance'] ?? ''}`);
      throw new Error(`${(error as Error).message}; alerts: ${active.join(', ')}`, { cause: error });
    }
  }
}
