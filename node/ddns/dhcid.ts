/**
 * The DHCID record (RFC 4701 §3): whose a name in DNS is, without telling who that is.
 *
 * RDATA: u16 identifier type, u8 digest type (1: SHA-256), 32 bytes digest of the identifier followed by the name.
 */
import { hash } from 'node:crypto';
import { DHCID_BYTES } from './entries.ts';

const DIGEST_SHA256 = 1;
const HARDWARE = 0x0000;
const CLIENT_IDENTIFIER = 0x0001;
const DUID = 0x0002;

/** RFC 4361 §6.1: type 255, 4 bytes of IAID, then the DUID, which has a type of 2 bytes and something behind it. */
const RFC_4361_TYPE = 255;
const RFC_4361_DUID_AT = 5;
const DUID_BYTES_MIN = 3;

/**
 * RDATA for a binding's client. `clientKey` is what the binding knows it by, and not always what it sent: where the
 * configuration says `identity: hardware` clients share identifiers (cloned disks, boot stages), and two that have
 * leases of their own must not pass for one in DNS.
 *
 * @param name wire form, lower case (RFC 4034 §6.2), with the root's byte
 */
export function dhcidOf(clientKey: Buffer, byClientIdentifier: boolean, name: Buffer): Buffer {
  // RFC 4701 §3.5: 0x0002 where the identifier is encoded as RFC 4361 says, else 0x0001, and 0x0000 without one.
  const hasDuid = byClientIdentifier && clientKey[0] === RFC_4361_TYPE && clientKey.length >= RFC_4361_DUID_AT + DUID_BYTES_MIN;
  const identifier = hasDuid ? clientKey.subarray(RFC_4361_DUID_AT) : clientKey;
  return dhcid(hasDuid ? DUID : byClientIdentifier ? CLIENT_IDENTIFIER : HARDWARE, identifier, name);
}

function dhcid(type: number, identifier: Buffer, name: Buffer): Buffer {
  const hashed = Buffer.allocUnsafe(identifier.length + name.length);
  hashed.set(identifier, 0);
  hashed.set(name, identifier.length);
  const rdata = Buffer.allocUnsafe(DHCID_BYTES);
  rdata.writeUInt16BE(type, 0);
  rdata[2] = DIGEST_SHA256;
  // As text it costs a quarter of what it costs as a buffer of its own.
  rdata.write(hash('sha256', hashed, 'binary'), 3, 'latin1');
  return rdata;
}
