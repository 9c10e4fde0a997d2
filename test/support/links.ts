/** Links on loopback for tests, with their events noted in order. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { LinkEvent, PeerMessage } from '../../cluster/core/ports.ts';
import { type Links, openLinks } from '../../cluster/io/grpc-links.ts';
import type { LinkTls } from '../../cluster/io/link-tls.ts';

/** Resolves once the condition holds; the test's own time limit bounds it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pass(2);
}

export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** A message that carries a number. */
export function numbered(seq: number): PeerMessage {
  return { body: { $case: 'ack', value: { epoch: 1, incarnation: 0xffff_ffff_ffff, seq } } };
}

export function numberOf(message: PeerMessage): number {
  return message.body?.$case === 'ack' ? message.body.value.seq : -1;
}

export class NotedNode {
  readonly events: LinkEvent[] = [];
  readonly rejections: string[] = [];
  onEvent: (event: LinkEvent) => void = () => {};
  #links: Links | undefined;

  get links(): Links {
    if (this.#links === undefined) throw new Error('the links are not open');
    return this.#links;
  }

  readonly counters = { linksRefused: 0 };
  /** Peers of links in the clear where there is TLS. */
  readonly unsecured: string[] = [];

  async open(self: string, peers: Record<string, number>, port = 0, cluster = 'test', tls?: LinkTls): Promise<void> {
    this.#links = await openLinks({
      self,
      cluster,
      tls,
      counters: this.counters,
      listen: { host: '127.0.0.1', port },
      peers: addresses(peers),
      handler: (event) => {
        this.events.push(event);
        this.onEvent(event);
      },
      onRejected: (peer, detail) => this.rejections.push(`${peer}: ${detail}`),
      onUnsecured: (peer) => this.unsecured.push(peer),
    });
  }

  /** `up`, `closed`, `refused`, `unreachable` in order; repeated failures of attempts are one. */
  story(): string {
    const words = this.events.flatMap((event) =>
      event.kind === 'link-up' ? ['up'] : event.kind === 'link-down' ? [event.reason] : [],
    );
    return words.filter((word, at) => word === 'up' || word !== words[at - 1]).join(' ');
  }

  numbers(): number[] {
    return this.events.flatMap((event) => (event.kind === 'link-message' ? [numberOf(event.message)] : []));
  }
}

export function addresses(peers: Record<string, number>): Map<string, string> {
  return new Map(Object.entries(peers).map(([id, port]) => [id, `127.0.0.1:${port}`]));
}

export async function nodeFor(
  context: TestContext,
  self: string,
  peers: Record<string, number>,
  port = 0,
  cluster = 'test',
  tls?: LinkTls,
): Promise<NotedNode> {
  const node = new NotedNode();
  await node.open(self, peers, port, cluster, tls);
  context.after(() => node.links.close());
  return node;
}

/** Two nodes, a and b, whose link is up. */
export async function pairFor(context: TestContext): Promise<[a: NotedNode, b: NotedNode]> {
  const b = await nodeFor(context, 'b', {});
  const a = await nodeFor(context, 'a', { b: b.links.port });
  b.links.setPeers(addresses({ a: a.links.port }));
  await until(() => a.story().endsWith('up') && b.story().endsWith('up'));
  return [a, b];
}

/** The node of link-node.ts, once it listens. */
export async function childFor(
  context: TestContext,
  self: string,
  port: number,
  peers: Record<string, number>,
): Promise<{ process: ChildProcess; port: number; stop(signal: NodeJS.Signals): Promise<void> }> {
  const words = [...addresses(peers)].map(([id, address]) => `${id}=${address}`);
  const program = join(import.meta.dirname, 'link-node.ts');
  const child = spawn(process.execPath, [program, self, String(port), ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await exited;
  };
  context.after(() => stop('SIGKILL'));
  const listening = await new Promise<number>((resolve) => {
    let text = '';
    child.stdout.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      const match = /"listening","port":(\d+)/.exec(text);
      if (match !== null) resolve(Number(match[1]));
    });
  });
  return { process: child, port: listening, stop };
}
