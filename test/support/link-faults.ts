/**
 * Links of a segment that lose what one host sends to another: each direction of each pair by itself, for
 * IPv4 only, so that a link that is cut one way stays so when a neighbour is asked for by ARP.
 *
 * A pair of ports is what a rule names: it holds for broadcasts too, and for hosts that speak for clients
 * with hardware addresses of their own.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Host, Segment } from '../../deploy/lab/netns.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';

const run = promisify(execFile);

export interface LinkFault {
  readonly from: Host;
  readonly to: Host;
  /** Of a hundred packets so many are lost; 100 is a cut. */
  readonly lossPercent: number;
}

export class LinkFaults {
  readonly #segment: Segment;
  readonly #faults = new Map<string, LinkFault>();
  #applying: Promise<void> = Promise.resolve();

  /** Throws ProgramMissing. */
  constructor(segment: Segment) {
    requireProgram('nft');
    this.#segment = segment;
  }

  /** Nothing passes from one to the other any more. Resolves when it holds. */
  cut(from: readonly Host[], to: readonly Host[]): Promise<void> {
    return this.lose(from, to, 100);
  }

  lose(from: readonly Host[], to: readonly Host[], lossPercent: number): Promise<void> {
    for (const one of from) for (const other of to) if (one !== other) this.#faults.set(keyOf(one, other), { from: one, to: other, lossPercent });
    return this.#apply();
  }

  restore(from: readonly Host[], to: readonly Host[]): Promise<void> {
    for (const one of from) for (const other of to) this.#faults.delete(keyOf(one, other));
    return this.#apply();
  }

  restoreAll(): Promise<void> {
    this.#faults.clear();
    return this.#apply();
  }

  /** All rules anew in one transaction: there is no moment in between. */
  #apply(): Promise<void> {
    const rules = [...this.#faults.values()].map(({ from, to, lossPercent }) => {
      const ports = `iifname "${from.port(this.#segment).bridgePort}" oifname "${to.port(this.#segment).bridgePort}" ether type ip`;
      return `add rule bridge faults forward ${ports}${lossPercent < 100 ? ` numgen random mod 100 < ${lossPercent}` : ''} drop`;
    });
    const commands = ['add table bridge faults', 'delete table bridge faults', 'add table bridge faults',
      'add chain bridge faults forward { type filter hook forward priority 0; }', ...rules];
    const { command, env } = requireProgram('nft');
    const [program = '', ...args] = this.#segment.commandHere([command, commands.join('; ')]);
    this.#applying = this.#applying.catch(() => undefined).then(async () => {
      await run(program, args, { env: { ...process.env, ...env } });
    });
    return this.#applying;
  }
}

function keyOf(from: Host, to: Host): string {
  return `${from.name} ${to.name}`;
}
