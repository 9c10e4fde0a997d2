/** Classes that need no configuration: they are there by name wherever a class may be named. */
import type { Condition } from './types.ts';

const VENDOR_CLASS_IDENTIFIER = 60;
const VENDOR_CLASS = 'VENDOR_CLASS_';

export interface BuiltInClass {
  /** As it is written; in angle brackets what the user fills in. */
  readonly name: string;
  /** Who is in it, to be read after the name. */
  readonly about: string;
}

export const BUILT_IN_CLASSES: readonly BuiltInClass[] = [
  { name: 'ALL', about: 'every client' },
  { name: 'KNOWN', about: 'clients with a reservation' },
  { name: 'UNKNOWN', about: 'clients without a reservation' },
  { name: 'BOOTP', about: 'clients that speak BOOTP, not DHCP' },
  { name: `${VENDOR_CLASS}<text>`, about: 'clients whose vendor class identifier (option 60) is the text' },
];

/** What makes a client a member of the built-in class of this name; undefined: there is none. */
export function builtInCondition(name: string): Condition | undefined {
  switch (name) {
    case 'ALL': return { kind: 'all', of: [] };
    case 'KNOWN': return { kind: 'known' };
    case 'UNKNOWN': return { kind: 'not', of: { kind: 'known' } };
    case 'BOOTP': return { kind: 'bootp' };
    default: return name.startsWith(VENDOR_CLASS) ? vendorClass(name.slice(VENDOR_CLASS.length)) : undefined;
  }
}

function vendorClass(text: string): Condition | undefined {
  if (text === '') return undefined;
  return {
    kind: 'test',
    subject: { from: 'option', code: VENDOR_CLASS_IDENTIFIER, path: [] },
    test: { kind: 'equals', values: [Buffer.from(text)] },
  };
}
