/** What the kernel says of every thread of a process. */
import { readdirSync, readFileSync } from 'node:fs';
import { parsePrivileges, type Privileges } from '../../node/privileges.ts';

export function threadPrivileges(pid: number): Privileges[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => parsePrivileges(readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1')));
}
