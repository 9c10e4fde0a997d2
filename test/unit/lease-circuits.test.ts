import assert from 'node:assert/strict';
import { test } from 'node:test';
import { circuitKeyOf } from '../../node/lease/circuits.ts';
import { BindingState } from '../../node/lease/record.ts';
import { BindingStore } from '../../node/lease/store.ts';
import { LeaseTable } from '../../node/lease/table.ts';
import { SimDisk } from '../sim/disk.ts';
import { at, ip, recordOf, relayed, subnet, tableConfig } from './lease-model.ts';

const T = 1_800_000_000;
const counting = (most: number): ReturnType<typeof tableConfig> =>
  tableConfig([subnet('10.0.0.0/24', [['10.0.0.1', '10.0.0.9']])], { limits: { leasesPerCircuit: most } });

function bound(state: BindingState, circuit?: string): Buffer {
  return recordOf({
    state, client: 'c', since: T, lastTransaction: T, expires: T + 60, leaseSeconds: 60, ...(circuit === undefined ? {} : { circuit }),
  });
}

test('a port is told by its circuit-id, within the relay that the remote-id names (RFC 3046 §3.1, §3.2)', () => {
  const keys = [relayed('ab', 'c'), relayed('a', 'bc'), relayed('ab', ''), Buffer.from('\x01\x02ab')].map(circuitKeyOf);
  assert.equal(keys[2], keys[3], 'no remote-id is an empty one');
  assert.equal(new Set(keys).size, 3);
  assert.equal(circuitKeyOf(Buffer.from('\x02\x02ab')), undefined);
  assert.equal(circuitKeyOf(Buffer.from('\x01\x09ab')), undefined, 'reaches past its end');
  assert.equal(circuitKeyOf(Buffer.alloc(0)), undefined);
});

test('the ACTIVE bindings of a port are counted, through every change and a restart', () => {
  const store = new BindingStore(new SimDisk());
  const table = new LeaseTable(store, counting(2));
  table.load(at(T));
  const counts = (of = table): number[] => ['p', 'q'].map((circuit) => of.activeOnCircuit(circuitKeyOf(relayed(circuit))!));
  const put = (last: number, state: BindingState, circuit?: string): void => {
    table.put(ip('10.0.0.0') + last, bound(state, circuit), at(T));
  };
  put(1, BindingState.ACTIVE, 'p');
  put(2, BindingState.ACTIVE, 'p');
  put(3, BindingState.ACTIVE);
  assert.deepEqual(counts(), [2, 0]);
  put(1, BindingState.ACTIVE, 'p');
  assert.deepEqual(counts(), [2, 0], 'renewed');
  put(1, BindingState.ACTIVE, 'q');
  assert.deepEqual(counts(), [1, 1], 'moved to another port');
  put(2, BindingState.RELEASED, 'p');
  put(2, BindingState.EXPIRED, 'p');
  assert.deepEqual(counts(), [0, 1]);
  put(4, BindingState.ACTIVE, 'p');
  const again = new LeaseTable(store, counting(2));
  again.load(at(T));
  assert.deepEqual(counts(again), [1, 1]);
  table.remove(ip('10.0.0.4'), at(T));
  table.remove(ip('10.0.0.4'), at(T));
  assert.deepEqual(counts(), [0, 1]);
});

test('nothing is counted without a limit, and all of it when one comes', () => {
  const table = new LeaseTable(new BindingStore(new SimDisk()), counting(0));
  table.load(at(T));
  const count = (): number => table.activeOnCircuit(circuitKeyOf(relayed('p'))!);
  table.put(ip('10.0.0.1'), bound(BindingState.ACTIVE, 'p'), at(T));
  assert.equal(count(), 0);
  table.reconfigure(counting(3), at(T));
  assert.equal(count(), 1);
  table.put(ip('10.0.0.2'), bound(BindingState.ACTIVE, 'p'), at(T));
  table.reconfigure(counting(4), at(T));
  assert.equal(count(), 2);
  table.reconfigure(counting(0), at(T));
  assert.equal(count(), 0);
});
