/** A lease in a few words, for the audit log and for answers that people read. */
import { formatHardware, formatIpv4 } from '../codec/address.ts';
import { BINDING_STATE_NAMES, recordChaddr, recordClientKey, recordExpires, recordHasClientIdentifier, recordHtype, recordState } from '../lease/record.ts';
import { INFINITE_SECONDS } from '../time.ts';
import { isoSeconds } from './lease-view.ts';

/** "10.0.0.5 ACTIVE of 52:54:00:12:34:56 (client identifier 0152…) until 2026-01-01T00:00:00Z". */
export function leaseText(address: number, record: Buffer): string {
  const expires = recordExpires(record);
  const identifier = recordHasClientIdentifier(record) ? ` (client identifier ${recordClientKey(record).toString('hex')})` : '';
  const until = expires === INFINITE_SECONDS ? 'for ever' : `until ${isoSeconds(expires)}`;
  return `${formatIpv4(address)} ${BINDING_STATE_NAMES[recordState(record)]} of ${clientHardware(record)}${identifier} ${until}`;
}

/** As `LeaseView.hardware`. */
export function clientHardware(record: Buffer): string {
  return formatHardware({ htype: recordHtype(record), chaddr: recordChaddr(record) });
}
