/** Standard options between the form in which they are configured and shown, and the wire in hexadecimal. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { OptionCatalogue, parseOptionValue, readOptionValue } from '../../node/codec/options.ts';
import type { OptionDefinition, OptionJson } from '../../node/codec/options.ts';

export function definition(nameOrCode: string | number): OptionDefinition {
  const found = OptionCatalogue.standard.find(nameOrCode);
  assert.ok(found, `no option ${nameOrCode}`);
  return found;
}

/** Wire bytes of a configured value. */
export function wire(nameOrCode: string | number, value: unknown): string {
  const result = parseOptionValue(definition(nameOrCode), value);
  assert.ok(result.ok, `${nameOrCode}: ${inspect(value)} is refused`);
  return result.value.toString('hex');
}

/** What was expected in place of a value that is refused. */
export function refused(nameOrCode: string | number, value: unknown): string {
  const result = parseOptionValue(definition(nameOrCode), value);
  assert.ok(!result.ok, `${nameOrCode}: ${inspect(value)} is written`);
  return result.expected;
}

/** Spaces between the digits are allowed; undefined: malformed. */
export function shown(nameOrCode: string | number, hex: string): OptionJson | undefined {
  return readOptionValue(definition(nameOrCode), Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

export function malformed(nameOrCode: string | number, hex: string): boolean {
  return shown(nameOrCode, hex) === undefined;
}

/** Text in hexadecimal. */
export const ascii = (text: string): string => Buffer.from(text, 'latin1').toString('hex');

/** A domain name in the wire's form, in hexadecimal. */
export const labels = (name: string): string =>
  `${name.split('.').map((label) => label.length.toString(16).padStart(2, '0') + ascii(label)).join('')}00`;
