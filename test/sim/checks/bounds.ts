/** Memory and queues stay within their bounds, and what is for a while is gone after a while. */
import { LOG_KEPT_ENTRIES } from '../../../cluster/replication/log.ts';
import { isMember } from '../../../cluster/core/state.ts';
import { NODES_MAX, OFFERS_MAX, UNCOMMITTED_CHANGES_MAX } from '../../../node/limits.ts';
import { PromiseBroken } from '../checker.ts';
import type { SimNode } from '../node.ts';
import type { World } from '../world.ts';

/** Cursors of logs, and beside them those of the present view: `Cursors`. */
const CURSORS_MAX = 64 + NODES_MAX;
/** Messages of an epoch that is not read yet, of each peer. */
const DEFERRED_MAX = 1024;
/** Answers that wait belong to requests of the last seconds, each of which may come through two relays and twice. */
const ANSWERS_A_CLIENT = 40;
/** Each part of a node has one request to etcd under way, and beside them one a peer. */
const ETCD_REQUESTS = 16 + NODES_MAX;
/** In a cluster in order, with etcd, for so long nothing waits in an inbox. */
const INBOX_EMPTY_MS = 10_000;

export class Bounds {
  readonly #world: World;
  #inOrderSince: number | undefined;
  /** Of all nodes, when last looked at: between two looks a link may have been down and up. */
  #transitions = 0;

  constructor(world: World) {
    this.#world = world;
  }

  check(): void {
    const { nodes, now } = this.#world;
    for (const node of nodes) if (node.alive) this.#checkNode(node);
    const inOrder = this.#world.isInOrder() && !this.#world.rhythm.isLively(now) && this.#world.etcdPath.isWell;
    const transitions = nodes.flatMap(({ engine }) => [...engine?.core.transitions.values() ?? []]).reduce((sum, times) => sum + times, 0);
    if (!inOrder || transitions !== this.#transitions) this.#inOrderSince = undefined;
    if (inOrder) this.#inOrderSince ??= now;
    this.#transitions = transitions;
    if (this.#inOrderSince !== undefined && now - this.#inOrderSince >= INBOX_EMPTY_MS) this.checkInboxes();
  }

  /** Links are up: all that was in an inbox has been read, and is deleted. */
  checkInboxes(): void {
    const left = this.#world.etcd.entries().filter(({ key }) => key.startsWith('inbox/'));
    if (left.length > 0) throw new PromiseBroken(`${left.length} items lie in inboxes although all links are up, the first is ${left[0]!.key}`);
  }

  #checkNode(node: SimNode): void {
    const { core, offers, waitingForCommit } = node.engine!;
    const { committedSeq, cursors, finished, log, peers, received } = core.state;
    const clients = this.#world.population.clients.length;
    const within = (what: string, count: number, most: number): void => {
      if (count > most) throw new PromiseBroken(`${node.id} has ${count} ${what}, which is more than ${most}`);
    };
    within('offers', offers.size, OFFERS_MAX);
    within('answers waiting', waitingForCommit, ANSWERS_A_CLIENT * clients);
    within('changes not committed', log.last - committedSeq, UNCOMMITTED_CHANGES_MAX);
    within('changes in its log', log.last - log.base + 1, LOG_KEPT_ENTRIES + log.last - committedSeq);
    within('cursors', cursors.list().length, CURSORS_MAX);
    within('requests to etcd under way', this.#world.etcdPath.underWay(node), ETCD_REQUESTS);
    for (const peer of peers.values()) within(`messages deferred for ${peer.id}`, peer.deferred.length, DEFERRED_MAX);
    if (!isMember(core.state) || !finished) return;
    // Of those who are there, those that are connected and wait to be let in, and itself.
    const present = 2 * peers.size + 2;
    within('logs of others', received.size, present);
  }
}
