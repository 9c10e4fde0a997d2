/** Events of the DHCP server. Their strings cost more than the packet: made only for what is reported. */
import type { DhcpMessage } from '../codec/message.ts';
import { recordChaddr, recordClientKey } from '../lease/record.ts';
import type { EventId, Occurrence } from '../telemetry/events.ts';
import type { Exchange } from './exchange.ts';

export function dottedAddress(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** As people write it: 52:54:00:12:34:56. */
export function hardwareText(chaddr: Buffer): string {
  return chaddr.toString('hex').replace(/(..)(?=.)/g, '$1:');
}

export function exchangeEvent(id: EventId, x: Exchange, address: number, more?: Occurrence['fields']): Occurrence {
  return {
    id,
    fields: {
      address: dottedAddress(address), hardware: hardwareText(x.message.chaddr()), client: x.clientKey.toString('hex'),
      subnet: x.subnet.name, ...relayField(x.message), ...more,
    },
  };
}

export function recordEvent(id: EventId, address: number, record: Buffer, subnet: string): Occurrence {
  const fields = {
    address: dottedAddress(address), hardware: hardwareText(recordChaddr(record)), client: recordClientKey(record).toString('hex'), subnet,
  };
  return { id, fields };
}

function relayField(message: DhcpMessage): Occurrence['fields'] {
  return message.giaddr === 0 ? {} : { relay: dottedAddress(message.giaddr) };
}
