/**
 * What happens in a run, as the history file has it: a line of JSON each. Times are wall-clock milliseconds
 * at the start of the run, counted on by the machine's monotonic clock, the same for every process.
 */
import type { LoadAck } from '../../deploy/lab/load.ts';
import type { Plan } from './schedule.ts';

interface AtClient {
  readonly at: number;
  readonly client: string;
  /** Hardware address, hex. */
  readonly hardware: string;
  readonly address: string;
}

/** A DHCPACK. `new`: after an offer; `reboot`: INIT-REBOOT. */
export interface Granted extends AtClient {
  readonly event: 'granted';
  readonly how: 'new' | 'renew' | 'rebind' | 'reboot';
  readonly serverId: string;
  /** When the client stops using the address by its own count: the lease time after it asked last. */
  readonly until: number;
  /** When it began to ask for this. */
  readonly since: number;
}

/** The client uses the address no longer. */
export interface Ended extends AtClient {
  readonly event: 'ended';
  /** `expired`: it asked in vain until the lease was over. `passed`: it slept, or never meant to renew. */
  readonly why: 'released' | 'declined' | 'forgotten' | 'expired' | 'passed' | 'refused' | 'changed';
  readonly since: number;
}

/** A DHCPNAK. */
export interface Refused extends AtClient {
  readonly event: 'refused';
  readonly how: 'new' | 'renew' | 'rebind' | 'reboot';
  readonly serverId: string;
  /** It held a lease that was not over. */
  readonly held: boolean;
}

export type ClientEvent = Granted | Ended | Refused;

/** Told once a second: who is asking, and for how long the one that waits longest. */
export interface ClientsState {
  readonly event: 'state';
  readonly at: number;
  readonly holding: number;
  readonly asking: number;
  readonly longestMs: number;
}

export type HistoryEntry =
  | ClientEvent
  | { readonly event: 'run'; readonly at: number; readonly seed: number; readonly nodes: number; readonly minutes: number }
  /** What perfdhcp's clients received. */
  | ({ readonly event: 'load-granted' } & LoadAck)
  | ({ readonly event: 'fault-begins'; readonly at: number } & Plan)
  | { readonly event: 'fault-ends' | 'recovered' | 'calm-ends'; readonly at: number; readonly number: number }
  | { readonly event: 'stores-compared'; readonly at: number; readonly bindings: number; readonly leasesHeld: number }
  | { readonly event: 'wrong'; readonly at: number; readonly what: string };
