/**
 * The operator of a simulated cluster: applies one configuration after the other, sometimes one that a
 * node cannot take, sometimes one with another list of nodes; and what a node gets to see of them.
 */
import type { EtcdRequest } from '../../cluster/core/ports.ts';
import { decodeView } from '../../cluster/view/view.ts';
import type { PreparedConfig } from '../../cluster/view/configuration.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import type { SimEtcd } from './etcd.ts';
import type { Random } from './random.ts';

interface Revision {
  readonly config: ClusterConfig;
  /** Nodes of an older version, which cannot read it. */
  readonly tooNewFor: ReadonlySet<string>;
}

/** A node outside the list of nodes does not start. */
const OUTSIDER_CHANCE = 0.3;
const TOO_NEW_CHANCE = 0.15;

export class Operator {
  readonly #random: Random;
  readonly #etcd: SimEtcd;
  readonly #make: () => ClusterConfig;
  readonly #count: (what: string) => void;
  readonly #revisions = new Map<number, Revision>();
  readonly #revisionOf = new Map<ClusterConfig, number>();
  #newest = 0;
  /** With all nodes. */
  readonly first: ClusterConfig;

  /** `make`: another configuration for the same nodes. Without etcd the first stays. */
  constructor(random: Random, etcd: SimEtcd, clustered: boolean, make: () => ClusterConfig, count: (what: string) => void) {
    this.#random = random;
    this.#etcd = etcd;
    this.#make = make;
    this.#count = count;
    this.first = make();
    this.#write({ config: clustered ? this.#maybeWithout(this.first) : this.first, tooNewFor: new Set() });
  }

  get newest(): number {
    return this.#newest;
  }

  /** The one that a node's engine has in force, by itself: which revision it is. */
  revisionOf(config: ClusterConfig): number {
    return this.#revisionOf.get(config) ?? 0;
  }

  #write(revision: Revision): void {
    this.#newest++;
    this.#revisions.set(this.#newest, revision);
    this.#revisionOf.set(revision.config, this.#newest);
    const value = Buffer.from(JSON.stringify({ revision: this.#newest }));
    const request: EtcdRequest = { kind: 'txn', id: 0, compares: [], then: [{ op: 'put', key: 'config/revision', value }], otherwise: [], deadlineMs: 1000 };
    this.#etcd.apply(request, 0);
  }

  /** What the command line would let through: a node that is in the view is not taken out of the list. */
  apply(): void {
    const config = this.#maybeWithout(this.#make());
    const before = this.#revisions.get(this.#newest)!.config.nodes.length;
    if (config.nodes.length !== before) this.#count('fault:config-nodes-changed');
    const tooNewFor = this.#random.chance(TOO_NEW_CHANCE) ? [this.#random.pick(config.nodes).id] : [];
    this.#write({ config, tooNewFor: new Set(tooNewFor) });
  }

  /** The last word: all nodes, and all can take it. */
  settle(): void {
    this.#write({ config: this.#make(), tooNewFor: new Set() });
  }

  #maybeWithout(config: ClusterConfig): ClusterConfig {
    const members = this.#view()?.members.map(({ node }) => node) ?? [];
    const removable = config.nodes.filter(({ id, weight }) => weight > 0 && !members.includes(id));
    if (config.nodes.length < 2 || removable.length === 0 || !this.#random.chance(OUTSIDER_CHANCE)) return config;
    const without = this.#random.pick(removable).id;
    return { ...config, nodes: config.nodes.filter(({ id }) => id !== without) };
  }

  #view() {
    const view = this.#etcd.entries().find(({ key }) => key === 'view');
    return view === undefined ? undefined : decodeView(view.value);
  }

  /** What a node that starts now reads; undefined: its name is not in it, or it cannot read it, so it does not start. */
  atStart(node: string): { readonly config: ClusterConfig; readonly revision: number } | undefined {
    const named = this.#view()?.configRevision ?? 0;
    const revision = named === 0 ? this.#newest : named;
    const read = this.read(node, revision);
    return read.ok ? { config: read.config, revision } : undefined;
  }

  read(node: string, number: number): PreparedConfig {
    const { config, tooNewFor } = this.#revisions.get(number)!;
    if (tooNewFor.has(node)) return { ok: false, error: `revision ${number} is too new`, retry: false };
    if (!config.nodes.some(({ id }) => id === node)) return { ok: false, error: `${node} is not among the nodes`, retry: false };
    return { ok: true, config };
  }
}
