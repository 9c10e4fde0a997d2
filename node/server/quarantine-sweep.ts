/**
 * Ends leases that clients in quarantine have: those of owned addresses, a bounded number a turn. A quarantine that came
 * or went names its client or its address, which are looked up. For a port, after a takeover, a start or another
 * configuration all records are read, page by page.
 *
 * A lease that ends so is taken from its client, which does not know (`takenLease`).
 */
import { LEASES_ENDED_PER_TICK_MAX } from '../limits.ts';
import { QUARANTINE_SWEEP_RECORDS, QUARANTINES_LOOKED_AT_MAX } from '../notes/limits.ts';
import { BindingState, recordState, takenLease } from '../lease/record.ts';
import { NOTE_KEYS_END } from '../notes/note.ts';
import { QuarantineIndex } from '../notes/quarantine-index.ts';
import type { Quarantine } from '../notes/quarantine.ts';
import type { Changed } from '../notes/quarantine-list.ts';
import { wallSeconds } from '../time.ts';
import type { Now } from '../time.ts';
import { recordEvent } from './describe.ts';
import type { ServerContext } from './exchange.ts';
import { NOTHING } from './ports.ts';
import type { Decision } from './ports.ts';
import { isBarred, takesQuarantined } from './quarantine.ts';

const NOT_SWEEPING = -2;

export class QuarantineSweep {
  /** The slots that were owned when the sweep under way, or the last one, began. */
  readonly #owned = new Uint8Array(256);
  /** Address of the last record read; NOT_SWEEPING: all is done. */
  #after = NOT_SWEEPING;
  /** Those that are over: the clients that they named keep no lease of the quarantine class. */
  readonly #over = new QuarantineIndex();
  /** Addresses that were found by name and wait for a turn. */
  #found: number[] = [];

  /** What came meanwhile concerns records that were read already. */
  #again = false;
  #wasServing = false;

  /** All records are to be read (again). */
  restart(): void {
    if (this.#after === NOT_SWEEPING) this.#after = -1;
    else this.#again = true;
  }

  /** Every turn. */
  step(context: ServerContext, now: Now): Decision {
    const { cluster, quarantines } = context;
    if (quarantines.size === 0 && this.#over.size === 0 && !quarantines.hasChanged && this.#found.length === 0) {
      // The next one finds all slots gained.
      this.#wasServing = false;
      this.#after = NOT_SWEEPING;
      return NOTHING;
    }
    if (!cluster.serving()) {
      this.#wasServing = false;
      return NOTHING;
    }
    this.#noteOwned(context);
    if (this.#found.length === 0) for (const changed of quarantines.takeChanged(QUARANTINES_LOOKED_AT_MAX)) this.#lookUp(context, changed);
    const named = this.#found.splice(0, LEASES_ENDED_PER_TICK_MAX);
    const addresses = named.length > 0 ? named : this.#nextPage(context);
    const decision = this.#end(context, addresses, now);
    if (this.#after === NOT_SWEEPING && this.#found.length === 0 && !quarantines.hasChanged) this.#over.clear();
    return decision;
  }

  /** What was gained may have leases that its owner before had no time to end. */
  #noteOwned({ cluster }: ServerContext): void {
    let gained = !this.#wasServing;
    this.#wasServing = true;
    for (let slot = 0; slot < 256; slot++) {
      const owns = cluster.owns(slot) ? 1 : 0;
      if (owns > this.#owned[slot]!) gained = true;
      this.#owned[slot] = owns;
    }
    if (gained) this.restart();
  }

  #lookUp({ table }: ServerContext, { after, before }: Changed): void {
    if (before !== undefined) this.#over.add(before);
    if (after !== undefined) this.#over.delete(after.key);
    for (const { subject } of [before, after].filter((each): each is Quarantine => each !== undefined)) {
      const { address, circuitId, clientId, hardware } = subject;
      if (circuitId !== undefined) this.restart();
      if (address !== undefined) this.#found.push(address);
      if (clientId !== undefined) this.#found.push(...table.findAllByClient(Buffer.from(clientId, 'latin1')));
      if (hardware !== undefined) this.#found.push(...table.findAllByHardware(Buffer.from(hardware, 'latin1')));
    }
  }

  #nextPage({ table }: ServerContext): readonly number[] {
    if (this.#after === NOT_SWEEPING) return [];
    const page = table.records(Math.max(this.#after, NOTE_KEYS_END - 1), QUARANTINE_SWEEP_RECORDS);
    this.#after = page.at(-1)?.address ?? NOT_SWEEPING;
    if (page.length === 0 && this.#again) this.#after = -1;
    if (page.length === 0) this.#again = false;
    return page.map(({ address }) => address);
  }

  #end(context: ServerContext, addresses: readonly number[], now: Now): Decision {
    const { cluster, config, table } = context;
    const decision = { ...NOTHING, changes: [] as { address: number; record: Buffer }[], events: [] as ReturnType<typeof recordEvent>[] };
    for (const address of new Set(addresses)) {
      const record = cluster.owns(address & 255) ? table.read(address) : undefined;
      if (record === undefined || recordState(record) !== BindingState.ACTIVE) continue;
      const why = this.#whyEnded(context, address, record);
      if (why === undefined) continue;
      decision.changes.push({ address, record: takenLease(record, wallSeconds(now.wall)) });
      const event = recordEvent('quarantine.lease-ended', address, record, config.subnets[table.subnetOf(address)]?.name ?? '');
      decision.events.push({ ...event, fields: { ...event.fields, why } });
    }
    return decision.changes.length === 0 ? NOTHING : decision;
  }

  /** Undefined: its client keeps the lease. */
  #whyEnded(context: ServerContext, address: number, record: Buffer): string | undefined {
    const { quarantines, table } = context;
    if (isBarred(context, address, record)) {
      const quarantine = quarantines.index.ofRecord(record);
      return quarantine === undefined ? 'the address is in quarantine' : `quarantine ${quarantine.key}: ${quarantine.reason}`;
    }
    if (this.#over.size === 0 || quarantines.index.ofRecord(record) !== undefined || !takesQuarantined(context, table, address)) return undefined;
    const over = this.#over.ofRecord(record);
    return over === undefined ? undefined : `quarantine ${over.key} is over: ${over.reason}`;
  }
}
