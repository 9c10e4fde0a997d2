/**
 * The view: which nodes are in sync, and which of them owns each of the 256 slots. Its epoch is the
 * fencing token: a node that was evicted while it was paused finds its epoch refused everywhere.
 *
 * In etcd it is JSON, so that an operator can read it; slots are one character each, the index of
 * the member in base 36. Fields are only added. What a newer version added is kept, and written into the
 * next view as it was: a leader that does not know a field cannot know that it no longer counts. So a field
 * either stays right when it is passed on, or counts from a protocol version on, whose leaders know it.
 */
import * as z from 'zod';

export const SLOTS = 256;

export interface Member {
  readonly node: string;
  readonly incarnation: number;
}

export interface View {
  readonly epoch: number;
  /** Grows by an operator's last resorts (`generation.ts`); nodes of an older one can only recover. */
  readonly generation: number;
  /** In order of node id. */
  readonly members: readonly Member[];
  /** 256 indexes into `members`. */
  readonly slots: readonly number[];
  /** The replication protocol in force: the highest that all members speak. */
  readonly protocol: number;
  readonly configRevision: number;
  /** Until then, UTC seconds, an address is probed before it is given out; 0: as the configuration says. */
  readonly probeUntil: number;
}

const schema = z.looseObject({
  // Each record carries it in 32 bits.
  epoch: z.int().min(1).max(2 ** 32 - 1),
  generation: z.int().min(1),
  members: z.array(z.looseObject({ node: z.string().min(1), incarnation: z.int().min(1).max(2 ** 48 - 1) })).min(1).max(36),
  slots: z.string().length(SLOTS),
  protocol: z.int().min(1),
  configRevision: z.int().min(0),
  probeUntil: z.int().min(0).default(0),
});

export function encodeView(view: View): Buffer {
  const slots = view.slots.map((index) => index.toString(36)).join('');
  return Buffer.from(JSON.stringify({ ...view, slots }));
}

/** The last answer: the view is read every second, and hardly ever changes. */
let last: { readonly bytes: Buffer; readonly view: View | undefined } | undefined;

/** Undefined where the bytes are no view: another program's, or a newer format. */
export function decodeView(bytes: Uint8Array): View | undefined {
  if (last?.bytes.equals(bytes) !== true) last = { bytes: Buffer.from(bytes), view: decode(bytes) };
  return last.view;
}

function decode(bytes: Uint8Array): View | undefined {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) return undefined;
  const slots = parsed.data.slots.split('').map((digit) => Number.parseInt(digit, 36));
  if (slots.some((index) => !(index < parsed.data.members.length))) return undefined;
  return { ...parsed.data, slots };
}

export function memberOf(view: View, node: string): Member | undefined {
  return view.members.find((member) => member.node === node);
}

export function names(view: View, node: string, incarnation: number): boolean {
  return memberOf(view, node)?.incarnation === incarnation;
}

/** By generation first: an operator's word counts for more than what an older one has come to. */
export function isNewer(view: View, than: View): boolean {
  return view.generation > than.generation || (view.generation === than.generation && view.epoch > than.epoch);
}

/** In everything that this version knows of a view. */
export function isSameView(a: View, b: View): boolean {
  return a.epoch === b.epoch && a.generation === b.generation && a.configRevision === b.configRevision && a.protocol === b.protocol &&
    a.members.length === b.members.length && a.members.every(({ incarnation, node }) => names(b, node, incarnation)) &&
    a.slots.every((index, slot) => index === b.slots[slot]);
}

export function ownerOf(view: View, slot: number): string {
  return view.members[view.slots[slot]!]!.node;
}

export function slotsOf(view: View, node: string): number {
  return view.slots.reduce((count, index) => count + (view.members[index]!.node === node ? 1 : 0), 0);
}
