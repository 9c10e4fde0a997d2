/** What `npm run follow` prints at the end. */
import { isClean, type Verdict } from './judge.ts';

const NAMED_MAX = 20;

function seconds(ms: number | undefined): string {
  return ms === undefined ? '-' : `${(ms / 1000).toFixed(3)} s`;
}

function at(sorted: readonly number[], part: number): number | undefined {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

/** `all`: of a requestor that is also told what servers repeat. */
export function reportLines(once: Verdict, all: Verdict): string[] {
  const { acks, alike, byState, caughtUp, connections, differences, disorder, excused, holes, missed, repeated, told, unexplained, waits } = once;
  const holeSeconds = holes.map(({ from, to }) => to - from);
  const rows: readonly (readonly [string, string | number])[] = [
    ['DHCPACKs that clients got', alike === 0 ? acks : `${acks}, ${alike} of them without a difference to one of the same second`],
    ['changes told', `${told} (${Object.entries(byState).map(([state, count]) => `${count} ${state}`).join(', ')})`],
    ['repeated by servers, and removed', holes.length === 0 ? all.told - told : '-'],
    ['told twice', repeated.length],
    ['told and never happened', unexplained.length],
    ['out of order', disorder.length],
    ['missed', missed.length],
    ['last state differs from a store', differences.length],
    ['holes (DataMissing)', holes.length === 0 ? 0 : `${holes.length}, of ${holeSeconds.join(', ')} s${holes.every(({ isFilled }) => isFilled) ? ', filled' : ''}; ${excused} changes in them`],
    ['from DHCPACK to requestor', `median ${seconds(at(waits, 0.5))}, p99 ${seconds(at(waits, 0.99))}, worst ${seconds(waits.at(-1))}`],
    ['connections', `${connections}, caught up ${caughtUp} times`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [...rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`), ...complaints(once)];
}

function complaints(verdict: Verdict): string[] {
  if (isClean(verdict)) return [];
  const { differences, disorder, missed, repeated, unexplained } = verdict;
  const named = [['missed', missed], ['told twice', repeated], ['never happened', unexplained], ['out of order', disorder], ['differs', differences]] as const;
  return named.flatMap(([name, all]) => [
    ...all.slice(0, NAMED_MAX).map((text) => `    ${name}: ${text}`), ...(all.length > NAMED_MAX ? [`    ${name}: ${all.length - NAMED_MAX} more`] : []),
  ]);
}
