/** `lessor recover` and `lessor partner-down`, and the control socket that they speak to. */
import { strict as assert } from 'node:assert';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { Command } from 'commander';
import { openControl, startControl } from '../../node/admin/io/control.ts';
import type { ControlOptions } from '../../node/admin/io/control.ts';
import type { OperatorAnswer, OperatorCommand, OperatorProgress } from '../../node/admin/operator.ts';
import { CliError } from '../../node/cli/cli-error.ts';
import { addLastResortCommands } from '../../node/cli/last-resort.ts';
import { OPERATION_BODY_BYTES_MAX } from '../../node/limits.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import { noOperations } from '../support/operated-cluster.ts';
import { type Ended, runLessor } from '../support/run-lessor.ts';
import { exampleStatus } from './telemetry-fixture.ts';

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-control-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A node that answers as told, and what it was asked and reported. */
class ControlledNode {
  readonly folder: string;
  readonly commands: OperatorCommand[] = [];
  readonly events: Occurrence[] = [];
  answer: OperatorAnswer = { ok: true, text: 'it is on its way' };
  progress: OperatorProgress | null = null;

  constructor(context: TestContext) {
    this.folder = folderOf(context);
    writeFileSync(join(this.folder, 'node.yaml'), 'node: a\ndataDir: ./data\ndhcp: { interfaces: [eth0] }\nconfig: ./cluster.yaml\n');
    mkdirSync(join(this.folder, 'data'));
  }

  get options(): ControlOptions {
    return {
      operations: noOperations(), dataDir: join(this.folder, 'data'), status: () => exampleStatus({ operator: this.progress }),
      operate: (command) => {
        this.commands.push(command);
        return this.answer;
      },
      backup: () => Readable.from([Buffer.from('a backup')]),
      report: (occurrences) => this.events.push(...occurrences),
    };
  }

  async start(context: TestContext): Promise<string> {
    const control = await startControl(this.options);
    context.after(() => control.close());
    return control.path;
  }

  lessor(...args: string[]): Promise<Ended> {
    return runLessor([...args, '--config', join(this.folder, 'node.yaml')]);
  }
}

test('the socket is its owner\'s alone, whatever the mask, and goes with the node', async (context) => {
  const node = new ControlledNode(context);
  const before = process.umask(0);
  const control = await startControl(node.options);
  assert.equal(process.umask(before), 0, 'the mask is as it was');
  assert.equal(statSync(control.path).mode & 0o777, 0o600);
  await control.close();
  assert.equal(existsSync(control.path), false);
});

test('what an earlier process left behind is replaced', async (context) => {
  const node = new ControlledNode(context);
  const stale = createServer();
  await new Promise<void>((resolve) => {
    stale.listen(join(node.folder, 'data', 'control.sock'), resolve);
  });
  stale.close();
  writeFileSync(join(node.folder, 'data', 'control.sock'), 'left by a crash');
  await node.start(context);
  assert.equal((await node.lessor('recover')).code, 0);
});

test('a node whose socket cannot be opened serves all the same, and says so', async (context) => {
  const node = new ControlledNode(context);
  const dataDir = join(node.folder, 'x'.repeat(120));
  mkdirSync(dataDir);
  assert.equal(await openControl({ ...node.options, dataDir }), undefined);
  assert.deepEqual(node.events.map(({ id }) => id), ['control.unavailable']);
  assert.match(String(node.events[0]!.fields['error']), /too long for a socket/);
});

test('recover says what would happen; with --force it waits for what comes of it', async (context) => {
  const node = new ControlledNode(context);
  await node.start(context);
  const said = await node.lessor('recover');
  assert.deepEqual(said, { code: 0, out: 'it is on its way\n', err: '' });
  node.progress = { state: 'running', text: 'generation 2 is being written to etcd' };
  setTimeout(() => {
    node.progress = { state: 'done', text: 'generation 2 has begun' };
  }, 300);
  const done = await node.lessor('recover', '--force');
  assert.deepEqual(done, { code: 0, out: 'it is on its way\ngeneration 2 has begun; a is NORMAL in epoch 7\n', err: '' });
  assert.deepEqual(node.commands, [{ kind: 'recover', force: false }, { kind: 'recover', force: true }]);
});

test('each use is an event: who, what, and whether it was accepted', async (context) => {
  const node = new ControlledNode(context);
  await node.start(context);
  node.answer = { ok: false, text: 'b serves and is linked with this node' };
  const { code, err } = await node.lessor('recover', '--force');
  assert.equal(code, 1);
  assert.equal(err, 'lessor: refused: b serves and is linked with this node\n');
  const [{ id, fields }] = node.events as [Occurrence];
  assert.equal(id, 'operator.command');
  assert.deepEqual({ ...fields, by: '' }, { command: 'recover --force', by: '', accepted: false, answer: 'b serves and is linked with this node' });
  assert.match(String(fields['by']), /.@./);
});

test('what is refused later is told, and ends with 1', async (context) => {
  const node = new ControlledNode(context);
  await node.start(context);
  node.progress = { state: 'refused', text: 'b does not go along: c answers it. Nothing was changed' };
  const { code, err, out } = await node.lessor('partner-down', 'c', '--yes');
  assert.equal(code, 1);
  assert.equal(out, 'it is on its way\n');
  assert.equal(err, 'lessor: b does not go along: c answers it. Nothing was changed\n');
});

test('partner-down asks for the name of the node, unless told --yes', async (context) => {
  const node = new ControlledNode(context);
  await node.start(context);
  node.progress = { state: 'done', text: 'generation 2 has begun with a' };
  const run = async (typed: string | undefined): Promise<string> => {
    const program = new Command('lessor').exitOverride();
    let err = '';
    addLastResortCommands(program, { out: () => Promise.resolve(), err: (text) => {
      err += text;
    } }, { ask: () => Promise.resolve(typed) });
    try {
      await program.parseAsync(['partner-down', 'b', '--config', join(node.folder, 'node.yaml')], { from: 'user' });
      return err;
    } catch (error) {
      assert.ok(error instanceof CliError);
      return `${error.exitCode} ${error.message}`;
    }
  };
  assert.equal(await run('yes'), '1 nothing was changed');
  assert.equal(await run(undefined), '2 nothing was changed: there is no terminal to ask at. Say --yes if you are sure.');
  assert.equal(node.commands.length, 0);
  assert.match(await run('b\n'), /must stay off until etcd has the new generation/);
  assert.deepEqual(node.commands, [{ kind: 'partner-down', node: 'b' }]);
});

test('several nodes are declared one after the other, and refusals before the last count for nothing', async (context) => {
  const node = new ControlledNode(context);
  await node.start(context);
  node.progress = { state: 'done', text: 'generation 2 has begun with a' };
  const answers = [{ ok: false, text: 'c is not linked either' }, { ok: true, text: 'generation 2 has begun with this node alone' }];
  Object.defineProperty(node, 'answer', { get: () => answers.shift() });
  const { code, out } = await node.lessor('partner-down', 'b', 'c', '--yes');
  assert.deepEqual([code, out], [0, 'generation 2 has begun with this node alone\ngeneration 2 has begun with a; a is NORMAL in epoch 7\n']);
  assert.deepEqual(node.commands, [{ kind: 'partner-down', node: 'b' }, { kind: 'partner-down', node: 'c' }]);
});

test('a node that is not there, or whose socket is another user\'s, ends with 3 and what to try', async (context) => {
  const node = new ControlledNode(context);
  const { code, err } = await node.lessor('recover');
  assert.equal(code, 3);
  assert.match(err, /no node answers at .*\/data\/control\.sock: none is running on this host with the data folder .*, or it is only starting/);
});

test('another body than a command is refused, and changes nothing', async (context) => {
  const node = new ControlledNode(context);
  const socketPath = await node.start(context);
  const post = (path: string, body: string, type = 'application/json'): Promise<number> => new Promise((resolve, reject) => {
    const call = request({ socketPath, method: 'POST', path, headers: { 'content-type': type } }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!));
    }).on('error', reject);
    call.end(body);
  });
  assert.equal(await post('/v1/recover', '{}'), 400);
  assert.equal(await post('/v1/recover', '{"force":"yes","by":"me"}'), 400);
  assert.equal(await post('/v1/recover', '{"force":true,"by":"me","more":1}'), 400);
  assert.equal(await post('/v1/partner-down', '{"node":"","by":"me"}'), 400);
  assert.equal(await post('/v1/partner-down', 'node=b', 'text/plain'), 400);
  assert.equal(await post('/v1/recover', `{"force":true,"by":"${'x'.repeat(OPERATION_BODY_BYTES_MAX)}"}`), 413);
  assert.equal(await post('/v1/nothing', '{}'), 404);
  assert.deepEqual([node.commands, node.events], [[], []]);
});
