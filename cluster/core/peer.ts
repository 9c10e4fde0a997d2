/**
 * What this node knows of one other configured node: the stream to it, what it said of itself, and
 * how far it has this node's log. A peer is forgotten with its incarnation, not with its stream.
 */
import type { Adopted, Hello, PeerMessage, Status } from '../../proto/gen/replication.ts';
import type { NodeVersions } from '../upgrade/versions.ts';

export class Peer {
  readonly id: string;
  /** A gRPC stream exists; says nothing of who is at its end until `hello` has come. */
  streamOpen = false;
  hello: Hello | undefined;
  /** The hello of a node that speaks no protocol version that we do: nothing else of it is listened to. */
  foreign: Hello | undefined;
  status: Status | undefined;
  /** Of its last hello; outlives the stream. */
  lastIncarnation = 0;
  /** Of its last hello, a foreign one too; outlives the stream. */
  said: NodeVersions | undefined;
  /** The incarnation of which it was told last that it cannot be let in. */
  reportedForeign = 0;
  /** Nothing listens at its address: the process is dead. */
  refused = false;
  lastHeardAt = -Infinity;
  lastStatusSentAt = -Infinity;
  /** Its wall clock less ours, milliseconds, when it last said. */
  wallDifferenceMs = 0;
  wallComparedAt = -Infinity;

  /**
   * The link counts for the commit rule: the stream is open and the other side has caught up with
   * our log. Down as soon as acknowledgements stay out; changes then go to the inbox as well.
   */
  up = false;
  /** It asked for our log and gets every change as it is made. */
  follows = false;
  /** The next number to send on this stream. */
  nextSeq = 1;
  /** Up again once it has acknowledged this far. */
  catchUpTarget = 0;
  /** When it last acknowledged something new, or when sending began after all was acknowledged. */
  progressAt = 0;
  /** Since when it has said that it is isolated, or has been behind the view; Infinity while it is neither. */
  standingAsideSince = Infinity;
  /** It refused a change because it is in this epoch: until we are too, nothing goes over the link. */
  refusedInEpoch = 0;
  /** It said our clocks differ too much: its refusal is not to be gone round through the inbox. */
  refusesClock = false;
  /** A change of its was refused on this stream because our clocks differ too much. */
  clockRefused = false;

  /** The latest `Adopted` from its present incarnation. */
  adopted: Adopted | undefined;
  /** Messages of an epoch that is not read yet. */
  deferred: PeerMessage[] = [];

  constructor(id: string) {
    this.id = id;
  }

  /** Zero until it has said hello on this or an earlier stream. */
  get incarnation(): number {
    return this.hello?.incarnation ?? 0;
  }

  get connected(): boolean {
    return this.streamOpen && this.hello !== undefined;
  }

  /** Who is at the other end, whether or not we can speak with it: a hello can be read in every version. */
  get introduced(): Hello | undefined {
    return this.streamOpen ? this.hello ?? this.foreign : undefined;
  }

  /** This node has become another incarnation: its log begins anew. */
  forgetOurLog(): void {
    this.up = false;
    this.nextSeq = 1;
    this.catchUpTarget = 0;
    this.deferred = [];
  }

  streamClosed(): void {
    this.streamOpen = false;
    this.hello = undefined;
    this.foreign = undefined;
    this.standingAsideSince = Infinity;
    this.clockRefused = false;
    this.up = false;
    this.follows = false;
    this.deferred = [];
  }
}

/** Adds those that are new and forgets those that are no more wanted; returns whom it forgot. */
export function meetPeers(peers: Map<string, Peer>, wanted: ReadonlySet<string>): string[] {
  for (const id of wanted) if (!peers.has(id)) peers.set(id, new Peer(id));
  const forgotten = [...peers.keys()].filter((id) => !wanted.has(id));
  for (const id of forgotten) peers.delete(id);
  return forgotten;
}
