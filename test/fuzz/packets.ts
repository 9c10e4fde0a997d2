/**
 * Valid packets of a crowd of clients: every message type, as clients and relays send them, about
 * addresses that the clients have, had, were offered, or that are somebody else's.
 */
import type { PacketFields } from '../support/dhcp-server.ts';
import { chaddrOf, clientPacket, ip } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import type { Random } from '../sim/random.ts';

export interface Sent {
  readonly bytes: Buffer;
  /** Where it came from, and how. */
  readonly envelope: PacketFields;
}

const CLIENTS = 160;
const SERVER_IDENTIFIERS = [...Array.from({ length: 5 }, () => ip('10.0.0.2')), ip('10.0.0.3'), ip('10.0.0.250')];
const RELAYS = [...Array.from({ length: 6 }, () => ip('10.0.0.1')), ip('10.0.0.9'), ip('10.0.1.1'), ip('192.0.2.1')];
const STRANGE = [0, ip('10.0.0.2'), ip('10.0.0.20'), ip('192.0.2.9'), ip('255.255.255.255'), ip('224.0.0.1')];

interface Client {
  readonly chaddr: Buffer;
  readonly htype: number;
  readonly clientId: Buffer | undefined;
  /** What the server last offered or gave to it. */
  address: number;
  /** What it asked for last of its own accord. */
  wanted: number;
}

export class Crowd {
  readonly #random: Random;
  /** What the server gives out. */
  readonly #addresses: readonly number[];
  readonly #clients: readonly Client[];
  /** The client of the packet made last. */
  #latest: Client;
  #last: Sent | undefined;
  /** An address that somebody was told of lately. */
  #newest: number;

  constructor(random: Random, addresses: readonly number[]) {
    this.#random = random;
    this.#addresses = addresses;
    this.#newest = addresses[0]!;
    this.#clients = Array.from({ length: CLIENTS }, (_, n) => ({
      chaddr: n % 16 === 15 ? Buffer.alloc(1 + n % 7, n) : chaddrOf(n), htype: n % 16 === 15 ? 32 : 1, clientId: clientIdOf(n), address: 0, wanted: 0,
    }));
    this.#latest = this.#clients[0]!;
  }

  /** The server told the client of the latest packet about this address. */
  told(address: number): void {
    this.#latest.address = address;
    this.#newest = address;
  }

  next(): Sent {
    const random = this.#random;
    // Often the same client goes on, and sometimes it only says the same again.
    if (!random.chance(0.4)) this.#latest = random.pick(this.#clients);
    else if (this.#last !== undefined && random.chance(0.2)) return { ...this.#last, bytes: Buffer.from(this.#last.bytes) };
    const sent = this.#say(this.#latest);
    this.#last = { ...sent, bytes: Buffer.from(sent.bytes) };
    return sent;
  }

  #say(client: Client): Sent {
    const random = this.#random;
    const kind = random.int(0, 31);
    const server = random.pick(SERVER_IDENTIFIERS);
    if (kind < 8) return this.#send(client, 1, { requestedAddress: random.chance(0.4) ? this.#address(client) : undefined });
    if (kind < 17) return this.#send(client, 3, { requestedAddress: this.#address(client), serverIdentifier: server });
    if (kind < 19) return this.#send(client, 3, { requestedAddress: this.#address(client) });
    if (kind < 23) return this.#send(client, 3, { ciaddr: this.#address(client) });
    if (kind < 26) return this.#send(client, 7, { ciaddr: this.#address(client), serverIdentifier: server });
    if (kind === 26) return this.#send(client, 4, { requestedAddress: this.#address(client), serverIdentifier: server });
    if (kind < 29) return this.#send(client, 8, { ciaddr: this.#address(client) });
    if (kind < 31) return this.#bootp(this.#send(client, 1, { ciaddr: random.chance(0.2) ? this.#address(client) : 0 }));
    // LEASEQUERY and its relatives, what only servers send, and what nobody does.
    return this.#send(client, random.pick([2, 5, 6, 9, 10, 13, 14, 18, 0, 255]), { ciaddr: this.#address(client) });
  }

  #address(client: Client): number {
    const { chance, pick } = bound(this.#random);
    if (chance(0.8) && client.address !== 0) return client.address;
    if (chance(0.2)) return client.wanted;
    client.wanted = chance(0.3) ? pick(STRANGE) : chance(0.3) ? this.#newest : pick(this.#addresses);
    return client.wanted;
  }

  #send(client: Client, type: number, about: Pick<Fields, 'ciaddr' | 'requestedAddress' | 'serverIdentifier'>): Sent {
    const { chance, int, pick } = bound(this.#random);
    const relayed = chance(0.35);
    const fields: Fields = {
      chaddr: client.chaddr, htype: client.htype, clientId: client.clientId, ...about,
      xid: chance(0.3) ? int(1, 5) : this.#random.u32(), secs: int(0, 5), broadcast: chance(0.3), hops: relayed ? int(0, 3) : 0,
      giaddr: relayed ? pick(RELAYS) : 0,
      relayAgentInformation: relayed && chance(0.8) ? this.#relayAgentInformation() : undefined,
      parameters: chance(0.7) ? Array.from({ length: int(1, 12) }, () => pick([1, 3, 6, 12, 15, 28, 42, 43, 51, 58, 66, 67, 82, 108, 119, 121, int(0, 255)])) : undefined,
      options: this.#options(),
    };
    const bytes = clientPacket(type, Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)));
    const ciaddr = about.ciaddr ?? 0;
    const sourceAddress = relayed ? pick(RELAYS) : chance(0.8) ? ciaddr : pick(STRANGE);
    return { bytes, envelope: { unicast: relayed || (ciaddr !== 0 && chance(0.7)), sourceAddress, sourcePort: relayed ? 67 : chance(0.02) ? 0 : 68 } };
  }

  #options(): Record<number, Buffer> {
    const { chance, int, pick } = bound(this.#random);
    const made: Record<number, Buffer> = {};
    const put = (probability: number, code: number, value: () => Buffer): void => { if (chance(probability)) made[code] = value(); };
    put(0.3, 12, () => Buffer.from('workstation'.repeat(int(0, 30)).slice(0, int(0, 300))));
    put(0.1, 43, () => Buffer.of(1, 2, 7, 7, 0, 4, 1, 9, 255));
    put(0.1, 51, () => Buffer.from([[0, 0, 0, 1], [0, 0, 14, 16], [255, 255, 255, 255], [0, 0, 0, 0]][int(0, 3)]!));
    put(0.3, 57, () => { const size = Buffer.alloc(2); size.writeUInt16BE(pick([0, 300, 576, 590, 1500, 0xffff])); return size; });
    put(0.3, 60, () => Buffer.from(pick(['MSFT 5.0', 'PXEClient:Arch:00007:UNDI:003016', 'udhcp 1.36.1', ''])));
    put(0.1, 77, () => Buffer.from('iPXE'));
    put(0.2, 80, () => Buffer.alloc(0));
    put(0.2, 81, () => Buffer.concat([Buffer.of(pick([0, 1, 4, 5]), 0, 0), Buffer.from(pick(['host', '\u0004host\u0007example\u0000', '\u00c0\u0000']), 'latin1')]));
    put(0.1, 93, () => Buffer.of(0, pick([0, 7, 9])));
    put(0.1, 97, () => Buffer.alloc(17, 3));
    put(0.1, 116, () => Buffer.of(1));
    put(0.15, 118, () => Buffer.from([10, 0, 0, int(0, 255)]));
    put(0.1, 124, () => Buffer.from([0, 0, 0x0d, 0xe9, 4, 3, 97, 98, 99, 0, 0, 0, 9, 1, 0]));
    put(0.1, 125, () => Buffer.from([0, 0, 0x0d, 0xe9, 5, 1, 3, 97, 98, 99]));
    return made;
  }

  /** RFC 3046 sub-options, and those of RFC 3527 (5), 3993 (6), 5010 (10), 5107 (11), 6925 (12), 8357 (19) and 6607 (151, 152). */
  #relayAgentInformation(): Buffer {
    const { chance, int, pick } = bound(this.#random);
    const parts: number[] = [];
    for (let n = int(1, 4); n > 0; n--) {
      const code = chance(0.9) ? pick([1, 1, 1, 2, 2, 5, 6, 10, 11, 12, 19]) : pick([151, 152]);
      const value = code === 5 || code === 11 ? [10, 0, chance(0.1) ? 1 : 0, pick([1, 2, 9])] : code === 1 && chance(0.7) ? [int(0, 7)] : Array.from({ length: int(0, chance(0.1) ? 80 : 8) }, () => int(0, 255));
      parts.push(code, value.length, ...value);
    }
    return Buffer.from(parts);
  }

  /** RFC 951: without option 53, some without any option at all. */
  #bootp({ bytes, envelope }: Sent): Sent {
    const cut = Buffer.concat([bytes.subarray(0, 240), bytes.subarray(243)]);
    if (this.#random.chance(0.3)) cut.fill(0, this.#random.chance(0.5) ? 236 : 240);
    return { bytes: cut, envelope };
  }
}

type Fields = { readonly [K in keyof ClientFields]: ClientFields[K] | undefined };

/** None, the hardware address's, one of RFC 4361, and some that two clients send. */
function clientIdOf(n: number): Buffer | undefined {
  if (n % 4 === 0) return undefined;
  if (n % 4 === 1) return Buffer.concat([Buffer.of(1), chaddrOf(n)]);
  if (n % 4 === 2) return Buffer.from([255, 0, 0, 0, 1, 0, 1, 0, 1, 42, 42, 42, 42, 2, 0, 0, 0, 0, n]);
  return Buffer.of(0, n % 40, 7);
}

function bound(random: Random): { chance: Random['chance']; int: Random['int']; pick: <T>(items: readonly T[]) => T } {
  return { chance: (p) => random.chance(p), int: (low, high) => random.int(low, high), pick: (items) => random.pick(items) };
}
