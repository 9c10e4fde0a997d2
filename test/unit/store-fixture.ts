/** Records and changes for the tests of the index and of snapshots, and the same answers the slow way. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BindingState, encodeRecord } from '../../node/lease/record.ts';
import { IDENTIFIER_KINDS, identifierOf, type IdentifierKind } from '../../node/lease/identifiers.ts';
import type { RecordAt } from '../../node/lease/merged-records.ts';
import type { DiskReader, WriteBatch } from '../../node/lease/store.ts';

export const PAGE = 4096;

export function inFolder(body: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lessor-store-'));
    try {
      await body(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

/** Numbers from 0 up to below `n`, the same for the same seed. */
export function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * n);
  };
}

export interface ClientNumbers {
  readonly client: number;
  readonly relay: number;
  readonly state?: BindingState;
  readonly time?: number;
  readonly identified?: boolean;
}

/** Few clients and relays, so that each has several bindings; some have no identifier, no relay, no chaddr. */
export function record({ client, relay, state = BindingState.ACTIVE, time = 0, identified = true }: ClientNumbers): Buffer {
  const chaddr = client % 7 === 6 ? Buffer.alloc(0) : Buffer.from([2, 0, 0, 0, client >> 8, client & 255]);
  const relayAgentInformation = relay === 0 ? Buffer.alloc(0) : Buffer.concat([
    Buffer.from([1, 2, 0, relay]),
    relay % 5 === 4 ? Buffer.alloc(0) : Buffer.from([2, 4, 9, 9, 9, relay]),
    relay % 3 === 2 ? Buffer.alloc(0) : Buffer.from([12, 3, 0, 2, relay]),
  ]);
  return encodeRecord({
    state, hasClientIdentifier: identified, reserved: false, htype: 1, chaddr,
    clientKey: Buffer.from(identified ? `client ${client}` : [1, ...chaddr]),
    stateSince: time, lastTransaction: time, expires: time + 3600, leaseSeconds: 3600, xid: time, relayAgentInformation,
    hostname: Buffer.from(`host-${client}`),
  });
}

export function randomRecord(roll: (n: number) => number): Buffer {
  const states = [BindingState.ACTIVE, BindingState.EXPIRED, BindingState.RELEASED, BindingState.ABANDONED];
  return record({ client: roll(40), relay: roll(12), state: states[roll(4)]!, time: roll(1e6), identified: roll(3) > 0 });
}

/** Changes of some of `addresses` addresses, a fifth of them removals, and of a few meta values. */
export function randomBatch(roll: (n: number) => number, count: number, addresses: number): WriteBatch {
  const records = new Map<number, Buffer | null>();
  for (let i = 0; i < count; i++) records.set(0x0a00_0000 + roll(addresses), roll(5) === 0 ? null : randomRecord(roll));
  const meta = new Map<string, Buffer | null>();
  if (roll(2) === 0) meta.set(`m${roll(9)}`, roll(4) === 0 ? null : Buffer.from(`value ${roll(1e6)}`));
  return { position: 0, records, meta };
}

const text = ({ address, record }: RecordAt): string => `${address} ${record.toString('hex')}`;

/** All that a store shows, as text. */
export function contentsOf(disk: DiskReader): { records: string[]; meta: string[] } {
  const records: string[] = [];
  for (let after = -1; ;) {
    const page = disk.scan(after, 97);
    records.push(...page.map(text));
    if (page.length < 97) break;
    after = page.at(-1)!.address;
  }
  const keys = Array.from({ length: 9 }, (_, i) => `m${i}`);
  return { records, meta: keys.flatMap((key) => { const value = disk.readMeta(key); return value === undefined ? [] : [`${key} ${value.toString()}`]; }) };
}

export interface Finder extends DiskReader {
  find(kind: IdentifierKind, identifier: Buffer): Iterable<RecordAt>;
}

/** Of every identifier in the store, and of one that it does not have, the bindings that it finds wrongly. */
export function wronglyFound(store: Finder): string[] {
  const all = store.scan(-1, 1e6);
  return IDENTIFIER_KINDS.flatMap((kind) => {
    const byIdentifier = new Map<string, string[]>([['00', []]]);
    for (const at of all) {
      const identifier = identifierOf(kind, at.record)?.toString('hex');
      if (identifier !== undefined) byIdentifier.set(identifier, [...byIdentifier.get(identifier) ?? [], text(at)]);
    }
    return [...byIdentifier].flatMap(([identifier, expected]) => {
      const found = [...store.find(kind, Buffer.from(identifier, 'hex'))].map(text);
      return found.join() === expected.join() ? [] : [`${kind} ${identifier}: found ${found.length} of ${expected.length}`];
    });
  });
}
