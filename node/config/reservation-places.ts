/** The reservations of a file: which there are, where they stand, and where a new one belongs. */
import { formatIpv4, formatPrefix, parseIpv4, parsePrefix } from '../codec/address.ts';
import { clientName, IDENTIFIER_KEYS, identifierWord } from './client-name.ts';
import { found } from './error.ts';
import type { PathPart } from './error.ts';
import { placeNetworks, SubnetIndex } from './placed-networks.ts';
import type { PlacedNetwork } from './placed-networks.ts';
import { asList, asMap, isMap } from './plain-values.ts';
import type { PlainMap } from './plain-values.ts';

export interface PlacedReservation {
  /** Of the list that it is in. */
  readonly list: readonly PathPart[];
  readonly index: number;
  readonly entry: PlainMap;
  /** "10.0.0.0/8", "shared network office", "" where it is for all networks. */
  readonly where: string;
}

/** Where a reservation is to stand, as somebody asks for it; nothing: by its address, or for all networks. */
export interface WantedPlace {
  readonly subnet?: string | undefined;
  readonly sharedNetwork?: string | undefined;
}

export class ReservationPlaces {
  readonly #networks: readonly PlacedNetwork[];
  readonly #subnets: SubnetIndex;
  readonly all: readonly PlacedReservation[];
  readonly #byWord = new Map<string, PlacedReservation[]>();

  /** `file`: the plain values of a configuration that was accepted. */
  constructor(file: unknown) {
    const cluster = asMap(file);
    this.#networks = placeNetworks(cluster);
    this.#subnets = new SubnetIndex(this.#networks);
    const all: PlacedReservation[] = [];
    const add = (list: readonly PathPart[], entries: unknown, where: string): void => {
      for (const [index, entry] of asList(entries).entries()) if (isMap(entry)) all.push({ list, index, entry, where });
    };
    add(['reservations'], cluster['reservations'], '');
    for (const { path, shared, subnets, value } of this.#networks) {
      if (shared) add([...path, 'reservations'], value['reservations'], `shared network ${String(value['name'])}`);
      for (const subnet of subnets) add([...subnet.path, 'reservations'], subnet.value['reservations'], prefixText(subnet.prefix));
    }
    this.all = all;
    for (const reservation of all) for (const word of wordsOf(reservation.entry)) push(this.#byWord, word, reservation);
  }

  /** By address, or by any one identifier as a file could write it. */
  find(who: string): readonly PlacedReservation[] {
    const words = new Set([who, ...IDENTIFIER_KEYS.map((key) => identifierWord(key, who) ?? who)]);
    return [...new Set([...words].flatMap((word) => this.#byWord.get(word) ?? []))];
  }

  /** The one for the same client in the list, or anywhere if none is named. */
  ofClient(entry: PlainMap, list?: readonly PathPart[]): readonly PlacedReservation[] {
    const name = clientName(entry);
    const [key] = IDENTIFIER_KEYS.filter((each) => entry[each] !== undefined);
    if (name === undefined || key === undefined) return [];
    return (this.#byWord.get(identifierWord(key, entry[key])!) ?? [])
      .filter((found) => clientName(found.entry) === name && (list === undefined || found.list.join() === list.join()));
  }

  /** The path of the list; a text says why there is none. */
  listFor(entry: PlainMap, wanted: WantedPlace): readonly PathPart[] | string {
    const { sharedNetwork, subnet } = wanted;
    if (sharedNetwork !== undefined) {
      const network = this.#networks.find(({ shared, value }) => shared && value['name'] === sharedNetwork);
      return network === undefined ? `there is no shared network ${sharedNetwork}` : [...network.path, 'reservations'];
    }
    if (subnet !== undefined) {
      const prefix = parsePrefix(subnet);
      const home = this.#networks.flatMap(({ subnets }) => subnets)
        .find((each) => prefix !== undefined && each.prefix?.network === prefix.network && each.prefix.prefixLength === prefix.prefixLength);
      return home === undefined ? `there is no subnet ${subnet}` : [...home.path, 'reservations'];
    }
    if (entry['address'] === undefined) return ['reservations'];
    const { address: wantedAddress } = entry;
    const address = typeof wantedAddress === 'string' ? parseIpv4(wantedAddress) : undefined;
    if (address === undefined) return `address: expected an IPv4 address such as 10.0.5.5, ${found(wantedAddress)}`;
    const home = this.#subnets.find(address);
    return home === undefined ? `no subnet has ${formatIpv4(address)}` : [...home.path, 'reservations'];
  }
}

function prefixText(prefix: Parameters<typeof formatPrefix>[0] | undefined): string {
  return prefix === undefined ? '' : formatPrefix(prefix);
}

/** What a reservation can be found by. */
function wordsOf(entry: PlainMap): string[] {
  const words = IDENTIFIER_KEYS.flatMap((key) => (entry[key] === undefined ? [] : [identifierWord(key, entry[key]) ?? '']));
  if (typeof entry['address'] === 'string') words.push(entry['address']);
  return words;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
