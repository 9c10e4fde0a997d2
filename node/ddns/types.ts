/** What the parts of dynamic DNS have in common: what a binding is to have in DNS, and where that is said. */

/** A name server, by address: names are for others to look up. */
export interface DnsServer {
  /** IPv4 or IPv6 address as text. */
  readonly host: string;
  readonly port: number;
}

/** A zone that Lessor may change (RFC 2136 §2.3), with those who take the changes. */
export interface DnsZone {
  /** "example.com.", lower case, with the dot at its end. */
  readonly name: string;
  /** The one to be asked first is the first one. Never empty. */
  readonly servers: readonly DnsServer[];
  /** The name of a TSIG key that each node has in a file of its own, lower case, without a dot at its end; undefined: unsigned. */
  readonly key: string | undefined;
}

/** RFC 4703 §5.3: what becomes of a name that somebody else has. */
export type DnsConflicts =
  /** It stays theirs: an entry without this client's DHCID is never touched. */
  | 'keep'
  /** It becomes this client's, whoever had it. */
  | 'replace';

/** How names get into DNS, as a scope has it. What a name is made of: node/ddns/names.ts. */
export interface DnsUpdates {
  /** By name: the zone of a name is the one with the longest name that ends it. */
  readonly zones: readonly DnsZone[];
  /** Part of the lease time that entries may be kept by resolvers, 0 to 1, and its bounds in seconds. */
  readonly ttl: { readonly part: number; readonly minSeconds: number; readonly maxSeconds: number };
  readonly conflicts: DnsConflicts;
}

/** What becomes of a client's name, or is put in its place: when a name is made up (`DnsNaming.generated`). */
export type DnsReplaceName =
  | 'never' | 'always'
  /** Where the client sent one. */
  | 'when-sent'
  /** Where it sent none, or none that can be used. */
  | 'when-missing';

/** Which name a client has in DNS, and who is to put it there, as a scope has it. */
export interface DnsNaming {
  /** Wire form, lower case: what follows a name that is not fully qualified. */
  readonly suffix: Buffer;
  /** The names of the zones and the suffix, in wire form: no client's, whatever it says. */
  readonly apexes: readonly Buffer[];
  /** A client that wants to change its A record itself (RFC 4702 §3.2) may, or the server does it all the same. */
  readonly clientUpdates: 'allow' | 'override';
  /** One that wants nothing changed (RFC 4702 §3.4) has its way, or not. */
  readonly noUpdates: 'honour' | 'override';
  readonly replaceName: DnsReplaceName;
  /** One label, with "{address}" or "{hardware}" in it. */
  readonly generated: string;
  /** What is no letter, digit or dash in a label: a dash, nothing, or the reason to take no name of the kind. */
  readonly invalidCharacters: 'replace' | 'remove' | 'refuse';
  /** Whether A records, and whether PTR records, are added at all. */
  readonly forward: boolean;
  readonly reverse: boolean;
}

/** Dynamic DNS as a scope has it, where it is on. */
export interface DnsScope {
  readonly updates: DnsUpdates;
  readonly naming: DnsNaming;
}

/** One name of a binding's address in DNS: wanted there, there, or to be taken out. */
export interface DnsEntry {
  /** Wire form (RFC 1035 §3.1), lower case, not compressed, with the root's zero byte at its end. */
  readonly name: Buffer;
  /** RDATA of the DHCID record (RFC 4701 §3.1): 35 bytes. */
  readonly dhcid: Buffer;
  /** Whether it is the name of the lease at hand; false: left from an earlier one, and to be taken out. */
  readonly current: boolean;
  /** Whether this server adds the A record; whether it adds the PTR record. */
  readonly forward: boolean;
  readonly reverse: boolean;
  /** Whether that is known to be done, or refused for good, so that it is not tried again. */
  readonly forwardSettled: boolean;
  readonly reverseSettled: boolean;
  /** The last word of DNS, where it was a refusal. */
  readonly refusal: DnsRefusal;
}

/** Why an entry is not there although its lease is: 'conflict': the name is somebody else's (RFC 4703 §5.3.3). */
export type DnsRefusal = 'none' | 'conflict' | 'refused' | 'no-zone';

/** One thing to be done in DNS, for one binding. Doing it twice does no harm. */
export interface DnsJob {
  readonly id: number;
  readonly action: 'add-forward' | 'remove-forward' | 'add-reverse' | 'remove-reverse';
  readonly zone: DnsZone;
  /** As in `DnsEntry`. */
  readonly name: Buffer;
  readonly dhcid: Buffer;
  readonly address: number;
  readonly ttlSeconds: number;
  readonly conflicts: DnsConflicts;
}

export type DnsOutcome =
  | { readonly kind: 'done' }
  /** The name is somebody else's, and stays so. */
  | { readonly kind: 'conflict' }
  /** A server of the zone answered that it will not: the response code's name (RFC 2136 §2.2, RFC 8945 §3). */
  | { readonly kind: 'refused'; readonly code: string }
  /** No server of the zone has answered in time, or one said that it cannot at the moment (SERVFAIL, BADTIME). */
  | { readonly kind: 'unavailable'; readonly reason: string };
