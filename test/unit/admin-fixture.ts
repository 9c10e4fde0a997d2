/** Bindings and a node's HTTP port for the tests of the admin and cli rooms. */
import type { TestContext } from 'node:test';
import { setImmediate as pause } from 'node:timers/promises';
import { ApiCounters } from '../../node/admin/api-counters.ts';
import { startHttp, type HttpOptions } from '../../node/admin/io/http.ts';
import type { LeaseRecords } from '../../node/admin/lease-list.ts';
import { OperationRunner } from '../../node/admin/operation-runner.ts';
import type { OperationHost } from '../../node/admin/operation.ts';
import type { ClusterConfig, SubnetConfig } from '../../node/config/types.ts';
import { readClock } from '../../node/io/clock.ts';
import { BindingState, encodeRecord, writeStamp, type BindingFields } from '../../node/lease/record.ts';
import { buildConfig, subnetConfig } from '../support/configs.ts';
import { exampleStatus } from './telemetry-fixture.ts';

export const CONFIG: ClusterConfig = buildConfig({ nodes: ['a', 'b'], subnets: [
  subnetConfig({ pools: [], name: '10.0.0.0/8', network: 0x0a00_0000, prefixLength: 8 }),
  subnetConfig({ pools: [], name: '192.168.0.0/24', network: 0xc0a8_0000, prefixLength: 24 }),
] });
export const SUBNETS: readonly SubnetConfig[] = CONFIG.subnets;
export const [NET_10, NET_192] = SUBNETS as [SubnetConfig, SubnetConfig];

export function binding(changes: Partial<BindingFields> = {}): Buffer {
  const chaddr = changes.chaddr ?? Buffer.from('525400123456', 'hex');
  const record = encodeRecord({
    state: BindingState.ACTIVE, hasClientIdentifier: false, reserved: false, htype: 1, chaddr,
    clientKey: Buffer.from([1, ...chaddr]), stateSince: 1_700_000_000, lastTransaction: 1_700_000_100,
    expires: 1_700_003_600, leaseSeconds: 3600, xid: 7, relayAgentInformation: Buffer.alloc(0),
    hostname: Buffer.alloc(0), ...changes,
  });
  writeStamp(record, { epoch: 7, incarnation: 0x0123_4567_89ab, seq: 42 });
  return record;
}

export function recordsIn(bindings: ReadonlyMap<number, Buffer>): LeaseRecords {
  const sorted = [...bindings].map(([address, record]) => ({ address, record })).sort((a, b) => a.address - b.address);
  return { records: (after, limit) => sorted.filter(({ address }) => address > after).slice(0, limit) };
}

export interface OwnedLeases extends LeaseRecords {
  ownerOf(slot: number): string | undefined;
}

export function leaseSource(bindings: ReadonlyMap<number, Buffer>): OwnedLeases {
  return { ...recordsIn(bindings), ownerOf: (slot) => (slot % 2 === 0 ? 'a' : 'b') };
}

export interface StartedNode extends Partial<HttpOptions> {
  /** What its operations list; other operations are not to be asked for. */
  readonly leases?: OwnedLeases;
}

/** A port on loopback that closes with the test. @returns its URL */
export async function startNode(context: TestContext, { leases = leaseSource(new Map()), ...changes }: StartedNode = {}): Promise<string> {
  const server = await startHttp({
    host: '127.0.0.1', port: 0, status: () => exampleStatus(),
    metrics: () => Promise.resolve('lessor_view_epoch 7\n'), ready: () => ({ ready: true, reason: 'NORMAL' }), operations: operationsOver(leases),
    ...changes,
  });
  context.after(() => server.close());
  return `http://127.0.0.1:${server.port}`;
}

/** Its lists of leases; other operations are not to be asked for. */
export function operationsOver(leases: OwnedLeases): OperationRunner {
  const host: Partial<OperationHost> = {
    table: { records: (after: number, limit: number) => leases.records(after, limit) } as OperationHost['table'],
    config: () => CONFIG, ownerOf: (slot) => leases.ownerOf(slot), now: readClock, pause: () => pause(),
  };
  return new OperationRunner({
    host: host as OperationHost, change: (_decide, done) => done({ kind: 'unavailable', reason: 'no node' }), report: () => undefined, counters: new ApiCounters(),
  });
}
