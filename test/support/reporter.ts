/**
 * The runner's own `spec` report, with its closing lines at the very end: after the failures, and after
 * the tests that were left out, each with its reason. With CI=true leaving out is a failure.
 */
import { relative } from 'node:path';
import { Readable } from 'node:stream';
import { spec, type TestEvent } from 'node:test/reporters';

const CLOSING = /^(?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

interface Kept {
  readonly leftOut: string[];
  readonly closing: string[];
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const kept: Kept = { leftOut: [], closing: [] };
  for await (const chunk of Readable.from(withoutClosing(source, kept)).pipe(new spec())) yield String(chunk);
  if (kept.leftOut.length > 0) yield `\nLeft out (${kept.leftOut.length}):\n${kept.leftOut.join('')}${failure()}`;
  yield `\n${kept.closing.map((line) => `ℹ ${line}\n`).join('')}`;
}

async function* withoutClosing(source: AsyncIterable<TestEvent>, kept: Kept): AsyncGenerator<TestEvent> {
  for await (const event of source) {
    if ((event.type === 'test:pass' || event.type === 'test:fail') && event.data.skip !== undefined) {
      const { file = '', name, skip } = event.data;
      kept.leftOut.push(`  ${relative(process.cwd(), file)}: ${name}\n    ${skip === true || skip === '' ? 'no reason given' : String(skip)}\n`);
    }
    if (event.type === 'test:diagnostic' && event.data.nesting === 0 && CLOSING.test(event.data.message)) kept.closing.push(event.data.message);
    else yield event;
  }
}

function failure(): string {
  if (process.env['CI'] !== 'true') return '';
  process.exitCode = 1;
  return 'With CI=true that is a failure.\n';
}
