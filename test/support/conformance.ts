/**
 * The conformance page: every sentence of an RFC that a test in test/spec holds the code to, from the
 * tests' titles, "RFC 2131 §4.3.1: the sentence".
 */
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

interface Sentence {
  readonly rfc: number;
  readonly section: string;
  readonly text: string;
  readonly file: string;
}

const TITLE = /\btest\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\$]|\\.)*)`)/g;
const SENTENCE = /^RFC (\d+)(?: §([\dA-Z.]+))?[^:]*: (.+)$/s;

export function describeConformance(project: string): string {
  const sentences = globSync('test/spec/*.test.ts', { cwd: project }).flatMap((path) => sentencesOf(join(project, path)));
  sentences.sort((a, b) => a.rfc - b.rfc || a.section.localeCompare(b.section, 'en', { numeric: true }) || a.text.localeCompare(b.text));
  const rfcs = [...new Set(sentences.map(({ rfc }) => rfc))];
  return [
    `${sentences.length} sentences of ${rfcs.length} RFCs.`,
    ...rfcs.flatMap((rfc) => [
      '', `## RFC ${rfc}`, '', '| section | sentence | tested in |', '| --- | --- | --- |',
      ...sentences.filter((sentence) => sentence.rfc === rfc)
        .map(({ section, text, file }) => `| ${section === '' ? '' : `§${section}`} | ${text.replaceAll('|', '\\|')} | \`${file}\` |`),
    ]),
  ].join('\n');
}

function sentencesOf(path: string): Sentence[] {
  const found: Sentence[] = [];
  for (const [, single, double, template] of readFileSync(path, 'utf8').matchAll(TITLE)) {
    const title = (single ?? double ?? template)!.replaceAll(/\\(.)/g, '$1');
    const match = SENTENCE.exec(title);
    if (match !== null) found.push({ rfc: Number(match[1]), section: match[2] ?? '', text: match[3]!, file: basename(path) });
  }
  return found;
}
