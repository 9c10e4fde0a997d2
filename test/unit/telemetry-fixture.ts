/** A node status in which every field is set, and what the telemetry tests share. */
import type { NodeStatus } from '../../node/admin/status.ts';
import { Counters } from '../../node/telemetry/counters.ts';
import { Telemetry } from '../../node/telemetry/log.ts';
import type { LineOutput } from '../../node/telemetry/log.ts';
import { createMetrics } from '../../node/telemetry/metrics.ts';
import type { MonotonicMs, Now, WallMs } from '../../node/time.ts';

export const NOW: Now = { mono: 5_000 as MonotonicMs, wall: 1_700_000_000_123 as WallMs };

export function exampleStatus(changes: Partial<NodeStatus> = {}): NodeStatus {
  return {
    node: 'a', version: '0.1.0', state: 'NORMAL', role: 'leader', ready: true, protocol: { min: 1, max: 2, inForce: 1, refused: '' }, incarnation: '0123456789ab',
    startedAt: 1_700_000_000_000 as WallMs, uptimeSeconds: 3_725,
    view: {
      epoch: 7, generation: 1, leader: 'a',
      members: [{ node: 'a', slots: 128 }, { node: 'b', slots: 128 }],
      probeUntil: 0, inEtcd: true,
    },
    operator: null,
    config: { loaded: 4, view: 4, prepared: 5, newest: 5, error: '', waitingFor: [{ node: 'b', error: '' }] },
    slotsOwned: 128, homeSlots: 128,
    peers: [{
      node: 'b', software: '0.0.9', protocol: { min: 1, max: 1 }, link: 'up', inView: true, state: 'NORMAL', lagChanges: 3, lagSeconds: 0.004, inboxChanges: 0, clockDifferenceSeconds: -0.25,
    }],
    clockDifferenceMaxSeconds: 10,
    drains: [{ node: 'c', by: 'root@host', at: '2026-01-02T03:04:05Z', reason: 'a new disk', force: false, standing: 'out' }],
    log: { last: 1_042, committed: 1_039, flushed: 1_040 },
    etcd: { configured: true, reachable: true, lastSuccessSecondsAgo: 1.5, wentBack: '' },
    leases: [{
      subnet: '10.0.0.0/8', active: 812, expired: 4, released: 3, abandoned: 2, free: 179, size: 1_000,
      freeByOwner: { a: 90, b: 89 },
    }],
    history: { since: 1_690_000_000, bytes: 123_456_789, gap: { from: 1_699_000_000, to: 1_699_000_600 } },
    dns: {
      pending: 7, underWay: 2, estimated: false, resync: null,
      zones: [
        { zone: '10.in-addr.arpa.', pending: 4, failing: '', failingSeconds: 0, retrySeconds: 0 },
        { zone: 'example.com.', pending: 5, failing: '192.0.2.53: no answer', failingSeconds: 312, retrySeconds: 41 },
      ],
    },
    exchangesPerSecond: 503.4,
    interfaces: [{ name: 'eth0', addresses: ['10.0.0.11/8'] }],
    certificates: [{ use: 'cluster', serial: '0a', expires: 1_800_000_000 }],
    recentEvents: [{
      time: 1_700_000_003_000 as WallMs, id: 'lease.granted', message: 'lease granted', fields: { address: '10.1.0.1' },
    }],
    backlog: { offers: 12, waitingForCommit: 5, waitingForConfirm: 1 },
    ...changes,
  };
}

export class CollectingOutput implements LineOutput {
  readonly lines: string[] = [];
  dropped = 0;

  write(line: string): void {
    this.lines.push(line);
  }
}

export const DATA_FOLDER = { freeBytes: 5e9, sizeBytes: 2e10, storeBytes: 4096 };

/** A scrape in which every metric of the table has a sample. */
export function scrapeOfEverything(): Promise<string> {
  const counters = new Counters();
  counters.held.observe('10.0.0.0/8', 3600);
  counters.queries.count('bulk', 'relay-id', 'done');
  counters.api.count('release', 200);
  counters.queries.active = [{ requestor: '10.0.9.1:40000', waiting: 3, lagSeconds: 1 }];
  const telemetry = new Telemetry({ node: 'a', level: 'info', logLeases: true, output: new CollectingOutput(), readable: false, colours: false });
  return createMetrics({ counters, status: () => exampleStatus(), telemetry, dataFolder: () => DATA_FOLDER })();
}
