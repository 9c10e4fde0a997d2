/** What people and their tools do to a cluster at a bad moment. */
import type { FaultKind } from './strike.ts';

export const OPERATOR_FAULTS = {
  // SIGTERM, as an upgrade or a restart of the host sends it.
  drain: { weight: 2, shows: ['drained'], strike: ({ node }) => {
    if (!node.alive) return false;
    node.drain();
    return true;
  } },
  'config-change': { weight: 3, clustered: true, shows: ['config-refused-at-start', 'config-nodes-changed'], strike: ({ world }) => {
    world.operator.apply();
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
