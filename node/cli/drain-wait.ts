/** How far a node is on its way out of service, or back, by what the keys in etcd say. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterKeys, ConfigStore } from '../../cluster/io/config-store.ts';
import { mayLeave } from '../../cluster/upgrade/drains.ts';
import type { DrainOrder } from '../../cluster/upgrade/drains.ts';

const POLL_MS = 200;

export type DrainProgress =
  /** Not in the view. `running`: its process is there, and knows. */
  | { readonly state: 'out'; readonly running: boolean; readonly others: readonly string[] }
  /** By force: there is no view without it, but it serves nobody. */
  | { readonly state: 'silent' }
  /** Nobody else would be left. */
  | { readonly state: 'kept' }
  | { readonly state: 'leaving'; readonly shows: string }
  /** Somebody has taken the order back. */
  | { readonly state: 'not-ordered' };

export type ReturnProgress =
  | { readonly state: 'in-service'; readonly shows: string }
  | { readonly state: 'not-running' }
  | { readonly state: 'returning'; readonly shows: string }
  | { readonly state: 'ordered-again' };

/** What it says of itself, if its session stands. */
function shownState({ nodes }: ClusterKeys, node: string): string {
  const state = nodes.get(node)?.['state'];
  return typeof state === 'string' ? state : '';
}

/** A member with a session in etcd and an address at which clients reach it. */
function canServe({ nodes, view }: ClusterKeys, node: string): boolean {
  const json = nodes.get(node);
  const member = view?.members.find((each) => each.node === node);
  return member !== undefined && json?.['incarnation'] === member.incarnation && Array.isArray(json['serverIds']) && json['serverIds'].length > 0;
}

/** Whether the node would be allowed to leave if it were ordered to now, or is by the order that is there. */
export function couldLeave(keys: ClusterKeys, node: string, force = false): boolean {
  const members = (keys.view?.members ?? []).map((member) => member.node);
  if (!members.includes(node)) return true;
  const there = keys.drains.get(node);
  const order: DrainOrder = { by: '', at: '', reason: '', createRevision: Number.MAX_SAFE_INTEGER, ...there, force: force || there?.force === true };
  return mayLeave(node, members, new Map([...keys.drains, [node, order]]), (other) => canServe(keys, other));
}

export function drainProgress(keys: ClusterKeys, node: string): DrainProgress {
  const members = (keys.view?.members ?? []).map((member) => member.node);
  const order = keys.drains.get(node);
  const shows = shownState(keys, node);
  if (order === undefined) return { state: 'not-ordered' };
  if (!members.includes(node)) {
    // It is out, and has not noticed yet.
    if (shows !== '' && shows !== 'DRAINING' && shows !== 'STARTUP') return { state: 'leaving', shows };
    return { state: 'out', running: shows !== '', others: members };
  }
  if (members.length === 1 && order.force && shows === 'DRAINING') return { state: 'silent' };
  if (!couldLeave(keys, node)) return { state: 'kept' };
  return { state: 'leaving', shows };
}

const IN_SERVICE = ['NORMAL', 'COMMUNICATIONS-INTERRUPTED', 'PARTNER-DOWN', 'ISOLATED'];

export function returnProgress(keys: ClusterKeys, node: string): ReturnProgress {
  if (keys.drains.has(node)) return { state: 'ordered-again' };
  const json = keys.nodes.get(node);
  if (json === undefined) return { state: 'not-running' };
  const shows = shownState(keys, node);
  const named = keys.view?.members.some((member) => member.node === node && member.incarnation === json['incarnation']) === true;
  return named && IN_SERVICE.includes(shows) ? { state: 'in-service', shows } : { state: 'returning', shows };
}

/** The last progress that was seen, at the latest when the time is over. */
export async function waitFor<T>(
  store: Pick<ConfigStore, 'clusterKeys'>, timeoutMs: number, read: (keys: ClusterKeys) => T, isOver: (progress: T) => boolean, onProgress: (progress: T) => void,
): Promise<T> {
  const until = performance.now() + timeoutMs;
  let told = '';
  for (;;) {
    const progress = read(await store.clusterKeys());
    if (JSON.stringify(progress) !== told) onProgress(progress);
    told = JSON.stringify(progress);
    if (isOver(progress) || performance.now() >= until) return progress;
    await sleep(POLL_MS);
  }
}
