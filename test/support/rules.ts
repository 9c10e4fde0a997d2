/** The page of the rules of the failover protocol: each with the planted bug that breaks it, and where that shows. */
import { keptSeeds } from '../sim/hunters.ts';
import { CLIENT_SABOTAGES } from '../sim/sabotages/clients.ts';
import { COMMIT_SABOTAGES } from '../sim/sabotages/commit.ts';
import { NAME_SABOTAGES } from '../sim/sabotages/names.ts';
import { QUERY_SABOTAGES } from '../sim/sabotages/queries.ts';
import { RECOVERY_SABOTAGES } from '../sim/sabotages/recovery.ts';
import type { Sabotages } from '../sim/sabotages/sabotage.ts';
import { VIEW_SABOTAGES } from '../sim/sabotages/views.ts';

const FAMILIES: Readonly<Record<string, Sabotages>> = {
  'Commits and confirmations': COMMIT_SABOTAGES, 'Views and slots': VIEW_SABOTAGES,
  'Joins, restarts and disks': RECOVERY_SABOTAGES, 'Clients and clocks': CLIENT_SABOTAGES,
  'What requestors are told': QUERY_SABOTAGES,
  'Names in DNS': NAME_SABOTAGES,
};

export function describeRules(): string {
  const seeds = keptSeeds();
  return Object.entries(FAMILIES).flatMap(([family, sabotages]) => [
    `## ${family}`, '', '| rule | in the code | without it | planted bug | seed |', '| --- | --- | --- | --- | --- |',
    ...Object.entries(sabotages).map(([name, { file, foundBy, rule, without }]) =>
      `| ${rule} | \`${file}\` | ${foundBy === 'assertion' ? 'an assertion stops the node: ' : ''}${without} | \`${name}\` | ${seeds[name] ?? ''} |`),
    '',
  ]).join('\n');
}
