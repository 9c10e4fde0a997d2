/** Quarantines found by what a packet or a record shows of its client: a look-up or two, however many there are. */
import { suboption } from '../codec/suboptions.ts';
import { recordChaddr, recordClientKey, recordHasClientIdentifier, recordHtype, recordSection, SectionKind } from '../lease/record.ts';
import { stricter } from './quarantine.ts';
import type { Quarantine, QuarantineSubject } from './quarantine.ts';

// RFC 3046 §2.0.
const CIRCUIT_ID = 1;
const REMOTE_ID = 2;

/** What is shown of a client. */
export interface Shown {
  /** Option 61. */
  readonly clientId: Buffer | undefined;
  readonly htype: number;
  readonly chaddr: Buffer;
  /** Option 82's value. */
  readonly relayAgentInformation: Buffer | undefined;
}

type Found = Map<string, readonly Quarantine[]>;

export class QuarantineIndex {
  readonly #byKey = new Map<number, Quarantine>();
  readonly #byClientId: Found = new Map();
  readonly #byHardware: Found = new Map();
  readonly #byPort: Found = new Map();

  get size(): number {
    return this.#byKey.size;
  }

  get ports(): number {
    return this.#byPort.size;
  }

  /** In no order. */
  all(): IterableIterator<Quarantine> {
    return this.#byKey.values();
  }

  get(key: number): Quarantine | undefined {
    return this.#byKey.get(key);
  }

  add(quarantine: Quarantine): void {
    this.delete(quarantine.key);
    this.#byKey.set(quarantine.key, quarantine);
    for (const [map, name] of this.#places(quarantine.subject)) map.set(name, [...(map.get(name) ?? []), quarantine]);
  }

  delete(key: number): void {
    const known = this.#byKey.get(key);
    if (known === undefined) return;
    this.#byKey.delete(key);
    for (const [map, name] of this.#places(known.subject)) {
      const left = map.get(name)!.filter((each) => each !== known);
      if (left.length > 0) map.set(name, left);
      else map.delete(name);
    }
  }

  clear(): void {
    for (const map of [this.#byKey, this.#byClientId, this.#byHardware, this.#byPort]) map.clear();
  }

  /** The strictest of those that concern the client. */
  find({ chaddr, clientId, htype, relayAgentInformation }: Shown): Quarantine | undefined {
    let found: Quarantine | undefined;
    if (this.#byClientId.size > 0 && clientId !== undefined) found = strictest(found, this.#byClientId.get(clientId.toString('latin1')));
    if (this.#byHardware.size > 0 && chaddr.length > 0) found = strictest(found, this.#byHardware.get(String.fromCharCode(htype) + chaddr.toString('latin1')));
    if (this.#byPort.size > 0 && relayAgentInformation !== undefined) found = stricter(found, this.#atPort(relayAgentInformation));
    return found;
  }

  /** The same for the client of a binding. */
  ofRecord(record: Buffer): Quarantine | undefined {
    const clientKey = recordClientKey(record);
    // An address that somebody was found to use is no client's.
    if (clientKey.length === 0) return undefined;
    return this.find({
      clientId: recordHasClientIdentifier(record) ? clientKey : undefined, htype: recordHtype(record), chaddr: recordChaddr(record),
      relayAgentInformation: recordSection(record, SectionKind.relayAgentInformation),
    });
  }

  #atPort(relayAgentInformation: Buffer): Quarantine | undefined {
    const circuit = suboption(relayAgentInformation, CIRCUIT_ID)?.toString('latin1');
    if (circuit === undefined) return undefined;
    const remote = suboption(relayAgentInformation, REMOTE_ID)?.toString('latin1');
    const found = strictest(undefined, this.#byPort.get(portName(circuit, undefined)));
    return remote === undefined ? found : strictest(found, this.#byPort.get(portName(circuit, remote)));
  }

  *#places({ circuitId, clientId, hardware, remoteId }: QuarantineSubject): IterableIterator<readonly [Found, string]> {
    if (clientId !== undefined) yield [this.#byClientId, clientId];
    if (hardware !== undefined) yield [this.#byHardware, hardware];
    if (circuitId !== undefined) yield [this.#byPort, portName(circuitId, remoteId)];
  }
}

function portName(circuit: string, remote: string | undefined): string {
  return `${String.fromCharCode(circuit.length, remote === undefined ? 0 : 1)}${circuit}${remote ?? ''}`;
}

function strictest(found: Quarantine | undefined, others: readonly Quarantine[] | undefined): Quarantine | undefined {
  if (others === undefined) return found;
  let best = found;
  for (const other of others) best = stricter(best, other);
  return best;
}
