/**
 * Whether a requestor was told all that happened, once and in order: its changes against what clients got and sent,
 * and against the stores of the nodes at the end. Pure.
 *
 * What happened while changes were missing, as the requestor was told itself (DataMissing), is excused, and only that.
 */
import type { AtMs, ClientEvent, RequestorEvent, StoredLease, StoreRead, ToldChange } from './events.ts';

/** Clocks tell whole seconds, rounded down, and a packet is under way for a while. */
const FITS_MS = 2000;
/** From a client's packet to the change that it makes, while a node is taken over. */
const TAKES_MS = 5000;
/** So long before a store is read, a later change may have been told that is not in what was read. */
const READ_SLACK_MS = 3000;

export interface Judged {
  readonly clients: readonly ClientEvent[];
  readonly requestor: readonly RequestorEvent[];
  readonly stores: readonly StoreRead[];
}

/** UTC seconds: of what happened between them, the requestor was told that it does not hear of it. */
export interface Hole {
  readonly from: number;
  readonly to: number;
  /** A bulk query has got how everything is at its end. */
  readonly isFilled: boolean;
}

export interface Verdict {
  readonly acks: number;
  readonly told: number;
  readonly byState: Readonly<Record<string, number>>;
  /** In words, each. */
  readonly missed: readonly string[];
  readonly repeated: readonly string[];
  /** Changes that nobody has made. */
  readonly unexplained: readonly string[];
  readonly disorder: readonly string[];
  /** Between the last state told of an address and what a node has on record. */
  readonly differences: readonly string[];
  readonly holes: readonly Hole[];
  readonly excused: number;
  /** DHCPACKs of one second that renewed without a difference: their changes are alike, and told once. */
  readonly alike: number;
  readonly connections: number;
  readonly caughtUp: number;
  /** Milliseconds from a DHCPACK to its change, in order of size. */
  readonly waits: readonly number[];
}

export function isClean({ differences, disorder, missed, repeated, unexplained }: Verdict): boolean {
  return [differences, disorder, missed, repeated, unexplained].every(({ length }) => length === 0);
}

interface Transaction {
  readonly hardware: string;
  readonly sentAt: AtMs[];
  ackAt: AtMs | undefined;
  address: string;
  /** Changes that it explains. */
  claimed: number;
}

export function judge({ clients, requestor, stores }: Judged): Verdict {
  const changes = withoutFound(requestor);
  const holes = holesOf(requestor);
  const byAddress = Map.groupBy(withoutOlder(changes), ({ address }) => address);
  const assigned = judgeAssignments(clients, changes, holes);
  const ends = judgeEnds(clients, changes);
  const stored = stores.map((store) => compareStore(store, byAddress, holes));
  return {
    acks: assigned.acks, told: changes.length, alike: assigned.alike, waits: assigned.waits,
    byState: Object.fromEntries([...Map.groupBy(changes, ({ state }) => state)].map(([state, { length }]) => [state, length])),
    missed: [...assigned.missed, ...stored.flatMap(({ missed }) => missed)], differences: stored.flatMap(({ differences }) => differences),
    repeated: [...assigned.repeated, ...ends.repeated], unexplained: [...assigned.unexplained, ...ends.unexplained],
    disorder: [...byAddress.values()].flatMap((told) => disorderOf(told, holes)), holes,
    excused: assigned.excused + stored.reduce((sum, { excused }) => sum + excused, 0),
    connections: requestor.filter(({ event }) => event === 'connected').length,
    caughtUp: requestor.filter(({ event }) => event === 'catch-up-complete').length,
  };
}

function holesOf(requestor: readonly RequestorEvent[]): Hole[] {
  const holes: Hole[] = [];
  let since: number | undefined;
  for (const event of requestor) {
    if (event.event === 'connected') since = event.sinceSecond;
    else if (event.event === 'data-missing') holes.push({ from: since ?? event.baseSecond, to: event.baseSecond, isFilled: false });
    else if (event.event === 'bulk-fill-complete') holes.push({ ...holes.pop()!, isFilled: true });
  }
  return holes;
}

type Told = ToldChange & { readonly isFilling: boolean };

/** While a bulk query fills a hole, it tells how an address is; where that was told before, it is no change. */
function withoutFound(requestor: readonly RequestorEvent[]): Told[] {
  const seen = new Set<string>();
  const kept: Told[] = [];
  let isFilling = false;
  for (const event of requestor) {
    if (event.event === 'data-missing') isFilling = true;
    else if (event.event === 'bulk-fill-complete' || event.event === 'connected') isFilling = false;
    if (event.event !== 'change') continue;
    const key = keyOf(event);
    if (!isFilling || !seen.has(key)) kept.push({ ...event, isFilling });
    seen.add(key);
  }
  return kept;
}

/** And it may tell how an address was after a later change of it was told; that is not how it is now. */
function withoutOlder(changes: readonly Told[]): Told[] {
  const last = new Map<string, Told>();
  return changes.filter((change) => {
    const before = last.get(change.address);
    if (change.isFilling && before !== undefined && goesBack(change, before)) return false;
    last.set(change.address, change);
    return true;
  });
}

function goesBack(change: ToldChange, before: ToldChange): boolean {
  return change.stateSince < before.stateSince || change.lastTransaction < before.lastTransaction;
}

function isExcused(at: AtMs, holes: readonly Hole[]): boolean {
  return holes.some(({ from, to }) => at >= from * 1000 - FITS_MS && at <= to * 1000 + FITS_MS);
}

/** The change happened in this second, and the packet between these moments. */
function fits(second: number, from: AtMs, to: AtMs, slackMs = FITS_MS): boolean {
  return (second + 1) * 1000 > from - slackMs && second * 1000 <= to + slackMs;
}

const keyOf = ({ address, hardware, lastTransaction, state, stateSince }: StoredLease): string =>
  [address, state, hardware, stateSince, lastTransaction].join(' ');

function describe({ address, hardware, lastTransaction, state, stateSince }: StoredLease): string {
  const time = (second: number): string => (Number.isFinite(second) ? new Date(second * 1000).toISOString().slice(11, 19) : '-');
  return `${address} ${state} of ${hardware}, since ${time(stateSince)}, last transaction ${time(lastTransaction)}`;
}

// ── DHCPACKs ─────────────────────────────────────────────────────────────────────────────────────

function transactionsOf(clients: readonly ClientEvent[]): Transaction[] {
  const transactions = new Map<string, Transaction>();
  for (const event of clients) {
    if (event.event !== 'request' && event.event !== 'ack') continue;
    const key = `${event.hardware} ${event.xid}`;
    let transaction = transactions.get(key);
    if (transaction === undefined) transactions.set(key, transaction = { hardware: event.hardware, sentAt: [], ackAt: undefined, address: event.address, claimed: 0 });
    if (event.event === 'request') transaction.sentAt.push(event.at);
    else if (transaction.ackAt === undefined) {
      transaction.ackAt = event.at;
      transaction.address = event.address;
    }
  }
  return [...transactions.values()];
}

interface Assignments {
  readonly acks: number;
  readonly missed: string[];
  readonly repeated: string[];
  readonly unexplained: string[];
  readonly waits: number[];
  excused: number;
  alike: number;
}

/** For each DHCPACK one change; for each change one request. */
function judgeAssignments(clients: readonly ClientEvent[], changes: readonly ToldChange[], holes: readonly Hole[]): Assignments {
  const transactions = transactionsOf(clients);
  const acked = transactions.filter(({ ackAt }) => ackAt !== undefined).toSorted((one, other) => one.ackAt! - other.ackAt!);
  const result: Assignments = { acks: acked.length, missed: [], repeated: [], unexplained: [], waits: [], excused: 0, alike: 0 };
  const left = Map.groupBy(changes.filter(({ type }) => type === 'ACTIVE'), ({ address, hardware }) => `${address} ${hardware}`);
  const seen = new Set<string>();
  // First those of the very second: or one would take the change of another.
  for (const slackMs of [0, FITS_MS]) {
    for (const transaction of acked.filter(({ claimed }) => claimed === 0)) {
      const { address, ackAt, hardware, sentAt } = transaction;
      const told = left.get(`${address} ${hardware}`) ?? [];
      const at = told.findIndex(({ lastTransaction }) => fits(lastTransaction, sentAt[0] ?? ackAt!, ackAt!, slackMs));
      if (at < 0) continue;
      transaction.claimed++;
      seen.add(keyOf(told[at]!));
      result.waits.push(told[at]!.at - ackAt!);
      told.splice(at, 1);
    }
  }
  for (const transaction of acked.filter(({ claimed }) => claimed === 0)) {
    const { address, ackAt, hardware } = transaction;
    if (isExcused(ackAt!, holes)) result.excused++;
    else if (isAlike(transaction, changes)) result.alike++;
    else result.missed.push(`the DHCPACK of ${address} to ${hardware} at ${new Date(ackAt!).toISOString()}`);
  }
  result.waits.sort((one, other) => one - other);
  const byHardware = Map.groupBy(transactions, ({ hardware }) => hardware);
  for (const change of [...left.values()].flat()) {
    // A DHCPACK that never came is no reason not to tell of the change.
    const request = byHardware.get(change.hardware)?.find((one) => one.claimed < one.sentAt.length &&
      fits(change.lastTransaction, one.sentAt[0]!, one.sentAt.at(-1)! + TAKES_MS));
    if (request !== undefined) request.claimed++;
    else (seen.has(keyOf(change)) ? result.repeated : result.unexplained).push(describe(change));
    seen.add(keyOf(change));
  }
  return result;
}

/** Whether the client had an earlier DHCPACK of the address in that second, and nothing else of it was told before this one. */
function isAlike({ address, ackAt, hardware, sentAt }: Transaction, changes: readonly ToldChange[]): boolean {
  const last = changes.findLast((change) => change.address === address && change.at <= ackAt!);
  return last?.type === 'ACTIVE' && last.hardware === hardware && fits(last.lastTransaction, sentAt[0] ?? ackAt!, ackAt!, 0);
}

// ── ends ─────────────────────────────────────────────────────────────────────────────────────────

/** A lease ends once, and is released no more often than its client has said. */
function judgeEnds(clients: readonly ClientEvent[], changes: readonly ToldChange[]): { repeated: string[]; unexplained: string[] } {
  const repeated: string[] = [];
  const unexplained: string[] = [];
  const releases = Map.groupBy(clients.filter(({ event }) => event === 'release'), (event) => `${event.event === 'release' ? event.address : ''} ${event.hardware}`);
  const seen = new Set<string>();
  for (const change of changes) {
    if (change.type === 'ACTIVE') continue;
    const key = keyOf(change);
    const isKnown = seen.has(key);
    seen.add(key);
    if (change.state === 'RELEASED') {
      const sent = releases.get(`${change.address} ${change.hardware}`) ?? [];
      const at = sent.findIndex((release) => fits(change.stateSince, release.at, release.at + TAKES_MS));
      if (at >= 0) sent.splice(at, 1);
      else (isKnown ? repeated : unexplained).push(describe(change));
    } else if (change.state !== 'EXPIRED') unexplained.push(describe(change));
    else if (isKnown) repeated.push(describe(change));
  }
  return { repeated, unexplained };
}

// ── order ────────────────────────────────────────────────────────────────────────────────────────

/** Of one address: times never go back, and nothing lies between two states that do not follow each other. */
function disorderOf(told: readonly ToldChange[], holes: readonly Hole[]): string[] {
  const wrong: string[] = [];
  for (const [i, change] of told.entries()) {
    const before = told[i - 1];
    if (before === undefined) continue;
    const both = `${describe(change)} after ${describe(before)}`;
    if (goesBack(change, before)) wrong.push(`goes back: ${both}`);
    else if (holes.some(({ from, to }) => to * 1000 + FITS_MS > before.stateSince * 1000 && from * 1000 - FITS_MS < (change.stateSince + 1) * 1000)) continue;
    else if (change.type === 'ACTIVE' && before.type === 'ACTIVE' && (change.hardware !== before.hardware || change.stateSince !== before.stateSince)) {
      wrong.push(`the end before it was not told: ${both}`);
    } else if (change.type !== 'ACTIVE' && before.type !== 'ACTIVE') wrong.push(`what it ended was not told: ${both}`);
  }
  return wrong;
}

// ── stores ───────────────────────────────────────────────────────────────────────────────────────

interface Compared {
  readonly missed: string[];
  readonly differences: string[];
  excused: number;
}

/** Each lease that a node has on record is the last state told, or was it when the store was read. */
function compareStore({ from, leases, node }: StoreRead, byAddress: ReadonlyMap<string, readonly ToldChange[]>, holes: readonly Hole[]): Compared {
  const result: Compared = { missed: [], differences: [], excused: 0 };
  const stored = new Set(leases.map(({ address }) => address));
  for (const lease of leases) {
    const told = byAddress.get(lease.address) ?? [];
    const key = keyOf(lease);
    const at = told.findLastIndex((change) => keyOf(change) === key);
    const next = told[at + 1];
    if (at >= 0 && (next === undefined || next.at >= from - READ_SLACK_MS)) continue;
    if (isExcused(Math.max(lease.stateSince, lease.lastTransaction) * 1000, holes.filter(({ isFilled }) => !isFilled))) result.excused++;
    else if (at < 0) result.missed.push(`node ${node} has ${describe(lease)}; told last: ${told.length === 0 ? 'nothing' : describe(told.at(-1)!)}`);
    else result.differences.push(`node ${node} has ${describe(lease)}; told last: ${describe(told.at(-1)!)}`);
  }
  for (const [address, told] of byAddress) {
    if (!stored.has(address) && told[0]!.at < from) result.differences.push(`node ${node} has nothing on record for ${describe(told.at(-1)!)}`);
  }
  return result;
}
