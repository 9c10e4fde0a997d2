/** Numbers as text whose order is theirs: six bits a character, in characters that are in order of their codes. */

const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
const VALUES = new Uint8Array(128).fill(64);
for (let i = 0; i < DIGITS.length; i++) VALUES[DIGITS.charCodeAt(i)] = i;

const PAIRS = Array.from({ length: 4096 }, (_, i) => DIGITS[i >>> 6]! + DIGITS[i & 63]!);
const PAIR = 4096;

/** The lowest `6 * length` bits of a number that is not negative and has 53 at most. */
export function writeDigits(value: number, length: number): string {
  let text = '';
  let rest = value;
  let left = length;
  for (; left > 1; left -= 2) {
    text = PAIRS[rest % PAIR]! + text;
    rest = Math.floor(rest / PAIR);
  }
  return left === 0 ? text : DIGITS[rest % 64]! + text;
}

/** Undefined: other characters. */
export function readDigits(text: string): number | undefined {
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = VALUES[text.charCodeAt(i)] ?? 64;
    if (digit === 64) return undefined;
    value = value * 64 + digit;
  }
  return value;
}
