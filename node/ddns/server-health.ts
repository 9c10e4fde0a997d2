/**
 * Which servers did not answer lately: so that not each update waits for a dead one, and that it is noticed when it is
 * back. Bounded by DNS_SERVERS_MAX.
 */
import { DNS_SERVER_REST_MS, DNS_SERVERS_MAX } from './limits.ts';
import type { MonotonicMs } from '../time.ts';
import type { DnsServer } from './types.ts';

export class ServerHealth {
  /** Until when a silent server is left alone; the one of longest ago first. */
  readonly #restsUntil = new Map<string, MonotonicMs>();

  /** Whether the server may be asked. Of one whose rest is over the first who asks finds out whether it answers; the others see it rest on. */
  mayAsk(server: DnsServer, now: MonotonicMs): boolean {
    const name = serverText(server);
    const until = this.#restsUntil.get(name);
    if (until === undefined) return true;
    if (until > now) return false;
    this.#rest(name, now);
    return true;
  }

  onAnswer(server: DnsServer): void {
    this.#restsUntil.delete(serverText(server));
  }

  onSilence(server: DnsServer, now: MonotonicMs): void {
    this.#rest(serverText(server), now);
  }

  #rest(name: string, now: MonotonicMs): void {
    this.#restsUntil.delete(name);
    if (this.#restsUntil.size >= DNS_SERVERS_MAX) for (const [oldest] of this.#restsUntil) {
      this.#restsUntil.delete(oldest);
      break;
    }
    this.#restsUntil.set(name, now + DNS_SERVER_REST_MS as MonotonicMs);
  }
}

/** "10.0.0.1", or with its port where that is not 53. */
export function serverText({ host, port }: DnsServer): string {
  if (port === 53) return host;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
