/**
 * Planted bugs: each is one line of production code changed as it is loaded, a rule of the design
 * broken. The simulator must find every one of them, or it proves nothing about the rest.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { CLIENT_SABOTAGES } from './sabotages/clients.ts';
import { COMMIT_SABOTAGES } from './sabotages/commit.ts';
import { INCIDENT_SABOTAGES } from './sabotages/incidents.ts';
import { NAME_SABOTAGES } from './sabotages/names.ts';
import { QUERY_SABOTAGES } from './sabotages/queries.ts';
import { RECOVERY_SABOTAGES } from './sabotages/recovery.ts';
import type { Sabotage, Sabotages } from './sabotages/sabotage.ts';
import { VIEW_SABOTAGES } from './sabotages/views.ts';

export const SABOTAGES: Sabotages = { ...COMMIT_SABOTAGES, ...VIEW_SABOTAGES, ...RECOVERY_SABOTAGES, ...CLIENT_SABOTAGES, ...QUERY_SABOTAGES, ...NAME_SABOTAGES, ...INCIDENT_SABOTAGES };

/** Changes the source as it is loaded; must come before the first import of it. */
export function plant(name: string): void {
  const sabotage = SABOTAGES[name];
  assert(sabotage !== undefined, `no such sabotage: ${name}; there are ${Object.keys(SABOTAGES).join(', ')}`);
  const url = new URL(`../../${sabotage.file}`, import.meta.url).href;
  registerHooks({
    load(target, context, nextLoad) {
      if (target !== url) return nextLoad(target, context);
      const source = readFileSync(new URL(target), 'utf8');
      return { format: 'module-typescript', source: sabotaged(source, sabotage), shortCircuit: true };
    },
  });
}

/** Throws where the line is not in the source exactly once: a sabotage that changes nothing proves nothing. */
export function sabotaged(source: string, { line, becomes, file }: Sabotage): string {
  assert.equal(source.split(line).length, 2, `the line to sabotage must be in ${file} exactly once: ${line}`);
  return source.replace(line, () => becomes);
}
