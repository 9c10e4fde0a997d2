/**
 * Options inside an option: relay agent information (RFC 3046 §2.0), vendor-specific information (RFC
 * 2132 §8.4), and the vendor-identifying ones (RFC 3925). Read in place; what reaches past its end ends
 * the walk, and what came before it counts. Of several the first counts: RFC 3396 joins options, not these.
 *
 * The `locate` functions look between two positions and return that of the length byte, which the value
 * follows; 0 when there is none.
 */

const PAD = 0;
const END = 255;

export function locateSuboption(bytes: Buffer, from: number, end: number, code: number): number {
  let at = from;
  while (at + 2 <= end) {
    const next = at + 2 + bytes[at + 1]!;
    if (next > end) return 0;
    if (bytes[at] === code) return at + 1;
    at = next;
  }
  return 0;
}

/** In option 43, whose sub-options may be padded and ended like options are (RFC 2132 §8.4). */
export function locateVendorSuboption(bytes: Buffer, from: number, end: number, code: number): number {
  let at = from;
  while (at < end) {
    const found = bytes[at]!;
    if (found === END) return 0;
    if (found === PAD) {
      at++;
      continue;
    }
    if (at + 2 > end) return 0;
    const next = at + 2 + bytes[at + 1]!;
    if (next > end) return 0;
    if (found === code) return at + 1;
    at = next;
  }
  return 0;
}

/** What follows an enterprise number in option 124 or 125 (RFC 3925 §3, §4): u32 number, u8 length, data. */
export function locateEnterpriseData(bytes: Buffer, from: number, end: number, enterprise: number): number {
  let at = from;
  while (at + 5 <= end) {
    const next = at + 5 + bytes[at + 4]!;
    if (next > end) return 0;
    if (bytes.readUInt32BE(at) === enterprise) return at + 4;
    at = next;
  }
  return 0;
}

/** A sub-option's value; undefined when absent. */
export function suboption(container: Buffer, code: number): Buffer | undefined {
  return valueBehind(container, locateSuboption(container, 0, container.length, code));
}

/** The same in option 43. */
export function vendorSuboption(container: Buffer, code: number): Buffer | undefined {
  return valueBehind(container, locateVendorSuboption(container, 0, container.length, code));
}

/** The same in options 124 and 125, by enterprise number. */
export function enterpriseData(container: Buffer, enterprise: number): Buffer | undefined {
  return valueBehind(container, locateEnterpriseData(container, 0, container.length, enterprise));
}

function valueBehind(container: Buffer, at: number): Buffer | undefined {
  return at === 0 ? undefined : container.subarray(at + 1, at + 1 + container[at]!);
}
