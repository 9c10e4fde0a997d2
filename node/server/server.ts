/**
 * The DHCP server's decisions: packets, answers of other owners and the passing of time in, decisions
 * out. Synchronous, without I/O; it writes nothing, holds offers in memory, and reads the table.
 *
 * Invariants
 * - Nothing in the table changes here. Whoever carries a decision out stores its `changes` before the
 *   next call: that is what keeps one address from two clients whose packets come together.
 * - Every packet ends in an answer, a change, a question to another owner, or exactly one drop reason.
 * - No input throws.
 */
import { DhcpMessage, MessageType } from '../codec/message.ts';
import { ClassMatcher } from '../classes/matcher.ts';
import type { ClusterConfig, Reservation } from '../config/types.ts';
import { BindingState, isRecord, recordClientKey, recordReserved, recordState, recordTaken, recordXid } from '../lease/record.ts';
import { sameBytes } from '../lease/fingerprint.ts';
import type { LeaseTable } from '../lease/table.ts';
import { NOTE_KEYS_END, noteKind } from '../notes/note.ts';
import { QuarantineList } from '../notes/quarantine-list.ts';
import { PROTOCOL_NAMES_AND_NOTES } from '../protocol.ts';
import { LEASES_ENDED_PER_TICK_MAX, PROBES_PENDING_MAX, RELAY_HOPS_MAX, REPLY_AGE_MS_MAX } from '../limits.ts';
import { MESSAGE_TYPE_NAMES } from '../telemetry/counters.ts';
import type { Counters, DropReason } from '../telemetry/counters.ts';
import type { Now } from '../time.ts';
import { Allocations } from './allocations.ts';
import { onDecline } from './decline.ts';
import { giveForEver, onBootp } from './bootp.ts';
import { allocateFor, choose, onBorrowed } from './choice.ts';
import { abandonInUse, checkOf, isFoundInUse, isOutdated, isTaken, mayBeItself } from './conflict.ts';
import { offerOrGrant, onDiscover } from './discover.ts';
import { BOOTP, drop, isClients, mayGive, mayGiveAbandoned, PoolChoice } from './exchange.ts';
import type { Configured, Exchange, Give, ServerContext } from './exchange.ts';
import { endLeases } from './expiry.ts';
import { FloodGuard } from './flood.ts';
import { onInform } from './inform.ts';
import { QueryType } from '../leasequery/messages.ts';
import { SingleQueries } from '../leasequery/single.ts';
import type { Answer, Question } from '../leasequery/single.ts';
import { NOTHING } from './ports.ts';
import type { ClusterView, Decision, ReceivedPacket } from './ports.ts';
import { Probes } from './probes.ts';
import { isBarred, isRefused, quarantineClasses, quarantineOfClient, rememberedRelay } from './quarantine.ts';
import { QuarantineSweep } from './quarantine-sweep.ts';
import { onRelease } from './release.ts';
import { relayPort } from './relay.ts';
import { Replies } from './replies.ts';
import { giveRequested, onRequest, requestedAddress } from './request.ts';
import { Responsibility } from './responsibility.ts';
import { RogueServers } from './rogue-servers.ts';
import { selectSubnet } from './subnet.ts';
import { TermsBook } from '../classes/terms.ts';
import { Throttle } from './throttle.ts';
import { Transactions } from './transactions.ts';

const CLIENT_IDENTIFIER = 61;
const RELAY_AGENT_INFORMATION = 82;
/** What an interface with an ordinary MTU can bring. */
const PACKET_BYTES_MIN_LIMIT = 1500;

/** By option 53 (0: without one); what only a server sends has none. */
const HANDLERS: readonly (((context: ServerContext, x: Exchange) => Decision) | undefined)[] = Object.assign([], {
  [BOOTP]: onBootp,
  [MessageType.DISCOVER]: onDiscover,
  [MessageType.REQUEST]: onRequest,
  [MessageType.DECLINE]: onDecline,
  [MessageType.RELEASE]: onRelease,
  [MessageType.INFORM]: onInform,
});

/** A packet for which so many addresses were found in use. */
interface ProbedAgain {
  readonly packet: ReceivedPacket;
  readonly foundInUse: number;
}

export interface DhcpServerParts {
  readonly config: ClusterConfig;
  readonly table: LeaseTable;
  readonly cluster: ClusterView;
  readonly counters: Counters;
  /** Grants, renewals and ends of leases become events as well, whatever the configuration says of it. */
  readonly logLeases: boolean;
  /** Left out: nobody is in quarantine. */
  readonly quarantines?: QuarantineList;
  /** Any number that clients cannot know. */
  readonly hashSeed: number;
}

export class DhcpServer {
  #context: ServerContext;
  readonly #alwaysLogLeases: boolean;
  readonly #message = new DhcpMessage();
  /** Packets to be handled anew in the next turns, oldest first; PROBES_PENDING_MAX of them at most. */
  readonly #probeAgain: ProbedAgain[] = [];
  readonly #sweep = new QuarantineSweep();
  /** The next turn ends leases first, where any have ended: the last one handled such a packet. */
  #endsLeases = false;

  constructor(parts: DhcpServerParts) {
    const { config, table, cluster, counters, logLeases, hashSeed, quarantines = new QuarantineList(table) } = parts;
    this.#alwaysLogLeases = logLeases;
    this.#context = {
      ...configured(config, table, counters, logLeases), table, cluster, counters,
      offers: table.offers,
      responsibility: new Responsibility(cluster, config.loadBalanceMaxSeconds),
      transactions: new Transactions(),
      allocations: new Allocations(),
      flood: new FloodGuard(config.limits, hashSeed),
      probes: new Probes(),
      clones: new Throttle(),
      quarantines,
      quarantined: new Throttle(),
      rogueServers: new RogueServers(cluster, config.knownServers),
    };
  }

  /** Goes on with another configuration, which the table must have been given already. */
  configure(config: ClusterConfig): void {
    this.#context = { ...this.#context, ...configured(config, this.#context.table, this.#context.counters, this.#alwaysLogLeases) };
    this.#context.responsibility.maxSeconds = config.loadBalanceMaxSeconds;
    this.#context.flood.configure(config.limits);
    this.#context.rogueServers.configure(config.knownServers);
    this.#sweep.restart();
  }

  /** Leases may be held that are not known here: what was offered or found free before does not count. */
  forgetWhatIsFree(): void {
    this.#context.offers.endAll();
    this.#context.probes.forgetAll();
  }

  /** One packet. What gets no answer and changes nothing is counted by exactly one drop reason. */
  onPacket(packet: ReceivedPacket, now: Now): Decision {
    const context = this.#context;
    const { counters } = context;
    const malformed = this.#parse(packet);
    counters.received[malformed === undefined && this.#message.type < MESSAGE_TYPE_NAMES.length ? this.#message.type : 0]!++;
    if (!context.cluster.serving()) return drop(context, 'not-serving');
    if (malformed !== undefined) return drop(context, malformed);
    if (this.#message.type === QueryType.LEASEQUERY) return this.#onQuery(packet, now);
    const handle = HANDLERS[this.#message.type];
    if (handle === undefined) return drop(context, 'bad-message-type');
    const x = this.#exchange(packet, now);
    if (typeof x === 'string') return drop(context, x);
    const flooding = context.flood.packet(x.clientKey, x.message.giaddr, now);
    return flooding === undefined ? handle(context, x) : drop(context, flooding);
  }

  /** RFC 4388: the same from any subnet, and from any node of the cluster that is in service. */
  #onQuery(packet: ReceivedPacket, now: Now): Decision {
    const context = this.#context;
    const question = context.queries.read(packet, this.#message, relayPort(this.#message, packet.sourcePort));
    if (typeof question === 'string') return drop(context, question);
    const flooding = context.flood.query(question.query.giaddr, now);
    return flooding === undefined ? { ...NOTHING, questions: [question] } : drop(context, flooding);
  }

  /** The answer to a question that was confirmed: from what is known now. */
  answer(question: Question, now: Now): Answer {
    const { cluster, queries } = this.#context;
    return queries.answer(question, now, cluster.incarnation());
  }

  /** The answer to an AllocationRequest (address 0: none free there). Late or unknown ones do nothing. */
  onAllocated(id: number, address: number, now: Now): Decision {
    const context = this.#context;
    context.counters.drops['allocation-timeout'] += context.allocations.expire(now);
    const pending = context.allocations.take(id);
    if (pending === undefined) return NOTHING;
    if (!context.cluster.serving()) return drop(context, 'not-serving');
    const x = this.#again(pending.packet, now);
    return typeof x === 'string' ? drop(context, x) : onBorrowed(context, x, address, pending.asked, giveFor(x));
  }

  /** The answer to a ProbeRequest. Late or unknown ones do nothing. `answeredBy`: the hardware address, where it is known. */
  onProbed(id: number, inUse: boolean, answeredBy: Buffer | undefined, now: Now): Decision {
    const context = this.#context;
    const pending = context.probes.take(id);
    if (pending === undefined) return NOTHING;
    const { address, packet, clientKey } = pending;
    if (!context.cluster.serving()) return drop(context, 'not-serving');
    const x = this.#again(packet, now, pending.foundInUse);
    if (typeof x === 'string') return drop(context, x);
    const record = context.table.read(address);
    if (inUse && !mayBeItself(context, x, record, answeredBy)) {
      // Leased since the question was asked: its client may be who answered, or may answer after its release.
      const isAsItWas = record === undefined || (pending.record !== undefined && sameBytes(record, pending.record));
      if (!isAsItWas && isTaken(record, context.config.maxClockSkewMs, now)) return answerAnew(context, x);
      context.offers.release(address);
      if (isTooOld(packet, now)) context.counters.drop('stale');
      else if (this.#probeAgain.length >= PROBES_PENDING_MAX) context.counters.drop('overload');
      else this.#probeAgain.push({ packet, foundInUse: pending.foundInUse + 1 });
      return abandonInUse(context, x, address, answeredBy);
    }
    context.probes.noteFree(address, checkOf(context, x, address).cacheSeconds, now);
    // What it would change no reply tells of any more.
    if (isTooOld(packet, now)) return drop(context, 'stale');
    if (x.message.type === MessageType.REQUEST) return giveRequested(context, x, address);
    const give = giveFor(x);
    const isStillGiven = sameBytes(clientKey, x.clientKey) && (mayGive(context, x, address) || mayGiveAbandoned(context, x, address));
    return isStillGiven ? give(context, x, address) : choose(context, x, give);
  }

  /** A packet that waited for an answer: as it is now, or why it is dropped. */
  #again(packet: ReceivedPacket, now: Now, foundInUse = 0): Exchange | DropReason {
    const malformed = this.#parse(packet);
    const x = malformed ?? this.#exchange(packet, now, foundInUse);
    return typeof x !== 'string' && isRefused(x) ? 'quarantined' : x;
  }

  /** The packet's address was found in use, and is stored as such by now: another one is chosen. */
  #afterConflict({ packet, foundInUse }: ProbedAgain, now: Now): Decision {
    const x = this.#again(packet, now, foundInUse);
    return typeof x === 'string' ? drop(this.#context, x) : answerAnew(this.#context, x);
  }

  /**
   * As an owner, asked by another node: holds a free address of an owned slot for the client in the first
   * of these pools (by id) that has one; 0 when none has.
   */
  allocateFor(poolIds: readonly number[], clientKey: Buffer, slot: number, now: Now): number {
    return allocateFor(this.#context, poolIds, clientKey, slot, now);
  }

  /** Another node has offered the address, and this one owns it now: nobody else is offered it meanwhile. */
  holdOffered(address: number, clientKey: Buffer, xid: number, now: Now): void {
    const { offers, table } = this.#context;
    if (table.mayGive(address, clientKey, table.networkOf(address), now, false)) offers.hold(address, clientKey, now, xid);
  }

  /**
   * As an owner, asked to make another node's change: whether it may be made now. The caller has checked
   * that the binding is still what the other node saw; this checks what that cannot show.
   */
  mayApply(address: number, record: Buffer, now: Now): boolean {
    const { cluster, table, offers } = this.#context;
    if (!cluster.serving() || !cluster.owns(address & 255) || !isRecord(record)) return false;
    if (address < NOTE_KEYS_END) return noteKind(address) !== undefined && cluster.protocol() >= PROTOCOL_NAMES_AND_NOTES;
    const networkIndex = table.networkOf(address);
    if (networkIndex < 0) return false;
    const clientKey = recordClientKey(record);
    const current = table.read(address);
    const active = current !== undefined && recordState(current) === BindingState.ACTIVE;
    const own = current !== undefined && isClients(current, clientKey);
    switch (recordState(record)) {
      case BindingState.ACTIVE:
        // The node that asks may not know of the quarantine yet.
        if (isBarred(this.#context, address, record)) return false;
        // Whose reservation it is has been found out by the node that saw the request with all it says.
        return table.mayGive(address, clientKey, networkIndex, now, recordReserved(record)) ||
          (cluster.probingSince() !== 0 && isFoundInUse(current) && (recordReserved(record) || !table.isReserved(address, now)));
      case BindingState.RELEASED:
        return own && (active || maySetFree(current)) && recordXid(current) !== recordXid(record);
      case BindingState.ABANDONED: {
        // Found in use by the node that asks: no client's word is taken for it.
        if (clientKey.length === 0) return !active || isOutdated(this.#context, current);
        if (active) return own;
        const offer = offers.holder(address);
        if (offer !== undefined) return offers.isHeldBy(address, clientKey);
        return current === undefined || recordState(current) !== BindingState.ABANDONED;
      }
      default:
        return false;
    }
  }

  /** Nothing came of a change that another owner, or this node later, was to make. */
  forwardEnded(address: number, record: Buffer): void {
    this.#context.transactions.ended(address, recordXid(record));
  }

  /** Every turn, apart from `tick`: ends leases of owned slots that clients in quarantine have. */
  endQuarantined(now: Now): Decision {
    return this.#sweep.step(this.#context, now);
  }

  /** Every turn: ends leases of owned slots, and what was held or waited for too long. */
  tick(now: Now): Decision {
    const context = this.#context;
    context.table.advance(now, LEASES_ENDED_PER_TICK_MAX);
    context.transactions.expire(now);
    context.counters.drops['allocation-timeout'] += context.allocations.expire(now);
    for (const { address, clientKey } of context.probes.expire(now)) {
      context.counters.drop('probe-timeout');
      if (context.offers.isHeldBy(address, clientKey)) context.offers.release(address);
    }
    if (!context.cluster.serving()) {
      context.counters.drops['not-serving'] += this.#probeAgain.length;
      this.#probeAgain.length = 0;
      return NOTHING;
    }
    while (this.#probeAgain.length > 0 && isTooOld(this.#probeAgain[0]!.packet, now)) {
      this.#probeAgain.shift();
      context.counters.drop('stale');
    }
    if (this.#probeAgain.length === 0 || this.#endsLeases) {
      this.#endsLeases = false;
      const decision = endLeases(context, now);
      if (decision.changes.length > 0 || this.#probeAgain.length === 0) return decision;
    }
    // One a turn: what it decides is stored before the next one chooses.
    this.#endsLeases = true;
    return this.#afterConflict(this.#probeAgain.shift()!, now);
  }

  #parse(packet: ReceivedPacket): DropReason | undefined {
    if (packet.sourcePort === 0) return 'bad-source-port';
    if (packet.bytes.length > Math.max(packet.iface.mtu, PACKET_BYTES_MIN_LIMIT)) return 'too-long';
    return this.#message.parse(packet.bytes);
  }

  /** What the parsed message is about; why it is dropped where that cannot be said. */
  #exchange(packet: ReceivedPacket, now: Now, foundInUse = 0): Exchange | DropReason {
    const message = this.#message;
    const { config } = this.#context;
    if (message.hops > RELAY_HOPS_MAX) return 'hops-exceeded';
    // Without an address on the interface there is no server identifier to answer with.
    if (packet.iface.addresses.length === 0) return 'no-subnet';
    const subnetIndex = selectSubnet(this.#context.table, packet, message, config.subnetSelection);
    if (typeof subnetIndex === 'string') return subnetIndex;
    const subnet = config.subnets[subnetIndex]!;
    const network = config.networks[subnet.networkIndex]!;
    const relayAgentInformation = this.#relayAgentInformation();
    const reservation = this.#reservation(network.index, relayAgentInformation, now);
    const matched = this.#context.matcher.match({
      message, relayAgentInformation, interfaceName: packet.iface.name, known: reservation !== undefined,
    });
    if (matched.drop) return 'class-dropped';
    const identity = matched.identity ?? network.identity;
    const byClientIdentifier = identity === 'client-id' && message.hasClientIdentifier;
    if (!byClientIdentifier && message.hlen === 0) return 'no-client';
    const clientKey = message.clientKey(identity);
    const quarantine = quarantineOfClient(this.#context, message, relayAgentInformation);
    const classes = quarantine === undefined ? matched : quarantineClasses(this.#context, quarantine) ?? matched;
    return {
      packet, message, network, subnet, classes, reservation: quarantine === undefined ? reservation : undefined, quarantine, relayAgentInformation,
      clientKey, byClientIdentifier, foundInUse, now,
    };
  }

  /** As received, or remembered: it says which classes and reservations are the client's own. */
  #relayAgentInformation(): Buffer | undefined {
    const message = this.#message;
    const received = message.option(RELAY_AGENT_INFORMATION);
    if (received !== undefined || message.giaddr !== 0 || message.ciaddr === 0 || message.type === MessageType.DISCOVER) return received;
    return rememberedRelay(this.#context.table, message);
  }

  #reservation(networkIndex: number, relayAgentInformation: Buffer | undefined, now: Now): Reservation | undefined {
    const { config, table } = this.#context;
    if (config.reservations.length === 0) return undefined;
    const message = this.#message;
    return table.reservationFor(networkIndex, {
      htype: message.htype, chaddr: message.chaddr(), clientId: message.option(CLIENT_IDENTIFIER), relayAgentInformation,
    }, now);
  }
}

/** No reply to it may leave any more. */
function isTooOld({ receivedAt }: ReceivedPacket, now: Now): boolean {
  return now.mono - receivedAt > REPLY_AGE_MS_MAX;
}

/** An operator may say that nobody uses it: it is abandoned, or kept for who may go by a lease that was taken from it. */
function maySetFree(record: Buffer): boolean {
  return recordState(record) === BindingState.ABANDONED || (recordState(record) === BindingState.RELEASED && recordTaken(record));
}

/** Another address is chosen, where the message does not name the one that it is about. */
function answerAnew(context: ServerContext, x: Exchange): Decision {
  return x.message.type === MessageType.REQUEST ? giveRequested(context, x, requestedAddress(x)) : choose(context, x, giveFor(x));
}

/** What becomes of the address that a message of this type was chosen. */
function giveFor({ message }: Exchange): Give {
  return message.type === BOOTP ? giveForEver : offerOrGrant;
}

function configured(config: ClusterConfig, table: LeaseTable, counters: Counters, alwaysLogLeases: boolean): Configured {
  return {
    config, logLeases: alwaysLogLeases || config.logLeases, matcher: new ClassMatcher(config.classes), terms: new TermsBook(), poolChoice: new PoolChoice(config),
    replies: new Replies(counters, config.subnetSelection), queries: new SingleQueries(config, table, counters),
  };
}
