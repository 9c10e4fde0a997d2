/**
 * The streams between nodes: ordered while they live, and lost with everything in flight when they
 * break. Each end learns of the break in its own time. A dead process refuses; a cut host is silent.
 */
import type { PeerMessage } from '../../cluster/core/ports.ts';
import type { Agenda } from './agenda.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

/** As in cluster/io: a ping after 2 s, and 2 s for its answer. */
const KEEPALIVE_MS = 4000;

interface Stream {
  readonly a: SimNode;
  readonly b: SimNode;
  readonly starts: readonly [number, number];
  broken: boolean;
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
  readonly #streams = new Map<string, Stream>();
  /** One way: "a>b" messages from a do not reach b. */
  readonly cuts = new Map<string, number>();
  /** Extra delay of a pair until a time. */
  readonly slow = new Map<string, number>();

  constructor(agenda: Agenda, random: Random, nodes: readonly SimNode[]) {
    this.#agenda = agenda;
    this.#random = random;
    this.#nodes = nodes;
    for (const a of nodes) for (const b of nodes) if (a.id < b.id) this.#connectLater(a, b, random.between(5, 200));
  }

  #isCut(a: SimNode, b: SimNode): boolean {
    return this.cuts.has(`${a.id}>${b.id}`) || this.cuts.has(`${b.id}>${a.id}`);
  }

  #connectLater(a: SimNode, b: SimNode, ms: number): void {
    this.#agenda.after(ms, () => this.#connect(a, b));
  }

  #connect(a: SimNode, b: SimNode): void {
    const key = `${a.id} ${b.id}`;
    if (this.#streams.has(key)) return;
    if (a.alive && b.alive && !a.paused && !b.paused && !this.#isCut(a, b) && knows(a, b) && knows(b, a)) {
      const stream: Stream = { a, b, starts: [a.start, b.start], broken: false, flight: [[], []] };
      this.#streams.set(key, stream);
      a.link({ kind: 'link-up', peer: b.id });
      b.link({ kind: 'link-up', peer: a.id });
      return;
    }
    if (!this.#isCut(a, b)) {
      if (!b.alive && a.alive) a.link({ kind: 'link-down', peer: b.id, reason: 'refused' });
      if (!a.alive && b.alive) b.link({ kind: 'link-down', peer: a.id, reason: 'refused' });
    }
    this.#connectLater(a, b, this.#random.between(100, 500));
  }

  send(from: SimNode, to: string, message: PeerMessage): void {
    const other = this.#nodes.find((node) => node.id === to)!;
    const [a, b] = from.id < to ? [from, other] : [other, from];
    const stream = this.#streams.get(`${a.id} ${b.id}`);
    if (stream === undefined || stream.broken) return;
    const side = from === a ? 0 : 1;
    const slow = (this.slow.get(`${a.id} ${b.id}`) ?? 0) > this.#agenda.now;
    const delay = slow ? this.#random.between(50, 1500) : this.#random.delay(0.3, 20);
    const flight = stream.flight[side];
    const at = Math.max(this.#agenda.now + delay, flight.at(-1)?.at ?? 0);
    flight.push({ at, message });
    this.#agenda.at(at, () => this.#arrive(stream, side));
  }

  /** Both ends send keepalives: a way that stays cut for as long as they wait ends the stream. */
  cut(ways: readonly string[], a: SimNode, b: SimNode): void {
    const since = this.#agenda.now;
    for (const way of ways) this.cuts.set(way, since);
    this.#agenda.after(KEEPALIVE_MS, () => {
      if (ways.some((way) => this.cuts.get(way) === since)) this.break(a, b);
    });
  }

  /** Another configuration: a link to a node that it names no more ends. */
  dropUnknown(node: SimNode): void {
    for (const other of this.#nodes) if (other !== node && !knows(node, other)) this.break(node, other);
  }

  /** While the way is cut, segments are sent again and again, and everything waits for them. */
  #arrive(stream: Stream, side: 0 | 1): void {
    const [from, to] = side === 0 ? [stream.a, stream.b] : [stream.b, stream.a];
    const flight = stream.flight[side];
    if (stream.starts[0] !== stream.a.start || stream.starts[1] !== stream.b.start) return;
    while (!stream.broken && flight.length > 0 && flight[0]!.at <= this.#agenda.now) {
      if (this.cuts.has(`${from.id}>${to.id}`)) {
        this.#agenda.after(50, () => this.#arrive(stream, side));
        return;
      }
      to.link({ kind: 'link-message', peer: from.id, message: flight.shift()!.message });
    }
  }

  /** The stream ends; each side hears of it after its own while. */
  break(first: SimNode, second: SimNode): void {
    const [a, b] = first.id < second.id ? [first, second] : [second, first];
    const key = `${a.id} ${b.id}`;
    const stream = this.#streams.get(key);
    if (stream === undefined || stream.broken) return;
    stream.broken = true;
    const tell = (node: SimNode, peer: SimNode, start: number, ms: number): void => this.#agenda.after(ms, () => {
      if (node.start === start) node.link({ kind: 'link-down', peer: peer.id, reason: 'closed' });
    });
    const heardA = this.#random.between(0, 50);
    const heardB = this.#random.between(0, 50);
    tell(a, b, stream.starts[0], heardA);
    tell(b, a, stream.starts[1], heardB);
    this.#agenda.after(Math.max(heardA, heardB) + this.#random.between(1, 300), () => {
      this.#streams.delete(key);
      this.#connect(a, b);
    });
  }

  /** A process is gone: its kernel closes what it had, unless the whole host is. */
  breakAllOf(node: SimNode): void {
    for (const other of this.#nodes) if (other !== node) this.break(node, other);
  }
}

/** A node accepts no link of one that its configuration does not name. */
function knows(node: SimNode, other: SimNode): boolean {
  return node.engine!.core.state.peers.has(other.id);
}
