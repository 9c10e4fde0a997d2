/** The networks between clients and nodes: broadcasts, relays, routes. What is lost or late there says `ClientPath`. */
import { addressOption } from '../support/client-packets.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import type { ClientPath } from './client-path.ts';
import type { SimClient } from './client.ts';
import type { SimNode } from './node.ts';

const RELAY_AGENT_INFORMATION = 82;
const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const GIADDR_AT = 24;
const CHADDR_AT = 28;

export class Segment {
  readonly #nodes: readonly SimNode[];
  readonly #path: ClientPath;
  /** By hardware address: more than one where it was cloned. */
  readonly #clients = new Map<string, SimClient[]>();

  constructor(nodes: readonly SimNode[], path: ClientPath) {
    this.#nodes = nodes;
    this.#path = path;
  }

  /** The machine is found by this hardware address from now on, and by no other. */
  plug(client: SimClient, before?: Buffer): void {
    if (before !== undefined) {
      const key = before.toString('latin1');
      this.#clients.set(key, (this.#clients.get(key) ?? []).filter((other) => other !== client));
    }
    const key = client.chaddr.toString('latin1');
    this.#clients.set(key, [...this.#clients.get(key) ?? [], client]);
  }

  /** `to` 0: broadcast, which goes through the relays where the client sits behind some. `from` 0: no address yet. */
  send(client: SimClient, bytes: Buffer, from: number, to: number): void {
    const nodes = this.#nodes;
    const { relays } = client.place;
    if (to === 0 && relays.length > 0) {
      for (const giaddr of relays) {
        const relayed = relayedBy(bytes, giaddr, client.id);
        for (const node of nodes) this.#toNode(node, relayed, giaddr, SERVER_PORT, true);
      }
      return;
    }
    for (const node of nodes) if (to === 0 || node.address === to) this.#toNode(node, bytes, from, CLIENT_PORT, to !== 0);
  }

  #toNode(node: SimNode, bytes: Buffer, address: number, port: number, unicast: boolean): void {
    this.#path.carry(node, 'in', () => node.receivePacket(Buffer.from(bytes), { address, port, unicast }));
  }

  toClients(node: SimNode, packet: OutgoingPacket): void {
    const clients = this.#clients.get(packet.bytes.toString('latin1', CHADDR_AT, CHADDR_AT + 6));
    if (clients === undefined || clients.length === 0) return;
    const bytes = Buffer.from(packet.bytes);
    const sentAt = node.trueTime;
    for (const client of clients) this.#path.carry(node, 'out', () => client.receive(bytes, sentAt));
  }
}

/** As a relay passes it on: with its own address, and the port that the client is plugged into. */
function relayedBy(bytes: Buffer, giaddr: number, port: number): Buffer {
  const end = endOfOptions(bytes);
  const agent = Buffer.concat([Buffer.of(RELAY_AGENT_INFORMATION, 6, 1, 4), addressOption(port), Buffer.of(255)]);
  const relayed = Buffer.concat([bytes.subarray(0, end), agent]);
  relayed.writeUInt32BE(giaddr, GIADDR_AT);
  return relayed;
}

/** Where the end option stands. */
function endOfOptions(bytes: Buffer): number {
  let at = 240;
  while (bytes[at] !== 255) at += 2 + bytes[at + 1]!;
  return at;
}
