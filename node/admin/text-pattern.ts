/** Texts to look for, as people write them: without regard to case, and "*" stands for anything. */

export type TextTest = (text: string) => boolean;
export type BytesTest = (bytes: Buffer) => boolean;

const SEPARATORS = /[:.-]/g;
const HEX_DIGITS = /^[0-9a-f*]*[0-9a-f][0-9a-f*]*$/;

/** In time that grows with the text's length alone, whatever the pattern. */
export function textTest(pattern: string): TextTest {
  const parts = pattern.toLowerCase().split('*');
  if (parts.length === 1) return (text) => text.toLowerCase() === parts[0];
  const [first, last] = [parts[0]!, parts.at(-1)!];
  const between = parts.slice(1, -1).filter((part) => part !== '');
  return (given) => {
    const text = given.toLowerCase();
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    const end = text.length - last.length;
    let at = first.length;
    for (const part of between) {
      const found = text.indexOf(part, at);
      if (found < 0 || found + part.length > end) return false;
      at = found + part.length;
    }
    return true;
  };
}

/** Of bytes written in hex, with or without ":", "-" and "."; undefined where the pattern is none of the kind. */
export function hexTest(pattern: string): BytesTest | undefined {
  const digits = pattern.toLowerCase().replaceAll(SEPARATORS, '');
  if (!HEX_DIGITS.test(digits)) return undefined;
  const test = textTest(digits);
  return (bytes) => bytes.length > 0 && test(bytes.toString('hex'));
}

/** Of bytes that are a text, or are written in hex. Nothing is found where there are none. */
export function bytesTest(pattern: string): BytesTest {
  const [asText, asHex] = [textTest(pattern), hexTest(pattern)];
  return (bytes) => bytes.length > 0 && (asText(bytes.toString('utf8')) || (asHex?.(bytes) ?? false));
}
