/** A steady load of perfdhcp, and what its clients were told: read along on its host. */
import { join } from 'node:path';
import type { Host } from '../../deploy/lab/netns.ts';
import { Load, type LoadResult } from '../../deploy/lab/load.ts';
import type { Acknowledged } from './askers.ts';

const RATE = 100;
const RENEW_RATE = 50;
const CLIENTS = 2000;
const START_MS = 10_000;
/** The clients count from when they asked, the watcher from when the answer came. */
const ANSWER_MS_MAX = 5000;

export class WatchedLoad {
  readonly acknowledged = new Map<string, Acknowledged>();
  readonly description = `${RATE} exchanges/s and ${RENEW_RATE} renewals/s`;
  readonly #host: Host;
  #load: Load | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  async start(): Promise<void> {
    const watcher = this.#host.spawn([process.execPath, join(import.meta.dirname, '../../deploy/lab/ack-watcher.ts')], {
      name: 'watcher of acknowledgements', onLine: (line) => this.#onLine(line),
    });
    await watcher.waitForLine(/^ready/, START_MS);
    this.#load = new Load({ host: this.#host, rate: RATE, renewRate: RENEW_RATE, clients: CLIENTS });
  }

  async stop(): Promise<LoadResult> {
    return this.#load!.stop();
  }

  #onLine(line: string): void {
    const [at, client, address, seconds] = line.split(' ');
    if (seconds === undefined) return;
    this.acknowledged.set(client!, { address: address!, until: Number(at) + Number(seconds) * 1000 - ANSWER_MS_MAX });
  }
}
