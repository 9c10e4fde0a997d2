/** Reservations: each for one client, once in a network, at an address that nobody else has. */
import { formatIpv4, formatPrefix, prefixContains } from '../codec/address.ts';
import * as byteKinds from './byte-kinds.ts';
import { unusableAddress } from './check-networks.ts';
import { formatPath } from './error.ts';
import type { PathPart, Report } from './error.ts';
import * as kinds from './kinds.ts';
import { SubnetIndex } from './placed-networks.ts';
import type { PlacedNetwork, PlacedSubnet } from './placed-networks.ts';
import { asList, isMap } from './plain-values.ts';
import type { PlainMap } from './plain-values.ts';

const IDENTIFIERS = {
  hardware: byteKinds.hardware, clientId: byteKinds.clientIdentifier, duid: byteKinds.duid,
  circuitId: byteKinds.relayIdentifier, remoteId: byteKinds.relayIdentifier, relayId: byteKinds.relayIdentifier,
} as const;

const IDENTIFIER_KEYS = Object.keys(IDENTIFIERS) as readonly (keyof typeof IDENTIFIERS)[];

/** A list of reservations, and where its addresses may lie. */
interface Holder {
  readonly list: readonly unknown[];
  readonly path: readonly PathPart[];
  /** Undefined: every network. */
  readonly network: PlacedNetwork | undefined;
  /** Of a list that stands in a subnet. */
  readonly subnet: PlacedSubnet | undefined;
}

interface Place {
  readonly holder: Holder;
  readonly index: number;
}

export function checkReservations(cluster: PlainMap, networks: readonly PlacedNetwork[], report: Report): void {
  const check = new ReservationCheck(cluster, networks, report);
  check.run({ list: asList(cluster['reservations']), path: ['reservations'], network: undefined, subnet: undefined });
  for (const network of networks) {
    if (network.shared) check.run({ list: asList(network.value['reservations']), path: [...network.path, 'reservations'], network, subnet: undefined });
    for (const subnet of network.subnets) {
      check.run({ list: asList(subnet.value['reservations']), path: [...subnet.path, 'reservations'], network, subnet });
    }
  }
}

class ReservationCheck {
  readonly #report: Report;
  readonly #identity: unknown;
  readonly #networks: readonly PlacedNetwork[];
  readonly #subnets: SubnetIndex;
  readonly #addresses = new Map<number, Place>();
  /** By network; the last one is for clients in any network. */
  readonly #clients: Map<string, Place>[];

  constructor(cluster: PlainMap, networks: readonly PlacedNetwork[], report: Report) {
    this.#report = report;
    this.#identity = cluster['identity'];
    this.#networks = networks;
    this.#subnets = new SubnetIndex(networks);
    this.#clients = Array.from({ length: networks.length + 1 }, () => new Map());
  }

  run(holder: Holder): void {
    for (const [index, entry] of holder.list.entries()) {
      if (!isMap(entry)) continue;
      const network = this.#checkAddress(entry, { holder, index }) ?? holder.network;
      this.#checkClient(entry, { holder, index }, network);
    }
  }

  /** The network that the address of a reservation at the top is in. */
  #checkAddress(entry: PlainMap, place: Place): PlacedNetwork | undefined {
    const address = kinds.address.read(entry['address']);
    if (address === undefined) return undefined;
    const { holder: { subnet, network } } = place;
    const problem = (message: string): undefined => {
      this.#report([...pathOf(place), 'address'], message);
      return undefined;
    };
    if (subnet !== undefined && (subnet.prefix === undefined || !prefixContains(subnet.prefix, address))) {
      return subnet.prefix === undefined ? undefined : problem(`expected an address inside ${formatPrefix(subnet.prefix)}, found ${formatIpv4(address)}`);
    }
    const home = subnet ?? this.#subnets.find(address);
    if (home?.prefix === undefined || (network !== undefined && home.networkIndex !== network.index)) {
      return problem(`expected an address in one of the subnets${network === undefined ? '' : ' of this network'}, found ${formatIpv4(address)}`);
    }
    const unusable = unusableAddress(home.prefix, (other) => other === address);
    if (unusable !== undefined) return problem(`expected a host's address, found ${unusable}`);
    const earlier = this.#addresses.get(address);
    if (earlier !== undefined) return problem(`expected each address once; ${formatPath(pathOf(earlier))} has ${formatIpv4(address)} too`);
    this.#addresses.set(address, place);
    return this.#networks[home.networkIndex];
  }

  #checkClient(entry: PlainMap, place: Place, network: PlacedNetwork | undefined): void {
    let client = '';
    let first: string | undefined;
    let complete = true;
    for (const key of IDENTIFIER_KEYS) {
      if (entry[key] === undefined) continue;
      first ??= key;
      const read = IDENTIFIERS[key].read(entry[key]);
      complete &&= read !== undefined;
      client += `${key} ${read?.length} ${read} `;
      if ((key === 'clientId' || key === 'duid') && network !== undefined && (network.value['identity'] ?? this.#identity) === 'hardware') {
        // Where clients are known by their hardware address alone, a client identifier says nothing of who they are.
        this.#report([...pathOf(place), key], 'expected hardware instead, since identity is hardware here');
      }
    }
    if (first === undefined) {
      this.#report(pathOf(place), `expected at least one of ${IDENTIFIER_KEYS.join(', ')}`);
      return;
    }
    if (!complete) return;
    const clients = this.#clients[network?.index ?? this.#networks.length]!;
    const earlier = clients.get(client);
    if (earlier === undefined) clients.set(client, place);
    else {
      const where = network === undefined ? 'among the reservations for all networks' : 'in a network';
      this.#report([...pathOf(place), first], `expected each client once ${where}; ${formatPath(pathOf(earlier))} is for the same one`);
    }
  }
}

function pathOf({ holder, index }: Place): readonly PathPart[] {
  return [...holder.path, index];
}
