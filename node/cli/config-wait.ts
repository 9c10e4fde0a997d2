/** Waiting until a revision is in force on all nodes of the view, and telling how far it has come. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterKeys, ConfigStore } from '../../cluster/io/config-store.ts';

const POLL_MS = 200;

export interface WaitingNode {
  readonly node: string;
  /** What keeps it; empty: it is at work. */
  readonly error: string;
}

export type Progress =
  /** In the view named, and by every member loaded. */
  | { readonly state: 'in-force'; readonly nodes: readonly string[] }
  /** A newer one is. */
  | { readonly state: 'superseded'; readonly by: number }
  /** It comes into force when nodes start. */
  | { readonly state: 'no-nodes' }
  | { readonly state: 'refused'; readonly refusals: readonly WaitingNode[] }
  /** `ready`: members that have it ready, or have switched already. */
  | { readonly state: 'waiting'; readonly ready: readonly string[]; readonly waitingFor: readonly string[] };

interface Standing {
  readonly loaded: number;
  readonly prepared: number;
  readonly refused: { readonly revision: number; readonly error: string } | undefined;
}

/** What the keys in etcd say of a revision. */
export function progressOf({ nodes, view }: ClusterKeys, revision: number): Progress {
  if (view === undefined || nodes.size === 0) return { state: 'no-nodes' };
  if (view.configRevision > revision) return { state: 'superseded', by: view.configRevision };
  const standings = view.members.map(({ node, incarnation }) => {
    const json = nodes.get(node);
    return { node, standing: json?.['incarnation'] === incarnation ? standingOf(json['config']) : undefined };
  });
  const named = view.configRevision === revision;
  const done = standings.filter(({ standing }) => standing !== undefined && (named ? standing.loaded >= revision : standing.prepared >= revision));
  if (named && done.length === standings.length) return { state: 'in-force', nodes: done.map(({ node }) => node) };
  const refusals = standings.flatMap(({ node, standing }) =>
    (standing?.refused?.revision === revision ? [{ node, error: standing.refused.error }] : []));
  if (refusals.length > 0) return { state: 'refused', refusals };
  const ready = done.map(({ node }) => node);
  return { state: 'waiting', ready, waitingFor: standings.map(({ node }) => node).filter((node) => !ready.includes(node)) };
}

function standingOf(json: unknown): Standing | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { loaded, prepared, refused } = json as Record<string, unknown>;
  if (typeof loaded !== 'number' || typeof prepared !== 'number') return undefined;
  const { revision, error } = (refused ?? {}) as Record<string, unknown>;
  return { loaded, prepared, refused: typeof revision === 'number' ? { revision, error: String(error) } : undefined };
}

/** The last progress that was seen: `waiting` when the time is over. */
export async function waitInForce(
  store: Pick<ConfigStore, 'clusterKeys'>, revision: number, timeoutMs: number, onProgress: (progress: Progress) => void,
): Promise<Progress> {
  const until = performance.now() + timeoutMs;
  let told = '';
  for (;;) {
    const progress = progressOf(await store.clusterKeys(), revision);
    if (JSON.stringify(progress) !== told) onProgress(progress);
    told = JSON.stringify(progress);
    if (progress.state !== 'waiting' || performance.now() >= until) return progress;
    await sleep(POLL_MS);
  }
}
