/** Who has an address reserved: maps made once, so that their number costs nothing on the packet's path. */
import type { Reservation, SubnetConfig } from '../config/types.ts';

/** One character a byte. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

function hardwareKey(htype: number, chaddr: Uint8Array): string {
  return `${htype}/${latin1(chaddr)}`;
}

export class Reservations {
  readonly #byHardware: (ReadonlyMap<string, Reservation> | undefined)[] = [];
  readonly #byClientId: (ReadonlyMap<string, Reservation> | undefined)[] = [];
  readonly #byAddress = new Map<number, Reservation>();

  constructor(subnets: readonly SubnetConfig[]) {
    for (const subnet of subnets) {
      const hardware = new Map<string, Reservation>();
      const clientIds = new Map<string, Reservation>();
      for (const reservation of subnet.reservations) {
        this.#byAddress.set(reservation.address, reservation);
        if (reservation.hardware !== undefined) {
          hardware.set(hardwareKey(reservation.hardware.htype, reservation.hardware.chaddr), reservation);
        }
        if (reservation.clientId !== undefined) clientIds.set(latin1(reservation.clientId), reservation);
      }
      this.#byHardware.push(hardware.size > 0 ? hardware : undefined);
      this.#byClientId.push(clientIds.size > 0 ? clientIds : undefined);
    }
  }

  /** A reservation by client identifier goes before one by hardware address. */
  find(subnetIndex: number, htype: number, chaddr: Uint8Array, clientId: Uint8Array | undefined): Reservation | undefined {
    const ids = this.#byClientId[subnetIndex];
    if (ids !== undefined && clientId !== undefined) {
      const found = ids.get(latin1(clientId));
      if (found !== undefined) return found;
    }
    const hardware = this.#byHardware[subnetIndex];
    return hardware === undefined ? undefined : hardware.get(hardwareKey(htype, chaddr));
  }

  /** The reservation that the address belongs to. */
  at(address: number): Reservation | undefined {
    return this.#byAddress.get(address);
  }
}
