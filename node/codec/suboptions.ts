/**
 * Options inside an option: relay agent information (RFC 3046 §2.0), vendor-specific information (RFC
 * 2132 §8.4), and the vendor-identifying ones (RFC 3925). Read in place; what reaches past its end ends
 * the walk, and what came before it counts.
 */

const PAD = 0;
const END = 255;

/** A sub-option's value; undefined when absent. Of several the first counts: RFC 3396 joins options, not these. */
export function suboption(container: Buffer, code: number): Buffer | undefined {
  let at = 0;
  while (at + 2 <= container.length) {
    const length = container[at + 1]!;
    if (at + 2 + length > container.length) return undefined;
    if (container[at] === code) return container.subarray(at + 2, at + 2 + length);
    at += 2 + length;
  }
  return undefined;
}

/** In option 43, whose sub-options may be padded and ended like options are (RFC 2132 §8.4). */
export function vendorSuboption(container: Buffer, code: number): Buffer | undefined {
  let at = 0;
  while (at < container.length) {
    const found = container[at]!;
    if (found === END) return undefined;
    if (found === PAD) {
      at++;
      continue;
    }
    if (at + 2 > container.length) return undefined;
    const length = container[at + 1]!;
    if (at + 2 + length > container.length) return undefined;
    if (found === code) return container.subarray(at + 2, at + 2 + length);
    at += 2 + length;
  }
  return undefined;
}

/** What follows an enterprise number in option 124 or 125 (RFC 3925 §3, §4): u32 number, u8 length, data. */
export function enterpriseData(container: Buffer, enterprise: number): Buffer | undefined {
  let at = 0;
  while (at + 5 <= container.length) {
    const length = container[at + 4]!;
    if (at + 5 + length > container.length) return undefined;
    if (container.readUInt32BE(at) === enterprise) return container.subarray(at + 5, at + 5 + length);
    at += 5 + length;
  }
  return undefined;
}
