/**
 * Somebody who asks nodes what they know of leases, as a LEASEQUERY does: the question arrives, the node
 * waits for a confirmation, and answers from its table. It must know every lease that a client had been
 * given before the question came and has had ever since, whoever gave it.
 *
 * It asks the engine for a confirmation and reads the table itself. Once nodes answer such queries over
 * the network, this is to send them.
 */
import { formatIpv4 } from '../../../node/codec/address.ts';
import { BindingState, recordState } from '../../../node/lease/record.ts';
import type { Agenda } from '../agenda.ts';
import { PromiseBroken } from '../checker.ts';
import type { Checker, Hold } from '../checker.ts';
import { isKnown } from '../convergence.ts';
import type { SimNode } from '../node.ts';
import type { Random } from '../random.ts';
import type { Rhythm } from '../rhythm.ts';

const LIVELY_MS = 4000;
const CALM_MS = 60_000;
/** A question that is not answered by then is given up, as an answer that waits is. */
const PATIENCE_MS = 3000;
/** A lease that ends so soon may have ended by the clock of the node that is asked. */
const ENDS_SOON_MS = 15_000;

export interface QuerierWorld {
  readonly agenda: Agenda;
  readonly random: Random;
  readonly rhythm: Rhythm;
  readonly checker: Checker;
  readonly nodes: readonly SimNode[];
  count(what: string, by?: number): void;
}

interface Question {
  readonly start: number;
  readonly ticket: number;
  readonly askedAt: number;
  readonly holds: readonly Hold[];
}

export class Querier {
  readonly #world: QuerierWorld;
  readonly #waiting = new Map<SimNode, Question[]>();

  constructor(world: QuerierWorld) {
    this.#world = world;
  }

  begin(): void {
    const { agenda, nodes, random, rhythm } = this.#world;
    agenda.after(random.between(0, 2) * (rhythm.isLively(agenda.now) ? LIVELY_MS : CALM_MS), () => {
      this.#ask(random.pick(nodes));
      this.begin();
    });
  }

  #ask(node: SimNode): void {
    const { agenda, checker } = this.#world;
    if (node.paused || node.engine?.core.serving() !== true) return;
    const questions = this.#waiting.get(node) ?? [];
    this.#waiting.set(node, questions);
    questions.push({ start: node.start, ticket: node.engine.core.confirmations.ask(), askedAt: agenda.now, holds: checker.held(agenda.now + ENDS_SOON_MS) });
  }

  /** After each turn of a node: what is confirmed is answered in that very turn. */
  onTurn(node: SimNode): void {
    const waiting = this.#waiting.get(node);
    if (waiting === undefined || waiting.length === 0) return;
    const { core } = node.engine!;
    this.#waiting.set(node, waiting.filter((question) => {
      if (question.start !== node.start || this.#world.agenda.now - question.askedAt > PATIENCE_MS) {
        this.#world.count('query-unanswered');
        return false;
      }
      if (core.confirmations.confirmed < question.ticket || !core.serving()) return true;
      this.#world.count('query-answered');
      for (const hold of question.holds) this.#judge(node, hold);
      return false;
    }));
  }

  #judge(node: SimNode, asked: Hold): void {
    const { agenda, checker } = this.#world;
    const hold = checker.holdOf(asked.client, asked.address, agenda.now);
    // Given up since, or about to end.
    if (hold?.since !== asked.since || asked.until < agenda.now + ENDS_SOON_MS) return;
    this.#world.count('query-leases');
    const what = `client ${asked.client.id} holds ${formatIpv4(asked.address)} until ${Math.round(asked.until)} ms`;
    if (!isKnown(node, asked)) throw new PromiseBroken(`${node.id} is asked, has a confirmation, and does not know that ${what}`);
    const state = recordState(node.table!.read(asked.address)!);
    // Somebody's word for the end of a lease may have been held back by the network: `isKnown` has judged that.
    if (state === BindingState.RELEASED || state === BindingState.ABANDONED) this.#world.count('query-ended-by-late-word');
    else if (state !== BindingState.ACTIVE) throw new PromiseBroken(`${node.id} would answer that the address is nobody's, and yet ${what}`);
  }
}
