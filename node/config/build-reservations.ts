/** Reservations: those for any network, then each network's own. */
import { INFINITE_SECONDS } from '../time.ts';
import { buildOverlay } from './build-scopes.ts';
import type { ClusterFile, ReservationFile } from './schema.ts';
import type { NetworkConfig, ReservedClient, Reservation } from './types.ts';
import type { OptionCatalogue } from '../codec/options.ts';

export function buildReservations(file: ClusterFile, networks: readonly NetworkConfig[], catalogue: OptionCatalogue): Reservation[] {
  const subnets = networks.flatMap((network) => network.subnets).sort((a, b) => a.network - b.network);
  const home = (address: number): number => subnets[lastIndex(subnets.length, (at) => subnets[at]!.network <= address)]!.networkIndex;
  const build = (entry: ReservationFile, networkIndex: number | undefined): Reservation => {
    const { address, hostname, description = '', until = INFINITE_SECONDS } = entry;
    return {
      networkIndex, client: clientOf(entry), address, overlay: buildOverlay(entry, catalogue, hostname), description, endsAt: until,
      ...(hostname === undefined ? {} : { hostname }),
    };
  };
  return [
    ...file.reservations.map((entry) => build(entry, entry.address === undefined ? undefined : home(entry.address))),
    ...file.sharedNetworks.flatMap(({ reservations, subnets: members }, index) =>
      [reservations, ...members.map((subnet) => subnet.reservations)].flatMap((list) => list.map((entry) => build(entry, index)))),
    ...file.subnets.flatMap(({ reservations }, at) => reservations.map((entry) => build(entry, file.sharedNetworks.length + at))),
  ];
}

function clientOf({ hardware, clientId, duid, circuitId, remoteId, relayId }: ReservationFile): ReservedClient {
  const client: { -readonly [key in keyof ReservedClient]: string } = {};
  if (hardware !== undefined) client.hardware = hardware;
  if (clientId !== undefined) client.clientId = clientId;
  if (duid !== undefined) client.duid = duid;
  if (circuitId !== undefined) client.circuitId = circuitId;
  if (remoteId !== undefined) client.remoteId = remoteId;
  if (relayId !== undefined) client.relayId = relayId;
  return client;
}

/** The last of 0 to `count` - 1 that meets a condition which the first ones meet and the others do not. */
function lastIndex(count: number, meets: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (meets(middle)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
