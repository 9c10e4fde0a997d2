/**
 * What clients notice of a fault: some begin to ask all the time, before it, through it and while it is mended.
 * The longest wait of any of them counts, from the fault or from when it began to ask, and that the nodes know
 * what the clients were told.
 */
import { rfc3074Hash } from '../../node/allocation/rfc3074.ts';
import { sleep } from '../../deploy/lab/processes.ts';
import type { ClusterNode } from '../support/cluster-node.ts';
import { nodeAddress } from '../support/cluster-world.ts';
import type { Ask } from './asker.ts';
import type { Acknowledged, Wait, Waiting } from './askers.ts';
import type { Stage } from './stage.ts';
import { describeMs, type Figures } from './table.ts';
import { missing } from './verdict.ts';

/** One client of each kind begins so often. */
const EVERY_MS = 50;
/** How long clients ask before a fault, so that some are in the middle of it. */
const LEAD_MS = 250;
/** For who is not served yet when no further client begins. */
const PATIENCE_MS = 15_000;
const LONGEST = 3;
const ASKS: readonly Ask[] = ['new', 'rebinding', 'renewing'];
const wallNow = (): number => performance.timeOrigin + performance.now();

export interface Fault {
  /** Who serves nobody from it on: their clients' renewals go on as rebindings, and they are not asked what they know. */
  readonly gone: readonly ClusterNode[];
  /** Who does not hear the clients any more, and is well otherwise. */
  readonly deaf?: readonly ClusterNode[];
  /** They serve nobody before it either: the others are to be a healthy cluster by themselves. */
  readonly wereGone?: boolean;
  readonly strike: () => Promise<void> | void;
  /** How long it lasts, in ms or until this resolves. */
  readonly lasts: number | (() => Promise<void>);
  /** Nothing moves on the network but a client that this begins, right after the fault. */
  readonly alone?: () => void;
  readonly mend: () => Promise<void> | void;
  readonly everyMs?: number;
  /** Further leases that nobody may lose. */
  readonly alsoAcknowledged?: () => ReadonlyMap<string, Acknowledged>;
  /** What should not be, before it is mended; in words. */
  readonly check?: () => Promise<readonly string[]>;
}

/** What was seen from one moment to another. */
interface Seen {
  readonly from: number;
  readonly waits: readonly Wait[];
  readonly timersMs: number;
  readonly flushMs: number;
  readonly lost: readonly string[];
}

export interface Measured {
  /** From the fault on. */
  readonly figures: Figures;
  /** Of those whose server and whose address's owner had no fault. */
  readonly others?: number;
  /** While it was mended, and until all is well. */
  readonly mending: number;
  readonly lost: readonly string[];
  readonly timersMs: number;
  readonly flushMs: number;
  readonly broken: readonly string[];
  /** The longest waits, in words. */
  readonly longest: readonly string[];
  /** Wall times of the fault, and of the beginning of its mending. */
  readonly struckAt: number;
  readonly mendedAt: number;
}

export async function measure(stage: Stage, fault: Fault): Promise<Measured> {
  const { gone } = fault;
  const unheard = [...gone, ...fault.deaf ?? []];
  if (fault.wereGone === true) await stage.serving(stage.world.nodes.filter((node) => !gone.includes(node)));
  else await stage.healthy();
  const struck = await watch(stage, fault, fault.alone === undefined, gone, async () => {
    stage.askers.do({ do: 'dead', serverIds: unheard.map(({ name }) => nodeAddress(name)) });
    const begun = performance.now();
    await fault.strike();
    fault.alone?.();
    if (typeof fault.lasts === 'number') await sleep(Math.max(0, begun + fault.lasts - performance.now()));
    else await fault.lasts();
  });
  const broken = await fault.check?.() ?? [];
  const mended = await watch(stage, fault, true, [], async () => {
    await fault.mend();
    await stage.healthy();
    stage.askers.do({ do: 'dead', serverIds: [] });
    await sleep(LEAD_MS);
  });
  return {
    figures: figuresOf(struck.waits), ...othersOf(stage, struck.waits, unheard), mending: worst(mended.waits) ?? 0,
    lost: [...struck.lost, ...mended.lost], timersMs: struck.timersMs, flushMs: struck.flushMs, broken,
    longest: [...longestOf('', struck), ...longestOf(' (mending)', mended)], struckAt: struck.from, mendedAt: mended.from,
  };
}

/** Clients ask before it, and while `happens` is under way; then all are to be served, and the nodes to know it. */
async function watch(
  stage: Stage, { alsoAcknowledged, everyMs = EVERY_MS }: Fault, streams: boolean, gone: readonly ClusterNode[], happens: () => Promise<void>,
): Promise<Seen> {
  const { askers, world } = stage;
  await Promise.all([askers.timersWorstMs(), stage.flushWorstMs()]);
  if (streams) askers.stream(ASKS, everyMs);
  await sleep(LEAD_MS);
  const from = wallNow();
  await happens();
  const unserved = await askers.pause(PATIENCE_MS);
  const waits = [...askers.waits(from, wallNow()), ...unserved.map(neverServed)];
  const [timersMs, flushMs] = await Promise.all([askers.timersWorstMs(), stage.flushWorstMs()]);
  const acknowledged = new Map([...askers.acknowledged, ...alsoAcknowledged?.() ?? []]);
  const lost = stage.notTold([...await missing(world.nodes.filter((node) => !gone.includes(node)), acknowledged), ...askers.newLosses()]);
  return { from, waits, timersMs, flushMs, lost };
}

function othersOf(stage: Stage, waits: readonly Wait[], gone: readonly ClusterNode[]): { others?: number } {
  if (gone.length === 0) return {};
  const homes = stage.homes();
  const dead = new Set(gone.map(({ name }) => name));
  const deadIds = new Set(gone.map(({ name }) => nodeAddress(name)));
  const others = worst(waits.filter(({ ask, client, address, serverId }) => {
    const server = homes[rfc3074Hash(Buffer.from(client, 'hex'))]!;
    const owner = homes[Number(address.split('.')[3] ?? 0)]!;
    if (ask === 'renewing') return !deadIds.has(serverId) && !dead.has(owner);
    return !dead.has(server) && (ask === 'new' || !dead.has(owner));
  }));
  return others === undefined ? {} : { others };
}

function neverServed({ ask, client }: Waiting[number]): Wait {
  return { ask, client, address: '', serverId: '', ms: Infinity, beganAt: 0 };
}

function worst(waits: readonly Wait[]): number | undefined {
  const counted = waits.filter(({ ask }) => ask !== 'ordinary');
  return counted.length === 0 ? undefined : Math.max(...counted.map(({ ms }) => ms));
}

function figuresOf(waits: readonly Wait[]): Figures {
  const of = (ask: Ask): number | undefined => worst(waits.filter((wait) => wait.ask === ask));
  const figures = { new: of('new'), rebinding: of('rebinding'), renewing: of('renewing') };
  return Object.fromEntries(Object.entries(figures).filter(([, ms]) => ms !== undefined));
}

function longestOf(when: string, { from, waits }: Seen): string[] {
  return waits.toSorted((one, other) => other.ms - one.ms).slice(0, LONGEST).map(({ address, ask, beganAt, client, ms, serverId }) =>
    `${ask} ${client} waited ${describeMs(ms)}${when}, having begun at ${(beganAt - from).toFixed(0)}, for ${address} from ${serverId}`);
}
