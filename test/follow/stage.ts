/** The pair of nodes, the clients behind a relay, and the requestors that follow; and what happens to the nodes meanwhile. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LeaseView } from '../../node/admin/lease-view.ts';
import { sleep, waitUntil, type LabProcess } from '../../deploy/lab/processes.ts';
import { Authority, type CertificateFiles } from '../support/certificates.ts';
import type { ClusterNode } from '../support/cluster-node.ts';
import { ClusterWorld, nodeAddress } from '../support/cluster-world.ts';
import { nowMs, readRequestorLine, storedLease, type AtMs, type ClientEvent, type StoredLease, type StoreRead } from './events.ts';
import type { Judged } from './judge.ts';
import { Requestor } from './requestor.ts';

const LOAD = { host: 'load', address: '10.77.0.31' } as const;
const ASKER = { host: 'requestor', address: '10.77.0.41' } as const;
const POOL_ROUTE = '10.77.128.0/17';
const POOL = '10.77.128.0-10.77.255.250';
const HEALTHY_MS = 40_000;
const DOWN_MS = 4000;
/** A requestor's own clock of seconds, and the first one of a history, on top of the margin. */
const HISTORY_SPARE_MS = 2500;
const READ_MS = 60_000;
const SKEW_SECONDS = 1;
const EVICT_SECONDS = 3;
/** As a node reckons: a change may be so much older than the place from which a requestor goes on. */
const MARGIN_MS = (SKEW_SECONDS + EVICT_SECONDS + 5) * 1000;

const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');

export interface StageOptions {
  /** New clients a second. */
  readonly rate: number;
  readonly shortestLeaseSeconds: number;
  /** The changes that are missing are got by a bulk query. */
  readonly isFilled: boolean;
  readonly print: (line: string) => void;
}

export type Fault = 'killed' | 'stopped';

export class Stage {
  readonly world: ClusterWorld;
  readonly #options: StageOptions;
  readonly #certificate: CertificateFiles;
  readonly #authority: string;
  #load: LabProcess | undefined;
  #requestor!: Requestor;
  /** The same with what the servers repeat. */
  #hearsAll!: Requestor;
  /** Since when the histories of both nodes go on. */
  #healthySince: AtMs = 0;

  constructor(options: StageOptions) {
    this.#options = options;
    this.world = new ClusterWorld({
      nodes: 2, handleSignals: false, configuration: configuration(options.shortestLeaseSeconds),
      hosts: [LOAD, ASKER].map(({ host, address }) => ({ name: host, addresses: [`${address}/16`] })),
    });
    const folder = join(this.world.folder, 'certificates');
    mkdirSync(folder);
    const authority = new Authority('follow', folder);
    this.#authority = authority.own.certificate;
    this.#certificate = authority.issue('requestor');
    for (const node of this.world.nodes) {
      const { certificate, key } = authority.issue(node.name, `IP:${nodeAddress(node.name)}`);
      node.configure((yaml) => `${yaml}leasequery:\n  tls: { certificate: ${certificate}, key: ${key}, authority: ${this.#authority} }\n`);
    }
    // What is sent to a client is heard here.
    this.world.host(LOAD.host).ip(`route add local ${POOL_ROUTE} dev lo`);
  }

  get #history(): string {
    return join(this.world.folder, 'clients.jsonl');
  }

  async begin(): Promise<void> {
    await this.world.start();
    this.#healthySince = nowMs();
    this.#requestor = this.#follow('requestor', this.#options.isFilled ? ['--bulk-fill'] : []);
    this.#hearsAll = this.#follow('requestor-of-all', ['--duplicates']);
    await waitUntil('two requestors that follow', HEALTHY_MS, async () => {
      const metrics = await this.world.nodes[0]!.fetch('/metrics').catch(() => '');
      return metrics.match(/^lessor_leasequery_active_waiting\{/gm)?.length === 2 ? true : undefined;
    });
    const { rate, shortestLeaseSeconds } = this.#options;
    this.#load = this.world.host(LOAD.host).spawn(
      [process.execPath, join(import.meta.dirname, 'load.ts'), LOAD.address, String(rate), String(shortestLeaseSeconds), this.#history], { name: 'load' },
    );
    await this.#load.waitForLine(/^ready/, HEALTHY_MS);
  }

  #follow(name: string, more: readonly string[]): Requestor {
    const { certificate, key } = this.#certificate;
    const servers = this.world.nodes.flatMap((node) => ['--server', nodeAddress(node.name)]);
    return new Requestor({ name, host: this.world.host(ASKER.host), folder: this.world.folder, args: [
      ...servers, '--reconnect', '--retry-interval', '1s', '--json', '--tls-ca', this.#authority, '--tls-cert', certificate, '--tls-key', key, ...more,
    ] });
  }

  /** The node that is followed ends, and is started again. `early`: though the history of the other one does not reach back so far. */
  async strike(fault: Fault, { early = false } = {}): Promise<void> {
    await this.world.waitForNormal(HEALTHY_MS);
    if (!early) await sleep(Math.max(0, this.#healthySince + MARGIN_MS + HISTORY_SPARE_MS - nowMs()));
    const node = await waitUntil('somebody who is followed', HEALTHY_MS, () => this.#followed());
    this.#options.print(`node ${node.name}, which is followed, is ${fault}`);
    if (fault === 'killed') await node.kill();
    else await node.stop();
    await sleep(DOWN_MS);
    node.start();
    await this.world.waitForNormal(HEALTHY_MS);
    this.#healthySince = nowMs();
    this.#options.print(`node ${node.name} is back`);
  }

  #followed(): ClusterNode | undefined {
    const address = this.#requestor.follows?.split(':')[0];
    return this.world.nodes.find(({ name }) => nodeAddress(name) === address);
  }

  /** The clients fall silent; then what each node has on record is read. */
  async finish(): Promise<() => { readonly once: Judged; readonly all: Judged }> {
    await this.world.waitForNormal(HEALTHY_MS);
    await this.#load!.stop();
    const clients = readLines<ClientEvent>(readFileSync(this.#history, 'utf8'));
    const stores: StoreRead[] = [];
    for (const node of this.world.nodes) stores.push(await this.#listed(node), await this.#asked(node));
    return () => ({
      once: { clients, requestor: this.#requestor.events, stores }, all: { clients, requestor: this.#hearsAll.events, stores },
    });
  }

  async #listed(node: ClusterNode): Promise<StoreRead> {
    const from = nowMs();
    const { stdout } = await node.host.exec([process.execPath, entry, 'leases', '--json', '--config', node.configFile], { timeoutMs: READ_MS });
    return { node: node.name, from, leases: readLines<LeaseView>(stdout).map(storedLease) };
  }

  async #asked(node: ClusterNode): Promise<StoreRead> {
    const from = nowMs();
    const { certificate, key } = this.#certificate;
    const { stdout } = await this.world.host(ASKER.host).exec([process.execPath, entry, 'leasequery', 'bulk', '--server', nodeAddress(node.name), '--json',
      '--tls', '--tls-ca', this.#authority, '--tls-cert', certificate, '--tls-key', key], { timeoutMs: READ_MS });
    const leases = stdout.split('\n').flatMap((line): StoredLease[] => {
      const answer = line === '' ? undefined : readRequestorLine(line, from);
      return answer?.event === 'change' && !['AVAILABLE', 'REMOTE'].includes(answer.state) ? [answer] : [];
    });
    return { node: `${node.name} by bulk query`, from, leases };
  }

  /** Resolves with the exit codes of the requestors. */
  async stopRequestors(): Promise<readonly (number | NodeJS.Signals)[]> {
    return Promise.all([this.#requestor.stop(), this.#hearsAll.stop()]);
  }

  /** Ends and removes everything. */
  async remove(): Promise<void> {
    await this.world.remove();
  }
}

function readLines<T>(text: string): T[] {
  return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as T);
}

function configuration(shortest: number): string {
  return `leasequery:
  requestors: [${ASKER.address}/32]
  active: { enabled: true }
maxClockSkew: ${SKEW_SECONDS}s
evictAfter: ${EVICT_SECONDS}s
leaseTime: { default: ${shortest}s, min: ${shortest}s, max: ${shortest * 4}s }
authoritative: true
subnets:
  - subnet: 10.77.0.0/16
    pools: [${POOL}]
    options: { routers: [10.77.0.1] }
`;
}

