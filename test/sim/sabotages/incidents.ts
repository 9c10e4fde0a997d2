/** Planted bugs in what operators do against clients. */
import type { Sabotages } from './sabotage.ts';

export const INCIDENT_SABOTAGES = {
  'taken-lease-is-free': {
    rule: 'An address that was taken from its client goes to nobody else until the client\'s own clock has ended the lease.',
    file: 'node/lease/record.ts',
    line: '  copy[2]! |= FLAG_TAKEN;',
    becomes: '',
    without: 'the client was not told, and another one is given the address',
  },
  'notes-forgotten-at-the-start': {
    rule: 'A node that starts knows whom the cluster has in quarantine.',
    file: 'cluster/core/engine.ts',
    line: '    this.notes.load();',
    becomes: '',
    without: 'what its disk has of notes is not told to it again when it comes back',
  },
} as const satisfies Sabotages;
