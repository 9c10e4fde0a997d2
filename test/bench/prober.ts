/**
 * Takes the waiting times of single clients while perfdhcp loads the servers: perfdhcp tells means and
 * extremes, but no percentiles. `node prober.ts RELAY-ADDRESS SECONDS RATE FIRST-CLIENT` plays a relay with a
 * new client every 1/RATE s, whatever becomes of those before, and prints one line of JSON.
 */
import dgram from 'node:dgram';
import { MessageType, readServerMessage, writeClientMessage } from '../../deploy/lab/client-wire.ts';

export interface ProberReport {
  readonly sent: number;
  /** Milliseconds from DISCOVER to OFFER and from REQUEST to ACK, unordered. */
  readonly offers: readonly number[];
  readonly acks: readonly number[];
}

const GIADDR_AT = 24;
const SERVER_PORT = 67;
/** For answers that are under way at the end. */
const LAST_WAIT_MS = 300;

interface Waiting {
  readonly chaddr: Buffer;
  since: number;
  requested: boolean;
}

async function run(relay: string, seconds: number, rate: number, firstClient: number): Promise<ProberReport> {
  const socket = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(SERVER_PORT, relay, resolve));
  socket.setBroadcast(true);
  const waiting = new Map<number, Waiting>();
  const offers: number[] = [];
  const acks: number[] = [];
  const send = (message: Parameters<typeof writeClientMessage>[0]): void => {
    const bytes = writeClientMessage(message);
    bytes.set(relay.split('.').map(Number), GIADDR_AT);
    socket.send(bytes, SERVER_PORT, '255.255.255.255');
  };
  socket.on('message', (bytes) => {
    const now = performance.now();
    const reply = readServerMessage(bytes);
    const client = reply === undefined ? undefined : waiting.get(reply.xid);
    if (reply === undefined || client === undefined) return;
    if (reply.type === MessageType.offer && !client.requested) {
      offers.push(now - client.since);
      client.requested = true;
      client.since = performance.now();
      send({ type: MessageType.request, xid: reply.xid, chaddr: client.chaddr, requested: reply.yiaddr, serverId: reply.serverId });
    } else if (reply.type === MessageType.ack && client.requested) {
      acks.push(now - client.since);
      waiting.delete(reply.xid);
    }
  });
  let sent = 0;
  const began = performance.now();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(performance.now() - began, seconds * 1000) / 1000 * rate;
      for (; sent < due; sent++) {
        const xid = (firstClient + sent) >>> 0;
        const chaddr = Buffer.alloc(6, 0x0a);
        chaddr.writeUInt32BE(xid, 2);
        waiting.set(xid, { chaddr, since: performance.now(), requested: false });
        send({ type: MessageType.discover, xid, chaddr });
      }
      if (performance.now() - began < seconds * 1000) return;
      clearInterval(timer);
      setTimeout(resolve, LAST_WAIT_MS);
    }, 1000 / rate);
  });
  socket.close();
  return { sent, offers, acks };
}

if (process.argv[1] === import.meta.filename) {
  const [relay = '', seconds, rate, firstClient] = process.argv.slice(2);
  const report = await run(relay, Number(seconds), Number(rate), Number(firstClient));
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
