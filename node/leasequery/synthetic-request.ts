/**
 * A client's last request as far as its binding tells of it: what it was told follows from that and the configuration,
 * so it can be worked out anew (RFC 4388 §6.4.2: by the saved relay agent information, as for the client).
 */
import { BOOTREQUEST, CHADDR_AT, COOKIE_AT, MAGIC_COOKIE, MessageType, OPTIONS_AT, OptionCode } from '../codec/message.ts';
import { recordChaddr, recordClientKey, recordHasClientIdentifier, recordHtype, recordSection, SectionKind } from '../lease/record.ts';

const HOST_NAME = 12;
const VENDOR_CLASS = 60;
const PIECE_BYTES_MAX = 255;
/** Options 12, 60, 61 and 82, each of some hundred bytes at most. */
const bytes = Buffer.alloc(8192);

/** Valid until the next call. */
export function syntheticRequest(record: Buffer): Buffer {
  bytes.fill(0, 0, OPTIONS_AT);
  bytes[0] = BOOTREQUEST;
  bytes[1] = recordHtype(record);
  const chaddr = recordChaddr(record);
  bytes[2] = chaddr.length;
  chaddr.copy(bytes, CHADDR_AT);
  bytes.writeUInt32BE(MAGIC_COOKIE, COOKIE_AT);
  let at = write(OPTIONS_AT, OptionCode.MESSAGE_TYPE, Buffer.of(MessageType.REQUEST));
  at = write(at, HOST_NAME, recordSection(record, SectionKind.hostname));
  at = write(at, VENDOR_CLASS, recordSection(record, SectionKind.vendorClass));
  if (recordHasClientIdentifier(record)) at = write(at, OptionCode.CLIENT_IDENTIFIER, recordClientKey(record));
  at = write(at, OptionCode.RELAY_AGENT_INFORMATION, recordSection(record, SectionKind.relayAgentInformation));
  bytes[at] = OptionCode.END;
  return bytes.subarray(0, at + 1);
}

function write(start: number, code: number, value: Buffer): number {
  let at = start;
  for (let from = 0; from < value.length; from += PIECE_BYTES_MAX) {
    const part = value.subarray(from, from + PIECE_BYTES_MAX);
    if (at + 3 + part.length > bytes.length) return at;
    bytes[at] = code;
    bytes[at + 1] = part.length;
    part.copy(bytes, at + 2);
    at += 2 + part.length;
  }
  return at;
}
