/**
 * An access concentrator that asks nodes by DHCPLEASEQUERY over UDP what they know of leases. It may get no answer,
 * but none that is wrong: a lease that a client had been given before the question and has had ever since is
 * told of as its client's, whoever gave it.
 */
import { formatIpv4 } from '../../../node/codec/address.ts';
import { BindingState, recordExpires, recordHasClientIdentifier, recordState } from '../../../node/lease/record.ts';
import type { OutgoingPacket } from '../../../node/server/ports.ts';
import { wallSeconds } from '../../../node/time.ts';
import type { Agenda } from '../agenda.ts';
import { PromiseBroken } from '../checker.ts';
import type { Checker, Hold } from '../checker.ts';
import type { SimClient } from '../client.ts';
import { isKnown } from '../convergence.ts';
import type { SimNode } from '../node.ts';
import type { Population } from '../population.ts';
import type { Random } from '../random.ts';
import type { Rhythm } from '../rhythm.ts';
import { leaseQuery, readAnswer, REQUESTOR, SERVER_PORT, textOf } from './questions.ts';
import type { LeaseAnswer, Subject } from './questions.ts';

const LIVELY_MS = 2000;
const CALM_MS = 30_000;
/** Questions to one node at a time. */
const QUESTIONS = 6;
/** A question that is not answered by then is given up, as an answer that waits is. */
const PATIENCE_MS = 10_000;
/** A lease that ends so soon may have ended by the clock of the node that is asked. */
export const ENDS_SOON_MS = 15_000;
/** How far from a pool's first address somebody asks who asks for any. */
const NEAR = 30;
/** In a quiet cluster: questions to every node, and how often they are asked again where something goes on. */
const LAST_QUESTIONS = 12;
const LAST_TRIES = 10;
const LAST_WAIT_MS = 2500;

export interface QuerierWorld {
  readonly agenda: Agenda;
  /** Its own: what is asked changes nothing else that is left to chance. */
  readonly chance: Random;
  readonly rhythm: Rhythm;
  readonly checker: Checker;
  readonly population: Population;
  readonly nodes: readonly SimNode[];
  count(what: string, by?: number): void;
}

interface Question {
  readonly node: SimNode;
  readonly subject: Subject;
  readonly askedAt: number;
  /** Leases that the answer must tell of. */
  readonly holds: readonly Hold[];
  answer?: LeaseAnswer;
}

export class Querier {
  readonly #world: QuerierWorld;
  readonly #waiting = new Map<number, Question>();
  #xid = 0;

  constructor(world: QuerierWorld) {
    this.#world = world;
  }

  begin(): void {
    const { agenda, chance, nodes, rhythm } = this.#world;
    agenda.after(chance.between(0, 2) * (rhythm.isLively(agenda.now) ? LIVELY_MS : CALM_MS), () => {
      this.#giveUp();
      const node = chance.pick(nodes);
      if (node.engine?.core.serving() === true) for (const subject of this.#someSubjects(QUESTIONS)) this.#ask(node, subject);
      this.begin();
    });
  }

  #giveUp(): void {
    const { agenda } = this.#world;
    for (const [xid, { askedAt }] of this.#waiting) {
      if (agenda.now - askedAt <= PATIENCE_MS) break;
      this.#world.count('query:silence');
      this.#waiting.delete(xid);
    }
  }

  // ── questions ────────────────────────────────────────────────────────────────────────────────

  /** About clients that hold a lease, and now and then about any address. */
  #someSubjects(count: number): Subject[] {
    const { agenda, chance, checker } = this.#world;
    const held = checker.held(agenda.now + ENDS_SOON_MS);
    return Array.from({ length: count }, (): Subject | undefined => {
      if (held.length === 0 || chance.chance(0.15)) return this.#anyAddress();
      const hold = chance.pick(held);
      return chance.chance(0.5) ? { by: 'address', address: hold.address } : this.#subjectOf(hold.client);
    }).filter((subject) => subject !== undefined);
  }

  #anyAddress(): Subject | undefined {
    const { chance, nodes } = this.#world;
    const config = nodes.find(({ alive }) => alive)?.engine?.config;
    if (config === undefined) return undefined;
    if (chance.chance(0.3)) return { by: 'hardware', chaddr: Buffer.from([2, 9, 9, 9, 9, chance.int(0, 255)]) };
    return { by: 'address', address: chance.pick(config.pools).ranges[0]!.first + chance.int(-1, NEAR) };
  }

  /** Whichever machine of several with one identity asked last is known, so they are asked for by address only. */
  #subjectOf(client: SimClient): Subject | undefined {
    const { chance, population } = this.#world;
    if (population.isCloned(client)) return undefined;
    const { clientId } = client;
    return clientId !== undefined && chance.chance(0.5) ? { by: 'client-id', clientId } : { by: 'hardware', chaddr: client.chaddr };
  }

  #ask(node: SimNode, subject: Subject): Question {
    const { agenda, checker } = this.#world;
    const xid = ++this.#xid;
    const about = ({ address, client }: Hold): boolean => {
      switch (subject.by) {
        case 'address': return address === subject.address;
        case 'hardware': return client.chaddr.equals(subject.chaddr);
        case 'client-id': return client.clientId?.equals(subject.clientId) === true;
        default: return subject satisfies never;
      }
    };
    const question: Question = { node, subject, askedAt: agenda.now, holds: checker.held(agenda.now + ENDS_SOON_MS).filter(about) };
    this.#waiting.set(xid, question);
    node.receivePacket(leaseQuery(xid, subject), { address: REQUESTOR, port: SERVER_PORT, unicast: true });
    return question;
  }

  // ── answers ──────────────────────────────────────────────────────────────────────────────────

  onAnswer(node: SimNode, { bytes }: OutgoingPacket): void {
    const answer = readAnswer(bytes);
    const question = this.#waiting.get(answer.xid);
    if (question === undefined) return;
    if (question.node !== node) throw new PromiseBroken(`${node.id} answers a question to ${question.node.id}`);
    this.#waiting.delete(answer.xid);
    question.answer = answer;
    this.#world.count(`query:${answer.outcome}`);
    if (answer.leases.length > 1) this.#world.count('query:several-leases');
    for (const hold of question.holds) this.#judge(node, hold, question, answer);
  }

  #judge(node: SimNode, asked: Hold, { askedAt, subject }: Question, answer: LeaseAnswer): void {
    const { agenda, checker } = this.#world;
    const hold = checker.holdOf(asked.client, asked.address, agenda.now);
    // Given up since, or about to end.
    if (hold?.since !== asked.since || asked.until < agenda.now + ENDS_SOON_MS) return;
    this.#world.count('query-leases');
    const what = `client ${asked.client.id} holds ${formatIpv4(asked.address)} until ${Math.round(asked.until)} ms`;
    const said = `${node.id}, asked by ${subject.by} at ${Math.round(askedAt)} ms, answers ${textOf(answer)}`;
    if (answer.outcome === 'active') {
      if (!this.#isOf(asked.client, subject, answer)) throw new PromiseBroken(`${said}, and yet ${what}`);
      if (answer.leases.includes(asked.address)) return;
    }
    // Somebody's word for the end of a lease may have been held back by the network; or a clock is wrong.
    if (isKnown(node, asked) && isEnded(node, asked)) this.#world.count('query-ended-by-late-word');
    // Where clients are known by their hardware address only.
    else if (isKnown(node, asked) && subject.by === 'client-id' && !recordHasClientIdentifier(node.table!.read(asked.address)!)) this.#world.count('query-without-client-id');
    else if (checker.isSaidLately(asked)) this.#world.count('query-ended-and-begun-anew');
    else throw new PromiseBroken(`${said}, and yet ${what}`);
  }

  /** Or of another machine that is the same to the servers; of those with one client identifier one may have been unplugged since. */
  #isOf(client: SimClient, subject: Subject, { chaddr, clientId }: LeaseAnswer): boolean {
    if (subject.by === 'client-id' && clientId?.equals(subject.clientId) === true) return true;
    const isSame = (each: SimClient): boolean => each.chaddr.equals(chaddr) && (clientId === undefined || each.keys.some((key) => key.equals(clientId)));
    return this.#world.population.clients.some((each) => each.identity === client.identity && isSame(each));
  }

  // ── at the end ───────────────────────────────────────────────────────────────────────────────

  /** Nothing is broken, and nobody comes or goes: every node answers, and all of them the same. */
  checkAllAnswer(run: (ms: number) => void): void {
    const { nodes } = this.#world;
    let subjects = this.#someSubjects(LAST_QUESTIONS);
    for (let tries = 1; ; tries++) {
      const asked = subjects.map((subject) => ({ subject, questions: nodes.map((node) => this.#ask(node, subject)) }));
      run(LAST_WAIT_MS);
      const wrong = asked.filter(({ questions }) => new Set(questions.map(({ answer }) => (answer === undefined ? 'silence' : textOf(answer)))).size > 1 ||
        questions[0]!.answer === undefined);
      if (wrong.length === 0) return;
      if (tries === LAST_TRIES) {
        const [{ questions, subject }] = wrong as [typeof wrong[0]];
        throw new PromiseBroken(`asked by ${JSON.stringify(subject)} the nodes of a quiet cluster do not all answer the same: ` +
          questions.map(({ answer, node }) => `${node.id} ${answer === undefined ? 'nothing' : textOf(answer)}`).join(', '));
      }
      this.#world.count('query-asked-again-at-the-end');
      // Leases begin and end meanwhile, by each node's clock.
      subjects = wrong.map(({ subject }) => subject);
    }
  }
}

function isEnded(node: SimNode, { address }: Hold): boolean {
  const record = node.table?.read(address);
  if (record === undefined) return false;
  const state = recordState(record);
  return state === BindingState.RELEASED || state === BindingState.ABANDONED || (state === BindingState.ACTIVE && hasEndedBy(node, record));
}

/** By the node's clock, though the address is kept for the client yet. */
function hasEndedBy(node: SimNode, record: Buffer): boolean {
  return recordExpires(record) <= wallSeconds(node.now().wall);
}
