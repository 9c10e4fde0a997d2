/**
 * Power cuts in the middle of a write: of the last commit any of its sectors may be on the disk and the others
 * not. What was committed before is there afterwards, and the last one as a whole or not at all.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openJournaledDisk } from '../../node/io/journaled-disk.ts';
import type { WriteBatch } from '../../node/lease/store.ts';
import { Random } from '../sim/random.ts';

const PAGE = 4096;
const SECTOR = 512;
const JOURNAL_BYTES = 6 * PAGE;
const CUTS = 12;
const OUTCOMES = 3;

type Contents = Map<number, string>;

function batchOf(random: Random, contents: Contents): WriteBatch {
  const records = new Map<number, Buffer | null>();
  for (let i = random.int(1, 6); i > 0; i--) {
    const address = random.int(1, 40);
    const record = random.chance(0.15) ? null : Buffer.alloc(random.pick([1, 60, 300, 2000]), String.fromCharCode(random.int(33, 126)));
    records.set(address, record);
    if (record === null) contents.delete(address);
    else contents.set(address, record.toString());
  }
  return { position: 0, records, meta: new Map() };
}

async function contentsOf(folder: string): Promise<Contents> {
  const disk = openJournaledDisk(folder, JOURNAL_BYTES);
  try {
    return new Map(disk.scan(-1, 1000).map(({ address, record }) => [address, record.toString()]));
  } finally {
    await disk.close();
  }
}

/** `before`, with some of the sectors in which `after` differs. */
function torn(random: Random, before: Buffer, after: Buffer): Buffer {
  const bytes = Buffer.from(before);
  for (let at = 0; at < after.length; at += SECTOR) if (random.chance(0.6)) after.copy(bytes, at, at, at + SECTOR);
  return bytes;
}

test('a power cut in the middle of a write leaves that commit out or lets it count, and nothing between', async () => {
  const random = new Random(1);
  const root = mkdtempSync(join(tmpdir(), 'lessor-power-'));
  try {
    const live = join(root, 'live');
    let contents: Contents = new Map();
    let whole = 0;
    for (let cut = 0; cut < CUTS; cut++) {
      const disk = openJournaledDisk(live, JOURNAL_BYTES);
      for (let commits = random.int(0, 9); commits > 0; commits--) await disk.commit(batchOf(random, contents));
      // What was on its way into LMDB is there.
      await new Promise((resolve) => setTimeout(resolve, 20));
      const before = join(root, 'before');
      cpSync(live, before, { recursive: true });
      const next = new Map(contents);
      await disk.commit(batchOf(random, next));
      const journals = ['journal-0', 'journal-1'];
      const after = journals.map((name) => readFileSync(join(live, name)));
      await disk.close();
      for (let outcome = 0; outcome < OUTCOMES; outcome++) {
        const copy = join(root, 'copy');
        cpSync(before, copy, { recursive: true });
        for (const [i, name] of journals.entries()) writeFileSync(join(copy, name), outcome === 0 ? after[i]! : torn(random, readFileSync(join(before, name)), after[i]!));
        const found = await contentsOf(copy);
        const isWhole = isSame(found, next);
        assert.ok(isWhole || (outcome > 0 && isSame(found, contents)), `cut ${cut}, outcome ${outcome}`);
        if (isWhole && outcome > 0) whole++;
        assert.ok(isSame(await contentsOf(copy), found), 'and it stays so');
        rmSync(copy, { recursive: true });
      }
      rmSync(before, { recursive: true });
      contents = next;
    }
    assert.ok(whole > 0 && whole < CUTS * (OUTCOMES - 1), `${whole} came through whole`);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

function isSame(one: Contents, other: Contents): boolean {
  return one.size === other.size && [...one].every(([address, record]) => other.get(address) === record);
}
