/** What must hold once nothing breaks any more, and at every moment at which nothing is under way. */
import { formatIpv4 } from '../../node/codec/address.ts';
import { BINDING_STATE_NAMES, recordClientKey, recordStamp, recordState } from '../../node/lease/record.ts';
import { reuseSeconds } from '../../node/lease/table.ts';
import { names, SLOTS } from '../../cluster/view/view.ts';
import type { View } from '../../cluster/view/view.ts';
import { PromiseBroken } from './checker.ts';
import type { Hold } from './checker.ts';
import { WALL_EPOCH_MS } from './config.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

const NEWCOMER_MS = 30_000;

/** One view of all nodes, one leader, one configuration, and every slot at home. */
export function checkConverged({ clustered, nodes, operator }: World, within: number): void {
  const states = nodes.map((node) => `${node.id}=${node.engine?.core.nodeState ?? 'dead'}`).join(' ');
  const views = new Set(nodes.map((node) => node.engine?.core.state.view?.epoch));
  const settled = nodes.every((node) => node.engine?.core.nodeState === 'NORMAL' && node.engine.core.state.finished);
  if (!settled || views.size !== 1) throw new PromiseBroken(`not converged ${within} ms after the last fault: ${states}, epochs ${[...views].join(' ')}`);
  const behind = nodes.filter((node) => clustered && operator.revisionOf(node.engine!.config) !== operator.newest).map(({ id }) => id);
  if (behind.length > 0) throw new PromiseBroken(`configuration ${operator.newest} is not in force on ${behind.join(' ')}`);
  const leaders = nodes.filter((node) => node.engine!.core.leader.leads);
  if (clustered && leaders.length !== 1) throw new PromiseBroken(`${leaders.length} leaders after convergence`);
  for (let slot = 0; slot < SLOTS; slot++) {
    const owners = nodes.filter((node) => node.engine!.core.owns(slot)).map(({ id }) => id);
    if (owners.length !== 1) throw new PromiseBroken(`slot ${slot} is owned by ${owners.join(' and ') || 'nobody'}`);
    if (owners[0] !== nodes[0]!.engine!.core.home[slot]) throw new PromiseBroken(`slot ${slot} is not at home`);
  }
}

/** All of them hold the same bindings, and every lease that a client holds is among them. */
export function checkStores({ checker, now }: World, nodes: readonly SimNode[]): void {
  const [first, ...others] = nodes.map((node) => storeOf(node));
  for (const [i, other] of others.entries()) {
    for (const address of new Set([...first!.keys(), ...other.keys()])) {
      const a = first!.get(address);
      const b = other.get(address);
      if (a === undefined || b === undefined || !a.equals(b)) {
        throw new PromiseBroken(`the stores of ${nodes[0]!.id} and ${nodes[i + 1]!.id} differ at ${formatIpv4(address)}: ${describeRecord(a)} and ${describeRecord(b)}`);
      }
    }
  }
  for (const hold of checker.held(now + 5000)) {
    if (!nodes.every((node) => isKnown(node, hold))) {
      throw new PromiseBroken(`nobody knows that client ${hold.client.id} holds ${formatIpv4(hold.address)} until ${Math.round(hold.until)} ms`);
    }
  }
}

/** Somebody new gets an address, if one can be free: every other machine is switched off for it. `used`: by somebody without a lease. */
export function checkNewcomer({ agenda, nodes, population }: World, used: number): void {
  const { table } = nodes[0]!;
  const { pools: all, subnets } = nodes[0]!.engine!.config;
  const pools = all.filter(({ guard, subnetIndex }) => guard.allow === undefined && subnets[subnetIndex]!.networkIndex === subnets[0]!.networkIndex);
  const free = pools.reduce((sum, { index }) => sum + table!.poolCounts(index).free, 0) - used;
  for (const client of population.clients) client.off();
  const newcomer = population.newcomer();
  newcomer.boot();
  agenda.run(agenda.now + NEWCOMER_MS);
  if (newcomer.granted === 0 && free > 0) throw new PromiseBroken(`a new client is not served within ${NEWCOMER_MS} ms with ${free} addresses free`);
}

/** The true time from which this node, by its clock, would give the address to another client. */
function reusableAt({ engine, clock }: SimNode, record: Buffer): number {
  return reuseSeconds(record, engine!.config.maxClockSkewMs) * 1000 - WALL_EPOCH_MS - clock.errorMs;
}

function recordOf(node: SimNode, { address, client }: Hold): Buffer | undefined {
  const record = node.table!.read(address);
  return record !== undefined && isClients(record, client) ? record : undefined;
}

function isClients(record: Buffer, client: Hold['client']): boolean {
  return client.keys.some((key) => recordClientKey(record).equals(key));
}

/**
 * The node has the lease as ACTIVE until then, or, where a copy of its release was held back by the network,
 * RELEASED and nobody else's before then. A record of a shorter lease than the client was told of is not the lease's.
 * A node whose clock is wrong gives nothing away.
 */
export function isKnown(node: SimNode, hold: Hold): boolean {
  const record = recordOf(node, hold);
  return record !== undefined && keepsFor(node, record, hold);
}

/** By this record of its. */
export function keepsFor(node: SimNode, record: Buffer, { client, until }: Hold): boolean {
  const wrong = Math.abs(node.clock.errorMs) > node.engine!.config.maxClockSkewMs / 2;
  return isClients(record, client) && (wrong || reusableAt(node, record) >= until);
}

/** Whatever its clock is set to later, the node has the whole lease. */
export function isSurelyKnown(node: SimNode, hold: Hold): boolean {
  const record = recordOf(node, hold);
  return record !== undefined && reusableAt(node, record) >= hold.until + node.engine!.config.maxClockSkewMs;
}

/**
 * The members of the newest view, if all of them have finished it and have all that any of them has made:
 * then their stores are one. Undefined while something is under way.
 */
export function levelMembers({ nodes }: World): SimNode[] | undefined {
  let newest: SimNode | undefined;
  for (const node of nodes) if (epochOf(node) > epochOf(newest)) newest = node;
  const view = newest?.engine?.core.state.view;
  if (view === undefined) return undefined;
  const members: SimNode[] = [];
  for (const { node: id, incarnation } of view.members) {
    const node = nodes.find((each) => each.id === id)!;
    if (epochOf(node) !== view.epoch || node.engine!.incarnation !== incarnation || !node.engine!.core.state.finished) return undefined;
    members.push(node);
  }
  const level = members.every(({ engine: a }) => members.every(({ engine: b }) => a!.core.state.cursors.seq(b!.incarnation) === b!.core.state.log.last));
  return level ? members : undefined;
}

/** Of those that etcd's view names nobody owns what another one owns; who is out of it owns nothing that counts. */
export function checkOwners({ nodes }: World, view: View | undefined): void {
  const named = nodes.filter(({ engine, id }) => view !== undefined && engine !== undefined && names(view, id, engine.incarnation));
  for (let slot = 0; slot < SLOTS; slot++) {
    const owners = named.filter(({ engine }) => engine!.core.owns(slot));
    if (owners.length > 1) throw new PromiseBroken(`slot ${slot} is owned by ${owners.map(({ id }) => id).join(' and ')} in epoch ${view!.epoch}`);
  }
}

/** Of the view that it is a member of; 0: of none. */
function epochOf(node: SimNode | undefined): number {
  const core = node?.engine?.core;
  return core !== undefined && core.isMember(node!.id) && core.state.phase === 'member' ? core.state.view!.epoch : 0;
}

function storeOf(node: SimNode): Map<number, Buffer> {
  return new Map(node.table!.records(-1, 1_000_000).map(({ address, record }) => [address, record]));
}

export function describeRecord(record: Buffer | undefined): string {
  if (record === undefined) return 'none';
  const { epoch, incarnation, seq } = recordStamp(record);
  return `${BINDING_STATE_NAMES[recordState(record)]} by ${incarnation.toString(16)} ${epoch}/${seq}`;
}
