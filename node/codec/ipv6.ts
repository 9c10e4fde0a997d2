/** IPv6 addresses as 16 bytes, for the few DHCPv4 options that carry one. Written as RFC 5952 says. */

const GROUPS = 8;
const GROUP = /^[0-9a-f]{1,4}$/i;

/** "2001:db8::1"; undefined for anything else, an IPv4 tail or a zone included. */
export function parseIpv6(text: string): Buffer | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':'))) as [string[], string[]?];
  const given = head.length + (tail?.length ?? 0);
  // "::" stands for at least one group: eight given ones leave nothing to it.
  if (tail === undefined ? given !== GROUPS : given >= GROUPS) return undefined;
  const groups = tail === undefined ? head : [...head, ...Array.from({ length: GROUPS - given }, () => '0'), ...tail];
  if (!groups.every((group) => GROUP.test(group))) return undefined;
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** Lower case, no leading zeros, the first of the longest runs of two or more zero groups as "::" (RFC 5952 §4). */
export function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: GROUPS }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  let [from, length] = [0, 0];
  for (let start = 0; start < GROUPS; start++) {
    let end = start;
    while (end < GROUPS && groups[end] === '0') end++;
    if (end - start > length) [from, length] = [start, end - start];
  }
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, from).join(':')}::${groups.slice(from + length).join(':')}`;
}
