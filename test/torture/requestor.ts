/**
 * A requestor that asks all nodes all the time, over UDP and over TCP, about leases that clients hold by their own
 * knowledge. It may get no answer, but none that contradicts a client: a lease that was acknowledged before the
 * question, and is held since, is told of as active and as that client's.
 */
import { join } from 'node:path';
import type { Host } from '../../deploy/lab/netns.ts';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import { sleep } from '../../deploy/lab/processes.ts';
import { Random } from '../sim/random.ts';
import type { ClientEvent } from './events.ts';
import type { BulkAnswer, RequestorAnswer, RequestorCommand, RequestorHostOptions, SingleAnswer } from './requestor-host.ts';

export interface RequestorOptions extends RequestorHostOptions {
  readonly seed: number;
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  readonly now: () => number;
}

export interface QueryFigures {
  readonly questions: number;
  readonly answers: number;
  /** Questions without an answer. */
  readonly silent: number;
  readonly bulkQueries: number;
  /** That came to their end. */
  readonly bulkDone: number;
  /** Leases that they were compared with. */
  readonly bulkLeases: number;
  readonly contradictions: number;
}

/** Without a break. */
interface Hold {
  readonly client: string;
  readonly hardware: string;
  readonly address: string;
  readonly since: number;
  readonly until: number;
}

interface Question {
  readonly node: string;
  readonly askedAt: number;
  readonly by: 'address' | 'hardware' | 'bulk';
  /** What was held when it was asked. */
  readonly holds: readonly Hold[];
  answer?: RequestorAnswer;
}

const ASK_EVERY_MS = 50;
const BULK_EVERY_MS = 10_000;
const START_MS = 15_000;
/** What a client did before the answer has been told by then. */
const TOLD_LATE_MS = 2500;
const SILENT_MS = 10_000;
/** Clocks may be wrong by 10 s (`maxClockSkew`): what ends so soon may have ended by another clock. */
const ENDS_SOON_MS = 11_000;
const QUIET_TRIES = 20;
const QUIET_WAIT_MS = 500;

export class Requestor {
  /** In words. */
  readonly contradictions: string[] = [];
  readonly #options: RequestorOptions;
  readonly #process: LabProcess;
  readonly #random: Random;
  readonly #held = new Map<string, Hold>();
  /** In the order in which they were asked. */
  readonly #questions = new Map<number, Question>();
  #timer: NodeJS.Timeout | undefined;
  #asked = 0;
  #bulkAskedAt = 0;
  #questionCount = 0;
  #answerCount = 0;
  #bulkCount = 0;
  #bulkDone = 0;
  #bulkLeases = 0;
  #silent = 0;
  readonly #answeredBy = new Map<string, number>();

  constructor(host: Host, options: RequestorOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    const { address, clockOffset } = options;
    this.#process = host.spawn([process.execPath, join(import.meta.dirname, 'requestor-host.ts'), JSON.stringify({ address, clockOffset })], {
      name: 'requestor', input: true,
      onLine: (line) => {
        if (line.startsWith('{')) this.#onAnswer(JSON.parse(line) as RequestorAnswer);
      },
    });
  }

  get figures(): QueryFigures {
    return {
      questions: this.#questionCount, answers: this.#answerCount, silent: this.#silent, bulkQueries: this.#bulkCount, bulkDone: this.#bulkDone,
      bulkLeases: this.#bulkLeases, contradictions: this.contradictions.length,
    };
  }

  async begin(): Promise<void> {
    await this.#process.waitForLine(/^ready/, START_MS);
    this.#timer = setInterval(() => this.#step(), ASK_EVERY_MS);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  on({ address, at, client, event, hardware, ...more }: ClientEvent): void {
    if (event === 'ended') this.#held.delete(client);
    if (event !== 'granted' || !('until' in more)) return;
    const before = this.#held.get(client);
    const goesOn = before?.address === address && before.until > at;
    this.#held.set(client, { client, hardware, address, since: goesOn ? before.since : at, until: more.until });
  }

  #holds(): Hold[] {
    const { now } = this.#options;
    return [...this.#held.values()].filter(({ until }) => until > now() + ENDS_SOON_MS);
  }

  // ── questions ────────────────────────────────────────────────────────────────────────────────

  #step(): void {
    const { nodes, now } = this.#options;
    this.#judgeAnswers();
    const holds = this.#holds();
    if (holds.length > 0) this.#askAbout(this.#random.pick(holds), this.#random.pick(nodes));
    if (now() - this.#bulkAskedAt < BULK_EVERY_MS) return;
    this.#bulkAskedAt = now();
    const { address, name } = nodes[this.#bulkCount++ % nodes.length]!;
    this.#ask({ node: name, askedAt: now(), by: 'bulk', holds }, (id) => ({ do: 'bulk', id, server: address }));
  }

  #askAbout(hold: Hold, node: RequestorOptions['nodes'][0]): void {
    const { address, hardware } = hold;
    const by = this.#random.chance(0.5) ? 'address' : 'hardware';
    this.#questionCount++;
    this.#ask({ node: node.name, askedAt: this.#options.now(), by, holds: [hold] },
      (id) => ({ do: 'ask', id, server: node.address, ...(by === 'address' ? { address } : { hardware }) }));
  }

  #ask(question: Question, command: (id: number) => RequestorCommand): void {
    if (!this.#process.running) throw new Error(`the requestor's process ended; its output:\n${this.#process.output}`);
    const id = ++this.#asked;
    this.#questions.set(id, question);
    this.#process.write(JSON.stringify(command(id)));
  }

  // ── answers ──────────────────────────────────────────────────────────────────────────────────

  #onAnswer(answer: RequestorAnswer): void {
    const question = this.#questions.get(answer.id);
    if (question === undefined || question.answer !== undefined) return;
    question.answer = answer;
    if (answer.answer === 'single') {
      this.#answerCount++;
      this.#answeredBy.set(question.node, (this.#answeredBy.get(question.node) ?? 0) + 1);
    } else if (answer.failure === undefined) this.#bulkDone++;
  }

  #judgeAnswers(): void {
    const now = this.#options.now();
    for (const [id, question] of this.#questions) {
      const { answer, askedAt, by } = question;
      if (now - askedAt < TOLD_LATE_MS) break;
      const isSilent = answer === undefined && now - askedAt > SILENT_MS;
      if (!isSilent && (answer === undefined || now - answer.at < TOLD_LATE_MS)) continue;
      this.#questions.delete(id);
      if (isSilent && by !== 'bulk') this.#silent++;
      if (answer?.answer === 'single') this.#judgeSingle(question, answer);
      else if (answer?.answer === 'bulk' && answer.failure === undefined) this.#judgeBulk(question, answer);
    }
  }

  /** Those that were held all the time. */
  #stillHeld({ holds }: Question, at: number): Hold[] {
    return holds.filter(({ client, since, until }) => until > at + ENDS_SOON_MS && this.#held.get(client)?.since === since);
  }

  #judgeSingle(question: Question, answer: SingleAnswer): void {
    for (const { address, client, hardware } of this.#stillHeld(question, answer.at)) {
      if (answer.outcome === 'active' && answer.hardware === hardware && answer.addresses.includes(address)) continue;
      this.#wrong(question, `${answer.outcome} ${answer.hardware} ${answer.addresses.join(' ')}`, `${client} (${hardware}) holds ${address}`);
    }
  }

  #judgeBulk(question: Question, answer: BulkAnswer): void {
    if (answer.repeated > 0) this.#wrong(question, `about ${answer.repeated} of ${answer.told} addresses more than once`, 'each has one binding');
    const active = new Map(answer.active);
    for (const { address, client, hardware } of this.#stillHeld(question, answer.at)) {
      this.#bulkLeases++;
      const told = active.get(address);
      if (told !== hardware) this.#wrong(question, `${told === undefined ? 'that it is not active' : `active ${told}`} about ${address}`, `${client} (${hardware}) holds it`);
    }
  }

  #wrong({ askedAt, by, node }: Question, said: string, and: string): void {
    this.contradictions.push(`${node}, asked by ${by} at ${askedAt.toFixed(0)}, answered ${said}, and yet ${and}`);
  }

  // ── when all is well ─────────────────────────────────────────────────────────────────────────

  /** All nodes are in service and nobody is cut off: each answers. Rejects with who does not. */
  async checkAllAnswer(): Promise<void> {
    if (this.#holds().length === 0) return;
    const before = new Map(this.#answeredBy);
    let silent: string[] = [];
    for (let tries = 0; tries < QUIET_TRIES; tries++) {
      silent = this.#options.nodes.map(({ name }) => name).filter((name) => this.#answeredBy.get(name) === before.get(name));
      if (silent.length === 0) return;
      await sleep(QUIET_WAIT_MS);
    }
    throw new Error(`no LEASEQUERY was answered by ${silent.join(' and ')} within ${(QUIET_TRIES * QUIET_WAIT_MS) / 1000} s, though all is well`);
  }
}
