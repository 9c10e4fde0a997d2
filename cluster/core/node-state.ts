/**
 * The node states' one table: which state may follow which, and when. What a node shows is derived
 * from what it knows; a step that is not in the table is a bug and stops the node. Tests and the
 * simulator visit every cell.
 */

export const NODE_STATES = [
  'STARTUP', 'RECOVER', 'NORMAL', 'COMMUNICATIONS-INTERRUPTED', 'PARTNER-DOWN', 'ISOLATED', 'DRAINING', 'SHUTDOWN',
] as const;
export type NodeState = (typeof NODE_STATES)[number];

const FROM_SERVICE = {
  NORMAL: 'all configured nodes are in the view and linked',
  'COMMUNICATIONS-INTERRUPTED': 'the link to a member is down',
  'PARTNER-DOWN': 'a configured node is not in the view',
  ISOLATED: 'a member is reachable neither over its link nor through etcd',
  RECOVER: 'evicted from the view',
  DRAINING: 'asked to stop, or wanted out of service',
} as const;

export const NODE_TRANSITIONS = {
  STARTUP: {
    RECOVER: 'others serve: fetch what changed',
    NORMAL: 'named by a view with all configured nodes',
    'COMMUNICATIONS-INTERRUPTED': 'named by a view, a link still down',
    'PARTNER-DOWN': 'named by a view without all configured nodes',
    DRAINING: 'asked to stop, or wanted out of service while others serve',
  },
  RECOVER: {
    'COMMUNICATIONS-INTERRUPTED': 'joined the view: the links count from now on, and come up one by one',
    'PARTNER-DOWN': 'goes on by itself: all others are out of the view',
    STARTUP: 'no member is left to fetch from',
    DRAINING: 'asked to stop, or wanted out of service',
  },
  NORMAL: without(FROM_SERVICE, 'NORMAL'),
  'COMMUNICATIONS-INTERRUPTED': without(FROM_SERVICE, 'COMMUNICATIONS-INTERRUPTED'),
  'PARTNER-DOWN': without(FROM_SERVICE, 'PARTNER-DOWN'),
  ISOLATED: without(FROM_SERVICE, 'ISOLATED'),
  DRAINING: {
    SHUTDOWN: 'committed and evicted, or alone',
    RECOVER: 'wanted in service again',
    STARTUP: 'no member is left, and this node may have to go on',
    NORMAL: 'wanted in service again before it had left',
    'COMMUNICATIONS-INTERRUPTED': 'the same, with a link down',
    'PARTNER-DOWN': 'the same without a third node, or the last member that can serve',
  },
  SHUTDOWN: {},
} as const satisfies Record<NodeState, Partial<Record<NodeState, string>>>;

function without<T extends object, K extends keyof T>(table: T, key: K): Omit<T, K> {
  const { [key]: _, ...rest } = table;
  return rest;
}

export function nodeTransitionAllowed(from: NodeState, to: NodeState): boolean {
  return to in NODE_TRANSITIONS[from];
}
