/** The clients of reservations as words: the same client is the same word, however a file writes it. */
import { formatHexPairs } from '../codec/address.ts';
import { hardware, readBytes } from './byte-kinds.ts';
import { isMap } from './plain-values.ts';

export const IDENTIFIER_KEYS = ['hardware', 'clientId', 'duid', 'circuitId', 'remoteId', 'relayId'] as const;
export type IdentifierKey = (typeof IDENTIFIER_KEYS)[number];

/** As it is written nearly always, and as it is named here. */
const USUAL_HARDWARE = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/;

/** Undefined: malformed. */
export function identifierWord(key: IdentifierKey, value: unknown): string | undefined {
  switch (key) {
    case 'hardware': {
      if (typeof value === 'string' && USUAL_HARDWARE.test(value)) return value;
      const read = hardware.read(value);
      if (read === undefined) return undefined;
      const chaddr = formatHexPairs(Buffer.from(read.slice(1), 'latin1'));
      return read.charCodeAt(0) === 1 ? chaddr : `${read.charCodeAt(0)}/${chaddr}`;
    }
    case 'clientId': case 'duid': {
      const bytes = readBytes(value, 'hex');
      return bytes === undefined ? undefined : formatHexPairs(bytes);
    }
    default: {
      const bytes = readBytes(value, 'text');
      if (bytes === undefined) return undefined;
      return /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(bytes.toString('latin1')) ? bytes.toString('latin1') : `0x${bytes.toString('hex')}`;
    }
  }
}

/** All identifiers of a reservation that are set: "52:54:00:12:34:56", "circuitId ge-0/0/7, remoteId x"; undefined: none, or one is malformed. */
export function clientName(entry: unknown): string | undefined {
  if (!isMap(entry)) return undefined;
  const words: string[] = [];
  for (const key of IDENTIFIER_KEYS) {
    if (entry[key] === undefined) continue;
    const word = identifierWord(key, entry[key]);
    if (word === undefined) return undefined;
    words.push(key === 'hardware' ? word : `${key} ${word}`);
  }
  return words.length === 0 ? undefined : words.join(', ');
}
