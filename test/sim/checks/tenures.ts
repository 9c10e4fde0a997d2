/**
 * Whoever got a DHCPACK held that address then, and every node's history says so, as far back as it claims to know: over
 * crashes, takeovers, disks that are new or went back, and rows that were copied.
 */
import { formatIpv4 } from '../../../node/codec/address.ts';
import { HistorySearch } from '../../../node/history/search.ts';
import { PromiseBroken } from '../checker.ts';
import type { SimClient } from '../client.ts';
import { WALL_EPOCH_MS } from '../config.ts';
import type { SimNode } from '../node.ts';

/** Kept seeds lie below: they show what they were kept for without a history. */
const FIRST_SEED = 1000;
const ONE_WORLD_IN = 3;
/** What the clocks of nodes that are in service may be wrong by, and what an answer takes. */
const SLACK_SECONDS = 30;
const FACTS_MAX = 3000;

interface Fact {
  readonly id: number;
  /** Who it was then: a machine may be replaced by another one. */
  readonly keys: readonly Buffer[];
  readonly address: number;
  /** True time, UTC seconds. */
  readonly second: number;
}

interface TenureWorld {
  readonly seed: number;
  count(what: string, by?: number): void;
}

export class TenureWatch {
  readonly #world: TenureWorld;
  #facts: Fact[] = [];
  #seen = 0;

  constructor(world: TenureWorld) {
    this.#world = world;
  }

  /** Whether the nodes of this world keep a history of leases. */
  get on(): boolean {
    return this.#world.seed >= FIRST_SEED && this.#world.seed % ONE_WORLD_IN === 1;
  }

  granted(client: SimClient, address: number, nowMs: number, promised: boolean): void {
    if (!this.on || !promised) return;
    const fact = { id: client.id, keys: client.keys, address, second: Math.floor((WALL_EPOCH_MS + nowMs) / 1000) };
    // Of very many the later ones take the places of earlier ones, all over the time.
    if (this.#facts.length < FACTS_MAX) this.#facts.push(fact);
    else this.#facts[(Math.imul(this.#seen, 2_654_435_761) >>> 0) % FACTS_MAX] = fact;
    this.#seen++;
  }

  /** By an operator's word: the history of whoever is left counts. */
  lost(): void {
    this.#facts = [];
  }

  atEnd(nodes: readonly SimNode[]): void {
    if (!this.on) return;
    for (const node of nodes) {
      if (node.tenures!.gap !== undefined) this.#world.count('history-gap-open');
      for (const fact of this.#facts) this.#check(node, fact);
    }
  }

  #check(node: SimNode, { address, id, keys, second }: Fact): void {
    const { gap, since = Infinity } = node.tenures!;
    const [from, to] = [second - SLACK_SECONDS, second + SLACK_SECONDS];
    if (from < since || (gap !== undefined && gap.to >= from)) return;
    this.#world.count('history-facts-checked');
    const now = Math.floor(node.now().wall / 1000);
    const search = new HistorySearch(node.tenures!, node.table!, { address }, { from, to }, now);
    while (search.step());
    const { tenures } = search.result()!;
    if (tenures.some(({ row }) => keys.some((key) => row.clientKey.equals(key)))) return;
    throw new PromiseBroken(`${node.id} does not know that client ${id} (${keys.map((key) => key.toString('hex')).join(' ')}) held ${formatIpv4(address)} at ` +
      `${new Date(second * 1000).toISOString()}, but of ${tenures.map(({ end, from: began, row, to: ended }) => `${row.clientKey.toString('hex')} ${began}-${ended ?? ''} ${end}`).join(', ') || 'nobody'}`);
  }
}
