/** The run's side of client-host.ts: gives it commands, and passes on what its clients received. */
import { join } from 'node:path';
import type { Host } from '../../deploy/lab/netns.ts';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import type { ClientHostCommand, ClientHostOptions } from './client-host.ts';
import type { ClientEvent, ClientsState } from './events.ts';

const START_MS = 15_000;

export class Clients {
  state: ClientsState = { event: 'state', at: 0, holding: 0, asking: 0, longestMs: 0 };
  readonly #process: LabProcess;

  constructor(host: Host, options: ClientHostOptions, onEvent: (event: ClientEvent) => void) {
    this.#process = host.spawn([process.execPath, join(import.meta.dirname, 'client-host.ts'), JSON.stringify(options)], {
      name: 'clients', input: true,
      onLine: (line) => {
        if (!line.startsWith('{')) return;
        const event = JSON.parse(line) as ClientEvent | ClientsState;
        if (event.event === 'state') this.state = event;
        else onEvent(event);
      },
    });
  }

  async ready(): Promise<void> {
    await this.#process.waitForLine(/^ready/, START_MS);
  }

  do(command: ClientHostCommand): void {
    if (!this.#process.running) throw new Error(`the clients' process ended; its output:\n${this.#process.output}`);
    this.#process.write(JSON.stringify(command));
  }

  /** Resolves when nobody asks any more. Rejects with how many still do. */
  async quiet(timeoutMs: number): Promise<void> {
    const quiet = this.#process.nextLine(/^quiet/, timeoutMs);
    this.do({ do: 'quiet', quiet: true });
    await quiet.catch((error: unknown) => {
      const { asking, longestMs } = this.state;
      throw new Error(`${asking} clients still ask after ${timeoutMs} ms of quiet, one for ${longestMs.toFixed(0)} ms`, { cause: error });
    });
  }
}
