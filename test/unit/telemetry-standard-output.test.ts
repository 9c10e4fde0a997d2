import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { StandardOutput } from '../../node/telemetry/io/standard-output.ts';

const MODULE = new URL('../../node/telemetry/io/standard-output.ts', import.meta.url).href;

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-output-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A pipe that nobody reads until `read` is opened: both ends of a FIFO. */
function fifo(context: TestContext): string {
  const path = join(temporaryFolder(context), 'fifo');
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  return path;
}

test('lines arrive in a file in their order', async (context) => {
  const path = join(temporaryFolder(context), 'log');
  const fd = openSync(path, 'w');
  const output = new StandardOutput(fd);
  let expected = '';
  for (let n = 0; n < 5_000; n++) {
    output.write(`line ${n} ü\n`);
    expected += `line ${n} ü\n`;
  }
  await output.close();
  closeSync(fd);
  assert.equal(readFileSync(path, 'utf8'), expected);
  assert.equal(output.dropped, 0);
});

test('a pipe that nobody reads stops nothing: lines past the bound are counted', async (context) => {
  const path = fifo(context);
  // Read and write at once, so that the pipe has a reader that does not read.
  const fd = openSync(path, 'r+');
  const output = new StandardOutput(fd, 200_000);
  const line = `${'x'.repeat(999)}\n`;
  for (let n = 0; n < 2_000; n++) output.write(line);
  assert.ok(output.dropped >= 1_800, String(output.dropped));
  await output.close();
  closeSync(fd);
});

test('a slow reader gets every line that was taken, in order', async (context) => {
  const path = fifo(context);
  const fd = openSync(path, 'r+');
  const output = new StandardOutput(fd);
  let expected = '';
  for (let n = 0; n < 300; n++) {
    const line = `${n} ${'y'.repeat(990)}\n`;
    output.write(line);
    expected += line;
  }
  const reader = spawn('head', ['-c', String(Buffer.byteLength(expected)), path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let got = '';
  reader.stdout.setEncoding('utf8').on('data', (chunk: string) => (got += chunk));
  await once(reader, 'close');
  await output.close();
  closeSync(fd);
  assert.equal(got, expected);
});

test('a closed pipe neither crashes nor blocks the process', async () => {
  const script = `
    const { StandardOutput } = await import(${JSON.stringify(MODULE)});
    const output = new StandardOutput(1);
    process.stdin.once('data', async () => {
      for (let n = 0; n < 50; n++) {
        output.write('after the reader is gone\\n');
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      output.flushNow();
      await output.close();
      process.stderr.write('dropped ' + (output.dropped > 0));
      process.exit(0);
    });
    output.write('ready\\n');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'pipe'] });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  child.stdin.end('go\n');
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(said, 'dropped true');
  assert.equal(code, 0);
});

test('a process ends although nobody reads its full pipe', async () => {
  const script = `
    const { StandardOutput } = await import(${JSON.stringify(MODULE)});
    const output = new StandardOutput(1);
    for (let n = 0; n < 500; n++) output.write('z'.repeat(999) + '\\n');
    output.flushNow();
    await output.close();
    process.exit(7);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  child.stdout.destroy();
  assert.equal(code, 7);
});
