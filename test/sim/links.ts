/**
 * The streams between nodes: ordered while they live, and lost with what is in flight when they break.
 * Each end learns of the break in its own time, and has until then a part of what was under way. A dead
 * process refuses; a dark host, a paused process and a cut way are silent, and keepalives end the stream.
 */
import type { LinkDownReason, PeerMessage } from '../../cluster/core/ports.ts';
import { recordSeq } from '../../node/lease/record.ts';
import type { Agenda } from './agenda.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

/** As in cluster/io: a ping after 2 s, and 2 s for its answer. */
const KEEPALIVE_MS = 4000;
/** An attempt to connect is given up after this. */
const CONNECT_MS = 1000;

interface Stream {
  readonly a: SimNode;
  readonly b: SimNode;
  readonly starts: readonly [number, number];
  broken: boolean;
  /** When the side that dialled has it; nothing is read there before. */
  readonly readyAt: number;
  /** In flight each way, in order; a lost segment holds up all that follows it. */
  readonly flight: readonly [Flying[], Flying[]];
}

interface Flying {
  readonly at: number;
  readonly message: PeerMessage;
}

export class SimLinks {
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #nodes: readonly SimNode[];
  readonly #count: (what: string, by?: number) => void;
  readonly #streams = new Map<string, Stream>();
  /** One way: "a>b" messages from a do not reach b; since when. */
  readonly #cuts = new Map<string, number>();
  /** Pairs whose messages take long. */
  readonly #slow = new Set<string>();

  constructor(agenda: Agenda, random: Random, nodes: readonly SimNode[], count: (what: string, by?: number) => void = () => undefined) {
    this.#agenda = agenda;
    this.#random = random;
    this.#nodes = nodes;
    this.#count = count;
    for (const a of nodes) for (const b of nodes) if (a.id < b.id) this.#connectLater(a, b, random.between(5, 200));
  }

  // ── what breaks ──────────────────────────────────────────────────────────────────────────────

  /** Both ends send keepalives: a way that stays cut for as long as they wait ends the stream. */
  cut(from: SimNode, to: SimNode, bothWays: boolean): void {
    const since = this.#agenda.now;
    const ways = bothWays ? [way(from, to), way(to, from)] : [way(from, to)];
    for (const one of ways) this.#cuts.set(one, since);
    this.#agenda.after(KEEPALIVE_MS, () => {
      if (ways.some((one) => this.#cuts.get(one) === since)) this.break(from, to);
    });
  }

  /** Both ways. */
  join(a: SimNode, b: SimNode): void {
    this.#cuts.delete(way(a, b));
    this.#cuts.delete(way(b, a));
  }

  slow(a: SimNode, b: SimNode): void {
    this.#slow.add(pair(a, b));
  }

  fast(a: SimNode, b: SimNode): void {
    this.#slow.delete(pair(a, b));
  }

  mend(): void {
    this.#cuts.clear();
    this.#slow.clear();
  }

  /** A process is gone: its kernel closes what it had, unless the whole host is. */
  stopped(node: SimNode): void {
    if (node.dark) this.#silent(node, () => node.dark);
    else this.#breakAllOf(node);
  }

  /** What is still connected with its last start is refused by the new one. */
  started(node: SimNode): void {
    this.#breakAllOf(node);
  }

  /** Its peers hear nothing from a process that stands still, and its kernel tells them nothing. */
  paused(node: SimNode): void {
    this.#silent(node, () => node.paused);
  }

  #silent(node: SimNode, still: () => boolean): void {
    const { start } = node;
    this.#agenda.after(KEEPALIVE_MS, () => {
      if (node.start === start && still()) this.#breakAllOf(node);
    });
  }

  #breakAllOf(node: SimNode): void {
    for (const other of this.#nodes) if (other !== node) this.break(node, other);
  }

  // ── connecting ───────────────────────────────────────────────────────────────────────────────

  #isCut(a: SimNode, b: SimNode): boolean {
    return this.#cuts.has(way(a, b)) || this.#cuts.has(way(b, a));
  }

  #connectLater(a: SimNode, b: SimNode, ms: number): void {
    this.#agenda.after(ms, () => this.#connect(a, b));
  }

  #connect(a: SimNode, b: SimNode): void {
    if (this.#streams.has(pair(a, b))) return;
    if (this.#isCut(a, b) || a.dark || b.dark || a.paused || b.paused) return this.#connectInVain(a, b, 'unreachable', CONNECT_MS);
    if (!a.alive || !b.alive) return this.#connectInVain(a, b, 'refused', 0);
    if (!knows(a, b) || !knows(b, a)) return this.#connectLater(a, b, this.#random.between(100, 500));
    // The side that was dialled has the stream first.
    const readyAt = this.#agenda.now + this.#random.delay(0.3, 20);
    const stream: Stream = { a, b, starts: [a.start, b.start], broken: false, readyAt, flight: [[], []] };
    this.#streams.set(pair(a, b), stream);
    this.#agenda.at(readyAt, () => {
      if (!stream.broken && a.start === stream.starts[0]) a.link({ kind: 'link-up', peer: b.id });
    });
    b.link({ kind: 'link-up', peer: a.id });
    return undefined;
  }

  #connectInVain(a: SimNode, b: SimNode, reason: LinkDownReason, ms: number): void {
    this.#agenda.after(ms, () => {
      for (const [node, peer] of [[a, b], [b, a]] as const) {
        if (node.alive && !node.paused && (reason !== 'refused' || !peer.alive)) node.link({ kind: 'link-down', peer: peer.id, reason });
      }
      this.#connectLater(a, b, this.#random.between(100, 500));
    });
  }

  // ── messages ─────────────────────────────────────────────────────────────────────────────────

  send(from: SimNode, to: string, message: PeerMessage): void {
    const other = this.#nodes.find((node) => node.id === to)!;
    const stream = this.#streams.get(pair(from, other));
    if (stream === undefined || stream.broken) return;
    const side = from === stream.a ? 0 : 1;
    const delay = this.#slow.has(pair(from, other)) ? this.#random.between(50, 1500) : this.#random.delay(0.3, 20);
    const flight = stream.flight[side];
    const at = Math.max(this.#agenda.now + delay, flight.at(-1)?.at ?? 0, side === 1 ? stream.readyAt : 0);
    flight.push({ at, message });
    this.#agenda.at(at, () => this.#arrive(stream, side));
  }

  /** While the way is cut, segments are sent again and again, and everything waits for them. */
  #arrive(stream: Stream, side: 0 | 1): void {
    const [from, to] = side === 0 ? [stream.a, stream.b] : [stream.b, stream.a];
    const flight = stream.flight[side];
    if (stream.starts[side === 0 ? 1 : 0] !== to.start) return;
    while (flight.length > 0 && flight[0]!.at <= this.#agenda.now) {
      if (this.#cuts.has(way(from, to))) {
        if (!stream.broken) this.#agenda.after(50, () => this.#arrive(stream, side));
        return;
      }
      const { message } = flight.shift()!;
      this.#countResent(to, message);
      to.link({ kind: 'link-message', peer: from.id, message });
    }
  }

  /** Streams neither repeat nor reorder; what was sent again after a reconnect comes twice all the same. */
  #countResent({ engine }: SimNode, { body }: PeerMessage): void {
    if (engine === undefined || body?.$case !== 'batch' || body.value.changes.length === 0) return;
    if (recordSeq(body.value.changes[0]!.record) <= engine.core.state.cursors.seq(body.value.incarnation)) this.#count('fault:link-resent');
  }

  /**
   * The stream ends; each side hears of it after its own while. What it has not read by then is lost, and
   * often more: a stream that is reset takes with it what is still unread.
   */
  break(first: SimNode, second: SimNode): void {
    const key = pair(first, second);
    const stream = this.#streams.get(key);
    if (stream === undefined || stream.broken) return;
    stream.broken = true;
    const { a, b, starts, flight } = stream;
    const end = (node: SimNode, peer: SimNode, start: number, unread: Flying[]): number => {
      const heard = this.#random.between(0, 50);
      if (this.#random.chance(0.5)) this.#lose(unread);
      this.#agenda.after(heard, () => {
        this.#lose(unread);
        if (node.start === start) node.link({ kind: 'link-down', peer: peer.id, reason: 'closed' });
      });
      return heard;
    };
    const heard = Math.max(end(a, b, starts[0], flight[1]), end(b, a, starts[1], flight[0]));
    this.#agenda.after(heard + this.#random.between(1, 300), () => {
      this.#streams.delete(key);
      this.#connect(a, b);
    });
  }

  #lose(unread: Flying[]): void {
    if (unread.length > 0) this.#count('fault:link-messages-lost', unread.length);
    unread.length = 0;
  }
}

function pair(a: SimNode, b: SimNode): string {
  return a.id < b.id ? `${a.id} ${b.id}` : `${b.id} ${a.id}`;
}

function way(from: SimNode, to: SimNode): string {
  return `${from.id}>${to.id}`;
}

/** A node accepts no link of one that its configuration does not name. */
function knows(node: SimNode, other: SimNode): boolean {
  return node.engine!.core.state.peers.has(other.id);
}
