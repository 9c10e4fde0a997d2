/** The other side of asker.ts: gives it commands, keeps what its clients received, and works out how long they waited. */
import { join } from 'node:path';
import { AddressChecker } from '../../deploy/lab/address-checker.ts';
import type { Host } from '../../deploy/lab/netns.ts';
import { waitUntil, type LabProcess } from '../../deploy/lab/processes.ts';
import type { Ask, AskerCommand, AskerEvent } from './asker.ts';

const START_MS = 10_000;
const ANSWER_MS = 5000;

export type Served = Extract<AskerEvent, { event: 'served' }>;

export type Waiting = Extract<AskerEvent, { event: 'waiting' }>['clients'];

/** What a client was told last. */
export interface Acknowledged {
  readonly address: string;
  /** Wall time in ms: so long the nodes must know it at least. */
  readonly until: number;
}

export interface Wait {
  readonly ask: Served['ask'];
  readonly client: string;
  readonly address: string;
  /** Infinity: it was not served as long as it was watched. */
  readonly ms: number;
  readonly beganAt: number;
  readonly serverId: string;
}

export class Askers {
  readonly events: AskerEvent[] = [];
  /** By client, of those that hold a lease now. */
  readonly acknowledged = new Map<string, Acknowledged>();
  readonly #process: LabProcess;
  readonly #checker = new AddressChecker();
  readonly #losses: string[] = [];
  readonly #toldLosses = new Set<string>();
  #waiting: Waiting = [];
  #toldWaiting = 0;

  constructor(host: Host) {
    this.#process = host.spawn([process.execPath, join(import.meta.dirname, 'asker.ts'), host.interfaceName()], {
      name: 'clients', input: true,
      onLine: (line) => {
        if (line.startsWith('{')) this.#take(JSON.parse(line) as AskerEvent);
      },
    });
  }

  async ready(): Promise<void> {
    await this.#process.waitForLine(/^ready/, START_MS);
  }

  do(command: AskerCommand): void {
    this.#process.write(JSON.stringify(command));
  }

  #take(event: AskerEvent): void {
    if (event.event === 'waiting') {
      this.#waiting = event.clients;
      this.#toldWaiting++;
    } else this.events.push(event);
    if (event.event === 'served') {
      const before = this.acknowledged.get(event.client);
      if (before !== undefined && before.address !== event.address) this.#losses.push(`${event.client} had ${before.address} and got ${event.address}`);
      this.acknowledged.set(event.client, { address: event.address, until: event.untilFromFirst });
      this.#checker.held(event.client, event.address, event.at, event.until);
    } else if (event.event === 'refused' && this.acknowledged.has(event.client)) {
      this.#losses.push(`${event.client} was refused ${event.address} by ${event.serverId}`);
      this.#checker.ended(event.client, event.address, event.at);
      this.acknowledged.delete(event.client);
    }
  }

  /** Resolves when `count` new clients have a lease, which they rebind and renew from now on. */
  async hold(count: number, timeoutMs: number): Promise<void> {
    const wanted = this.acknowledged.size + count;
    this.do({ do: 'hold', count });
    await waitUntil(`leases for ${count} clients`, timeoutMs, () => (this.acknowledged.size >= wanted ? true : undefined));
  }

  stream(asks: readonly Ask[], everyMs: number): void {
    for (const ask of asks) this.do({ do: 'stream', ask, everyMs });
  }

  /** No further client begins; resolves with those that are not served after `timeoutMs`. */
  async pause(timeoutMs: number): Promise<Waiting> {
    const before = this.#toldWaiting;
    this.do({ do: 'pause' });
    await waitUntil('word from the clients', ANSWER_MS, () => (this.#toldWaiting > before ? true : undefined));
    await waitUntil('answers', timeoutMs, () => (this.#waiting.length === 0 ? true : undefined)).catch(() => undefined);
    return this.#waiting;
  }

  /** How late the measuring process's own timers were at worst since this was asked last. */
  async timersWorstMs(): Promise<number> {
    const before = this.events.length;
    this.do({ do: 'timers' });
    return waitUntil('word from the clients', ANSWER_MS, () => {
      for (let i = this.events.length - 1; i >= before; i--) {
        const event = this.events[i]!;
        if (event.event === 'timers') return event.worstMs;
      }
      return undefined;
    });
  }

  /** Of everyone who was served after `from` and began before `to`; it counts from `from` for who had begun before. */
  waits(from: number, to: number): Wait[] {
    return this.events.flatMap((event) => {
      if (event.event !== 'served' || event.at < from || event.beganAt > to) return [];
      const { address, ask, beganAt, client, serverId } = event;
      return [{ ask, client, address, serverId, beganAt, ms: event.at - Math.max(from, beganAt) }];
    });
  }

  /** What no client may meet, since this was asked last: an address refused, or changed under it, or held by two; in words. */
  newLosses(): string[] {
    const fresh = [...this.#losses, ...this.#checker.conflicts()].filter((text) => !this.#toldLosses.has(text));
    for (const text of fresh) this.#toldLosses.add(text);
    return fresh;
  }
}
