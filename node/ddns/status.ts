/** What a node tells of names in DNS: of the addresses that it owns, and of how zones take what it sends them. */

export interface DnsZoneStatus {
  /** With the dot at its end; "": names that lie in none of the zones. */
  readonly zone: string;
  /** Updates that wait for it or are under way. */
  readonly pending: number;
  /** Why it cannot be changed; "" where it can. */
  readonly failing: string;
  /** Since the first failure, and until it is tried again; 0 where it does not fail. */
  readonly failingSeconds: number;
  readonly retrySeconds: number;
}

/** A comparison of the leases with what the zones hold. */
export interface DnsResyncStatus {
  readonly state: 'running' | 'done' | 'failed';
  /** What it does at the moment, or how it ended. */
  readonly step: string;
  /** Records of zones that were read, and bindings that were compared with them. */
  readonly records: number;
  readonly bindings: number;
  /** Names of leases that DNS lacked, and names in DNS without a lease. */
  readonly missing: number;
  readonly stray: number;
}

export interface DnsStatus {
  /** Addresses with something to be done, of those that the node owns. */
  readonly pending: number;
  readonly underWay: number;
  /** Whether the numbers of zones are estimates, since so much waits. */
  readonly estimated: boolean;
  /** Zones with something to be done, or that fail; by name. */
  readonly zones: readonly DnsZoneStatus[];
  /** null: there was none since the start. */
  readonly resync: DnsResyncStatus | null;
}
