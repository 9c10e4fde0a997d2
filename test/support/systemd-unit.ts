/** The unit of a node as systemd reads it, and what its filter of system calls comes to. */
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireProgram } from '../../deploy/lab/programs.ts';

/** The values of each key, in order; of all sections, since none has a key of another's. */
export function readUnit(file: string): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, string[]>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [, key, value = ''] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (key !== undefined) settings.set(key, [...settings.get(key) ?? [], value]);
  }
  return settings;
}

/** The names of the system calls that lines of `SystemCallFilter=` allow; the first line says whether it lists these or their opposite. */
export function allowedCalls(lines: readonly string[]): Set<string> {
  const groups = callGroups();
  const expand = (word: string): string[] => (word.startsWith('@') ? (groups.get(word) ?? refuse(word)).flatMap(expand) : [word]);
  const allowed = new Set<string>();
  for (const line of lines) {
    const taken = line.startsWith('~');
    for (const call of line.replace('~', '').split(' ').flatMap(expand)) {
      if (taken) allowed.delete(call);
      else allowed.add(call);
    }
  }
  // systemd allows these whatever is taken away.
  for (const call of expand('@default')) allowed.add(call);
  return allowed;
}

/** The library that systemd filters system calls with: it knows their numbers. */
export function seccompLibrary(): string {
  const { root } = requireProgram('systemd-analyze');
  const [found] = globSync(join(root, 'usr/lib/*-linux-gnu*/libseccomp.so.2'));
  return found ?? 'libseccomp.so.2';
}

function refuse(word: string): never {
  throw new Error(`systemd knows no ${word}`);
}

function callGroups(): Map<string, string[]> {
  const { command, env } = requireProgram('systemd-analyze');
  const text = execFileSync(command, ['syscall-filter', '--no-pager'], { encoding: 'utf8', env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'] });
  const groups = new Map<string, string[]>();
  let group: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('@')) groups.set(line, group = []);
    else if (/^ {4}[@\w]/.test(line)) group.push(line.trim());
  }
  return groups;
}
