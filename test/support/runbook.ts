/**
 * Runs a runbook page as it is written: its code blocks are the script.
 *
 * A block that starts with three backticks and `sh on a b` is for a root shell on the hosts a and b. Each host has one shell for a
 * page, so what a block sets counts in the next one; a command that fails ends the page, as it would end a careful reader's work.
 */
import { readFileSync } from 'node:fs';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import type { OverlayHost } from './overlay-host.ts';

const BLOCK_MS = 60_000;
const DONE = 'block-done-';

export interface Block {
  readonly hosts: readonly string[];
  readonly script: string;
  /** Of its first line in the page. */
  readonly line: number;
}

export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```sh on ([\w ]+)\n([\s\S]*?)^```$/gm)].map(({ 1: hosts = '', 2: script = '', index }) =>
    ({ hosts: hosts.split(' '), script, line: page.slice(0, index).split('\n').length + 1 }));
}

/** Follows the page on these hosts, all that a block names at once. Rejects with the place and the output of what fails. */
export async function followPage(file: string, hosts: ReadonlyMap<string, OverlayHost>): Promise<void> {
  const shells = new Map<string, LabProcess>();
  try {
    const blocks = blocksOf(readFileSync(file, 'utf8'));
    if (blocks.length === 0) throw new Error(`${file} has no blocks to follow`);
    for (const block of blocks) {
      await Promise.all(block.hosts.map(async (name) => {
        const host = hosts.get(name);
        if (host === undefined) throw new Error(`${file}:${block.line}: no host ${name}`);
        const shell = shells.get(name) ?? host.spawn(['bash', '-e'], { input: true, name: `shell on ${name}` });
        shells.set(name, shell);
        const done = shell.nextLine(new RegExp(`^${DONE}${block.line}$`), BLOCK_MS);
        shell.write(`cd /root; set -x\n${block.script}{ set +x; echo ${DONE}${block.line}; } 2>/dev/null`);
        await done.catch((error: unknown) => {
          throw new Error(`${file}:${block.line} on ${name}: ${(error as Error).message}`, { cause: error });
        });
      }));
    }
  } finally {
    await Promise.all([...shells.values()].map((shell) => shell.kill()));
  }
}
