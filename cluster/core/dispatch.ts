/**
 * Where each message of a peer goes. What speaks of an epoch that is not adopted here waits, with all
 * that follows it on that link, until the view has been read.
 */
import type { Beats } from '../recovery/beats.ts';
import type { LastResort } from '../recovery/last-resort.ts';
import type { Learner } from '../recovery/learner.ts';
import type { Vouching } from '../recovery/vouching.ts';
import type { Confirmations } from '../replication/confirm.ts';
import type { Links } from '../replication/links.ts';
import type { Replication } from '../replication/replication.ts';
import type { Adoption } from '../view/adoption.ts';
import type { Coordination } from '../view/coordination.ts';
import type { Leader } from '../view/leader.ts';
import { RefuseReason } from '../../proto/gen/replication.ts';
import type { Fetch } from '../../proto/gen/replication.ts';
import type { Peer } from './peer.ts';
import type { PeerMessage } from './ports.ts';
import type { ClusterState } from './state.ts';

/** Messages kept for an epoch that is not read yet; beyond it the stream is made anew. */
const DEFERRED_MAX = 1024;

type Body = NonNullable<PeerMessage['body']>;
export type RequestBody = Extract<Body, { $case: 'propose' | 'proposeResult' | 'allocate' | 'allocateResult' | 'held' }>;
export type HistoryBody = Extract<Body, { $case: 'historyRequest' | 'historyPage' }>;

export interface DispatchParts {
  readonly state: ClusterState;
  readonly adoption: Adoption;
  readonly beats: Beats;
  readonly confirmations: Confirmations;
  readonly coordination: Coordination;
  readonly lastResort: LastResort;
  readonly leader: Leader;
  readonly learner: Learner;
  readonly links: Links;
  readonly replication: Replication;
  readonly vouching: Vouching;
  readonly onFetch: (peer: Peer, fetch: Fetch) => void;
  /** A forwarded request, or one for history, or its answer, for the engine. */
  readonly onRequest: (from: string, body: RequestBody | HistoryBody) => void;
}

export class Dispatcher {
  readonly #parts: DispatchParts;

  constructor(parts: DispatchParts) {
    this.#parts = parts;
  }

  onMessage(peer: Peer, { body }: PeerMessage): void {
    const { coordination, links, state } = this.#parts;
    if (body === undefined) return;
    // A hello is said once on a stream: it is noted even while this incarnation is not announced yet.
    if (body.$case === 'hello') return links.onHello(peer, body.value);
    if (peer.hello === undefined || state.phase === 'starting') return;
    if (peer.deferred.length === 0 && !isOfNewerEpoch(state, peer, body)) return this.#dispatch(peer, body);
    if (body.$case === 'status') links.onStatus(peer, body.value);
    else if (peer.deferred.length < DEFERRED_MAX) peer.deferred.push({ body });
    else state.context.out.resets.push(peer.id);
    coordination.read();
  }

  /** A view was adopted. */
  runDeferred(): void {
    for (const peer of this.#parts.state.peers.values()) {
      const waiting = peer.deferred;
      peer.deferred = [];
      for (const message of waiting) this.onMessage(peer, message);
    }
  }

  #dispatch(peer: Peer, body: Body): void {
    const { adoption, beats, confirmations, lastResort, leader, learner, links, replication, state, vouching } = this.#parts;
    switch (body.$case) {
      case 'hello': return undefined;
      case 'batch': return replication.onBatch(peer, body.value);
      case 'ack':
        replication.onAck(peer, body.value);
        if (body.value.incarnation === state.context.incarnation) beats.noteAck(peer.incarnation, body.value.seq);
        return replication.advanceCommit();
      case 'refuse':
        if (body.value.reason === RefuseReason.REFUSE_REASON_GAP) learner.onGap();
        return replication.onRefuse(peer, body.value);
      case 'adopted': return adoption.onAdopted(peer, body.value);
      case 'tailRequest': return adoption.onTailRequest(peer, body.value);
      case 'tail': return adoption.onTail(peer, body.value);
      case 'confirmRequest': return confirmations.onRequest(peer, body.value);
      case 'confirmReply': return confirmations.onReply(peer, body.value);
      case 'propose': case 'proposeResult': case 'allocate': case 'allocateResult': case 'held': case 'historyRequest': case 'historyPage':
        return this.#parts.onRequest(peer.id, body);
      case 'fetch': return this.#parts.onFetch(peer, body.value);
      case 'fetchRecords': return learner.onRecords(peer, body.value);
      case 'joinReady': return leader.onJoinReady(peer, body.value);
      case 'require': return vouching.onRequire({ node: body.value.node, incarnation: body.value.incarnation }, body.value.epoch);
      case 'vouch': return leader.onVouch(peer.id, body.value);
      case 'evict': return leader.onEvict(body.value);
      case 'status': return links.onStatus(peer, body.value);
      case 'forceRequest': return lastResort.forced.onRequest(peer, body.value);
      case 'forceAnswer': return lastResort.forced.onAnswer(peer, body.value);
      default: return body satisfies never;
    }
  }

  /** What travels through the inbox while a link is down. */
  onInboxMessage(from: string, incarnation: number, { body }: PeerMessage): void {
    const { adoption, leader, state, vouching } = this.#parts;
    const peer = state.peers.get(from);
    if (peer === undefined || body === undefined) return undefined;
    switch (body.$case) {
      case 'adopted':
        return body.value.incarnation === incarnation ? adoption.onAdopted(peer, body.value) : undefined;
      case 'tailRequest': return adoption.onTailRequest(peer, body.value);
      case 'tail': return adoption.onTail(peer, body.value);
      case 'require': return vouching.onRequire({ node: body.value.node, incarnation: body.value.incarnation }, body.value.epoch);
      case 'vouch': return leader.onVouch(from, body.value);
      case 'evict': return leader.onEvict(body.value);
      case 'propose': case 'proposeResult': case 'allocate': case 'allocateResult':
        return this.#parts.onRequest(from, body);
      default: return undefined;
    }
  }
}

function isOfNewerEpoch({ phase, view }: ClusterState, { status }: Peer, body: Body): boolean {
  if (phase !== 'member' && phase !== 'learner') return false;
  switch (body.$case) {
    // It names none: who asks has just said that it knows of a view that this node does not, which may be the owner in it.
    case 'propose':
      return (status?.epoch ?? 0) > (view?.epoch ?? 0);
    case 'batch': case 'adopted': case 'tailRequest': case 'confirmRequest': case 'require':
      return body.value.epoch > (view?.epoch ?? 0);
    default:
      return false;
  }
}
