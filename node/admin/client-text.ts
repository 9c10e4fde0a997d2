/** How people name a client: a hardware address, or what it sends as option 61, in hex. */

export interface ClientName {
  /** A client's key as a record has it (`recordClientKey`); of a hardware address: type and address. */
  readonly key: Buffer;
  /** It may be the hardware address of a client that is known by its option 61. */
  readonly isHardware: boolean;
}

const HARDWARE = /^(?:([0-9]{1,3})\/)?([0-9a-f]{2}(?:[:.-]?[0-9a-f]{2})*)$/i;
const ETHERNET = 1;
const ETHERNET_BYTES = 6;

/**
 * "52:54:00:12:34:56", "6/0011223344556677", "0152540012:3456" and the like. Six bytes are an Ethernet address, and may
 * be a client identifier as well: both are returned. Empty: neither.
 */
export function clientKeysOf(text: string): ClientName[] {
  const match = HARDWARE.exec(text.trim());
  if (match === null) return [];
  const bytes = Buffer.from(match[2]!.replaceAll(/[:.-]/g, ''), 'hex');
  const htype = match[1];
  if (htype !== undefined) {
    return Number(htype) > 255 || bytes.length > 16 ? [] : [{ key: Buffer.concat([Buffer.from([Number(htype)]), bytes]), isHardware: true }];
  }
  const names: ClientName[] = [{ key: bytes, isHardware: false }];
  if (bytes.length === ETHERNET_BYTES) names.push({ key: Buffer.concat([Buffer.from([ETHERNET]), bytes]), isHardware: true });
  return names;
}
