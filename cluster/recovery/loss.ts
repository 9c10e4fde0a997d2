/** What an operator is told before and after a forced recovery: what is known of the others, and what may be lost. */
import { isoSeconds } from '../../node/admin/lease-view.ts';
import type { Configuration } from '../view/configuration.ts';
import type { ClusterRead } from '../view/coordination.ts';
import type { EtcdMemory } from '../view/etcd-memory.ts';
import type { ClusterState } from '../core/state.ts';
import type { Beats } from './beats.ts';

export interface LossParts {
  readonly state: ClusterState;
  readonly beats: Beats;
  readonly configuration: Configuration;
  readonly memory: EtcdMemory;
}

/** A few lines; `probeUntil` in UTC seconds. */
export function describeLoss({ beats, configuration, memory, state }: LossParts, read: ClusterRead, probeUntil: number): string {
  const { self } = state.context.options;
  const lines = [whatEtcdSays(read), `the store of ${self} has ${state.context.table.size} bindings, ${lastInView(state, memory)}`];
  const lost = beatsLost(beats, read, state);
  if (lost > 0) lines.push(`it is an older copy: etcd has heard of ${lost} beats (5 s each) that it knows nothing of`);
  const restored = beats.restoredFrom();
  if (restored !== '') lines.push(`it was restored from a backup of ${restored}`);
  else if (beats.fetchIncomplete()) lines.push('a fetch into it was cut short: some of its records are older than others');
  lines.push(
    'what other nodes granted or renewed after that is unknown here, and lost: such clients keep their addresses until they renew, and are then learnt again',
    `until ${isoSeconds(probeUntil)} an address is probed before it is given out; a client that is asleep then, or answers no probe, may meet another one with its address`,
  );
  if (read.newestConfig < configuration.loaded) {
    lines.push(`etcd lacks the configuration in force here (revision ${configuration.loaded}): apply it again afterwards (lessor config apply), so that the other nodes get it`);
  }
  return lines.join('\n');
}

/** How many beats etcd has heard of that this disk knows nothing of: none, unless it is an older copy. */
export function beatsLost({ diskBeat }: Beats, { beats }: ClusterRead, { context }: ClusterState): number {
  return Math.max(0, (beats.get(context.options.self)?.beat ?? 0) - diskBeat);
}

function whatEtcdSays({ view, viewRevision }: ClusterRead): string {
  if (view === undefined) return viewRevision === 0 ? 'etcd has no view: it has lost its data' : 'the view in etcd cannot be read; it is overwritten';
  return `etcd has the view of epoch ${view.epoch}, generation ${view.generation}, with ${view.members.map(({ node }) => node).join(' ')}`;
}

function lastInView({ view }: ClusterState, { memberAt }: EtcdMemory): string {
  if (view === undefined) return 'and was never in a view';
  const at = memberAt === 0 ? '' : `, at ${isoSeconds(memberAt)}`;
  return `last in the view of epoch ${view.epoch}, generation ${view.generation}${at}`;
}
