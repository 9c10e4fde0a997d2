/**
 * The way between the nodes and etcd: requests that are lost, late or applied after their sender gave
 * up, answers that never come, watches that say nothing or say it late, sessions that end too early or
 * too late, and all of etcd gone.
 */
import type { EtcdRequest, EtcdResult } from '../../cluster/core/ports.ts';
import type { Agenda } from './agenda.ts';
import type { SimEtcd } from './etcd.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

/** etcd looks for leases that are over this often. */
const LEASES_LOOKED_AT_MS = 500;
/** A watcher that reconnects can miss changes at any time. */
const HINTS_LOST = 0.05;
/** A watch that is opened anew gives a hint of its own. */
const WATCH_AGAIN_MS = 500;

/** As node/main.ts watches them. */
const WATCHED = ['view', 'leader', 'nodes/', 'drains/', 'config/revision'];

/** What becomes of one request, where a scheme says so. */
export interface Fate {
  /** It takes so long to get there. */
  readonly delayMs?: number;
  readonly lost?: 'request' | 'answer';
}

export interface EtcdPathParts {
  readonly agenda: Agenda;
  readonly random: Random;
  readonly etcd: SimEtcd;
  readonly nodes: readonly SimNode[];
  readonly count: (what: string) => void;
}

export class EtcdPath {
  readonly #parts: EtcdPathParts;
  /** All of etcd. */
  #down = false;
  /** Nodes that do not reach it, each as often as it was cut off. */
  readonly #cut = new Map<string, number>();
  /** How many requests, and how many answers, are lost. */
  requestsLost = 0;
  answersLost = 0;
  /** How many requests arrive after their deadline, most of them. */
  late = 0;
  slow = false;
  /** How many hints of watches are lost, and how late the others are; undefined: not late. */
  hintsLost = HINTS_LOST;
  hintsLateMs: number | undefined;
  /** A scheme's say in what becomes of a request. */
  meddle: ((from: SimNode, request: EtcdRequest) => Fate | undefined) | undefined;

  constructor(parts: EtcdPathParts) {
    this.#parts = parts;
    parts.etcd.onChange((keys) => this.#hint(keys));
    this.#expireLeases();
  }

  // ── what breaks ──────────────────────────────────────────────────────────────────────────────

  get down(): boolean {
    return this.#down;
  }

  /** What is gone ends no leases; when it comes back they all begin anew. */
  set down(down: boolean) {
    if (this.#down && !down) {
      this.#parts.etcd.grantAll(this.#parts.agenda.now);
      this.#watchAgain(this.#parts.nodes);
    }
    this.#down = down;
  }

  cut(node: SimNode): void {
    this.#cut.set(node.id, (this.#cut.get(node.id) ?? 0) + 1);
  }

  /** Reaches it again once each of its cuts has ended. */
  join(node: SimNode): void {
    const cuts = (this.#cut.get(node.id) ?? 0) - 1;
    if (cuts > 0) this.#cut.set(node.id, cuts);
    else if (this.#cut.delete(node.id)) this.#watchAgain([node]);
  }

  /** Everybody reaches it, and is answered in time. */
  get isWell(): boolean {
    return !this.#down && this.#cut.size === 0 && this.requestsLost === 0 && this.answersLost === 0 && this.late === 0 && !this.slow;
  }

  /** All is well. */
  mend(): void {
    this.down = false;
    this.#cut.clear();
    this.#watchAgain(this.#parts.nodes);
    this.requestsLost = 0;
    this.answersLost = 0;
    this.late = 0;
    this.slow = false;
    this.mendHints();
    this.meddle = undefined;
  }

  mendHints(): void {
    this.hintsLost = HINTS_LOST;
    this.hintsLateMs = undefined;
  }

  // ── requests ─────────────────────────────────────────────────────────────────────────────────

  request(from: SimNode, request: EtcdRequest): void {
    const { agenda, count, etcd, random } = this.#parts;
    const { start } = from;
    let answered = false;
    const answer = (result: EtcdResult): void => {
      if (answered || start !== from.start) return;
      answered = true;
      this.#underWay.set(from.id, this.underWay(from) - 1);
      from.etcdResult(result);
    };
    if (this.#lastStart.get(from.id) !== start) this.#underWay.delete(from.id);
    this.#lastStart.set(from.id, start);
    this.#underWay.set(from.id, this.underWay(from) + 1);
    agenda.after(request.deadlineMs, () => answer({ id: request.id, outcome: 'unknown', error: 'deadline' }));
    const fate = this.meddle?.(from, request);
    if (fate?.lost === 'request' || this.loses(from)) return;
    const late = random.chance(this.late);
    const there = fate?.delayMs ?? (late ? random.between(500, 8000) : this.slow ? random.between(20, 1800) : random.delay(1, 40));
    const sentAt = agenda.now;
    agenda.after(there, () => {
      if (this.#down) return;
      if (agenda.now - sentAt >= request.deadlineMs) count('fault:etcd-applied-late');
      const result = etcd.apply(request, agenda.now);
      if (fate?.lost === 'answer' || this.#down || this.#cut.has(from.id) || random.chance(this.answersLost)) {
        count('fault:etcd-answer-lost');
        return;
      }
      agenda.after(random.delay(0.5, 20), () => answer(result));
    });
  }

  readonly #underWay = new Map<string, number>();
  /** Which start of a node these are of. */
  readonly #lastStart = new Map<string, number>();

  /** Requests of a node that have had no answer yet. */
  underWay(node: SimNode): number {
    return this.#underWay.get(node.id) ?? 0;
  }

  /** This node's next request would be lost on its way. */
  loses(from: SimNode): boolean {
    return this.#down || this.#cut.has(from.id) || this.#parts.random.chance(this.requestsLost);
  }

  // ── watches ──────────────────────────────────────────────────────────────────────────────────

  #hint(keys: readonly string[]): void {
    if (this.#down) return;
    for (const node of this.#parts.nodes) {
      if (node.alive && !this.#cut.has(node.id) && keys.some((key) => isWatched(node, key))) this.#hintTo(node);
    }
  }

  #hintTo(node: SimNode): void {
    const { agenda, count, random } = this.#parts;
    const { start } = node;
    if (random.chance(this.hintsLost)) {
      count('fault:etcd-hint-lost');
      return;
    }
    if (this.hintsLateMs !== undefined) count('fault:etcd-hint-late');
    agenda.after(this.hintsLateMs === undefined ? random.delay(1, 300) : random.between(1, this.hintsLateMs), () => {
      if (node.start === start && !this.#cut.has(node.id)) node.hint();
    });
  }

  #watchAgain(nodes: readonly SimNode[]): void {
    const { agenda, random } = this.#parts;
    for (const node of nodes) {
      const { start } = node;
      agenda.after(random.between(1, WATCH_AGAIN_MS), () => {
        if (node.start === start && !this.#cut.has(node.id)) node.hint();
      });
    }
  }

  // ── sessions ─────────────────────────────────────────────────────────────────────────────────

  #expireLeases(): void {
    const { agenda, etcd, random } = this.#parts;
    if (!this.#down) etcd.expire(agenda.now);
    agenda.after(random.between(0.5, 1) * LEASES_LOOKED_AT_MS, () => this.#expireLeases());
  }

  /** A session ends although its node keeps it alive. */
  revokeSession(node: SimNode): boolean {
    const { agenda, etcd } = this.#parts;
    const session = etcd.entries().find(({ key }) => key === `nodes/${node.id}`);
    if (session === undefined || session.lease === '0' || this.#down) return false;
    etcd.apply({ kind: 'revoke', id: 0, lease: session.lease, deadlineMs: 0 }, agenda.now);
    return true;
  }
}

function isWatched(node: SimNode, key: string): boolean {
  return WATCHED.some((prefix) => key.startsWith(prefix)) || key.startsWith(`inbox/${node.id}/`);
}
