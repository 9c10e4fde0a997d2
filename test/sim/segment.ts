/** The networks between clients and nodes: broadcasts, relays, routes; they lose, double and delay as networks do. */
import { addressOption } from '../support/client-packets.ts';
import type { OutgoingPacket } from '../../node/server/ports.ts';
import type { Agenda } from './agenda.ts';
import type { SimClient } from './client.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

export interface SegmentWorld {
  readonly agenda: Agenda;
  readonly random: Random;
  readonly nodes: readonly SimNode[];
  /** Nodes that no client reaches. */
  readonly clientCut: ReadonlySet<string>;
  readonly clientLoss: number;
  readonly clientLate: number;
  count(what: string): void;
}

const RELAY_AGENT_INFORMATION = 82;
const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const GIADDR_AT = 24;
const CHADDR_AT = 28;

export class Segment {
  readonly #world: SegmentWorld;
  /** By hardware address: more than one where it was cloned. */
  readonly #clients = new Map<string, SimClient[]>();

  constructor(world: SegmentWorld) {
    this.#world = world;
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
    const { nodes } = this.#world;
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
    this.#carry(node, () => node.receivePacket(Buffer.from(bytes), { address, port, unicast }));
  }

  toClients(node: SimNode, packet: OutgoingPacket): void {
    const clients = this.#clients.get(packet.bytes.toString('latin1', CHADDR_AT, CHADDR_AT + 6));
    if (clients === undefined || clients.length === 0) return;
    const bytes = Buffer.from(packet.bytes);
    for (const client of clients) this.#carry(node, () => client.receive(bytes));
  }

  #carry(node: SimNode, deliver: () => void): void {
    const { agenda, clientCut, clientLate, clientLoss, random } = this.#world;
    if (clientCut.has(node.id)) return;
    if (random.chance(clientLoss)) {
      this.#world.count('fault:client-loss');
      return;
    }
    const late = clientLate > 0 && random.chance(clientLate);
    if (late) this.#world.count('fault:client-late');
    agenda.after(late ? random.between(100, 15_000) : random.delay(0.5, 50), deliver);
    if (random.chance(0.005)) {
      this.#world.count('fault:client-duplicate');
      agenda.after(random.between(0.1, 2000), deliver);
    }
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
