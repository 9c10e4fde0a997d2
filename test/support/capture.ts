/** What tshark saw on a host's interface. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Host, Segment } from '../../deploy/lab/netns.ts';
import { sleep, type LabProcess } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';

const run = promisify(execFile);

/** libpcap asks for blocks at least every 250 ms (dumpcap's read timeout). */
const KERNEL_BLOCK_MS = 600;

export class Capture {
  readonly file: string;
  readonly #process: LabProcess;

  private constructor(file: string, started: LabProcess) {
    this.file = file;
    this.#process = started;
  }

  /** Resolves when packets are being captured. `filter` is a capture filter, such as `udp port 67`. */
  static async start(options: { host: Host; segment?: Segment; file: string; filter?: string }): Promise<Capture> {
    const { command, env } = requireProgram('tshark');
    const started = options.host.spawn([
      command, '-i', options.host.interfaceName(options.segment), '-w', options.file, '-f', options.filter ?? 'udp port 67 or udp port 68',
    ], { env, name: 'tshark' });
    await started.waitForLine(/Capture started/, 10_000);
    return new Capture(options.file, started);
  }

  /** Ends the capture; the file is whole then. */
  async stop(): Promise<void> {
    // The kernel hands packets over in blocks, and what is in a block that is not full yet would be lost.
    await sleep(KERNEL_BLOCK_MS);
    this.#process.signal('SIGINT');
    await this.#process.stop();
  }

  /** The values of these fields, a row for each captured packet that matches the display filter. */
  async read(fields: readonly string[], displayFilter?: string): Promise<string[][]> {
    const { command, env } = requireProgram('tshark');
    const { stdout } = await run(command, [
      '-r', this.file, '-T', 'fields', ...fields.flatMap((field) => ['-e', field]), ...(displayFilter === undefined ? [] : ['-Y', displayFilter]),
    ], { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 });
    return stdout.split('\n').filter((line) => line !== '').map((line) => line.split('\t'));
  }

  /** What tshark finds wrong with the DHCP packets: malformed ones and expert notes of warning or worse. */
  complaints(): Promise<string[][]> {
    return this.read(['frame.number', '_ws.col.Info', '_ws.expert.message'], 'dhcp && (_ws.malformed || _ws.expert.severity >= 0x600000)');
  }
}
