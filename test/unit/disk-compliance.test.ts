/**
 * One suite for LMDB's adapter and for its simulated twin: what the simulator proves on the twin holds
 * for the real disk only as far as both do the same.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { open } from 'lmdb';
import { openJournaledDisk } from '../../node/io/journaled-disk.ts';
import { openLmdbDisk } from '../../node/io/lmdb-disk.ts';
import { keyAfter } from '../../node/lease/merged-values.ts';
import { StoreError } from '../../node/lease/store-error.ts';
import type { Disk, WriteBatch } from '../../node/lease/store.ts';
import { asDisk, SimDisk } from '../sim/disk.ts';

interface Subject {
  readonly disk: Disk;
  /** The same contents after the process has ended and started again. */
  restart(): Promise<Disk>;
  end(): Promise<void>;
}

function onDisk(open: (folder: string) => Disk): () => Subject {
  return () => {
    const folder = mkdtempSync(join(tmpdir(), 'lessor-disk-'));
    let disk = open(folder);
    return {
      disk,
      restart: async () => {
        await disk.close();
        disk = open(folder);
        return disk;
      },
      end: async () => {
        await disk.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  };
}

const SUBJECTS: Record<string, () => Subject> = {
  lmdb: onDisk(openLmdbDisk),
  journaled: onDisk(openJournaledDisk),
  // Small enough that nearly every commit finds its file full.
  'journaled, short files': onDisk((folder) => openJournaledDisk(folder, 8192)),
  simulated: () => {
    const sim = new SimDisk();
    return {
      disk: asDisk(sim),
      restart: () => {
        sim.crash();
        return Promise.resolve(asDisk(sim));
      },
      end: () => Promise.resolve(),
    };
  },
};

let position = 0;
function batch(records: [number, string | null][], meta: [string, string | null][] = []): WriteBatch {
  const bytes = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text));
  return {
    position: ++position,
    records: new Map(records.map(([address, text]) => [address, bytes(text)])),
    meta: new Map(meta.map(([key, text]) => [key, bytes(text)])),
  };
}

const text = (found: Buffer | undefined): string | undefined => found?.toString();
const listing = (disk: Disk): [number, string][] =>
  disk.scan(-1, 1e6).map(({ address, record }) => [address, record.toString()]);

for (const [name, make] of Object.entries(SUBJECTS)) {
  const check = (title: string, body: (subject: Subject) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const subject = make();
      try {
        await body(subject);
      } finally {
        await subject.end();
      }
    });
  };

  check('a committed batch is read back, records and meta apart', async ({ disk }) => {
    await disk.commit(batch([[1, 'one']], [['1', 'meta']]));
    assert.equal(text(disk.read(1)), 'one');
    assert.equal(text(disk.readMeta('1')), 'meta');
    assert.equal(disk.read(2), undefined);
    assert.equal(disk.readMeta('2'), undefined);
  });

  check('nothing of a batch is shown before its commit has resolved', async ({ disk }) => {
    await disk.commit(batch([[1, 'old']]));
    const committing = disk.commit(batch([[1, 'new'], [2, 'two']]));
    assert.equal(text(disk.read(1)), 'old');
    assert.equal(disk.read(2), undefined);
    assert.deepEqual(listing(disk), [[1, 'old']]);
    await committing;
    assert.equal(text(disk.read(1)), 'new');
    assert.deepEqual(listing(disk), [[1, 'new'], [2, 'two']]);
  });

  check('a scan goes by unsigned address and stops at its limit', async ({ disk }) => {
    const addresses = [0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 256, 255, 1, 0];
    await disk.commit(batch(addresses.map((address) => [address, String(address)])));
    const sorted = [...addresses].sort((a, b) => a - b);
    assert.deepEqual(listing(disk), sorted.map((address) => [address, String(address)]));
    assert.deepEqual(disk.scan(1, 2).map(({ address }) => address), [255, 256]);
    assert.deepEqual(disk.scan(255, 1).map(({ address }) => address), [256]);
    assert.deepEqual(disk.scan(0xffff_ffff, 10), []);
    assert.deepEqual(disk.scan(-1, 0), []);
  });

  check('a range of meta values goes by key and stops at its limit', async ({ disk }) => {
    await disk.commit(batch([], [['t/b', '2'], ['t/a', '1'], ['s', 'below'], ['t0', 'above'], ['t/ba', '3']]));
    const range = (from: string, to: string, limit: number): string[] => disk.metaRange(from, to, limit).map(({ key, value }) => `${key}=${value.toString()}`);
    assert.deepEqual(range('t/', 't0', 9), ['t/a=1', 't/b=2', 't/ba=3']);
    assert.deepEqual(range('t/', 't0', 2), ['t/a=1', 't/b=2']);
    assert.deepEqual(range('t/b', 't/ba', 9), ['t/b=2']);
    assert.deepEqual(range('t/c', 't0', 9), []);
    assert.deepEqual(range('t/', 't0', 0), []);
    // An empty value is a value.
    await disk.commit(batch([], [['t/a', null], ['t/c', '']]));
    assert.deepEqual(range('t/', 't0', 9), ['t/b=2', 't/ba=3', 't/c=']);
  });

  check('ranges of meta values are what a map would hold, in pages of any size', async ({ disk }) => {
    const key = fc.constantFrom('r/1', 'r/2', 'r/25', 'r/3', 'r/9', 'q', 's', 'r/');
    const change = fc.tuple(key, fc.option(fc.string({ maxLength: 300 }), { nil: null }));
    await fc.assert(fc.asyncProperty(fc.array(fc.array(change, { maxLength: 8 }), { maxLength: 5 }), fc.integer({ min: 1, max: 4 }), async (commits, limit) => {
      const expected = new Map(disk.metaRange('q', 't', 1e6).map(({ key: at, value }) => [at, value.toString()]));
      for (const changes of commits) {
        await disk.commit(batch([], changes));
        for (const [at, value] of new Map(changes)) {
          if (value === null) expected.delete(at);
          else expected.set(at, value);
        }
        const found: [string, string][] = [];
        for (let from = 'r/'; ;) {
          const page = disk.metaRange(from, 's', limit);
          found.push(...page.map(({ key: at, value }): [string, string] => [at, value.toString()]));
          if (page.length < limit) break;
          from = keyAfter(page.at(-1)!.key);
        }
        assert.deepEqual(found, [...expected].filter(([at]) => at >= 'r/' && at < 's').sort(([a], [b]) => (a < b ? -1 : 1)));
      }
    }), { numRuns: 30 });
  });

  check('removal removes, also of what is not there', async ({ disk }) => {
    await disk.commit(batch([[1, 'one'], [2, 'two']], [['a', 'x']]));
    await disk.commit(batch([[1, null], [3, null]], [['a', null], ['b', null]]));
    assert.deepEqual(listing(disk), [[2, 'two']]);
    assert.equal(disk.readMeta('a'), undefined);
  });

  check('what was read may be kept', async ({ disk }) => {
    await disk.commit(batch([[1, 'first'], [2, 'second']], [['m', 'value']]));
    const kept = [disk.read(1)!, disk.scan(-1, 1)[0]!.record, disk.readMeta('m')!];
    await disk.commit(batch([[1, 'FIRST'], [2, 'SECOND']], [['m', 'VALUE']]));
    for (let i = 0; i < 50; i++) disk.read(2);
    assert.deepEqual(kept.map(String), ['first', 'first', 'value']);
  });

  check('what was committed does not change with the caller\'s buffer', async ({ disk }) => {
    const record = Buffer.from('before');
    await disk.commit({ position: ++position, records: new Map([[1, record]]), meta: new Map() });
    record.write('AFTER!');
    assert.equal(text(disk.read(1)), 'before');
  });

  check('a restart finds everything committed', async (subject) => {
    await subject.disk.commit(batch([[1, 'one'], [2, 'two']], [['m', 'x']]));
    await subject.disk.commit(batch([[2, null]]));
    const again = await subject.restart();
    assert.deepEqual(listing(again), [[1, 'one']]);
    assert.equal(text(again.readMeta('m')), 'x');
  });

  check('commits begun together are applied in order', async ({ disk }) => {
    const commits = [];
    for (let i = 0; i < 20; i++) commits.push(disk.commit(batch([[1, `v${i}`], [100 + i, 'x']])));
    await Promise.all(commits);
    assert.equal(text(disk.read(1)), 'v19');
    assert.equal(listing(disk).length, 21);
  });

  check('an empty batch commits', async ({ disk }) => {
    await disk.commit(batch([]));
    assert.deepEqual(listing(disk), []);
  });

  check('any sequence of commits leaves what a map would hold', async ({ disk }) => {
    const address = fc.constantFrom(0, 1, 2, 255, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff);
    const change = fc.tuple(address, fc.option(fc.string({ minLength: 1, maxLength: 600 }), { nil: null }));
    await fc.assert(fc.asyncProperty(fc.array(fc.array(change, { maxLength: 8 }), { maxLength: 6 }), async (commits) => {
      const expected = new Map(listing(disk));
      for (const changes of commits) {
        await disk.commit(batch(changes));
        for (const [at, value] of new Map(changes)) {
          if (value === null) expected.delete(at);
          else expected.set(at, value);
        }
        assert.deepEqual(listing(disk), [...expected].sort((a, b) => a[0] - b[0]));
      }
    }), { numRuns: 30 });
  });
}

test('simulated: a failed commit applies nothing, and the next one works', async () => {
  const sim = new SimDisk();
  const disk = asDisk(sim);
  sim.failNext(new StoreError('full', 'no room', 'make some'));
  await assert.rejects(disk.commit(batch([[1, 'one']])), { code: 'full' });
  assert.equal(disk.read(1), undefined);
  await disk.commit(batch([[1, 'one']]));
  assert.equal(text(disk.read(1)), 'one');
});

test('simulated: a crash loses what was not flushed, even what was visible', () => {
  const sim = new SimDisk({ visibleBeforeFlush: true });
  sim.begin(batch([[1, 'one']]));
  sim.complete();
  sim.begin(batch([[1, 'changed'], [2, 'two']], [['m', 'x']]));
  assert.equal(text(sim.read(1)), 'changed');
  assert.deepEqual(sim.scan(-1, 9).map(({ address }) => address), [1, 2]);
  assert.equal(text(sim.readMeta('m')), 'x');
  sim.crash();
  assert.equal(text(sim.read(1)), 'one');
  assert.equal(sim.read(2), undefined);
  assert.equal(sim.complete(), undefined);
});

test('simulated: a copy is restored as it was, and a wiped disk is empty', () => {
  const sim = new SimDisk();
  sim.begin(batch([[1, 'one']]));
  sim.complete();
  const copy = sim.copy();
  sim.begin(batch([[1, 'later'], [2, 'two']]));
  sim.complete();
  sim.restore(copy);
  assert.deepEqual(sim.scan(-1, 9).map(({ record }) => record.toString()), ['one']);
  sim.wipe();
  assert.deepEqual(sim.scan(-1, 9), []);
});

function inFolder(body: (folder: string) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lessor-disk-'));
    try {
      await body(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

const storeError = (code: string) => (error: unknown): boolean =>
  error instanceof StoreError && error.code === code && error.action.length > 0;

test('lmdb: a store of a newer format is refused', inFolder(async (folder) => {
  await openLmdbDisk(folder).close();
  const root = open({ path: join(folder, 'leases.mdb') });
  await root.put('lessor-format', 2);
  await root.close();
  assert.throws(() => openLmdbDisk(folder), storeError('newer-format'));
}));

test('lmdb: a file that is no lease store is refused', inFolder((folder) => {
  writeFileSync(join(folder, 'leases.mdb'), Buffer.alloc(20_000, 'x'));
  assert.throws(() => openLmdbDisk(folder), storeError('corrupt'));
}));

test('lmdb: a file that was cut off is refused', inFolder(async (folder) => {
  const disk = openLmdbDisk(folder);
  await disk.commit(batch(Array.from({ length: 5000 }, (_, i) => [i, 'x'.repeat(100)])));
  await disk.close();
  truncateSync(join(folder, 'leases.mdb'), 200_000);
  assert.throws(() => openLmdbDisk(folder), storeError('corrupt'));
}));

test('lmdb: a folder that cannot be made is told', inFolder((folder) => {
  writeFileSync(join(folder, 'file'), '');
  assert.throws(() => openLmdbDisk(join(folder, 'file', 'data')), storeError('unavailable'));
}));

test('lmdb: a bad meta key refuses the whole batch', inFolder(async (folder) => {
  const disk = openLmdbDisk(folder);
  await assert.rejects(disk.commit(batch([[1, 'one']], [['x'.repeat(2000), 'y']])), RangeError);
  assert.equal(disk.read(1), undefined);
  await disk.close();
  await assert.rejects(disk.commit(batch([[1, 'one']])), storeError('closed'));
}));

/** What the child saw whose store met a limit; `before` is shell that sets the limit. */
function fillInChild(before: string, folder: string, wrap: readonly string[] = []): {
  code: string; refused: number; records: number; committed: number; after: string; unhandled: number;
} {
  const script = join(import.meta.dirname, 'full-disk-child.ts');
  const [command, ...args] = [...wrap, '/bin/sh', '-c', `${before}; exec "$0" "$1" "$2"`, process.execPath, script, folder];
  return JSON.parse(execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
}

test('lmdb: where the disk refuses to write, a commit is refused as a whole and the process goes on', inFolder((folder) => {
  // The shell limits the size of files, and ignores the signal that would end the process at the limit.
  const seen = fillInChild('trap "" XFSZ; ulimit -f 1024', folder);
  assert.match(seen.code, /^(io|full)$/);
  assert.deepEqual(seen, { ...seen, refused: 3, records: seen.committed, after: 'smaller', unhandled: 0 });
}));

const NAMESPACE = ['unshare', '--user', '--map-root-user', '--mount'];
const mountable = (() => {
  try {
    execFileSync(NAMESPACE[0]!, [...NAMESPACE.slice(1), 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

test('lmdb: on a full disk a commit is refused as a whole and the process goes on', {
  skip: mountable ? false : 'cannot mount a small file system in a namespace of its own',
}, inFolder((folder) => {
  const seen = fillInChild(`mount -t tmpfs -o size=1m tmpfs ${folder}`, folder, NAMESPACE);
  assert.equal(seen.code, 'full');
  assert.deepEqual(seen, { ...seen, refused: 3, records: seen.committed, after: 'smaller', unhandled: 0 });
}));
