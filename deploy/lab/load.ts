/**
 * A steady load of new leases and renewals: perfdhcp, which plays a relay agent with thousands of clients
 * behind it.
 */
import { join } from 'node:path';
import type { Host } from './netns.ts';
import type { LabProcess } from './processes.ts';
import { requireProgram } from './programs.ts';

export interface LoadOptions {
  readonly host: Host;
  /** Four-way exchanges a second; renewals come on top. */
  readonly rate: number;
  readonly renewRate: number;
  /** How many clients take turns. */
  readonly clients: number;
  /** Until it is stopped, if it is not given. */
  readonly seconds?: number;
}

export interface LoadResult {
  readonly sent: number;
  readonly received: number;
  readonly drops: number;
  /** Of the slower half, REQUEST to ACK; ms. */
  readonly ackMeanMs: number;
  readonly ackMaxMs: number;
}

/** After the last packet, for answers that are under way. */
const EXIT_WAIT_US = 500_000;
const STOP_MS = 5000;
const START_MS = 10_000;

export class Load {
  readonly #process: LabProcess;

  /** Throws ProgramMissing. */
  constructor({ host, rate, renewRate, clients, seconds }: LoadOptions) {
    const { command, env } = requireProgram('perfdhcp');
    this.#process = host.spawn([
      command, '-4', '-l', host.interfaceName(), '-r', String(rate), ...(renewRate > 0 ? ['-f', String(renewRate)] : []),
      '-R', String(clients), ...(seconds === undefined ? [] : ['-p', String(seconds)]), '-W', String(EXIT_WAIT_US),
    ], { name: 'perfdhcp', env });
  }

  get running(): boolean {
    return this.#process.running;
  }

  /** Resolves when the time that was given is over. */
  async finished(): Promise<LoadResult> {
    await this.#process.exited;
    return parseReport(this.#process.output);
  }

  /** perfdhcp tells what it counted when it is interrupted. */
  async stop(): Promise<LoadResult> {
    this.#process.signal('SIGINT');
    const timer = setTimeout(() => this.#process.signal('SIGKILL'), STOP_MS);
    try {
      return await this.finished();
    } finally {
      clearTimeout(timer);
    }
  }
}

/** What one of perfdhcp's clients received. Times are wall-clock ms. */
export interface LoadAck {
  /** Hex. */
  readonly hardware: string;
  readonly address: string;
  readonly at: number;
  readonly until: number;
}

/** What perfdhcp's clients received, read along on its host. */
export class AckWatcher {
  readonly #process: LabProcess;

  constructor(host: Host, onAck: (ack: LoadAck) => void) {
    this.#process = host.spawn([process.execPath, join(import.meta.dirname, 'ack-watcher.ts')], {
      name: 'watcher of acknowledgements', onLine: (line) => {
        const [at, hardware, address, seconds] = line.split(' ');
        if (seconds !== undefined) onAck({ hardware: hardware!, address: address!, at: Number(at), until: Number(at) + Number(seconds) * 1000 });
      },
    });
  }

  async ready(): Promise<void> {
    await this.#process.waitForLine(/^ready/, START_MS);
  }
}

/** Sums over perfdhcp's sections: first half, second half, renewals. Throws if there is no report. */
export function parseReport(output: string): LoadResult {
  const numbers = (pattern: RegExp): number[] => [...output.matchAll(pattern)].map(([, number]) => Number(number));
  const sum = (all: readonly number[]): number => all.reduce((total, number) => total + number, 0);
  const sent = numbers(/^sent packets: (\d+)/gm);
  if (sent.length === 0) throw new Error(`perfdhcp made no report; its output:\n${output}`);
  const ack = /REQUEST-ACK\*\*\*[\s\S]*?avg delay: ([\d.]+)[\s\S]*?max delay: ([\d.]+)/.exec(output);
  return {
    sent: sum(sent), received: sum(numbers(/^received packets: (\d+)/gm)), drops: sum(numbers(/^drops: (\d+)/gm)),
    ackMeanMs: Number(ack?.[1] ?? 0), ackMaxMs: Number(ack?.[2] ?? 0),
  };
}
