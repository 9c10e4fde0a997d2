/** Names of clients: what is known here of the request, for those who decide about names and DNS (node/ddns). */
import { dnsSection } from '../ddns/binding.ts';
import { currentEntry } from '../ddns/entries.ts';
import { wishOf } from '../ddns/names.ts';
import type { NameWish } from '../ddns/names.ts';
import { SectionKind, sectionStart } from '../lease/record.ts';
import { PROTOCOL_NAMES_AND_NOTES } from '../protocol.ts';
import type { Terms } from '../classes/terms.ts';
import type { Exchange, ServerContext } from './exchange.ts';

const HOST_NAME = 12;
const SERVER_IDENTIFIER = 54;
const CLIENT_FQDN = 81;

const EMPTY: Buffer = Buffer.alloc(0);

/**
 * The name that the client is to have at the address; undefined where names are none of this server's business.
 * `own`: the client's own record of the address.
 */
export function wishFor(context: ServerContext, x: Exchange, { scope: { dns } }: Terms, address: number, own: Buffer | undefined): NameWish | undefined {
  if (dns === undefined || context.cluster.protocol() < PROTOCOL_NAMES_AND_NOTES) return undefined;
  const { message } = x;
  // RFC 2131 §4.3.2: a client that extends its lease, be it too late, fills in 'ciaddr' and names no server.
  const isExtending = message.ciaddr !== 0 && !message.has(SERVER_IDENTIFIER);
  return wishOf({
    fqdn: message.option(CLIENT_FQDN), hostName: message.option(HOST_NAME), reserved: x.reservation?.hostname,
    earlier: isExtending && own !== undefined ? currentEntry(own)?.name : undefined, address, chaddr: message.chaddr(),
  }, dns.naming);
}

/** The section `dns` of the record that replaces `replaced`, whoever's that is; empty: none. `begins`: see `LeaseClaim`. */
export function dnsOf(
  context: ServerContext, x: Exchange, wish: NameWish | undefined, replaced: Buffer | undefined, active: Buffer | undefined, begins: boolean,
): Buffer {
  if (wish === undefined && (replaced === undefined || sectionStart(replaced, SectionKind.dns) < 0)) return EMPTY;
  const { clientKey, byClientIdentifier } = x;
  const { section, givenUp } = dnsSection(wish, { replaced, goesOn: active !== undefined, begins, clientKey, byClientIdentifier });
  context.counters.dns.givenUp += givenUp;
  return section;
}
