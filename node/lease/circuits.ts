/**
 * How many ACTIVE bindings each relay port has, while a limit of them is configured. A binding keeps
 * option 82 as received but not giaddr, so a port is told by the relay's remote-id and its circuit-id.
 */
import { suboption } from '../codec/suboptions.ts';
import { BindingState, recordSection, recordState, SectionKind } from './record.ts';

// RFC 3046 §2.0.
const CIRCUIT_ID = 1;
const REMOTE_ID = 2;

/** What names a relay's port, of option 82's value; undefined where it has no circuit-id. */
export function circuitKeyOf(relayAgentInformation: Buffer): string | undefined {
  const circuit = suboption(relayAgentInformation, CIRCUIT_ID);
  if (circuit === undefined) return undefined;
  const remote = suboption(relayAgentInformation, REMOTE_ID)?.toString('latin1') ?? '';
  return String.fromCharCode(circuit.length) + circuit.toString('latin1') + remote;
}

export class CircuitCounts {
  /** Undefined while nothing is counted. */
  #counts: Map<string, number> | undefined;

  get areKept(): boolean {
    return this.#counts !== undefined;
  }

  /** Forgets all, and counts from now on or not. */
  restart(kept: boolean): void {
    this.#counts = kept ? new Map() : undefined;
  }

  active(key: string): number {
    return this.#counts?.get(key) ?? 0;
  }

  /** The binding had `before` and has `after`; undefined for no record. */
  change(before: Buffer | undefined, after: Buffer | undefined): void {
    if (this.#counts === undefined) return;
    this.#add(before, -1);
    this.#add(after, 1);
  }

  #add(record: Buffer | undefined, count: 1 | -1): void {
    if (record === undefined || recordState(record) !== BindingState.ACTIVE) return;
    const key = circuitKeyOf(recordSection(record, SectionKind.relayAgentInformation));
    if (key === undefined) return;
    const sum = this.active(key) + count;
    if (sum === 0) this.#counts!.delete(key);
    else this.#counts!.set(key, sum);
  }
}
