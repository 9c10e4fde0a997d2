/** Whether a lease table that lived through all packets is what one is that is made anew of its records. */
import assert from 'node:assert/strict';
import { BindingState, recordClientKey, recordLastTransaction, recordSection, recordState, SectionKind } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import type { DiskReader } from '../../node/lease/store.ts';
import { circuitKeyOf, LeaseTable } from '../../node/lease/table.ts';
import { OFFER_HOLD_MS } from '../../node/limits.ts';
import { buildConfig } from '../support/configs.ts';
import type { TestServer } from '../support/dhcp-server.ts';
import { addressesOf } from './worlds.ts';
import type { WorldOptions } from './worlds.ts';

const SOMEBODY = Buffer.from('somebody');

/** `bindings`: all that was stored. Lets all holds end first. */
export function checkTable(options: WorldOptions, server: TestServer, bindings: ReadonlyMap<number, Buffer>): void {
  const { table } = server;
  server.advance(OFFER_HOLD_MS + 1);
  const { now } = server;
  table.advance(now, Infinity);
  const stored = [...bindings].map(([address, record]) => ({ address, record })).sort((a, b) => a.address - b.address);
  assert.deepEqual(table.records(-1, stored.length + 1), stored, 'all that was stored, and nothing else');

  const config = buildConfig({ nodes: server.view.nodes, ...options.config });
  const disk: DiskReader = {
    read: (address) => bindings.get(address), readMeta: () => undefined,
    scan: (after, limit) => stored.filter(({ address }) => address > after).slice(0, limit),
    metaRange: () => [],
  };
  const anew = new LeaseTable(new BindingStore(disk), config);
  anew.load(now);
  const seen = (of: LeaseTable): unknown => ({
    size: of.size, subnets: config.subnets.map(({ index }) => of.counts(index)), pools: config.pools.map(({ index }) => of.poolCounts(index)),
    free: config.pools.map(({ index }) => of.freeBySlot(index)),
    circuits: stored.map(({ record }) => of.activeOnCircuit(circuitKeyOf(recordSection(record, SectionKind.relayAgentInformation)) ?? '')),
    clients: stored.map(({ record }) => of.findAllByClient(recordClientKey(record)).sort((a, b) => a - b)),
    // Of two bindings that are equally good either may be found.
    best: stored.map(({ record }) => config.networks.map(({ index }) => rankOf(bindings.get(of.findByClient(recordClientKey(record), index))))),
    given: addressesOf(options).map((address) => of.mayGive(address, SOMEBODY, of.networkOf(address), now, false)),
  });
  assert.deepEqual(seen(table), seen(anew));
}

function rankOf(record: Buffer | undefined): number {
  return record === undefined ? 0 : recordLastTransaction(record) + (recordState(record) === BindingState.ACTIVE ? 2 ** 32 : 0);
}
