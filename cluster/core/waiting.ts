/**
 * Answers that wait: a DHCPACK for the commit of its change, a DHCPNAK for a confirmation, a LEASEQUERY for both. They leave
 * together at each commit, in order; late ones are dropped and counted.
 */
import { recordIncarnation, recordSeq, tellsTheSame } from '../../node/lease/record.ts';
import type { Answer, Question } from '../../node/leasequery/single.ts';
import { QUERIES_WAITING_MAX, REPLY_AGE_MS_MAX } from '../../node/limits.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import type { Counters, DropReason } from '../../node/telemetry/counters.ts';
import type { MonotonicMs } from '../../node/time.ts';
import type { Context } from './context.ts';
import type { ClusterCore } from './core.ts';
import { isCommitted } from './state.ts';

/** A change that is not committed by then is dropped from the client's point of view. */
export const COMMIT_TIMEOUT_MS = 3000;

/** An answer that waits for a change to be committed, or for a confirmation, or both. */
interface Waiting {
  readonly incarnation: number;
  /** Zero: no change to wait for. */
  readonly seq: number;
  /** Zero: no confirmation to wait for. */
  readonly ticket: number;
  readonly packet: OutgoingPacket;
  readonly since: MonotonicMs;
  readonly restsOn?: { readonly address: number; readonly record: Buffer | undefined };
}

export class WaitingReplies {
  readonly #context: Context;
  readonly #core: ClusterCore;
  readonly #counters: Counters;
  /** Answers to changes of the own log, in order of number. */
  #own: Waiting[] = [];
  #others: Waiting[] = [];
  /** Queries, in the order in which they came. */
  #questions: { readonly question: Question; readonly ticket: number; readonly since: MonotonicMs }[] = [];
  readonly #answer: (question: Question) => Answer;
  #ready: OutgoingPacket[] = [];
  /** When changes of the own log were made, for the time that commits take. */
  #madeAt: { readonly seq: number; readonly at: MonotonicMs }[] = [];

  constructor(context: Context, core: ClusterCore, counters: Counters, answer: (question: Question) => Answer) {
    this.#answer = answer;
    this.#context = context;
    this.#core = core;
    this.#counters = counters;
  }

  get size(): number {
    return this.#own.length + this.#others.length + this.#questions.length;
  }

  made(seq: number): void {
    this.#madeAt.push({ seq, at: this.#context.now.mono });
  }

  /** Leaves in this turn, if it is not too old. */
  send(packet: OutgoingPacket): void {
    if (this.#context.now.mono - packet.receivedAt > REPLY_AGE_MS_MAX) this.#counters.drop('stale');
    else this.#ready.push(packet);
  }

  /** Leaves once the record that the address has now is committed, and confirmed where asked. */
  forRecord(address: number, packet: OutgoingPacket, confirm: boolean): void {
    const record = this.#context.table.read(address);
    if (record === undefined) {
      this.#counters.drop('forward-refused');
      return;
    }
    const waiting: Waiting = {
      incarnation: recordIncarnation(record), seq: recordSeq(record), ticket: confirm ? this.#core.confirmations.ask() : 0,
      packet, since: this.#context.now.mono,
    };
    if (!confirm && waiting.incarnation === this.#context.incarnation) this.#own.push(waiting);
    else this.#others.push(waiting);
  }

  /** Leaves once confirmed, unless what it rests on, the address's record, has changed by then. */
  forConfirmation(address: number, packet: OutgoingPacket): void {
    const record = this.#context.table.read(address);
    const restsOn = { address, record: record === undefined ? undefined : Buffer.from(record) };
    this.#others.push({ incarnation: 0, seq: 0, ticket: this.#core.confirmations.ask(), packet, since: this.#context.now.mono, restsOn });
  }

  /** Is answered once it is confirmed, by what is known then; what it is told of must be committed as well. */
  ask(question: Question): void {
    if (this.#questions.length >= QUERIES_WAITING_MAX) this.#counters.drop('overload');
    else this.#questions.push({ question, ticket: this.#core.confirmations.ask(), since: this.#context.now.mono });
  }

  #answerQuestions(): void {
    const { confirmed } = this.#core.confirmations;
    let taken = 0;
    for (const { question, ticket, since } of this.#questions) {
      if (ticket <= confirmed) {
        const { address, reply } = this.#answer(question);
        if (address === undefined || this.#context.table.read(address) === undefined) this.send(reply);
        else this.forRecord(address, reply, false);
      } else if (this.#context.now.mono - since > COMMIT_TIMEOUT_MS) this.#counters.drop('commit-timeout');
      else break;
      taken++;
    }
    if (taken > 0) this.#questions = this.#questions.slice(taken);
  }

  /** The address's record says what it said; what DNS has come to meanwhile does not count. */
  #stands(address: number, before: Buffer | undefined): boolean {
    const now = this.#context.table.read(address);
    return now === undefined || before === undefined ? now === before : tellsTheSame(now, before);
  }

  dropAll(packets: readonly OutgoingPacket[], reason: DropReason): void {
    for (let i = 0; i < packets.length; i++) this.#counters.drop(reason);
  }

  /** What leaves now. */
  take(): readonly OutgoingPacket[] {
    const { committedSeq } = this.#core.state;
    if (this.#questions.length > 0) this.#answerQuestions();
    this.#releaseOwn(committedSeq);
    if (this.#others.length > 0) this.#others = this.#others.filter((waiting) => !this.#isDone(waiting));
    this.#observeCommits(committedSeq);
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  #releaseOwn(committedSeq: number): void {
    let taken = 0;
    for (const waiting of this.#own) {
      if (waiting.seq <= committedSeq) this.send(waiting.packet);
      else if (this.#context.now.mono - waiting.since > COMMIT_TIMEOUT_MS) this.#counters.drop('commit-timeout');
      else break;
      taken++;
    }
    if (taken > 0) this.#own = this.#own.slice(taken);
  }

  #isDone(waiting: Waiting): boolean {
    const confirmed = waiting.ticket <= this.#core.confirmations.confirmed;
    const committed = waiting.seq === 0 || isCommitted(this.#core.state, waiting.incarnation, waiting.seq);
    if (confirmed && committed) {
      const { restsOn } = waiting;
      // The client asks again, and is told by what is known then.
      if (restsOn !== undefined && !this.#stands(restsOn.address, restsOn.record)) this.#counters.drop('superseded');
      else this.send(waiting.packet);
      return true;
    }
    if (this.#context.now.mono - waiting.since <= COMMIT_TIMEOUT_MS) return false;
    this.#counters.drop('commit-timeout');
    return true;
  }

  #observeCommits(committedSeq: number): void {
    let taken = 0;
    for (const made of this.#madeAt) {
      if (made.seq > committedSeq) break;
      this.#counters.commitTime.observe((this.#context.now.mono - made.at) / 1000);
      taken++;
    }
    if (taken > 0) this.#madeAt = this.#madeAt.slice(taken);
  }

  /** The node is out of the view: it can keep no promise, so it makes none. */
  forget(): void {
    for (let i = 0; i < this.size; i++) this.#counters.drop('not-serving');
    this.#own = [];
    this.#others = [];
    this.#questions = [];
    this.#ready = [];
    this.#madeAt = [];
  }
}
