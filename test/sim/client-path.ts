/** The way between clients and nodes: it loses, doubles, delays and reorders packets, and can be cut from a node. */
import type { Agenda } from './agenda.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

/** What any network does. */
const LOSS = 0.01;
const DOUBLED = 0.005;

/** From a node to its clients is `out`. */
export type Way = 'in' | 'out';

export class ClientPath {
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #count: (what: string) => void;
  loss = LOSS;
  doubled = DOUBLED;
  late = 0;
  readonly #cut = new Map<string, Way | 'both'>();
  /** Packets carried, and the last one that arrived: who comes after a later one was overtaken. */
  #sent = 0;
  #arrived = 0;

  constructor(agenda: Agenda, random: Random, count: (what: string) => void) {
    this.#agenda = agenda;
    this.#random = random;
    this.#count = count;
  }

  cut(node: SimNode, way: Way | 'both'): void {
    this.#cut.set(node.id, way);
  }

  join(node: SimNode): void {
    this.#cut.delete(node.id);
  }

  mendLoss(): void {
    this.loss = LOSS;
  }

  mendDoubled(): void {
    this.doubled = DOUBLED;
  }

  /** Nothing is lost any more. */
  mend(): void {
    this.loss = 0;
    this.mendDoubled();
    this.late = 0;
    this.#cut.clear();
  }

  carry(node: SimNode, way: Way, deliver: () => void): void {
    const random = this.#random;
    const cut = this.#cut.get(node.id);
    if (cut === 'both' || cut === way) return;
    if (random.chance(this.loss)) {
      this.#count('fault:client-loss');
      return;
    }
    const late = random.chance(this.late);
    if (late) this.#count('fault:client-late');
    this.#later(late ? random.between(100, 15_000) : random.delay(0.5, 50), deliver);
    if (random.chance(this.doubled)) {
      this.#count('fault:client-duplicate');
      this.#later(random.between(0.1, 2000), deliver);
    }
  }

  #later(ms: number, deliver: () => void): void {
    const number = ++this.#sent;
    this.#agenda.after(ms, () => {
      if (number < this.#arrived) this.#count('fault:client-reordered');
      this.#arrived = Math.max(this.#arrived, number);
      deliver();
    });
  }
}
