/**
 * Clients in quarantine, on the packet's path: who is one, and what it is answered. Nothing is looked up while nobody
 * is in quarantine.
 */
import type { ClassSet } from '../classes/class-set.ts';
import { isLetIn } from '../classes/class-set.ts';
import type { DhcpMessage } from '../codec/message.ts';
import { BindingState, recordSection, recordState, recordTaken, SectionKind } from '../lease/record.ts';
import type { LeaseTable } from '../lease/table.ts';
import type { Quarantine } from '../notes/quarantine.ts';
import { exchangeEvent } from './describe.ts';
import { drop, dropWith, isClients } from './exchange.ts';
import type { Configured, Exchange, ServerContext } from './exchange.ts';
import type { Decision } from './ports.ts';

const CLIENT_IDENTIFIER = 61;

export function quarantineOfClient({ quarantines, table }: ServerContext, message: DhcpMessage, relayAgentInformation: Buffer | undefined): Quarantine | undefined {
  if (quarantines.size === 0) return undefined;
  const { index } = quarantines;
  const relay = relayAgentInformation ?? (index.ports > 0 && message.giaddr === 0 && message.ciaddr !== 0 ? lastRelay(table, message, () => true) : undefined);
  return index.find({ clientId: message.option(CLIENT_IDENTIFIER), htype: message.htype, chaddr: message.chaddr(), relayAgentInformation: relay });
}

/** The classes of a client in quarantine that is served at all; undefined: it is refused. */
export function quarantineClasses({ config, matcher }: Configured, { mode }: Quarantine): ClassSet | undefined {
  const { classIndex } = config.quarantine;
  return mode === 'refuse' || classIndex === undefined ? undefined : matcher.confinedTo(classIndex);
}

/** The client gets no address, and has none. */
export function isRefused(x: Exchange): boolean {
  return x.quarantine !== undefined && !x.classes.confined;
}

/** Silence, counted; reported once in a while. */
export function silent(context: ServerContext, x: Exchange): Decision {
  if (!context.quarantined.report(x.clientKey, x.now)) return drop(context, 'quarantined');
  const { key, reason } = x.quarantine!;
  return dropWith(context, 'quarantined', exchangeEvent('client.quarantined', x, x.message.ciaddr, { quarantine: key, reason }));
}

/** Whether clients in quarantine may have the address, where they are served. */
export function takesQuarantined(configured: Configured, table: LeaseTable, address: number): boolean {
  const { classIndex } = configured.config.quarantine;
  if (classIndex === undefined) return false;
  const classes = configured.matcher.confinedTo(classIndex);
  const { pools, subnets } = configured.config;
  const pool = pools[table.poolOf(address)];
  return pool !== undefined && isLetIn(classes, subnets[pool.subnetIndex]!.guard, pool.guard);
}

/** Whether the lease is one that its client, or nobody at all, may have, as far as quarantines are known. */
export function isBarred(context: ServerContext, address: number, record: Buffer): boolean {
  const { quarantines, table } = context;
  if (quarantines.size === 0) return false;
  if (quarantines.isBlocked(address)) return true;
  const quarantine = quarantines.index.ofRecord(record);
  return quarantine !== undefined && (quarantine.mode === 'refuse' || !takesQuarantined(context, table, address));
}

/**
 * A renewal that goes past the relay has no option 82: what the relay said when the lease was granted still says where
 * the client is, also where the lease has been taken from it since.
 */
export function rememberedRelay(table: LeaseTable, message: DhcpMessage): Buffer | undefined {
  return lastRelay(table, message, (record) => recordState(record) === BindingState.ACTIVE || recordTaken(record));
}

/** Of the client's own binding of the address that it says it has. */
function lastRelay(table: LeaseTable, message: DhcpMessage, counts: (record: Buffer) => boolean): Buffer | undefined {
  const record = table.read(message.ciaddr);
  if (record === undefined || !counts(record)) return undefined;
  // By which of the two it is known may depend on its classes, and those on what is asked for here.
  if (!isClients(record, message.clientKey('client-id')) && !isClients(record, message.clientKey('hardware'))) return undefined;
  const known = recordSection(record, SectionKind.relayAgentInformation);
  return known.length > 0 ? known : undefined;
}
