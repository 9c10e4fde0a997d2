/**
 * The lab for eyes: runs two nodes with clients and a load until it is told to stop, and shows how they
 * fare twice a second. In a terminal it draws over its own screen and takes keys; elsewhere it prints
 * the view every few seconds.
 */
import { join } from 'node:path';
import type { WallMs } from '../../node/time.ts';
import { NODE_NAMES, type LabCluster, type NodeName } from './lab-cluster.ts';
import { renderLiveView, type LabClient, type LiveViewLab, type Screen } from './live-view.ts';
import { Load } from './load.ts';
import { sleep } from './processes.ts';
import { RealClient } from './real-clients.ts';

const START_MS = 20_000;
const REFRESH_MS = 500;
const PRINT_MS = 5000;
const RATE = 200;
const RENEW_RATE = 100;
const LOAD_CLIENTS = 3000;
const DHCLIENT_RENEWS_AFTER = 8;
/** What a pipe or a file is given. */
const PLAIN_SCREEN: Screen = { width: 140, height: 40, colours: false };

const CTRL_C = '\u0003';
const ENTER_SCREEN = '\u001B[?1049h\u001B[?25l';
const LEAVE_SCREEN = '\u001B[?25h\u001B[?1049l';
const HOME = '\u001B[H';
const CLEAR_TO_END_OF_LINE = '\u001B[K';
const CLEAR_BELOW = '\u001B[J';

export class LiveLab {
  readonly #lab: LabCluster;
  readonly #clients: RealClient[] = [];
  readonly #startedAt = wallNow();
  #load: Load | undefined;
  #quit = false;

  constructor(lab: LabCluster) {
    this.#lab = lab;
  }

  /** Resolves with exit code 0 when the user quits. Rejects if the cluster does not come up. */
  async run(): Promise<number> {
    process.stdout.write('Starting etcd, node a and node b ...\n');
    await this.#lab.startEtcd();
    for (const name of NODE_NAMES) this.#lab.nodes[name].start();
    await this.#lab.waitForBothNormal(START_MS).catch((error: unknown) => {
      const logs = NODE_NAMES.map((name) => `The last log lines of node ${name}:\n${this.#lab.nodes[name].lastLines}`);
      throw new Error([(error as Error).message, ...logs].join('\n\n'), { cause: error });
    });
    for (const kind of ['udhcpc', 'dhclient'] as const) {
      this.#clients.push(new RealClient({
        kind, host: this.#lab.network.host(kind), folder: join(this.#lab.folder, kind), renewAfterSeconds: DHCLIENT_RENEWS_AFTER,
      }));
    }
    const terminal = process.stdout.isTTY;
    if (terminal) this.#takeTerminal();
    try {
      while (!this.#quit) {
        // It ends by itself when answers stay out for long.
        if (this.#load?.running !== true) this.#load = new Load({ host: this.#lab.network.host('load'), rate: RATE, renewRate: RENEW_RATE, clients: LOAD_CLIENTS });
        await this.#draw(terminal);
        await sleep(terminal ? REFRESH_MS : PRINT_MS);
      }
    } finally {
      if (terminal) this.#giveTerminalBack();
    }
    process.stdout.write('Stopping and removing everything ...\n');
    return 0;
  }

  async #draw(terminal: boolean): Promise<void> {
    const statuses = await this.#lab.statuses();
    if (this.#quit) return;
    const screen = terminal ? terminalScreen() : PLAIN_SCREEN;
    const text = renderLiveView(statuses, this.#view(terminal), screen);
    if (terminal) process.stdout.write(`${HOME}${text.replaceAll('\n', `${CLEAR_TO_END_OF_LINE}\n`)}${CLEAR_TO_END_OF_LINE}${CLEAR_BELOW}`);
    else process.stdout.write(`${text.replaceAll(/\n{3,}/g, '\n\n')}\n\n`);
  }

  #view(terminal: boolean): LiveViewLab {
    return {
      title: 'Lessor lab', now: wallNow(), startedAt: this.#startedAt,
      nodes: NODE_NAMES.map((name, i) => {
        const { pid } = this.#lab.nodes[name];
        const key = terminal ? `key ${i + 1}, or: ` : '';
        return {
          node: name, ...(pid === undefined ? {} : { pid }), metrics: this.#lab.nodes[name].metricsCommand(),
          kill: `${key}sudo kill -9 ${pid ?? ''}`,
          start: terminal ? `key ${i + 1}` : 'start the lab in a terminal to bring nodes back',
        };
      }),
      clients: [
        { name: 'perfdhcp', address: `${LOAD_CLIENTS} clients`, note: `asks for ${RATE} leases/s and renews ${RENEW_RATE}/s` },
        ...this.#clients.map((client) => describeClient(client)),
      ],
      stop: terminal ? 'q or Ctrl-C' : 'Ctrl-C',
    };
  }

  #takeTerminal(): void {
    process.stdout.write(ENTER_SCREEN);
    // Also when this process ends in another way.
    process.once('exit', leaveScreen);
    if (!process.stdin.isTTY) return;
    process.stdin.setRawMode(true);
    process.stdin.setEncoding('utf8');
    process.stdin.on('data', (keys: string) => {
      for (const key of keys) this.#onKey(key);
    });
  }

  #giveTerminalBack(): void {
    process.off('exit', leaveScreen);
    leaveScreen();
    if (process.stdin.isTTY) process.stdin.setRawMode(false).pause();
  }

  #onKey(key: string): void {
    if (key === 'q' || key === CTRL_C) {
      this.#quit = true;
      return;
    }
    const name: NodeName | undefined = NODE_NAMES[Number(key) - 1];
    if (name === undefined) return;
    const node = this.#lab.nodes[name];
    if (node.pid === undefined) node.start();
    else void node.kill();
  }
}

function terminalScreen(): Screen {
  const { columns, rows } = process.stdout;
  // A terminal that does not know its size says 0.
  return { width: columns || PLAIN_SCREEN.width, height: rows || PLAIN_SCREEN.height, colours: process.env['NO_COLOR'] === undefined };
}

function leaveScreen(): void {
  process.stdout.write(LEAVE_SCREEN);
}

function wallNow(): WallMs {
  return Math.round(performance.timeOrigin + performance.now()) as WallMs;
}

function describeClient(client: RealClient): LabClient {
  const last = client.history().at(-1);
  if (last === undefined) return { name: client.name, note: 'asks for an address' };
  const lease = client.lease();
  const seconds = Math.max(0, Math.round((wallNow() - Number(last.timeNs / 1_000_000n)) / 1000));
  return {
    name: client.name, ...(lease === undefined ? {} : { address: lease.address }),
    note: `${last.event} ${seconds} s ago${last.serverId === '' ? '' : ` by ${last.serverId}`}${last.leaseSeconds > 0 ? ` for ${last.leaseSeconds} s` : ''}`,
  };
}
