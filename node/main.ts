/**
 * The composition root of a node: opens the edges (disk, sockets, etcd, links, HTTP), hands what
 * arrives to the engine, and carries out what it decides. Decides nothing itself.
 *
 * One turn of the event loop: everything that arrived goes in; then messages to the peers leave, the
 * next flush begins if none is under way, and answers leave in as few system calls as possible.
 */
import { randomBytes } from 'node:crypto';
import { setImmediate as pause } from 'node:timers/promises';
import { ConfigChanges } from '../cluster/io/config-changes.ts';
import { ConfigSource } from '../cluster/io/config-source.ts';
import { ConfigStore } from '../cluster/io/config-store.ts';
import { openEtcd } from '../cluster/io/etcd-client.ts';
import type { EtcdClient } from '../cluster/io/etcd-client.ts';
import { openLinks } from '../cluster/io/grpc-links.ts';
import type { Links } from '../cluster/io/grpc-links.ts';
import { hostOptions } from '../cluster/core/host-options.ts';
import { Engine } from '../cluster/core/engine.ts';
import { describeEngine, readiness } from '../cluster/core/status.ts';
import { openControl } from './admin/io/control.ts';
import type { ControlServer } from './admin/io/control.ts';
import { startHttp } from './admin/io/http.ts';
import type { HttpServer } from './admin/io/http.ts';
import { OperationRunner } from './admin/operation-runner.ts';
import { PoolTrends } from './admin/pool-trends.ts';
import type { OperatorAnswer, OperatorCommand } from './admin/operator.ts';
import type { NodeStatus } from './admin/status.ts';
import { backupOf, stateOf } from './backup/io/node-backup.ts';
import { loadNodeConfig } from './config/load.ts';
import type { NodeConfig } from './config/types.ts';
import { readClock } from './io/clock.ts';
import { openNodeDns } from './ddns/io/node-dns.ts';
import type { NodeDns } from './ddns/io/node-dns.ts';
import { DataFolderWatch } from './io/data-folder.ts';
import { Flusher } from './io/flusher.ts';
import { openDhcpSockets } from './io/dhcp-sockets.ts';
import type { DhcpSockets } from './io/dhcp-sockets.ts';
import { openConflictProber } from './io/conflict-prober.ts';
import type { ConflictProber } from './io/conflict-prober.ts';
import { PacedSender } from './io/paced-sender.ts';
import { openJournaledDisk } from './io/journaled-disk.ts';
import type { JournaledDisk } from './io/journaled-disk.ts';
import { BindingStore } from './lease/store.ts';
import { LeaseHistory } from './history/lease-history.ts';
import { ChangeHistory, historyLimits } from './leasequery/change-history.ts';
import { QueryThread } from './leasequery/io/thread.ts';
import { LeaseTable } from './lease/table.ts';
import { DRAIN_MS_MAX } from './limits.ts';
import type { OutgoingPacket } from './server/ports.ts';
import { Counters } from './telemetry/counters.ts';
import type { Occurrence } from './telemetry/events.ts';
import { ExchangeRate } from './telemetry/exchange-rate.ts';
import { StandardOutput } from './telemetry/io/standard-output.ts';
import { Telemetry } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import type { Now } from './time.ts';
import { NodeCredentials } from './tls/io/node-credentials.ts';
import { VERSION } from './version.ts';

const TICK_MS = 25;
/** The value of option 53 in a reply: it is always written first. */
const MESSAGE_TYPE_AT = 242;

/** Runs until SIGTERM or SIGINT; rejects when the node cannot start, or can go on no longer. `before`: to be reported first. */
export async function runNode(configPath: string, before: readonly Occurrence[] = []): Promise<void> {
  const node = new NodeProcess(loadNodeConfig(configPath), before);
  await node.run();
}

class NodeProcess {
  readonly #config: NodeConfig;
  readonly #telemetry: Telemetry;
  readonly #output: StandardOutput;
  readonly #counters = new Counters();
  readonly #startedAt = readClock();
  #disk!: JournaledDisk;
  #dataFolder!: DataFolderWatch;
  #store!: BindingStore;
  #table!: LeaseTable;
  #engine!: Engine;
  #etcd: EtcdClient | undefined;
  #configs!: ConfigChanges;
  #flusher!: Flusher;
  #links: Links | undefined;
  #sockets: DhcpSockets | undefined;
  #sender: PacedSender | undefined;
  #prober: ConflictProber | undefined;
  #names!: NodeDns;
  #http: HttpServer | undefined;
  #control: ControlServer | undefined;
  #queries!: QueryThread;
  #credentials!: NodeCredentials;
  #turnScheduled = false;
  #stopped = false;
  /** Ends what reads a configuration beside the work. */
  readonly #ending = new AbortController();
  readonly #rate = new ExchangeRate();
  readonly #trends = new PoolTrends();
  #finish!: (error?: Error) => void;

  constructor(config: NodeConfig, before: readonly Occurrence[]) {
    this.#config = config;
    this.#output = new StandardOutput();
    this.#telemetry = new Telemetry({
      node: config.node, level: config.logLevel, logLeases: true, output: this.#output,
      readable: this.#output.isTerminal, colours: this.#output.isTerminal,
    });
    this.#telemetry.emit(before, this.#startedAt);
  }

  async run(): Promise<void> {
    const ended = new Promise<void>((resolve, reject) => {
      this.#finish = (error) => (error === undefined ? resolve() : reject(error));
    });
    const onSignal = (): void => this.#drain();
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    const onHangup = (): void => void this.#configs?.reload();
    process.on('SIGHUP', onHangup);
    try {
      await this.#start();
      await ended;
    } finally {
      this.#stopped = true;
      this.#configs?.close();
      this.#flusher?.close();
      process.off('SIGTERM', onSignal);
      process.off('SIGINT', onSignal);
      process.off('SIGHUP', onHangup);
      await this.#close();
    }
  }

  // ── start ────────────────────────────────────────────────────────────────────────────────────

  async #start(): Promise<void> {
    const { cluster } = this.#config;
    this.#credentials = new NodeCredentials(this.#config, (event) => this.#telemetry.emit([event], readClock()));
    this.#disk = openJournaledDisk(this.#config.dataDir);
    this.#dataFolder = new DataFolderWatch(this.#config.dataDir);
    const configs = cluster === undefined ? undefined : this.#openEtcd(cluster);
    const source = new ConfigSource(this.#config, configs, this.#ending.signal);
    const { config, revision } = await source.initial();
    this.#store = new BindingStore(this.#disk);
    this.#table = new LeaseTable(this.#store, config, { hashSeed: randomBytes(4).readUInt32BE() });
    this.#table.load(readClock());
    const history = new ChangeHistory(this.#store, historyLimits(config.leaseQuery), readClock());
    const tenures = new LeaseHistory(this.#store, config.history, readClock());
    this.#engine = new Engine({
      options: hostOptions(this.#config, config), config, configRevision: revision, store: this.#store, table: this.#table,
      counters: this.#counters, history, tenures, random: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
      logLeases: this.#config.logLeases, now: readClock(),
    });
    this.#names = openNodeDns({
      keyFiles: this.#config.dnsKeys, counters: this.#counters.dns, report: (event) => this.#telemetry.emit([event], readClock()),
      onDone: (id, outcome) => this.#inputAndTurn((engine, now) => engine.onDnsDone(id, outcome, now)),
      mayGoOn: (id) => this.#engine.dns.mayGoOn(id, readClock().mono),
    });
    this.#flusher = new Flusher({
      commit: (batch) => this.#disk.commit(batch), takeWrites: () => this.#engine.takeWrites(),
      onFlushed: (position, seconds) => {
        this.#counters.flushTime.observe(seconds);
        this.#input((engine, now) => engine.onFlushed(position, now));
        this.#turn();
      },
      onFailed: (error) => this.#telemetry.emit([{ id: 'store.failed', fields: { error: error.message } }], readClock()),
      onBroken: (error) => this.#fail(error),
    });
    this.#configs = new ConfigChanges({
      source, store: this.#store, clustered: cluster !== undefined, report: (event) => this.#telemetry.emit([event], readClock()),
      onPrepared: (number, result) => this.#inputAndTurn((engine, now) => engine.onConfigPrepared(number, result, now)),
      onFile: (next) => this.#inputAndTurn((engine, now) => engine.applyConfig(next, now)), audit: (word) => this.#inputAndTurn((engine, now) => engine.audit(word, now)),
    });
    if (cluster !== undefined) {
      this.#links = await openLinks({
        self: this.#config.node, cluster: cluster.name, listen: cluster.listen, peers: new Map(), tls: this.#credentials.links, counters: this.#counters,
        handler: (event) => this.#inputAndTurn((engine, now) => engine.onLink(event, now)),
        onUnsecured: (peer) => this.#telemetry.emit([{ id: 'link.unsecured', fields: { peer } }], readClock()),
        onRejected: (peer, detail) => this.#telemetry.emit([{ id: 'link.rejected', fields: { peer, detail } }], readClock()),
      });
    }
    this.#queries = new QueryThread({
      options: { ...this.#config.leaseQuery, dataDir: this.#config.dataDir, clustered: cluster !== undefined },
      counters: this.#counters.queries, history, mark: () => this.#disk.mark(), takeCommitted: (limit) => this.#engine.takeCommittedChanges(limit),
      onAsk: (id) => this.#inputAndTurn((asked, now) => asked.askSnapshot(id, now)),
      onEvent: (event) => this.#telemetry.emit([event], readClock()),
    });
    this.#openSockets();
    const engine = this.#engine;
    const operations = new OperationRunner({
      host: {
        node: this.#config.node, table: this.#table, notes: engine.notes, quarantines: engine.quarantines, tenures, now: readClock, config: () => engine.config, status: () => this.#status(),
        protocol: () => engine.protocol, ownerOf: (slot) => engine.core.ownerOf(slot), owns: (slot) => engine.core.owns(slot), trends: this.#trends, pause,
        names: { resync: () => this.#names.resync({ table: this.#table, outbox: engine.dns, owns: (slot) => engine.core.owns(slot), works: () => engine.core.serving() }, engine.config) },
      },
      change: (decide, done) => {
        this.#input((asked, now) => asked.change(decide, done, now));
        this.#scheduleTurn();
      },
      report: (occurrences) => this.#telemetry.emit(occurrences, readClock()), counters: this.#counters.api,
    });
    this.#http = await startHttp({
      ...this.#config.http, operations, tls: this.#credentials.http, status: () => this.#status(), metrics: createMetrics({
        counters: this.#counters, status: () => this.#status(), telemetry: this.#telemetry, dataFolder: () => this.#dataFolder.seen,
      }),
      ready: () => readiness(this.#engine),
      report: (occurrences) => this.#telemetry.emit(occurrences, readClock()),
    });
    this.#control = await openControl({
      operations, dataDir: this.#config.dataDir, status: () => this.#status(), operate: (command) => this.#operate(command),
      report: (occurrences) => this.#telemetry.emit(occurrences, readClock()),
      audit: (word) => this.#inputAndTurn((asked, now) => asked.audit(word, now)),
      backup: () => backupOf({ node: this.#config, mark: () => this.#disk.mark(), state: stateOf(this.#status()), config: this.#engine.config }),
    });
    this.#telemetry.emit([{ id: 'node.started', fields: {
      version: VERSION, leases: this.#table.size, http: `${this.#config.http.host}:${this.#http.port}`,
    } }], readClock());
    this.#configs.started();
    this.#loop();
  }

  #operate(command: OperatorCommand): OperatorAnswer {
    let answer!: OperatorAnswer;
    this.#inputAndTurn((engine, now) => {
      answer = engine.operate(command, now);
    });
    return answer;
  }

  /** Before the engine asks anything of etcd the configuration is read from it, by requests of their own. */
  #openEtcd(cluster: NonNullable<NodeConfig['cluster']>): ConfigStore {
    const etcd = openEtcd({
      endpoints: cluster.etcd, tls: this.#credentials.etcd, prefix: `/lessor/${cluster.name}/`,
      onEnd: (seconds, answered) => this.#counters.etcdRequest(seconds, answered),
      watchPrefixes: ['view', 'leader', 'nodes/', 'drains/', 'config/revision', `inbox/${this.#config.node}/`],
      handler: {
        onResult: (result) => {
          if (configs.settle(result)) return;
          this.#inputAndTurn((engine, now) => engine.onEtcd(result, now));
        },
        onHint: () => {
          if (this.#engine !== undefined) this.#inputAndTurn((engine, now) => engine.onHint(now));
        },
      },
    });
    this.#etcd = etcd;
    let said = false;
    const configs = new ConfigStore((request) => etcd.request(request), (error) => {
      if (this.#stopped) throw new Error('the node stops');
      if (!said && this.#engine === undefined) this.#telemetry.emit([{ id: 'etcd.unreachable', fields: { error } }], readClock());
      said = true;
    });
    return configs;
  }

  #openSockets(): void {
    this.#sockets = openDhcpSockets({
      interfaces: this.#config.interfaces, counters: this.#counters,
      handler: {
        onPacket: (packet) => this.#input((engine, now) => engine.onPacket(packet, now)),
        onBatchEnd: () => this.#turn(),
        onInterfacesChanged: (interfaces) => {
          this.#engine.setInterfaces(interfaces, readClock());
          this.#prober?.setInterfaces(interfaces);
          this.#telemetry.emit([{ id: 'dhcp.interfaces', fields: { interfaces: interfaces.map(({ name }) => name).join(' ') } }], readClock());
          this.#scheduleTurn();
        },
        onError: (error) => this.#telemetry.emit([{ id: 'dhcp.socket-failed', fields: { error: error.message } }], readClock()),
      },
    });
    const sockets = this.#sockets;
    this.#sender = new PacedSender((packets) => sockets.send(packets), this.#counters, () => readClock().mono);
    this.#prober = openConflictProber({
      counters: this.#counters,
      onResult: (id, inUse, answeredBy) => this.#inputAndTurn((engine, now) => engine.onProbed(id, inUse, answeredBy, now)),
      onEvent: (event) => this.#telemetry.emit([event], readClock()),
    });
    this.#prober.setInterfaces(sockets.interfaces());
    this.#engine.setInterfaces(sockets.interfaces(), readClock());
  }

  // ── the loop ─────────────────────────────────────────────────────────────────────────────────

  #timer: NodeJS.Timeout | undefined;

  #loop(): void {
    this.#timer = setInterval(() => {
      const now = readClock();
      this.#input((engine) => engine.tick(now));
      this.#input(() => this.#links?.setPeers(this.#engine.core.addresses));
      this.#rate.sample(now.mono, this.#counters.sent[5]!);
      if (this.#engine.core.serving()) this.#trends.sample(now.mono, this.#engine.config, this.#table);
      this.#counters.takeovers = this.#engine.core.takeovers;
      this.#counters.conflicts = this.#engine.core.replication.conflicts;
      this.#turn();
    }, TICK_MS);
    this.#turn();
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled || this.#stopped) return;
    this.#turnScheduled = true;
    setImmediate(() => {
      this.#turnScheduled = false;
      this.#turn();
    });
  }

  #turn(): void {
    this.#input(() => {
      this.#carryOut();
      this.#flusher.flush();
    });
  }

  /** Whatever arrives goes in here. */
  #input(run: (engine: Engine, now: Now) => void): void {
    if (this.#stopped) return;
    try {
      run(this.#engine, readClock());
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** The same, from outside of a turn. */
  #inputAndTurn(run: (engine: Engine, now: Now) => void): void {
    this.#input(run);
    this.#scheduleTurn();
  }

  /** A broken invariant: what this node believes cannot be trusted any more, and its peers can do without it. */
  #fail(error: Error): void {
    this.#stopped = true;
    this.#finish(error);
  }

  #carryOut(): void {
    const now = readClock();
    const outputs = this.#engine.takeOutputs(now);
    if (outputs.discardPackets) this.#sockets!.discardWaiting();
    for (const { peer, message } of outputs.messages) this.#links!.send(peer, message);
    for (const peer of outputs.resets) this.#links!.reset(peer);
    for (const request of outputs.etcd) this.#etcd!.request(request);
    for (const request of outputs.probes) this.#prober!.probe(request);
    for (const job of outputs.dns) this.#names.start(job);
    for (const step of outputs.snapshots) this.#queries.onSnapshotStep(step);
    this.#queries.turn(this.#engine.config, this.#engine.core.serving(), now);
    if (outputs.packets.length > 0) {
      this.#sender!.send(outputs.packets);
      this.#countSent(outputs.packets, now.mono);
    }
    if (outputs.events.length > 0) this.#telemetry.emit(outputs.events, now);
    if (outputs.prepareConfig !== undefined) void this.#configs.prepare(outputs.prepareConfig);
    if (outputs.exit !== undefined) this.#finish();
  }

  #countSent(packets: readonly OutgoingPacket[], at: number): void {
    const { sent, replyTime } = this.#counters;
    for (const { bytes, receivedAt } of packets) {
      const type = bytes[MESSAGE_TYPE_AT]!;
      sent[type]!++;
      replyTime[type]!.observe((at - receivedAt) / 1000);
    }
  }

  // ── questions from outside ───────────────────────────────────────────────────────────────────

  #status(): NodeStatus {
    return {
      version: VERSION,
      startedAt: this.#startedAt.wall,
      uptimeSeconds: Math.round((performance.now() - this.#startedAt.mono) / 1000),
      exchangesPerSecond: this.#rate.perSecond(),
      recentEvents: this.#telemetry.recent(),
      certificates: this.#credentials.status(),
      ...describeEngine(this.#engine, this.#table, this.#sockets!.interfaces()),
    };
  }

  // ── end ──────────────────────────────────────────────────────────────────────────────────────

  #drain(): void {
    // Still waiting for etcd's configuration: nothing was promised to anybody.
    if (this.#engine === undefined) process.exit(0);
    this.#engine.drain(readClock());
    this.#scheduleTurn();
    setTimeout(() => {
      if (this.#stopped) return;
      this.#telemetry.emit([{ id: 'drain.given-up', fields: { waitedFor: this.#engine.core.leaving.waitsFor() } }], readClock());
      this.#finish();
    }, DRAIN_MS_MAX).unref();
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    this.#credentials?.close();
    this.#ending.abort(new Error('the node stops'));
    this.#dataFolder?.close();
    await this.#queries?.close();
    await this.#control?.close();
    await this.#http?.close();
    this.#sender?.close();
    this.#prober?.close();
    await this.#sockets?.close();
    await this.#names?.close();
    await this.#links?.close();
    await this.#etcd?.close();
    await this.#disk?.close();
    this.#telemetry.emit([{ id: 'node.stopped', fields: {} }], readClock());
    await this.#output.close();
  }
}
