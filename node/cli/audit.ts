/** `lessor audit`: who changed what, and what was refused. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditEntry } from '../admin/audit.ts';
import { MOMENT_EXPECTED } from '../admin/moment.ts';
import { audit } from '../admin/operations/audit.ts';
import { csvRow } from './csv.ts';
import type { NodeClient } from './node-client.ts';
import { addOperationOptions, operationClient } from './operation-target.ts';
import type { OperationOptions } from './operation-target.ts';
import type { CliOutput } from './output.ts';
import { printable } from './table.ts';

interface Options extends OperationOptions {
  readonly since?: string;
  readonly until?: string;
  readonly by?: string;
  readonly operation?: string;
  readonly target?: string;
  readonly outcome?: string;
  readonly limit?: string;
  readonly json?: true;
  readonly csv?: true;
  readonly follow?: true;
}

const FIELDS = ['at', 'by', 'role', 'via', 'from', 'node', 'operation', 'outcome', 'target', 'before', 'after', 'reason', 'answer'] as const satisfies readonly (keyof AuditEntry)[];
const FOLLOW_MS = 2000;
/** An entry may come to this node so much later than it says it was written. */
const FOLLOW_BACK_SECONDS = 60;

export function addAuditCommand(program: Command, output: CliOutput): void {
  addOperationOptions(program.command('audit'))
    .description('list the audit log, newest first: what operators, tokens and files have changed, and what was refused')
    .option('--since <time>', `from then on: ${MOMENT_EXPECTED}`)
    .option('--until <time>', 'before then')
    .option('--by <name>', 'whose')
    .option('--operation <name>', 'of one operation, such as release, config or drain')
    .option('--target <text>', 'what it is about, or a part of that: an address, a client, a node')
    .addOption(new Option('--outcome <outcome>', 'how it ended').choices(['done', 'refused', 'failed']))
    .option('--limit <n>', 'so many at most')
    .option('--json', 'one entry a line, as JSON')
    .option('--csv', 'comma-separated values')
    .option('--follow', 'go on with new ones, oldest first, until interrupted')
    .action((options: Options) => show(options, output));
}

async function show(options: Options, output: CliOutput): Promise<void> {
  const { by, csv, follow, json, limit, operation, outcome, since, target, until, ...where } = options;
  const client = operationClient(where);
  const asked = { since, until, by, operation, target, outcome, limit };
  const write = json === true ? asJson : csv === true ? asCsv : asText;
  if (csv === true) await output.out(csvRow(FIELDS));
  let count = 0;
  for await (const entries of client.list<AuditEntry>(audit.path, asked)) {
    count += entries.length;
    if (follow !== true && entries.length > 0) await output.out(entries.map(write).join(''));
  }
  if (follow === true) return followFrom(client, { ...asked, limit: undefined, until: undefined }, write, output);
  if (count === 0) output.err('No entries.\n');
  return undefined;
}

/** Begins with those of the last minute. */
async function followFrom(client: NodeClient, asked: Readonly<Record<string, string | undefined>>, write: (entry: AuditEntry) => string, output: CliOutput): Promise<void> {
  let shown = new Set<string>();
  for (;;) {
    const recent: string[] = [];
    const fresh: AuditEntry[] = [];
    for await (const entries of client.list<AuditEntry>(audit.path, { ...asked, since: `${FOLLOW_BACK_SECONDS}s` })) {
      for (const entry of entries) {
        const text = JSON.stringify(entry);
        recent.push(text);
        if (!shown.has(text)) fresh.unshift(entry);
      }
    }
    shown = new Set(recent);
    if (fresh.length > 0) await output.out(fresh.map(write).join(''));
    await sleep(FOLLOW_MS);
  }
}

function asJson(entry: AuditEntry): string {
  return `${JSON.stringify(entry)}\n`;
}

function asCsv(entry: AuditEntry): string {
  return csvRow(FIELDS.map((field) => entry[field]));
}

/** A line, and below it what else there is to say. */
function asText(entry: AuditEntry): string {
  const { after, answer, at, before, by, from, node, operation, outcome, reason, role, target, via } = entry;
  const who = `${by || 'nobody known'} (${[role === 'none' ? '' : role, via === 'none' ? '' : via, from].filter((text) => text !== '').join(', ') || 'without credentials'})`;
  const details = [
    ...(before === '' ? [] : [`before: ${before}`]), ...(after === '' ? [] : [`after: ${after}`]), ...(reason === '' ? [] : [`reason: ${reason}`]),
    ...(answer === '' ? [] : [`answer: ${answer}`]),
  ];
  const first = `${at}  ${outcome === 'done' ? '' : `${outcome.toUpperCase()} `}${operation}${target === '' ? '' : ` ${target}`}, by ${who}, on ${node}`;
  return `${[first, ...details.map((detail) => `    ${detail}`)].map((line) => printable(line)).join('\n')}\n`;
}
