/** `lessor token`, `lessor audit`, and what `lessor config check` makes of tokens and roles. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hashOf } from '../../node/admin/io/token-file.ts';
import { TOKEN } from '../../node/admin/tokens.ts';
import { ApiStage } from '../support/api-stage.ts';
import { runLessor as lessor } from '../support/run-lessor.ts';

const folder = mkdtempSync(join(tmpdir(), 'lessor-token-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);
const run = (...args: string[]): ReturnType<typeof lessor> => lessor(args);

test('a token is printed once, and the file knows it by its hash', async () => {
  const { code, err, out } = await run('token', 'create', '--name', 'noc', '--role', 'operator', '--expires', '90d', '--file', at('tokens'));
  assert.equal(code, 0, err);
  const token = out.trim();
  assert.match(token, TOKEN);
  const file = readFileSync(at('tokens'), 'utf8');
  assert.ok(!file.includes(token) && !err.includes(token));
  assert.ok(file.includes(`noc  operator  ${hashOf(token).toString('hex')}  20`));
  assert.equal(statSync(at('tokens')).mode & 0o777, 0o600);
  assert.match((await run('token', 'create', '--name', 'noc', '--role', 'viewer', '--file', at('tokens'))).err, /noc has a token already: choose another name, or lessor token revoke noc/);
  chmodSync(at('tokens'), 0o640);
  assert.equal((await run('token', 'create', '--name', 'grafana', '--role', 'viewer', '--file', at('tokens'))).code, 0);
  assert.equal(statSync(at('tokens')).mode & 0o777, 0o640, 'as it was');
  assert.match((await run('token', 'list', '--file', at('tokens'))).out, /^NAME {5}ROLE {6}ENDS\nnoc {6}operator {2}20\S+Z\ngrafana {2}viewer {4}never\n$/);
  assert.deepEqual((JSON.parse((await run('token', 'list', '--json', '--file', at('tokens'))).out) as { name: string }[]).map(({ name }) => name), ['noc', 'grafana']);
  assert.equal((await run('token', 'revoke', 'noc', '--file', at('tokens'))).code, 0);
  assert.doesNotMatch(readFileSync(at('tokens'), 'utf8'), /noc/);
  assert.match((await run('token', 'revoke', 'noc', '--file', at('tokens'))).err, /there is no token of noc/);
});

test('without a file the line for it is told; what makes no sense is refused', async () => {
  const { err, out } = await run('token', 'create', '--name', 'x', '--role', 'admin');
  assert.ok(err.includes(`x  admin  ${hashOf(out.trim()).toString('hex')}\n`));
  for (const [args, message] of [
    [['--name', 'x y', '--role', 'admin'], /expected a name of letters/], [['--name', 'x', '--role', 'root'], /Allowed choices are viewer, operator, admin/],
    [['--name', 'x', '--role', 'admin', '--expires', 'soon'], /--expires: expected a time such as/], [['--name', 'x', '--role', 'admin', '--expires', '2020-01-01'], /is past/],
    [['--role', 'admin'], /required option '--name/],
  ] as const) {
    const { code, err: said } = await run('token', 'create', ...args);
    assert.equal(code, 2, said);
    assert.match(said, message);
  }
  assert.match((await run('token', 'list', '--file', at('nowhere'))).err, /nowhere: ENOENT/);
});

test('lessor config check looks at the file of tokens, and at roles', async () => {
  writeFileSync(at('cluster.yaml'), 'subnets: [{ subnet: 10.0.0.0/8, pools: [10.0.0.1-10.0.0.9] }]\n');
  const check = async (http: string): Promise<{ code: number; err: string }> => {
    writeFileSync(at('node.yaml'), `node: a\ndhcp: { interfaces: [eth0] }\nhttp: ${http}\nconfig: cluster.yaml\n`);
    return run('config', 'check', at('node.yaml'));
  };
  writeFileSync(at('good'), `a viewer ${'0'.repeat(64)}\n`, { mode: 0o600 });
  assert.equal((await check('{ tokens: good }')).code, 0);
  chmodSync(at('good'), 0o644);
  assert.match((await check('{ tokens: good }')).err, /^warning: .*http\.tokens: \S+good may be used by every user/);
  writeFileSync(at('bad'), 'a root x\n', { mode: 0o600 });
  assert.match((await check('{ tokens: bad }')).err, /http\.tokens: \S+bad line 1: a: expected a role \(viewer, operator, admin\)/);
  assert.match((await check('{ tokens: nowhere }')).err, /http\.tokens: \S+nowhere cannot be read: /);
  assert.match((await check('{ roles: { noc: operator } }')).err, /http\.roles: expected http\.tls\.authority as well/);
  assert.match((await check('{ roles: { noc: root } }')).err, /http\.roles\.noc: expected one of viewer, operator, admin/);
});

test('lessor audit tells what was done and what was refused, and a token is not sent in the clear to another host', async () => {
  writeFileSync(at('own'), '', { mode: 0o600 });
  const token = (await run('token', 'create', '--name', 'noc', '--role', 'operator', '--file', at('own'))).out;
  writeFileSync(at('token'), token);
  const stage = await ApiStage.start({ tokens: at('own') });
  try {
    const where = ['--url', `http://127.0.0.1:${stage.port}`, '--token-file', at('token')];
    const address = stage.cluster.lease(1)!;
    assert.match((await run('release', address, '--reason', 'moved, out', ...where)).out, new RegExp(`^released ${address} of `));
    assert.equal((await run('release', '10.0.3.3', ...where)).code, 1);
    const text = (await run('audit', ...where)).out;
    assert.match(text, /^\S+Z {2}REFUSED release address 10\.0\.3\.3, by noc \(operator, token, 127\.0\.0\.1\), on a\n {4}answer: there is no lease of 10\.0\.3\.3\n/);
    assert.match(text, new RegExp(`release ${address}, by noc [^\\n]*\\n {4}before: ${address} ACTIVE of [^\\n]*\\n {4}after: released\\n {4}reason: moved, out\\n$`));
    const [json] = (await run('audit', '--outcome', 'done', '--limit', '1', '--json', ...where)).out.split('\n');
    assert.equal((JSON.parse(json!) as { target: string }).target, address);
    assert.match((await run('audit', '--outcome', 'done', '--csv', ...where)).out, /^at,by,role,[^\r]*\r\n20[^\r]*,"moved, out",\r\n$/);
    assert.match((await run('audit', '--by', 'eve', ...where)).err, /No entries/);
    assert.match((await run('audit', '--url', where[1]!)).err, /audit needs the role operator; who asks on this host without showing who it is is viewer/);
    const refused = await run('audit', '--url', 'http://192.0.2.9:9067', '--token-file', at('token'));
    assert.equal(refused.code, 2);
    assert.match(refused.err, /the token is not sent in the clear to 192\.0\.2\.9/);
  } finally {
    await stage.close();
  }
});
