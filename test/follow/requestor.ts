/** `lessor leasequery active` as a process on a host of its own; what it prints is kept with the time at which it came. */
import { createWriteStream, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../deploy/lab/netns.ts';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import { nowMs, readRequestorLine, type RequestorEvent } from './events.ts';

const entry = join(import.meta.dirname, '../../node/cli/lessor.ts');

export interface RequestorOptions {
  readonly name: string;
  readonly host: Host;
  readonly folder: string;
  readonly args: readonly string[];
}

export class Requestor {
  readonly events: RequestorEvent[] = [];
  readonly #process: LabProcess;
  readonly #file: WriteStream;

  constructor({ args, folder, host, name }: RequestorOptions) {
    this.#file = createWriteStream(join(folder, `${name}.jsonl`));
    this.#process = host.spawn([process.execPath, entry, 'leasequery', 'active', ...args], { name, cwd: folder, onLine: (line) => this.#onLine(line) });
  }

  get running(): boolean {
    return this.#process.running;
  }

  /** Address and port of the server that it follows; undefined: none. */
  get follows(): string | undefined {
    const last = this.events.findLast(({ event }) => event === 'connected' || event === 'ended');
    return last?.event === 'connected' ? last.server : undefined;
  }

  /** Resolves with its exit code. */
  async stop(): Promise<number | NodeJS.Signals> {
    const code = await this.#process.stop();
    await new Promise<void>((resolve) => this.#file.end(resolve));
    return code;
  }

  #onLine(line: string): void {
    const at = nowMs();
    this.#file.write(`${JSON.stringify({ at, line })}\n`);
    const event = readRequestorLine(line, at);
    if (event !== undefined) this.events.push(event);
  }
}
