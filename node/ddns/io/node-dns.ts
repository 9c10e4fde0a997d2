/** The edge of a node towards name servers: its keys, and who carries out what the outbox decides. */
import { setImmediate } from 'node:timers/promises';
import type { ClusterConfig } from '../../config/types.ts';
import { readClock } from '../../io/clock.ts';
import type { Occurrence } from '../../telemetry/events.ts';
import type { DnsCounters } from '../counters.ts';
import { DnsResync } from '../resync.ts';
import type { ResyncParts, ZoneReader } from '../resync.ts';
import type { DnsJob, DnsOutcome } from '../types.ts';
import { TYPE_NUMBERS } from '../wire.ts';
import { allZones } from '../zone-of.ts';
import { DnsKeys } from './keys.ts';
import { openDnsUpdater } from './updater.ts';
import type { DnsUpdater } from './updater.ts';

export interface NodeDnsOptions {
  /** As `dnsKeys` of node.yaml has them. */
  readonly keyFiles: readonly string[];
  readonly counters: DnsCounters;
  readonly onDone: (id: number, outcome: DnsOutcome) => void;
  /** Whether a message of the job may leave now. */
  readonly mayGoOn: (id: number) => boolean;
  readonly report: (event: Occurrence) => void;
}

export interface NodeDns {
  start(job: DnsJob): void;
  /** Begins to compare leases and zones, if that is not under way. */
  resync(parts: Omit<ResyncParts, 'reader' | 'zones' | 'pause'>, config: ClusterConfig): void;
  close(): Promise<void>;
}

export function openNodeDns({ counters, keyFiles, mayGoOn, onDone, report }: NodeDnsOptions): NodeDns {
  const keys = new DnsKeys(keyFiles, report);
  const updater = openDnsUpdater({ keys, onDone, now: readClock, mayGoOn });
  counters.seconds = updater.stats.seconds;
  return {
    resync: (parts, config) => {
      if (parts.outbox.resync?.state === 'running') return;
      void new DnsResync({ ...parts, zones: allZones(config), reader: readerOf(updater), pause: () => setImmediate() }).run();
    },
    start: (job) => updater.start(job),
    close: () => {
      keys.close();
      return updater.close();
    },
  };
}

function readerOf(updater: DnsUpdater): ZoneReader {
  return {
    transfer: (zone) => updater.transfer(zone),
    query: async (zone, name, type) => {
      const answer = await updater.query(zone, name, type);
      return answer.kind === 'failure' ? undefined : answer.records.filter((record) => record.type === TYPE_NUMBERS[type]).map(({ data }) => data);
    },
  };
}
