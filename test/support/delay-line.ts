/**
 * Runs on a segment's switch and carries what the switch itself does not pass between two of its ports,
 * later: a link with delay and jitter, one way. Not every kernel can delay packets by itself (netem).
 *
 * Input, a line of JSON each: all `DelayedLink`s from now on. Output: `ready`, then `set` after each.
 */
import { createInterface } from 'node:readline';
import { FrameSocket, OFFLOAD_HEADER_BYTES } from './frame-socket.ts';

export interface DelayedLink {
  /** Ports of the switch. */
  readonly from: string;
  readonly to: string;
  /** The hardware address, in hex, of the host at the end; or what is not there, where it speaks for many clients. */
  readonly hardware?: string;
  readonly notHardware: readonly string[];
  readonly delayMs: number;
  /** Added to the delay, evenly; packets may overtake each other. */
  readonly jitterMs: number;
  readonly lossPercent: number;
}

const POLL_MS = 1;
/** Segments are put together to this size before they leave their host. */
const FRAME_BYTES_MAX = 66_000;
const ETHERTYPE_AT = 12;
const IPV4 = 0x0800;
const BROADCAST = 'ffffffffffff';

interface Waiting {
  readonly at: number;
  readonly to: string;
  readonly frame: Buffer;
}

let links: readonly DelayedLink[] = [];
let waiting: Waiting[] = [];
const sockets = new Map<string, FrameSocket>();
let timer: NodeJS.Timeout | undefined;

function socketOf(port: string): FrameSocket {
  const known = sockets.get(port);
  if (known !== undefined) return known;
  const made = new FrameSocket(port, { offloads: true, batch: 16, frameBytesMax: FRAME_BYTES_MAX });
  sockets.set(port, made);
  return made;
}

function goesTo(link: DelayedLink, destination: string): boolean {
  if (destination === BROADCAST) return true;
  return link.hardware === undefined ? !link.notHardware.includes(destination) : link.hardware === destination;
}

function step(): void {
  const now = performance.now();
  for (const [port, socket] of sockets) {
    const from = links.filter((link) => link.from === port);
    socket.drain((bytes) => {
      if (from.length === 0 || bytes.readUInt16BE(OFFLOAD_HEADER_BYTES + ETHERTYPE_AT) !== IPV4) return;
      const destination = bytes.toString('hex', OFFLOAD_HEADER_BYTES, OFFLOAD_HEADER_BYTES + 6);
      for (const link of from) {
        if (!goesTo(link, destination) || Math.random() * 100 < link.lossPercent) continue;
        waiting.push({ at: now + link.delayMs + Math.random() * link.jitterMs, to: link.to, frame: Buffer.from(bytes) });
      }
    });
  }
  const due = waiting.filter(({ at }) => at <= now).toSorted((one, other) => one.at - other.at);
  if (due.length === 0) return;
  waiting = waiting.filter(({ at }) => at > now);
  for (const { to, frame } of due) socketOf(to).send(frame);
}

function obey(next: readonly DelayedLink[]): void {
  links = next;
  const ports = new Set(links.flatMap(({ from, to }) => [from, to]));
  for (const [port, socket] of sockets) {
    if (ports.has(port)) continue;
    socket.close();
    sockets.delete(port);
  }
  // What is under way on a link that is fast again is lost with it, as on a cable that is changed.
  waiting = waiting.filter(({ to }) => ports.has(to));
  for (const port of ports) socketOf(port);
  clearInterval(timer);
  timer = links.length > 0 ? setInterval(step, POLL_MS) : undefined;
  process.stdout.write('set\n');
}

createInterface({ input: process.stdin }).on('line', (line) => obey(JSON.parse(line) as DelayedLink[]));
process.stdout.write('ready\n');
