/**
 * Compares what two nodes have on record, binding by binding, while they run: a binding that changes
 * between the two questions is asked for again, one that stays different is a difference.
 */
import type { LeaseView } from '../../node/admin/lease-view.ts';
import { sleep } from './processes.ts';

export interface Comparison {
  readonly bindings: number;
  /** By state, in order of name. */
  readonly states: Readonly<Record<string, number>>;
  /** In words; empty where both have the same. */
  readonly differences: readonly string[];
}

interface Asked {
  fetch(path: string): Promise<string>;
}

const ROUNDS_MAX = 20;
const PAUSE_MS = 400;
const ASKED_ONE_BY_ONE_MAX = 200;

/** What must be the same everywhere; who owns the address now is left out, since it is no part of a binding. */
function essence({ address, state, client, expires, stamp, hardware, leaseSeconds, relayAgentInformation }: LeaseView): string {
  return [address, state, client, hardware, expires, leaseSeconds, relayAgentInformation ?? '-', stamp.epoch, stamp.incarnation, stamp.seq].join(' ');
}

async function readAll(node: Asked, address?: string): Promise<Map<string, LeaseView>> {
  const text = await node.fetch(address === undefined ? '/v1/leases' : `/v1/leases?address=${address}`);
  const leases = text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as LeaseView);
  return new Map(leases.map((lease) => [lease.address, lease]));
}

function differing(one: Map<string, LeaseView>, other: Map<string, LeaseView>): string[] {
  return [...new Set([...one.keys(), ...other.keys()])].filter((address) => {
    const [a, b] = [one.get(address), other.get(address)];
    return a === undefined || b === undefined || essence(a) !== essence(b);
  });
}

export async function compareStores(one: Asked, other: Asked): Promise<Comparison> {
  let [a, b] = await Promise.all([readAll(one), readAll(other)]);
  const merge = (all: Map<string, LeaseView>, again: readonly [string, LeaseView | undefined][]): void => {
    for (const [address, lease] of again) if (lease === undefined) all.delete(address);
    else all.set(address, lease);
  };
  let suspects = differing(a, b);
  for (let round = 0; round < ROUNDS_MAX && suspects.length > 0; round++) {
    await sleep(PAUSE_MS);
    if (suspects.length > ASKED_ONE_BY_ONE_MAX) {
      [a, b] = await Promise.all([readAll(one), readAll(other)]);
      suspects = differing(a, b);
      continue;
    }
    const before = new Map(suspects.map((address) => [address, pair(a, b, address)]));
    for (const address of suspects) {
      const [fromOne, fromOther] = await Promise.all([readAll(one, address), readAll(other, address)]);
      merge(a, [[address, fromOne.get(address)]]);
      merge(b, [[address, fromOther.get(address)]]);
    }
    suspects = differing(a, b).filter((address) => before.has(address));
    // Nothing moves any more: it will not become equal by asking again.
    if (round > 2 && suspects.every((address) => before.get(address) === pair(a, b, address))) break;
  }
  return { bindings: a.size, states: countStates(a), differences: differing(a, b).map((address) => pair(a, b, address)) };
}

function pair(a: Map<string, LeaseView>, b: Map<string, LeaseView>, address: string): string {
  const [one, other] = [a.get(address), b.get(address)];
  return `${one === undefined ? `${address} absent` : essence(one)} | ${other === undefined ? `${address} absent` : essence(other)}`;
}

function countStates(all: Map<string, LeaseView>): Record<string, number> {
  const states: Record<string, number> = {};
  for (const { state } of all.values()) states[state] = (states[state] ?? 0) + 1;
  return Object.fromEntries(Object.entries(states).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
