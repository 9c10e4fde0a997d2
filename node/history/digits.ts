/** Numbers as text whose order is theirs: six bits a character, in characters that are in order of their codes. */

const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
const VALUES = new Uint8Array(128).fill(64);
for (let i = 0; i < DIGITS.length; i++) VALUES[DIGITS.charCodeAt(i)] = i;

/** The lowest `6 * length` bits of a number that is not negative. */
export function writeDigits(value: number, length: number): string {
  let text = '';
  for (let i = 0, rest = value; i < length; i++, rest = Math.floor(rest / 64)) text = DIGITS[rest % 64]! + text;
  return text;
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
