/**
 * Processes that the lab and the tests start: their output is read line by line, and they are ended by
 * their id. They die with the process that started them, even if that is killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, writeFileSync, type WriteStream } from 'node:fs';
import { getPriority } from 'node:os';
import { createInterface } from 'node:readline';

export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** All output goes here too; the file is begun anew. */
  readonly logFile?: string;
  readonly onLine?: (line: string) => void;
  /** Whether it is to be written to; by default it reads an empty input. */
  readonly input?: boolean;
}

/** Of each process's output the last lines are kept. */
const LINES_MAX = 500;
/** How long the output of a process that has ended is waited for. */
const OUTPUT_END_MS = 300;
/** From SIGTERM to SIGKILL. */
const STOP_MS = 3000;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Polls `probe` until it gives something other than undefined; throws after `timeoutMs`, naming `what`. */
export async function waitUntil<T>(what: string, timeoutMs: number, probe: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(10);
  }
}

/** In a session of its own a process is in a scheduling group of its own too, which does not inherit how nice its parent is. */
function keepPriority(pid: number): void {
  const priority = getPriority();
  if (priority === 0 || pid < 0) return;
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(priority));
  } catch {
    // This kernel has no such groups, or does not allow it.
  }
}

export class LabProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process has ended and its output is read: its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #watchers = new Set<(line: string) => void>();
  #ended: number | NodeJS.Signals | undefined;

  constructor(name: string, command: readonly string[], options: ProcessOptions = {}) {
    this.name = name;
    // The kernel kills the child when its parent goes; exec keeps that, and the process id.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
      stdio: [options.input === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      // Ctrl-C in a terminal goes to the lab alone, which stops them in its own order.
      detached: true,
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const log = options.logFile === undefined ? undefined : createWriteStream(options.logFile);
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', (error) => reject(new Error(`${name} did not start`, { cause: error })));
      this.#child.once('exit', (code, signal) => {
        const ended = code ?? signal ?? -1;
        const finish = (): void => {
          this.#ended ??= ended;
          resolve(ended);
        };
        this.#child.once('close', finish);
        // A daemon that it left behind may hold its output open.
        setTimeout(finish, OUTPUT_END_MS).unref();
      });
      this.#child.once('close', () => log?.end());
    });
    // Whoever waits sees the failure; a process nobody waits for must not end the runner.
    this.exited.catch(() => undefined);
    this.pid = this.#child.pid ?? -1;
    keepPriority(this.pid);
    // Writing to a process that has just ended is no failure of the writer.
    this.#child.stdin?.on('error', () => undefined);
    for (const stream of [this.#child.stdout, this.#child.stderr]) this.#read(stream!, log, options.onLine);
  }

  /** The last lines of standard output and error, as they came. */
  get output(): string {
    return this.#lines.join('\n');
  }

  get running(): boolean {
    return this.#ended === undefined && this.pid > 0;
  }

  /** The first line, of those kept or to come, that matches. Throws with the output if none comes or it ends. */
  async waitForLine(pattern: RegExp, timeoutMs: number): Promise<string> {
    return this.#lines.find((line) => pattern.test(line)) ?? this.nextLine(pattern, timeoutMs);
  }

  /** The same, of those to come. */
  async nextLine(pattern: RegExp, timeoutMs: number): Promise<string> {
    let found: string | undefined;
    const watch = (line: string): void => {
      if (pattern.test(line)) found ??= line;
    };
    this.#watchers.add(watch);
    try {
      return await waitUntil(`${this.name}: a line like ${String(pattern)}`, timeoutMs, () => {
        if (found === undefined && !this.running) throw new Error(`${this.name} ended with ${String(this.#ended)}`);
        return found;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; its output:\n${this.output}`, { cause: error });
    } finally {
      this.#watchers.delete(watch);
    }
  }

  /** One line to its input, for a process started with `input`. */
  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL if that does not help in time. Resolves when it has ended. */
  async stop(timeoutMs: number = STOP_MS): Promise<number | NodeJS.Signals> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), timeoutMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  #read(stream: NodeJS.ReadableStream, log: WriteStream | undefined, onLine: ((line: string) => void) | undefined): void {
    createInterface({ input: stream }).on('line', (line) => {
      this.#lines.push(line);
      if (this.#lines.length > LINES_MAX) this.#lines.shift();
      log?.write(`${line}\n`);
      onLine?.(line);
      for (const watch of this.#watchers) watch(line);
    });
  }
}
