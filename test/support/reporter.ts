/**
 * The runner's own `spec` report, and before its closing lines the tests that were left out, each with
 * its reason. With CI=true leaving out is a failure.
 */
import { relative } from 'node:path';
import { Readable } from 'node:stream';
import { spec, type TestEvent } from 'node:test/reporters';

/** The first of the closing lines. */
const CLOSING = /^tests \d+$/;

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const chunk of Readable.from(withLeftOut(source)).pipe(new spec())) yield String(chunk);
}

async function* withLeftOut(source: AsyncIterable<TestEvent>): AsyncGenerator<TestEvent> {
  const leftOut: string[] = [];
  for await (const event of source) {
    if ((event.type === 'test:pass' || event.type === 'test:fail') && event.data.skip !== undefined) {
      const { file = '', name, skip } = event.data;
      leftOut.push(`  ${relative(process.cwd(), file)}: ${name}\n    ${skip === true || skip === '' ? 'no reason given' : String(skip)}\n`);
    }
    if (event.type === 'test:diagnostic' && event.data.nesting === 0 && CLOSING.test(event.data.message) && leftOut.length > 0) {
      const message = `\nLeft out, ${leftOut.length} of the tests:\n${leftOut.join('')}${failure()}\n`;
      yield { type: 'test:stdout', data: { message, file: '' } };
    }
    yield event;
  }
}

function failure(): string {
  if (process.env['CI'] !== 'true') return '';
  process.exitCode = 1;
  return 'With CI=true that is a failure.\n';
}
