/** Planted bugs in how names get into DNS and out of it. */
import type { Sabotages } from './sabotage.ts';

export const NAME_SABOTAGES = {
  'names-stay-after-the-lease': {
    rule: 'Of a binding that is no lease any more every name is taken out of DNS.',
    file: 'node/ddns/steps.ts',
    line: '  const leaving = active ? entries.filter((entry) => !entry.current) : entries;',
    becomes: '  const leaving = entries.filter((entry) => !entry.current);',
    without: 'the name of a lease that has ended stays in DNS',
  },
  'take-a-name-that-is-somebody-elses': {
    rule: 'A name without this client\'s DHCID record is somebody else\'s, and stays theirs.',
    file: 'node/ddns/update.ts',
    line: '    answers: { NOERROR: DONE, NXDOMAIN: \'add-new\', NXRRSET: CONFLICT },',
    becomes: '    answers: { NOERROR: DONE, NXDOMAIN: \'add-new\', NXRRSET: \'take-over\' },',
    without: 'a machine that calls itself like a server takes the server\'s name',
  },
  'declined-address-forgets-its-names': {
    rule: 'Whoever replaces a record keeps what is still to be taken out of DNS.',
    file: 'node/server/decline.ts',
    line: '    dns: replaced === undefined ? EMPTY : recordSection(replaced, SectionKind.dns),',
    becomes: '    dns: EMPTY,',
    without: 'a zone is dead while a lease ends, its address is declined, and the name stays in DNS',
  },
} as const satisfies Sabotages;
