/** The reference of the configuration files and of the DHCP options, in Markdown, from the schemas. */
import type { z } from 'zod';
import { describeCustomTypes, describeOptions } from '../codec/options.ts';
import { nodeSchema } from './node-schema.ts';
import { clusterSchema, condition, overlaySettings, scopeSettings } from './schema.ts';
import { blocks, map, settingDocs } from './settings.ts';
import { stepDown } from './shape.ts';

const SCOPE_HEADING = 'settings of a scope';

export function describeConfig(): string {
  return [
    '## node.yaml', '',
    '`${NAME}` in a value is what the environment variable `NAME` of the process has, put in as text: `node: ${NODE_NAME}`,',
    '`listen: "${ADDRESS}:7067"`. One that is not set or is empty is a mistake; `$${` stands for `${` itself. `lessor config',
    'check` reads the variables of its own environment.', '',
    ...table(nodeSchema), '',
    '## cluster.yaml', '', ...table(clusterSchema), '', ...sharedNote(clusterSchema),
    'Durations are written as `500ms`, `3s`, `5m`, `12h` or `7d`; a plain number is in the unit given. Identifiers of clients',
    'and relays, and bytes in a condition, may be written as `"0x0a1b"`, `{ hex: "0a:1b" }` or `{ text: "wifi" }`.', '',
    `### ${SCOPE_HEADING}`, '',
    'At the top of the file, in a shared network, in a subnet and in a pool. What stands nearest to the address counts; what it',
    'does not set is taken from the next one out. The defaults are those of the top. A class and a reservation may set some of',
    'them too: a reservation goes before a class, an earlier class before a later one, and either before any scope.', '',
    ...table(map(scopeSettings), { shared: true }), '',
    ...[...findBlocks(clusterSchema)].flatMap(([name, schema]) => block(name, schema)),
    ...block('condition', condition),
    '## DHCP options', '',
    'A name or a code under `options:`. Codes that are not listed take bytes.', '', ...describeOptions(), '',
    '## Types of an option definition', '',
    'What `type` and the entries of `record` may be under `optionDefinitions`. A type that does not repeat goes to the end of the',
    'option: it stands last in a record, and not under `array`. A record is written as a list of its values in order.', '',
    ...describeCustomTypes(), '',
  ].join('\n');
}

/** The blocks that lie anywhere under a schema, outermost first. */
function findBlocks(schema: z.core.$ZodType, found: Map<string, z.core.$ZodType> = new Map()): Map<string, z.core.$ZodType> {
  const { shape, each } = stepDown(schema);
  const below = [...Object.values(shape ?? {}), ...(each === undefined ? [] : [each])];
  for (const inner of below) {
    const name = blocks.get(inner);
    if (name !== undefined && !found.has(name)) found.set(name, inner);
  }
  for (const inner of below) findBlocks(inner, found);
  return found;
}

function block(name: string, schema: z.core.$ZodType): string[] {
  return [`### ${name}`, '', ...table(schema), '', ...sharedNote(schema)];
}

/** What of the settings of a scope this map takes too. */
function sharedNote(schema: z.core.$ZodType): string[] {
  const { shape = {} } = stepDown(schema);
  const has = (settings: object): boolean => Object.entries(settings).every(([key, setting]) => shape[key] === setting);
  const link = `[${SCOPE_HEADING}](#${SCOPE_HEADING.replaceAll(' ', '-')})`;
  if (has(scopeSettings)) return [`And the ${link}.`, ''];
  return has(overlaySettings) ? [`And, of the ${link}: ${Object.keys(overlaySettings).map((key) => `\`${key}\``).join(', ')}.`, ''] : [];
}

interface TableOptions {
  readonly shared?: boolean;
}

function table(schema: z.core.$ZodType, options: TableOptions = {}): string[] {
  return ['| key | type | default | unit | meaning |', '| --- | --- | --- | --- | --- |', ...rows(schema, '', options)];
}

const SHARED: ReadonlySet<z.core.$ZodType> = new Set(Object.values(scopeSettings));

function rows(schema: z.core.$ZodType, prefix: string, options: TableOptions): string[] {
  const { shape, each, list } = stepDown(schema);
  if (each !== undefined) return blocks.has(each) ? [] : rows(each, list ? `${prefix}[]` : `${prefix}.<name>`, options);
  const lines: string[] = [];
  for (const [key, setting] of Object.entries(shape ?? {})) {
    if (SHARED.has(setting) && options.shared !== true) continue;
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const doc = settingDocs.get(setting);
    if (doc === undefined) throw new Error(`setting without help: ${path}`);
    const fallback = doc.default === undefined ? (doc.required ? 'required' : '') : `\`${doc.default}\``;
    lines.push(row([`\`${path}\``, doc.type, fallback, doc.unit ?? '', doc.help]), ...rows(setting, path, options));
  }
  return lines;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
