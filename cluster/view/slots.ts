/**
 * Which node each slot belongs to. Slots interleave over the nodes by weight, so that every pool,
 * however small, is split evenly and the split depends on nothing but the address.
 */
import { SLOTS } from './view.ts';
import type { Member, View } from './view.ts';
import type { NodeWeight } from '../../node/config/types.ts';

/**
 * Smooth weighted round-robin: `count` picks spread as evenly as the weights allow, in an order that
 * depends only on the arguments. Nodes of weight 0 are picked only where no other is.
 */
function interleave(nodes: readonly NodeWeight[], count: number): string[] {
  const weighted = nodes.some((node) => node.weight > 0)
    ? nodes.filter((node) => node.weight > 0)
    : nodes.map((node) => ({ ...node, weight: 1 }));
  const total = weighted.reduce((sum, node) => sum + node.weight, 0);
  const credit = weighted.map(() => 0);
  const picks: string[] = [];
  for (let i = 0; i < count; i++) {
    let best = 0;
    for (let n = 0; n < weighted.length; n++) {
      credit[n]! += weighted[n]!.weight;
      if (credit[n]! > credit[best]!) best = n;
    }
    credit[best]! -= total;
    picks.push(weighted[best]!.id);
  }
  return picks;
}

/** The node that each slot goes back to when all nodes are in the view. */
export function homeTable(nodes: readonly NodeWeight[]): string[] {
  return interleave(nodes, SLOTS);
}

/** The last answer: the leader asks in every turn, and what it asks with hardly ever changes. */
let last: { readonly nodes: readonly NodeWeight[]; readonly members: readonly Member[]; readonly able: number; readonly slots: readonly number[] } | undefined;

/**
 * Every slot to its home where that is in the view and can serve clients; the others to those that
 * can, by weight. Where nobody can, all members count as able: a view always has owners.
 */
export function assignSlots(
  nodes: readonly NodeWeight[],
  members: readonly Member[],
  canServe: (node: string) => boolean,
): readonly number[] {
  // A bit for each member, of which there are at most 36.
  let able = 0;
  for (const [i, member] of members.entries()) if (canServe(member.node)) able += 2 ** i;
  if (last?.nodes !== nodes || last.members !== members || last.able !== able) {
    last = { nodes, members, able, slots: assign(nodes, members, members.filter((member) => canServe(member.node))) };
  }
  return last.slots;
}

function assign(nodes: readonly NodeWeight[], members: readonly Member[], able: readonly Member[]): number[] {
  const takers = able.length > 0 ? able : members;
  const weights = takers.map((member) => ({
    id: member.node,
    weight: nodes.find((node) => node.id === member.node)?.weight ?? 0,
  }));
  const index = new Map(members.map((member, i) => [member.node, i]));
  const taking = new Set(takers.map((member) => member.node));
  const home = homeTable(nodes);
  const orphans = home.filter((node) => !taking.has(node)).length;
  const adopted = interleave(weights, orphans);
  let next = 0;
  return home.map((node) => index.get(taking.has(node) ? node : adopted[next++]!)!);
}

/** A view of nodes of which nothing speaks against serving; the epoch and the rest are given. */
export function viewOfMembers(nodes: readonly NodeWeight[], members: readonly Member[], rest: Omit<View, 'members' | 'slots'>): View {
  return { ...rest, members, slots: assignSlots(nodes, members, () => true) };
}
