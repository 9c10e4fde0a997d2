/** Bounds of what is done in DNS for the bindings, by name, with what happens past them; as node/limits.ts has those of all else. */

/** Addresses remembered as marked lately with something to be done in DNS; past it they are found by going round all that are marked. */
export const DNS_FRESH_MAX = 4096;

/** Of those that are marked: pages of 256 addresses looked through in one turn, and addresses taken up in one turn. */
export const DNS_PAGES_PER_LOOK_MAX = 64;
export const DNS_LOOKS_PER_TURN_MAX = 256;

/** Addresses whose names are being seen to at one time; the others wait in their records. */
export const DNS_UNDER_WAY_MAX = 128;

/** Addresses that are looked at to tell how much waits for each zone; past it the numbers are estimates. */
export const DNS_TOLD_MAX = 1024;

/** A zone that cannot be changed is tried again after so long, doubled each time, and never later than. */
export const DNS_ZONE_RETRY_MS = 1000;
export const DNS_ZONE_RETRY_MS_MAX = 60_000;

/** An update that is refused while others of its zone are taken is tried so often, and each time so much later; past that many of them at once the first refusal counts. */
export const DNS_REFUSED_TRIES = 3;
export const DNS_REFUSED_RETRY_MS = 5000;
export const DNS_REFUSED_MAX = 4096;

/** Refusals in a row without a success in between, after which it is the zone that refuses and not a name that is refused. */
export const DNS_ZONE_REFUSALS = 3;

/** An update begins at most so long after the confirmation that it rests on was asked for. */
export const DNS_CONFIRMATION_MS = 1000;

/** A message of an update leaves at most so long after a confirmation was asked for that has come: less than it takes to evict a node that stands still. */
export const DNS_CONFIRMED_MS = 2000;

/** What is done for an address has so long to begin, and to end; then it is begun anew. */
export const DNS_BEGIN_MS = 3000;
export const DNS_JOB_MS = 60_000;

/** Addresses whose records were changed for DNS alone lately: a change that another node had decided on before is made all the same. Past it such a change is refused, and its client asks again. */
export const DNS_REWRITES_MAX = 8192;
export const DNS_REWRITES_MS = 5000;

/** Of one update of a name, attempts that begin from the start since the name was gone again; past it the update is tried later (RFC 4703 §5.3). */
export const DNS_UPDATE_ROUNDS_MAX = 3;

/** Updates of DNS under way at a time, each of one name or one address; further ones wait, and past that many they are tried later. */
export const DNS_UPDATES_MAX = 32;
export const DNS_UPDATES_WAITING_MAX = 4096;

/** How long an answer over UDP is waited for, each time that a request is sent; past the last the next server is asked. */
export const DNS_TRIES_MS: readonly number[] = [500, 1000, 2000];

/** A request that is longer goes over TCP (RFC 1035 §4.2.1); so long may connecting and the answer take there. */
export const DNS_DATAGRAM_BYTES_MAX = 512;
export const DNS_TCP_MS = 5000;

/** A server that did not answer is not asked for so long where another one can be; then one request finds out. */
export const DNS_SERVER_REST_MS = 10_000;

/** Servers whose silence is remembered; past it the one of longest ago is forgotten. */
export const DNS_SERVERS_MAX = 256;

/** Requests over one UDP socket; past it the next ones get a new one, and a port that nobody knows yet. An idle one is closed. */
export const DNS_SOCKET_REQUESTS_MAX = 1024;
export const DNS_SOCKET_IDLE_MS = 10_000;

/** A server that transfers a zone may be silent for so long. */
export const DNS_TRANSFER_IDLE_MS = 30_000;

/** Entries without a lease, found in the zones, that wait to be taken out: past it whoever compares waits. */
export const DNS_STRAYS_MAX = 256;

/** A comparison of leases and zones: records of one zone that are kept at once, past it the zone is asked name by name; bindings looked at in one turn. */
export const DNS_RESYNC_RECORDS_MAX = 1_000_000;
export const DNS_RESYNC_PAGE_RECORDS = 64;
