/** The reference of the configuration files and of the DHCP options, in Markdown, from the schema. */
import type { z } from 'zod';
import { describeOptions } from '../codec/options.ts';
import { clusterSchema, nodeSchema, settingDocs } from './schema.ts';
import { stepDown } from './shape.ts';

export function describeConfig(): string {
  return [
    '## node.yaml', '', ...table(nodeSchema), '',
    '## cluster.yaml', '', ...table(clusterSchema), '',
    'Durations are written as `500ms`, `3s`, `5m`, `12h` or `7d`; a plain number is in the unit given.', '',
    '## DHCP options', '',
    'A name or a code under `options:`. Codes that are not listed take bytes.', '', ...describeOptions(), '',
  ].join('\n');
}

function table(schema: z.core.$ZodType): string[] {
  return ['| key | type | default | unit | meaning |', '| --- | --- | --- | --- | --- |', ...rows(schema, '')];
}

function rows(schema: z.core.$ZodType, prefix: string): string[] {
  const { shape, each, list } = stepDown(schema);
  if (each !== undefined) return rows(each, list ? `${prefix}[]` : `${prefix}.<name>`);
  const lines: string[] = [];
  for (const [key, setting] of Object.entries(shape ?? {})) {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const doc = settingDocs.get(setting);
    if (doc === undefined) throw new Error(`setting without help: ${path}`);
    const fallback = doc.default === undefined ? (doc.required ? 'required' : '') : `\`${doc.default}\``;
    lines.push(row([`\`${path}\``, doc.type, fallback, doc.unit ?? '', doc.help]), ...rows(setting, path));
  }
  return lines;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
