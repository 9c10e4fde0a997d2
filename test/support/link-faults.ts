/**
 * Links of a segment that lose or delay what one host sends to another: each direction of each pair by
 * itself, for IPv4 only, so that a link that is cut one way stays so when a neighbour is asked for by ARP.
 *
 * A pair of ports is what a rule names: it holds for broadcasts too, and for hosts that speak for clients
 * with hardware addresses of their own. A link that delays is one that the switch cuts and a delay line
 * carries instead.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Host, Segment } from '../../deploy/lab/netns.ts';
import { LabProcess } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import type { DelayedLink } from './delay-line.ts';

const run = promisify(execFile);
const START_MS = 10_000;

interface LinkFault {
  readonly from: Host;
  readonly to: Host;
  /** Of a hundred packets so many are lost. */
  readonly lossPercent: number;
  readonly delay?: { readonly delayMs: number; readonly jitterMs: number };
}

export type Quality = Omit<LinkFault, 'from' | 'to'>;
export const CUT: Quality = { lossPercent: 100 };

export class LinkFaults {
  readonly #segment: Segment;
  readonly #hosts: () => readonly Host[];
  readonly #faults = new Map<string, LinkFault>();
  #delayLine: LabProcess | undefined;
  #applying: Promise<void> = Promise.resolve();

  /**
   * @param hosts of the segment; one without an address is taken to speak for clients of its own
   * Throws ProgramMissing.
   */
  constructor(segment: Segment, hosts: () => readonly Host[]) {
    requireProgram('nft');
    this.#segment = segment;
    this.#hosts = hosts;
  }

  /** What one sends to the other is lost, or late, from now on. Resolves when it holds. */
  set(from: readonly Host[], to: readonly Host[], quality: Quality): Promise<void> {
    for (const one of from) for (const other of to) if (one !== other) this.#faults.set(keyOf(one, other), { from: one, to: other, ...quality });
    return this.#apply();
  }

  /** Both ways. */
  async setBoth(one: readonly Host[], other: readonly Host[], quality: Quality): Promise<void> {
    await Promise.all([this.set(one, other, quality), this.set(other, one, quality)]);
  }

  cut(from: readonly Host[], to: readonly Host[]): Promise<void> {
    return this.set(from, to, CUT);
  }

  /** One way; call it for both. */
  restore(from: readonly Host[], to: readonly Host[]): Promise<void> {
    for (const one of from) for (const other of to) this.#faults.delete(keyOf(one, other));
    return this.#apply();
  }

  restoreAll(): Promise<void> {
    this.#faults.clear();
    return this.#apply();
  }

  /** Ends the delay line; the switch's rules go with the switch. */
  async close(): Promise<void> {
    await this.#delayLine?.kill();
  }

  /** In the order of the calls; each waits until its own state holds. */
  #apply(): Promise<void> {
    const faults = [...this.#faults.values()];
    const next = this.#applying.catch(() => undefined).then(async () => {
      await this.#applyDelays(faults.filter(({ delay }) => delay !== undefined));
      await this.#applyRules(faults);
    });
    this.#applying = next;
    return next;
  }

  /** All rules anew in one transaction: there is no moment in between. */
  async #applyRules(faults: readonly LinkFault[]): Promise<void> {
    const rules = faults.map(({ from, to, lossPercent, delay }) => {
      const ports = `iifname "${this.#port(from)}" oifname "${this.#port(to)}" ether type ip`;
      const some = delay === undefined && lossPercent < 100 ? ` numgen random mod 100 < ${lossPercent}` : '';
      return `add rule bridge faults forward ${ports}${some} drop`;
    });
    const commands = ['add table bridge faults', 'delete table bridge faults', 'add table bridge faults',
      'add chain bridge faults forward { type filter hook forward priority 0; }', ...rules];
    const { command, env } = requireProgram('nft');
    const [program = '', ...args] = this.#segment.commandHere([command, commands.join('; ')]);
    await run(program, args, { env: { ...process.env, ...env } });
  }

  async #applyDelays(faults: readonly LinkFault[]): Promise<void> {
    if (faults.length === 0 && this.#delayLine === undefined) return;
    const line = await this.#startDelayLine();
    const known = this.#hosts().map((host) => hardwareHex(host, this.#segment));
    const links = faults.map(({ from, to, delay, lossPercent }): DelayedLink => ({
      from: this.#port(from), to: this.#port(to), notHardware: known, lossPercent, ...delay!,
      ...(to.addresses().length === 0 ? {} : { hardware: hardwareHex(to, this.#segment) }),
    }));
    const done = line.nextLine(/^set/, START_MS);
    line.write(JSON.stringify(links));
    await done;
  }

  async #startDelayLine(): Promise<LabProcess> {
    if (this.#delayLine?.running === true) return this.#delayLine;
    const command = this.#segment.commandHere([process.execPath, join(import.meta.dirname, 'delay-line.ts')]);
    const line = new LabProcess('delay line', command, { input: true });
    this.#delayLine = line;
    await line.waitForLine(/^ready/, START_MS);
    return line;
  }

  #port(host: Host): string {
    return host.port(this.#segment).bridgePort;
  }
}

function keyOf(from: Host, to: Host): string {
  return `${from.name} ${to.name}`;
}

function hardwareHex(host: Host, segment: Segment): string {
  return host.hardware(segment).replaceAll(':', '');
}
