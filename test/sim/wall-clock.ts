/** A host's wall clock: what it is wrong by, in milliseconds ahead of the true time. */
import type { Agenda } from './agenda.ts';

export class WallClock {
  readonly #agenda: Agenda;
  /** As its time service keeps it. */
  offsetMs = 0;
  /** A step, which lasts until the time service mends it. */
  stepMs = 0;
  /** What it gained by itself. */
  #drift = { ppm: 0, since: 0, gainedMs: 0 };

  constructor(agenda: Agenda) {
    this.#agenda = agenda;
  }

  /** At this moment. */
  get errorMs(): number {
    return this.offsetMs + this.stepMs + this.#gainedMs;
  }

  get #gainedMs(): number {
    const { gainedMs, ppm, since } = this.#drift;
    return gainedMs + ((this.#agenda.now - since) * ppm) / 1e6;
  }

  get driftPpm(): number {
    return this.#drift.ppm;
  }

  /** From now on it gains so much on the true time. */
  drift(ppm: number): void {
    this.#drift = { ppm, since: this.#agenda.now, gainedMs: this.#gainedMs };
  }

  /** The time service has it again. */
  set(): void {
    this.stepMs = 0;
    this.#drift = { ppm: 0, since: 0, gainedMs: 0 };
  }
}
