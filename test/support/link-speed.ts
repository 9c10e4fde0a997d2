/**
 * Speed of a link between two processes on loopback: round trip of one message, and 10,000 batches of
 * 64 changes answered by acknowledgements. Run as it is, or with LINK_SPEED_TLS in the environment, a folder with files
 * for a and b (`lessor cert`); with `peer` as argument it is the other side.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { openLinks } from '../../cluster/io/grpc-links.ts';
import type { LinkTls } from '../../cluster/io/link-tls.ts';
import type { LinkEvent, PeerMessage } from '../../cluster/core/ports.ts';
import { readCredentials } from '../../node/tls/io/credentials.ts';

const BATCHES = 10_000;
const ROUND_TRIPS = 2000;
const WINDOW = 200;

function batchOf(through: number, size: number): PeerMessage {
  const changes = Array.from({ length: size }, (_, at) => ({ address: 0x0a010000 + at, record: Buffer.alloc(120, at) }));
  const value = { epoch: 7, incarnation: 0xabcd_ef01_2345, changes, through, committed: through, wallMs: 1.8e12 };
  return { body: { $case: 'batch', value } };
}

function tlsOf(node: string): LinkTls | undefined {
  const folder = process.env['LINK_SPEED_TLS'];
  if (folder === undefined) return undefined;
  const [certificate, key, authority] = [`${node}.pem`, `${node}.key`, 'authority.pem'].map((name) => join(folder, name)) as [string, string, string];
  return { source: { current: readCredentials({ certificate, key, authority }) }, isOptional: false };
}

async function peer(port: number): Promise<void> {
  const links = await openLinks({
    self: 'b',
    tls: tlsOf('b'),
    cluster: 'speed',
    listen: { host: '127.0.0.1', port: 0 },
    peers: new Map([['a', `127.0.0.1:${port}`]]),
    handler: (event) => {
      if (event.kind !== 'link-message' || event.message.body?.$case !== 'batch') return;
      const { epoch, incarnation, through } = event.message.body.value;
      links.send('a', { body: { $case: 'ack', value: { epoch, incarnation, seq: through } } });
    },
  });
  console.log(links.port);
}

async function main(): Promise<void> {
  let onEvent: (event: LinkEvent) => void = () => {};
  const links = await openLinks({
    self: 'a',
    tls: tlsOf('a'),
    cluster: 'speed',
    listen: { host: '127.0.0.1', port: 0 },
    peers: new Map(),
    handler: (event) => {
      onEvent(event);
    },
  });
  const child = spawn(process.execPath, [import.meta.filename, 'peer', String(links.port)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<number>((resolve) => child.stdout.once('data', (text: Buffer) => { resolve(Number(text.toString())); }));
  links.setPeers(new Map([['b', `127.0.0.1:${port}`]]));
  await new Promise<void>((resolve) => {
    onEvent = (event) => {
      if (event.kind === 'link-up') resolve();
    };
  });

  /** Sends `count` batches, at most `window` without an acknowledgement; the time of each in ms. */
  const run = (count: number, window: number, size: number): Promise<number[]> => {
    const sentAt: number[] = [];
    const took: number[] = [];
    const send = (): void => {
      sentAt.push(performance.now());
      links.send('b', batchOf(sentAt.length, size));
    };
    return new Promise((resolve) => {
      onEvent = (event) => {
        if (event.kind !== 'link-message') return;
        took.push(performance.now() - (sentAt[took.length] ?? 0));
        if (took.length === count) resolve(took);
        else if (sentAt.length < count) send();
      };
      for (let at = 0; at < window; at++) send();
    });
  };
  await run(ROUND_TRIPS, 1, 1);
  const trips = (await run(ROUND_TRIPS, 1, 1)).sort((one, other) => one - other);
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  await run(BATCHES, WINDOW, 64);
  const seconds = (performance.now() - startedAt) / 1000;
  const spent = process.cpuUsage(cpu);
  const cpuSeconds = (spent.user + spent.system) / 1e6;
  console.log(`round trip of one change and its acknowledgement: median ${at(trips, 0.5)} ms, 99th percentile ${at(trips, 0.99)} ms`);
  console.log(`${BATCHES} batches of 64 changes: ${Math.round((BATCHES * 64) / seconds)} changes/s, ${Math.round(BATCHES / seconds)} messages/s`);
  console.log(`sender's CPU: ${((cpuSeconds * 1e6) / BATCHES).toFixed(1)} µs a batch`);
  await links.close();
  child.kill('SIGKILL');
}

function at(sorted: readonly number[], share: number): string {
  return (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(3);
}

await (process.argv[2] === 'peer' ? peer(Number(process.argv[3])) : main());
