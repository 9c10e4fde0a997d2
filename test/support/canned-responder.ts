/**
 * A process that answers every client from its hardware address, without memory: for tests of the DHCP
 * sockets and measurements of what they can carry. Its argument is JSON, `CannedResponderOptions`.
 *
 * Prints a line of JSON for each thing that happens (unless `quiet`), and at SIGTERM what it counted.
 */
import { existsSync } from 'node:fs';
import { openDhcpSockets, type DhcpSockets } from '../../node/io/dhcp-sockets.ts';
import { readClock } from '../../node/io/clock.ts';
import { formatIpv4 } from '../../node/codec/address.ts';
import type { InterfaceInfo, OutgoingPacket, ReceivedPacket } from '../../node/server/ports.ts';
import { Counters } from '../../node/telemetry/counters.ts';

export interface CannedResponderOptions {
  readonly interfaces: readonly string[];
  readonly quiet?: boolean;
  /**
   * A packet with this xid stops the event loop until the file exists; then what waits is discarded.
   */
  readonly block?: { readonly xid: number; readonly untilFile: string };
}

const options = JSON.parse(process.argv[2] ?? '{}') as CannedResponderOptions;
const counters = new Counters();
const pending: OutgoingPacket[] = [];
let received = 0;
let batches = 0;

function say(what: string, fields: object): void {
  if (options.quiet !== true) process.stdout.write(`${JSON.stringify({ what, ...fields })}\n`);
}

function described(interfaces: readonly InterfaceInfo[]): object {
  return { interfaces: interfaces.map((one) => ({ ...one, addresses: one.addresses.map((own) => `${formatIpv4(own.address)}/${own.prefixLength}`) })) };
}

function optionAt(bytes: Buffer, code: number): number {
  for (let at = 240; at < bytes.length && bytes[at] !== 255; at += 2 + bytes[at + 1]!) {
    if (bytes[at] === code) return at + 2;
    if (bytes[at] === 0) at--;
  }
  return -1;
}

/** The address that a client gets: 10.x.0.0/16 of the interface, the rest from its hardware address. */
function addressFor(bytes: Buffer, serverId: number): number {
  return ((serverId & 0xffff0000) | bytes.readUInt16BE(32)) >>> 0;
}

function answer({ bytes, iface, receivedAt }: ReceivedPacket): OutgoingPacket | undefined {
  const typeAt = optionAt(bytes, 53);
  const replyType = typeAt < 0 ? undefined : { 1: 2, 3: 5 }[bytes[typeAt]!];
  if (replyType === undefined) return undefined;
  const serverId = iface.addresses[0]!.address;
  const yiaddr = addressFor(bytes, serverId);
  const reply = Buffer.alloc(300);
  bytes.copy(reply, 0, 0, 240);
  reply[0] = 2;
  reply.writeUInt32BE(yiaddr, 16);
  Buffer.from([53, 1, replyType, 54, 4, 0, 0, 0, 0, 51, 4, 0, 0, 0, 60, 1, 4, 255, 255, 0, 0, 255]).copy(reply, 240);
  reply.writeUInt32BE(serverId, 245);
  const giaddr = bytes.readUInt32BE(24);
  const ciaddr = bytes.readUInt32BE(12);
  const common = { bytes: reply, iface, receivedAt };
  if (giaddr !== 0) return { ...common, address: giaddr, port: 67 };
  if (ciaddr !== 0) return { ...common, address: ciaddr, port: 68 };
  if ((bytes[10]! & 0x80) !== 0) return { ...common, address: 0xffffffff, port: 68 };
  return { ...common, address: yiaddr, port: 68, hardware: { htype: bytes[1]!, chaddr: Buffer.from(bytes.subarray(28, 34)) } };
}

function block(file: string): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(file)) Atomics.wait(cell, 0, 0, 10);
}

const sockets: DhcpSockets = openDhcpSockets({
  interfaces: options.interfaces,
  counters,
  handler: {
    onPacket(packet) {
      received++;
      if (packet.bytes.length < 240) return;
      const xid = packet.bytes.readUInt32BE(4);
      say('packet', {
        xid, interface: packet.iface.name, source: formatIpv4(packet.sourceAddress), sourcePort: packet.sourcePort, unicast: packet.unicast,
      });
      if (xid === options.block?.xid) {
        say('blocked', {});
        block(options.block.untilFile);
        say('discarded', { count: sockets.discardWaiting() });
        return;
      }
      const reply = answer(packet);
      if (reply !== undefined) pending.push(reply);
    },
    onBatchEnd() {
      batches++;
      sockets.send(pending);
      pending.length = 0;
    },
    onInterfacesChanged: (interfaces) => say('interfaces', described(interfaces)),
    onError: (error) => say('error', { code: error.code, interface: error.interfaceName, message: error.message }),
  },
});
say('ready', { ...described(sockets.interfaces()), at: readClock().wall });

process.once('SIGTERM', () => {
  const { user, system } = process.cpuUsage();
  const dropped = Object.fromEntries(Object.entries(counters.drops).filter(([, count]) => count > 0));
  void sockets.close().then(() => {
    process.stdout.write(`${JSON.stringify({ what: 'end', received, batches, dropped, cpuSeconds: (user + system) / 1e6 })}\n`);
  });
});
