/** Does what the schedule says to a cluster, and undoes it. */
import type { Host } from '../../deploy/lab/netns.ts';
import type { ClusterNode } from '../support/cluster-node.ts';
import type { ClusterWorld } from '../support/cluster-world.ts';
import type { EtcdMember } from '../support/etcd-member.ts';
import { CUT, type Quality } from '../support/link-faults.ts';
import type { Fault, FaultKind, Way } from './schedule.ts';

/** A node that is stopped and started again has so long until all are NORMAL. */
const RETURN_MS = 60_000;

interface Act {
  readonly begin: (fault: Fault) => Promise<void>;
  readonly end: (fault: Fault) => Promise<void>;
}

export class Nemesis {
  readonly #world: ClusterWorld;
  /** Those that clients and requestors speak from. */
  readonly #clients: readonly Host[];
  readonly #acts: Readonly<Record<FaultKind, Act>>;
  #etcdLeader: EtcdMember | undefined;

  constructor(world: ClusterWorld, clients: readonly Host[]) {
    this.#world = world;
    this.#clients = clients;
    this.#acts = { ...this.#nodeActs(), ...this.#linkActs(), ...this.#etcdActs(), ...this.#clusterActs() };
  }

  /** Resolves when it holds. A rolling restart is over then. */
  begin(fault: Fault): Promise<void> {
    return this.#acts[fault.kind].begin(fault);
  }

  end(fault: Fault): Promise<void> {
    return this.#acts[fault.kind].end(fault);
  }

  #node({ node }: Fault): ClusterNode {
    return this.#world.nodes[node]!;
  }

  #nodeActs() {
    const setClock = (fault: Fault, offset: number): Promise<void> => Promise.resolve(this.#node(fault).setClock(offset));
    const clock: Act = { begin: (fault) => setClock(fault, fault.offset), end: (fault) => setClock(fault, 0) };
    return {
      'kill-node': {
        begin: (fault) => this.#node(fault).kill(),
        end: async (fault) => this.#node(fault).start(),
      },
      'pause-node': {
        begin: (fault) => this.#node(fault).pause(),
        end: async (fault) => this.#node(fault).resume(),
      },
      'clock-drifts': clock,
      'clock-steps': clock,
      'full-disk': {
        begin: async (fault) => {
          const node = this.#node(fault);
          if (fault.way === 'in') await node.kill();
          await node.fillDisk();
          await node.holdSnapshot();
          node.start();
        },
        end: async (fault) => {
          await this.#node(fault).emptyDisk();
          // What starts on a full disk says so and ends.
          this.#node(fault).start();
        },
      },
      'wipe-disk': {
        begin: async (fault) => {
          await this.#node(fault).kill();
          await this.#node(fault).wipe();
        },
        end: async (fault) => this.#node(fault).start(),
      },
    } satisfies Partial<Record<FaultKind, Act>>;
  }

  #linkActs() {
    const { links } = this.#world;
    const etcd = this.#world.etcd.map(({ host }) => host);
    const peer = ({ other }: Fault): Host[] => [this.#world.nodes[other]!.host];
    const setLink = async (one: readonly Host[], other: readonly Host[], way: Way, quality: Quality): Promise<void> => {
      if (way !== 'in') await links.set(one, other, quality);
      if (way !== 'out') await links.set(other, one, quality);
    };
    const linkAct = (end: (fault: Fault) => readonly Host[], quality: (fault: Fault) => Quality): Act => ({
      begin: (fault) => setLink([this.#node(fault).host], end(fault), fault.way, quality(fault)),
      end: async (fault) => {
        const { host } = this.#node(fault);
        await Promise.all([links.restore([host], end(fault)), links.restore(end(fault), [host])]);
      },
    });
    const cut = (): Quality => CUT;
    const slow = ({ delayMs, lossPercent }: Fault): Quality => ({ lossPercent, delay: { delayMs, jitterMs: delayMs / 4 } });
    const everybodyElse = (fault: Fault): Host[] => this.#world.network.hosts.filter((host) => host !== this.#node(fault).host);
    const bothWays = ({ begin, end }: Act): Act => ({ begin: (fault) => begin({ ...fault, way: 'both' }), end });
    return {
      'isolate-node': bothWays(linkAct(everybodyElse, cut)),
      // Its clients are all that reach it still, and they reach the others as well.
      'split-node': bothWays(linkAct((fault) => everybodyElse(fault).filter((host) => !this.#clients.includes(host)), cut)),
      'cut-nodes': linkAct(peer, cut),
      'cut-etcd': linkAct(() => etcd, cut),
      'cut-clients': linkAct(() => this.#clients, cut),
      'slow-nodes': linkAct(peer, slow),
      'slow-etcd': linkAct(() => etcd, slow),
      'slow-clients': linkAct(() => this.#clients, slow),
    } satisfies Partial<Record<FaultKind, Act>>;
  }

  #etcdActs() {
    const { etcd } = this.#world;
    const startAll = async (): Promise<void> => etcd.forEach((member) => member.start());
    return {
      'kill-etcd-member': {
        begin: ({ member }) => etcd[member]!.kill(),
        end: startAll,
      },
      'kill-etcd-leader': {
        begin: async ({ member }) => {
          this.#etcdLeader = await this.#world.etcdLeader() ?? etcd[member]!;
          await this.#etcdLeader.kill();
        },
        end: startAll,
      },
      'kill-etcd': {
        begin: async () => void await Promise.all(etcd.map((member) => member.kill())),
        end: startAll,
      },
    } satisfies Partial<Record<FaultKind, Act>>;
  }

  #clusterActs() {
    const { nodes, etcd } = this.#world;
    const killNodes = async (): Promise<void> => void await Promise.all(nodes.map((node) => node.kill()));
    return {
      'rolling-restart': {
        begin: async () => {
          for (const node of nodes) {
            const code = await node.stop();
            if (code !== 0) throw new Error(`node ${node.name} was asked to stop and ended with ${String(code)}, not with exit code 0`);
            node.start();
            await this.#world.waitForNormal(RETURN_MS);
          }
        },
        end: () => Promise.resolve(),
      },
      'power-cut-nodes': {
        begin: killNodes,
        end: async () => nodes.forEach((node) => node.start()),
      },
      'power-cut': {
        begin: async () => void await Promise.all([killNodes(), ...etcd.map((member) => member.kill())]),
        end: async () => [...etcd, ...nodes].forEach((process) => process.start()),
      },
    } satisfies Partial<Record<FaultKind, Act>>;
  }
}
