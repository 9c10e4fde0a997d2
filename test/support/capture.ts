/** What tshark saw on a host's interface. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
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
  read(fields: readonly string[], displayFilter?: string): Promise<string[][]> {
    return readCapture(this.file, fields, displayFilter);
  }

  complaints(): Promise<string[][]> {
    return complaintsAbout(this.file);
  }
}

/** The values of these fields, a row for each packet of the file that matches the display filter. */
export async function readCapture(file: string, fields: readonly string[], displayFilter?: string): Promise<string[][]> {
  const { command, env } = requireProgram('tshark');
  const { stdout } = await run(command, [
    '-r', file, '-T', 'fields', ...fields.flatMap((field) => ['-e', field]), ...(displayFilter === undefined ? [] : ['-Y', displayFilter]),
  ], { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 });
  return stdout.split('\n').filter((line) => line !== '').map((line) => line.split('\t'));
}

/** What tshark finds wrong with the DHCP packets of a file: malformed ones and expert notes of warning or worse. */
export function complaintsAbout(file: string): Promise<string[][]> {
  return readCapture(file, ['frame.number', '_ws.col.Info', '_ws.expert.message'], 'dhcp && (_ws.malformed || _ws.expert.severity >= 0x600000)');
}

const PCAP_MAGIC = 0xa1b2_c3d4;
const LINKTYPE_RAW = 101;
const IP_BYTES = 20;
const UDP_BYTES = 8;

/** A capture file of DHCP messages that came over TCP, which tshark reads over UDP only: each as a packet to port 67. */
export function writeCapture(file: string, messages: readonly Buffer[]): void {
  const header = Buffer.alloc(24);
  header.writeUInt32BE(PCAP_MAGIC, 0);
  header.writeUInt16BE(2, 4);
  header.writeUInt16BE(4, 6);
  header.writeUInt32BE(0xffff, 16);
  header.writeUInt32BE(LINKTYPE_RAW, 20);
  writeFileSync(file, Buffer.concat([header, ...messages.map(packetOf)]));
}

function packetOf(message: Buffer): Buffer {
  const length = IP_BYTES + UDP_BYTES + message.length;
  const packet = Buffer.alloc(16 + IP_BYTES + UDP_BYTES);
  packet.writeUInt32BE(length, 8);
  packet.writeUInt32BE(length, 12);
  const ip = packet.subarray(16);
  ip[0] = 0x45;
  ip.writeUInt16BE(length, 2);
  ip[8] = 64;
  ip[9] = 17;
  ip.writeUInt32BE(0x0a01_000b, 12);
  ip.writeUInt32BE(0x0a01_0002, 16);
  ip.writeUInt16BE(67, IP_BYTES);
  ip.writeUInt16BE(67, IP_BYTES + 2);
  ip.writeUInt16BE(UDP_BYTES + message.length, IP_BYTES + 4);
  return Buffer.concat([packet, message]);
}
