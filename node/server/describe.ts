/** Events of the DHCP server. Their strings cost more than the packet: made only for what is reported. */
import { formatHardware, formatIpv4 } from '../codec/address.ts';
import type { DhcpMessage } from '../codec/message.ts';
import { recordChaddr, recordClientKey, recordHtype } from '../lease/record.ts';
import type { EventId, Occurrence } from '../telemetry/events.ts';
import type { Exchange } from './exchange.ts';

export function exchangeEvent(id: EventId, x: Exchange, address: number, more?: Occurrence['fields']): Occurrence {
  return {
    id,
    fields: {
      address: formatIpv4(address), hardware: hardwareOf(x.message), client: x.clientKey.toString('hex'),
      subnet: x.subnet.name, ...relayField(x.message), ...more,
    },
  };
}

export function recordEvent(id: EventId, address: number, record: Buffer, subnet: string): Occurrence {
  const hardware = formatHardware({ htype: recordHtype(record), chaddr: recordChaddr(record) });
  return { id, fields: { address: formatIpv4(address), hardware, client: recordClientKey(record).toString('hex'), subnet } };
}

/** A network has no address left for a client: there is none to name. */
export function exhaustedEvent(x: Exchange): Occurrence {
  return { id: 'pool.exhausted', fields: { network: x.network.name, hardware: hardwareOf(x.message), client: x.clientKey.toString('hex') } };
}

function hardwareOf(message: DhcpMessage): string {
  return formatHardware({ htype: message.htype, chaddr: message.chaddr() });
}

function relayField(message: DhcpMessage): Occurrence['fields'] {
  return message.giaddr === 0 ? {} : { relay: formatIpv4(message.giaddr) };
}
