/**
 * What a node shows of itself: its state by the table of node states, derived from what it knows.
 */
import assert from 'node:assert/strict';
import type { ConfigStanding } from '../view/configuration.ts';
import { nodeTransitionAllowed } from './node-state.ts';
import type { NodeState } from './node-state.ts';
import { isMember, linkUp, otherMembers } from './state.ts';
import type { ClusterState } from './state.ts';

export interface StandingHooks {
  readonly isolated: () => boolean;
  /** The state shown has changed: the other nodes and etcd should see it soon. */
  readonly onChange: () => void;
}

export class Standing {
  readonly #state: ClusterState;
  readonly #hooks: StandingHooks;
  #nodeState: NodeState = 'STARTUP';
  /** Others serve, and this node is on its way to them. */
  recovering = false;
  /** Counts state transitions, for the simulator's coverage. */
  readonly transitions = new Map<string, number>();

  constructor(state: ClusterState, hooks: StandingHooks) {
    this.#state = state;
    this.#hooks = hooks;
  }

  get nodeState(): NodeState {
    return this.#nodeState;
  }

  #derive(entering: boolean): NodeState {
    const state = this.#state;
    const { clustered, nodes } = state.context.options;
    if (state.phase === 'stopped') return this.#nodeState === 'DRAINING' || this.#nodeState === 'SHUTDOWN' ? 'SHUTDOWN' : 'DRAINING';
    if (state.leaving) return 'DRAINING';
    if (!isMember(state)) return this.recovering ? 'RECOVER' : 'STARTUP';
    if (clustered && !entering && this.#hooks.isolated()) return 'ISOLATED';
    if (otherMembers(state).some((member) => !linkUp(state, member))) return 'COMMUNICATIONS-INTERRUPTED';
    if (clustered && state.view!.members.length < nodes.length) return 'PARTNER-DOWN';
    return 'NORMAL';
  }

  /** `entering`: a view was adopted just now. A node that is cut off from then on, as after a pause, has been in service first. */
  update(entering = false): void {
    for (let next = this.#derive(entering); next !== this.#nodeState; next = this.#derive(entering)) this.#change(next);
  }

  #change(next: NodeState): void {
    const last = this.#nodeState;
    assert(nodeTransitionAllowed(last, next), `a node cannot go from ${last} to ${next}`);
    const cell = `${last} ${next}`;
    this.transitions.set(cell, (this.transitions.get(cell) ?? 0) + 1);
    this.#nodeState = next;
    this.#state.context.out.event('node.state', { from: last, to: next });
    this.#hooks.onChange();
  }

  /**
   * What `nodes/<id>` shows. `leaves`: the leader is asked to write a view without this node, and why;
   * `wentBack`: the generation in which etcd has been found to have gone back.
   */
  describe(config: ConfigStanding, said: { readonly leaves: string | undefined; readonly wentBack: number | undefined }): string {
    const { context, serverIds } = this.#state;
    const { address, protocol, software } = context.options;
    const down = otherMembers(this.#state).filter((member) => !linkUp(this.#state, member)).map((member) => member.node);
    return JSON.stringify({
      incarnation: context.incarnation, address, software, protocol: [protocol.min, protocol.max], state: this.#nodeState, serverIds, linksDown: down, config,
      ...said,
    });
  }
}
