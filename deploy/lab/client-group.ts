/** The lab's side of scripted-client.ts: gives it commands, keeps what its clients received. */
import { join } from 'node:path';
import type { Host } from './netns.ts';
import { waitUntil, type LabProcess } from './processes.ts';
import type { ClientCommand, ClientEvent } from './scripted-client.ts';

const START_MS = 10_000;

export class ClientGroup {
  readonly events: ClientEvent[] = [];
  readonly #process: LabProcess;
  readonly #ready: Promise<string>;

  constructor(host: Host) {
    this.#process = host.spawn([process.execPath, join(import.meta.dirname, 'scripted-client.ts'), host.interfaceName()], {
      name: 'scripted clients', input: true,
      onLine: (line) => {
        if (line.startsWith('{')) this.events.push(JSON.parse(line) as ClientEvent);
      },
    });
    this.#ready = this.#process.waitForLine(/^ready/, START_MS);
    this.#ready.catch(() => undefined);
  }

  async ready(): Promise<void> {
    await this.#ready;
  }

  /** All of them are gone at once, without a word to anybody. */
  kill(): Promise<void> {
    return this.#process.kill();
  }

  do(command: ClientCommand): void {
    this.#process.write(JSON.stringify(command));
  }

  /** Starts new clients and resolves with how each got its lease. */
  async getLeases(name: string, count: number, retryMs: number, timeoutMs: number): Promise<ClientEvent[]> {
    const before = this.events.length;
    this.do({ do: 'start', name, count, retryMs });
    return this.#collect(`leases for ${count} new clients`, count, timeoutMs, () =>
      this.events.slice(before).filter((event) => event.event === 'bound' && event.client.startsWith(`${name}-`)));
  }

  /** Has every client that holds a lease renew it, and resolves with how each got its answer. */
  async renewAll(timeoutMs: number): Promise<ClientEvent[]> {
    const before = this.events.length;
    const holders = this.holders();
    this.do({ do: 'renew' });
    return this.#collect(`renewals of ${holders.size} clients`, holders.size, timeoutMs, () => {
      const first = new Map<string, ClientEvent>();
      for (const event of this.events.slice(before)) {
        if ((event.event === 'renewed' || event.event === 'rebound') && holders.has(event.client) && !first.has(event.client)) first.set(event.client, event);
      }
      return [...first.values()];
    });
  }

  /** The clients that have a lease, with its address. */
  holders(): Map<string, string> {
    const held = new Map<string, string>();
    for (const { client, event, address } of this.events) {
      if (event === 'bound' || event === 'renewed' || event === 'rebound') held.set(client, address);
      else held.delete(client);
    }
    return held;
  }

  /** What no client may meet: an address refused, run out, or changed under it; in words. */
  losses(): string[] {
    const had = new Map<string, string>();
    return this.events.flatMap(({ client, event, address }) => {
      const before = had.get(client);
      had.set(client, address);
      if (event === 'expired' || event === 'refused') return [`${client} lost ${address} (${event})`];
      return before !== undefined && before !== address ? [`${client} had ${before} and got ${address}`] : [];
    });
  }

  async #collect(what: string, count: number, timeoutMs: number, found: () => ClientEvent[]): Promise<ClientEvent[]> {
    try {
      return await waitUntil(what, timeoutMs, () => {
        const events = found();
        return events.length >= count ? events : undefined;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; ${found().length} of ${count} had one`, { cause: error });
    }
  }
}
