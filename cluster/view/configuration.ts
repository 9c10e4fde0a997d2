/**
 * Which revision of the cluster's configuration is in force here, and which are ready to be.
 *
 * etcd says which revision is the newest. Each node reads and checks it beside its work (the driver's
 * business), keeps it ready, and says so in `nodes/<id>`. When every member has said it, the leader
 * writes a view that names the revision, and a node switches in the step in which it adopts that view.
 * So all members serve the same revision in one epoch, and one that cannot take it holds back the rest.
 *
 * Invariants: on a member nothing comes into force but by the view that it has adopted; a member whose
 * view names another revision than is in force here serves nobody.
 */
import type { ClusterConfig } from '../../node/config/types.ts';
import { CONFIG_ERROR_CHARACTERS_MAX, CONFIG_PREPARED_MAX } from '../../node/limits.ts';
import { isMember } from '../core/state.ts';
import type { ClusterState } from '../core/state.ts';
import type { ClusterRead } from './coordination.ts';
import type { Member, View } from './view.ts';

/** What could not be read is tried again after this. */
const RETRY_MS = 2000;

/** What a node says of itself in `nodes/<id>`. */
export interface ConfigStanding {
  /** In force; 0: read from a file that has no revision. */
  readonly loaded: number;
  /** The highest that is in force or ready. */
  readonly prepared: number;
  /** Why a newer one is not. */
  readonly refused?: { readonly revision: number; readonly error: string };
}

/** What became of a revision that was asked for. `retry`: it may work later, nothing is wrong with the revision. */
export type PreparedConfig =
  | { readonly ok: true; readonly config: ClusterConfig }
  | { readonly ok: false; readonly error: string; readonly retry: boolean };

export interface ConfigurationHooks {
  /** Comes into force now. */
  readonly onApply: (config: ClusterConfig) => void;
  /** What the other nodes should know has changed. */
  readonly onChange: () => void;
}

export class Configuration {
  readonly #state: ClusterState;
  readonly #hooks: ConfigurationHooks;
  readonly #ready = new Map<number, ClusterConfig>();
  #loaded: number;
  #refused: { readonly revision: number; readonly error: string; readonly retryAt: number } | undefined;
  /** Under way at the driver. */
  #asked: number | undefined;
  #missing = 0;

  constructor(state: ClusterState, loaded: number, hooks: ConfigurationHooks) {
    this.#state = state;
    this.#loaded = loaded;
    this.#hooks = hooks;
  }

  get loaded(): number {
    return this.#loaded;
  }

  /** In force here, or ready to be. */
  has(revision: number): boolean {
    return revision === 0 || revision === this.#loaded || this.#ready.has(revision);
  }

  /**
   * What the first view after a power cut names: what the last one did; or, where etcd has lost that revision and an
   * operator has applied another since, that one. Undefined: wait.
   */
  forFirstView(named: number, { newestConfig }: ClusterRead): number | undefined {
    if (this.has(named)) return named;
    return this.#refused?.revision === named && newestConfig > named && this.has(newestConfig) ? newestConfig : undefined;
  }

  /** What the view names is in force: only then may clients be answered. */
  inForce(view: View): boolean {
    return view.configRevision === 0 || view.configRevision === this.#loaded;
  }

  standing(): ConfigStanding {
    const prepared = Math.max(this.#loaded, ...this.#ready.keys());
    const refused = this.#refused;
    return {
      loaded: this.#loaded, prepared,
      ...(refused === undefined || refused.revision <= this.#loaded ? {} : { refused: { revision: refused.revision, error: refused.error } }),
    };
  }

  // ── getting ready ────────────────────────────────────────────────────────────────────────────

  /** Once a turn: asks the driver for what is needed and not there, one revision at a time. */
  step(read: ClusterRead | undefined): void {
    if (read === undefined) return;
    this.#followView(read);
    if (this.#asked !== undefined) return;
    const wanted = this.#wanted(read);
    if (wanted === undefined) return;
    this.#asked = wanted;
    this.#state.context.out.prepareConfig = wanted;
  }

  /**
   * Outside the view the node serves nobody, and goes along with those who serve at once: their
   * configuration may name a node that its own does not, without which it cannot join them.
   */
  #followView({ view }: ClusterRead): void {
    if (view === undefined || isMember(this.#state) || this.inForce(view)) return;
    const ready = this.#ready.get(view.configRevision);
    if (ready !== undefined) this.#apply(view.configRevision, ready);
  }

  /** What the view names goes before what comes after it. */
  #wanted(read: ClusterRead): number | undefined {
    const { view: adopted, context } = this.#state;
    const adoptedIsNewer = adopted !== undefined && (read.view === undefined || adopted.epoch > read.view.epoch);
    const view = adoptedIsNewer ? adopted : read.view;
    const newest = Math.max(read.newestConfig, this.#loaded);
    for (const revision of [view?.configRevision ?? 0, newest]) {
      if (this.has(revision)) continue;
      const refused = this.#refused?.revision === revision ? this.#refused : undefined;
      if (refused === undefined || context.now.mono >= refused.retryAt) return revision;
    }
    return undefined;
  }

  /** The driver's answer. */
  onPrepared(revision: number, result: PreparedConfig): void {
    const { context, view } = this.#state;
    if (this.#asked === revision) this.#asked = undefined;
    if (!result.ok) {
      const repeated = this.#refused?.revision === revision && this.#refused.error === result.error;
      const error = result.error.slice(0, CONFIG_ERROR_CHARACTERS_MAX);
      this.#refused = { revision, error, retryAt: result.retry ? context.now.mono + RETRY_MS : Infinity };
      if (!repeated) context.out.event(result.retry ? 'config.unreadable' : 'config.refused', { revision, error: result.error });
      this.#hooks.onChange();
      return;
    }
    if (this.#refused?.revision === revision) this.#refused = undefined;
    if (this.has(revision)) return;
    this.#ready.set(revision, result.config);
    context.out.event('config.prepared', { revision });
    if (isMember(this.#state) && view?.configRevision === revision) this.#apply(revision, result.config);
    else this.#forgetOldest(view?.configRevision ?? 0);
    this.#hooks.onChange();
  }

  #forgetOldest(named: number): void {
    while (this.#ready.size > CONFIG_PREPARED_MAX) {
      const oldest = Math.min(...[...this.#ready.keys()].filter((revision) => revision !== named));
      this.#ready.delete(oldest);
    }
  }

  // ── coming into force ────────────────────────────────────────────────────────────────────────

  /** The view is adopted: what it names is in force from this step on. */
  onAdopted(view: View): void {
    if (this.inForce(view)) return;
    const ready = this.#ready.get(view.configRevision);
    if (ready !== undefined) this.#apply(view.configRevision, ready);
    else if (this.#missing !== view.configRevision) {
      this.#missing = view.configRevision;
      this.#state.context.out.event('config.missing', { revision: view.configRevision, loaded: this.#loaded });
    }
    this.#hooks.onChange();
  }

  /** Without a cluster there are no revisions: the loads of this process are counted. */
  replace(config: ClusterConfig): void {
    this.#apply(this.#loaded + 1, config);
  }

  #apply(revision: number, config: ClusterConfig): void {
    const before = this.#loaded;
    this.#loaded = revision;
    for (const ready of this.#ready.keys()) if (ready <= revision) this.#ready.delete(ready);
    this.#hooks.onApply(config);
    this.#state.context.out.event('config.applied', { revision, before });
  }

  // ── the leader's question ────────────────────────────────────────────────────────────────────

  /** What the next view of these members may name: the newest revision, once all of them have it. */
  nextFor(view: View, read: ClusterRead): number {
    const { newestConfig } = read;
    if (newestConfig <= view.configRevision) return view.configRevision;
    return this.waitingFor(view.members, read).length === 0 ? newestConfig : view.configRevision;
  }

  /** Members that have not said that they have the newest revision, and why not, as far as they say. */
  waitingFor(members: readonly Member[], read: ClusterRead): { readonly node: string; readonly error: string }[] {
    return members.flatMap(({ node, incarnation }) => {
      if (node === this.#state.context.options.self) return this.has(read.newestConfig) ? [] : [{ node, error: this.#errorOf(this.standing(), read) }];
      const standing = read.sessions.get(node) === incarnation ? read.configs.get(node) : undefined;
      if (standing !== undefined && standing.prepared === read.newestConfig) return [];
      return [{ node, error: this.#errorOf(standing, read) }];
    });
  }

  #errorOf(standing: ConfigStanding | undefined, { newestConfig }: ClusterRead): string {
    return standing?.refused?.revision === newestConfig ? standing.refused.error : '';
  }
}
