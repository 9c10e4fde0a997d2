/** One client with one name at two addresses: in DNS the name is at one of them, the one that it was given last. */
import { BindingState, recordLastTransaction, recordState } from '../lease/record.ts';
import type { LeaseTable } from '../lease/table.ts';
import { currentEntry } from './entries.ts';
import type { DnsStep } from './steps.ts';

/** Other addresses that the client holds under the name, and where it can be. `client`: its key; empty: nobody. */
export function othersOfName(table: LeaseTable, address: number, client: Buffer, { dhcid, name }: DnsStep): number[] {
  if (client.length === 0) return [];
  return table.findAllByClient(client).filter((other) => {
    if (other === address) return false;
    const record = table.read(other)!;
    if (recordState(record) !== BindingState.ACTIVE) return false;
    const entry = currentEntry(record);
    return entry?.forward === true && entry.refusal !== 'no-zone' && entry.name.equals(name) && entry.dhcid.equals(dhcid);
  });
}

/** Whether the client has taken the name to another address since this record was written. */
export function isElsewhere(table: LeaseTable, address: number, record: Buffer, client: Buffer, step: DnsStep): boolean {
  const at = recordLastTransaction(record);
  return othersOfName(table, address, client, step).some((other) => recordLastTransaction(table.read(other)!) > at);
}

/** Of these the one where the client was last. */
export function latestOf(table: LeaseTable, addresses: readonly number[]): number {
  const when = (address: number): number => recordLastTransaction(table.read(address)!);
  return addresses.reduce((latest, address) => (when(address) > when(latest) ? address : latest));
}
