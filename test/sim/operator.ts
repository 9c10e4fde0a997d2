/**
 * The operator of a simulated cluster: what a person and the command line write to etcd. Configurations one
 * after the other, sometimes one that a node cannot take, sometimes one with another list of nodes; orders to
 * leave service; and what a node gets to see of them.
 */
import { highestRevision } from '../../cluster/io/config-store.ts';
import type { EtcdOp } from '../../cluster/core/ports.ts';
import { decodeView } from '../../cluster/view/view.ts';
import type { View } from '../../cluster/view/view.ts';
import type { PreparedConfig } from '../../cluster/view/configuration.ts';
import type { ClusterConfig } from '../../node/config/types.ts';
import type { SimEtcd } from './etcd.ts';
import type { Random } from './random.ts';

interface Text {
  readonly config: ClusterConfig;
  /** Nodes of an older version, which cannot read it. */
  readonly tooNewFor: ReadonlySet<string>;
}

/** A node outside the list of nodes does not start. */
const OUTSIDER_CHANCE = 0.3;
const TOO_NEW_CHANCE = 0.15;

const NEWEST = 'config/revision';

export class Operator {
  readonly #random: Random;
  readonly #etcd: SimEtcd;
  readonly #clustered: boolean;
  readonly #make: () => ClusterConfig;
  readonly #count: (what: string) => void;
  /** Which of them a revision is, etcd says. */
  readonly #texts: Text[] = [];
  readonly #revisionOf = new Map<ClusterConfig, number>();
  /** With all nodes. */
  readonly first: ClusterConfig;

  /** `make`: another configuration for the same nodes. Without etcd the first stays. */
  constructor(random: Random, etcd: SimEtcd, clustered: boolean, make: () => ClusterConfig, count: (what: string) => void) {
    this.#random = random;
    this.#etcd = etcd;
    this.#clustered = clustered;
    this.#make = make;
    this.#count = count;
    this.first = make();
    this.#write({ config: clustered ? this.#maybeWithout(this.first) : this.first, tooNewFor: new Set() });
  }

  // ── configurations ───────────────────────────────────────────────────────────────────────────

  /** Another configuration than the first has been written, though etcd may have been set back since. */
  get hasChanged(): boolean {
    return this.#texts.some(({ config }, i) => i > 0 && config !== this.first);
  }

  /** 0: etcd has none. */
  get newest(): number {
    return this.#json(NEWEST)?.revision ?? 0;
  }

  /** The one that a node's engine has in force, by itself: which revision it is. */
  revisionOf(config: ClusterConfig): number {
    return this.#revisionOf.get(config) ?? 0;
  }

  #json(key: string): { readonly revision: number; readonly text: number } | undefined {
    const found = this.#etcd.entries().find((entry) => entry.key === key);
    return found === undefined ? undefined : JSON.parse(found.value.toString()) as { revision: number; text: number };
  }

  #write(text: Text): void {
    const nodes = new Map(this.#etcd.entries().filter(({ key }) => key.startsWith('nodes/'))
      .map(({ key, value }) => [key, JSON.parse(value.toString()) as Record<string, unknown>]));
    const revision = highestRevision({ newest: this.#json(NEWEST), view: this.#view(), nodes }) + 1;
    const value = Buffer.from(JSON.stringify({ revision, text: this.#texts.push(text) - 1 }));
    this.#revisionOf.set(text.config, revision);
    this.#apply([{ op: 'put', key: `config/revisions/${revision}`, value }, { op: 'put', key: NEWEST, value }]);
  }

  #apply(then: readonly EtcdOp[]): void {
    this.#etcd.apply({ kind: 'txn', id: 0, compares: [], then, otherwise: [], deadlineMs: 1000 }, 0);
  }

  #newestText(): Text {
    const newest = this.#json(NEWEST);
    return newest === undefined ? { config: this.first, tooNewFor: new Set() } : this.#texts[newest.text]!;
  }

  /** What the command line would let through: a node that is in the view is not taken out of the list. */
  apply(): void {
    const config = this.#maybeWithout(this.#make());
    if (config.nodes.length !== this.#newestText().config.nodes.length) this.#count('fault:config-nodes-changed');
    const tooNewFor = this.#random.chance(TOO_NEW_CHANCE) ? [this.#random.pick(config.nodes).id] : [];
    this.#write({ config, tooNewFor: new Set(tooNewFor) });
  }

  /** The last word: all nodes, all can take it, and nobody is to leave. */
  settle(): void {
    this.#write({ config: this.#make(), tooNewFor: new Set() });
    this.#apply([{ op: 'delete-prefix', prefix: 'drains/' }]);
  }

  #maybeWithout(config: ClusterConfig): ClusterConfig {
    const members = this.#view()?.members.map(({ node }) => node) ?? [];
    const removable = config.nodes.filter(({ id, weight }) => weight > 0 && !members.includes(id));
    if (config.nodes.length < 2 || removable.length === 0 || !this.#random.chance(OUTSIDER_CHANCE)) return config;
    const without = this.#random.pick(removable).id;
    return { ...config, nodes: config.nodes.filter(({ id }) => id !== without) };
  }

  #view(): View | undefined {
    const view = this.#etcd.entries().find(({ key }) => key === 'view');
    return view === undefined ? undefined : decodeView(view.value);
  }

  /** What a node that starts now reads; undefined: its name is not in it, or it cannot read it, so it does not start. */
  atStart(node: string): { readonly config: ClusterConfig; readonly revision: number } | undefined {
    // The node brings a file of its own, as the first one did.
    if (this.#clustered && this.newest === 0) this.#write({ config: this.first, tooNewFor: new Set() });
    const named = this.#view()?.configRevision ?? 0;
    const lost = named < this.newest && this.#json(`config/revisions/${named}`) === undefined;
    const revision = named === 0 || lost ? this.newest : named;
    const read = this.read(node, revision);
    return read.ok ? { config: read.config, revision } : undefined;
  }

  read(node: string, revision: number): PreparedConfig {
    const found = this.#json(`config/revisions/${revision}`);
    if (found === undefined) return { ok: false, error: `etcd lacks configuration revision ${revision}`, retry: true };
    const { config, tooNewFor } = this.#texts[found.text]!;
    if (tooNewFor.has(node)) return { ok: false, error: `revision ${revision} is too new`, retry: false };
    if (!config.nodes.some(({ id }) => id === node)) return { ok: false, error: `${node} is not among the nodes`, retry: false };
    return { ok: true, config };
  }

  // ── orders ───────────────────────────────────────────────────────────────────────────────────

  /** As `lessor drain` writes it. */
  orderOut(node: string, force: boolean): void {
    const order = { by: 'op@host', at: '2026-01-01T00:00:00Z', reason: 'simulated', force };
    this.#apply([{ op: 'put', key: `drains/${node}`, value: Buffer.from(JSON.stringify(order)) }]);
  }

  /** As `lessor undrain` does. */
  orderBack(node: string): void {
    this.#apply([{ op: 'delete', key: `drains/${node}` }]);
  }
}
