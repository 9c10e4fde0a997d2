/** Who may use the API: every role, however it is shown and from wherever, at every operation. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { judge } from '../../node/admin/access.ts';
import type { Asking } from '../../node/admin/access.ts';
import { hashOf, Tokens } from '../../node/admin/io/token-file.ts';
import { API_FAILURES_BURST } from '../../node/admin/limits.ts';
import { OPERATIONS } from '../../node/admin/operations/all.ts';
import { mayAct, ROLES } from '../../node/admin/roles.ts';
import type { Role } from '../../node/admin/roles.ts';
import { parseTokenFile, tokenLine } from '../../node/admin/tokens.ts';
import { OPERATION_BODY_BYTES_MAX } from '../../node/limits.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import { RenewedCredentials } from '../../node/tls/io/renewed.ts';
import { ApiStage, outerAddress } from '../support/api-stage.ts';
import type { Answer } from '../support/api-stage.ts';
import { MadeAuthority } from '../support/made-certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'lessor-api-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const tokenOf = (name: string): string => `lessor_${name.padEnd(43, 'x')}`;
const bearer = (name: string): { headers: Record<string, string> } => ({ headers: { authorization: `Bearer ${tokenOf(name)}` } });
const tokens = join(folder, 'tokens');
const lines = [...ROLES.map((role) => tokenLine(role, role, hashOf(tokenOf(role)), undefined)), tokenLine('old', 'admin', hashOf(tokenOf('old')), '2020-01-01')];
writeFileSync(tokens, `# who\n${lines.join('\n')}\n`, { mode: 0o600 });

let clear: ApiStage;
let secure: ApiStage;
let authority: MadeAuthority;
before(async () => {
  authority = await MadeAuthority.make(folder);
  const files = await authority.issue('a', { addresses: ['127.0.0.1'] });
  for (const role of ROLES) await authority.issue(role);
  await authority.issue('stranger');
  clear = await ApiStage.start({ tokens });
  secure = await ApiStage.start({ tokens, tls: new RenewedCredentials(files), roles: new Map(ROLES.map((role) => [role, role])) });
});
after(async () => {
  await clear?.close();
  await secure?.close();
});

const NOT_LET_IN = [401, 403, 429];

function shows(name: string): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(join(folder, `${name}.pem`)), key: readFileSync(join(folder, `${name}.key`)) };
}

/** Each operation, with parameters that let nothing come of it but a refusal. */
async function tryAll(stage: ApiStage, role: Role | undefined, expected: number, options: Parameters<ApiStage['ask']>[2]): Promise<void> {
  for (const { id, method, path, role: needed } of OPERATIONS) {
    const answer = await stage.ask(method, path, { ...options, body: method === 'GET' ? undefined : '{"nothing":1}' });
    if (role !== undefined && mayAct(role, needed)) assert.ok(!NOT_LET_IN.includes(answer.status), `${id} for ${role}: ${answer.status} ${answer.body}`);
    else assert.equal(answer.status, expected, `${id} for ${role ?? 'nobody'}: ${answer.body}`);
    assert.ok(answer.status < 500 || answer.status === 503, `${id}: ${answer.status} ${answer.body}`);
  }
}

test('every role at every operation: by a token on this host', async () => {
  for (const role of ROLES) await tryAll(clear, role, 403, bearer(role));
});

test('every role at every operation: by a token over TLS', async () => {
  const ca = readFileSync(authority.file);
  for (const role of ROLES) await tryAll(secure, role, 403, { ca, ...shows('stranger'), ...bearer(role) });
});

test('every role at every operation: by a certificate', async () => {
  const ca = readFileSync(authority.file);
  for (const role of ROLES) await tryAll(secure, role, 403, { ca, ...shows(role) });
});

test('this host without credentials looks on, and changes nothing', async () => {
  await tryAll(clear, 'viewer', 403, {});
  assert.equal((await clear.ask('GET', '/v1/openapi.json')).status, 200);
});

test('through a proxy, or under a name that could be anybody\'s, nobody is this host', async () => {
  for (const headers of [{ 'x-forwarded-for': '192.0.2.7' }, { via: '1.1 proxy' }, { forwarded: 'for=192.0.2.7' }, { host: 'evil.example.net:9067' }]) {
    assert.equal((await clear.ask('GET', '/v1/leases', { headers })).status, 401);
    assert.equal((await clear.ask('GET', '/v1/openapi.json', { headers })).status, 401);
    assert.equal((await clear.ask('GET', '/livez', { headers })).status, 200);
  }
  for (const host of ['localhost:9067', 'host-7', '[::1]:9067', '127.0.0.1']) assert.equal((await clear.ask('GET', '/v1/leases', { headers: { host } })).status, 200);
});

test('from elsewhere nobody does anything without credentials, and a token in the clear is burnt', { skip: outerAddress() === undefined && 'this host has no address but loopback\'s' }, async () => {
  const from = { localAddress: outerAddress()! };
  await tryAll(clear, undefined, 401, from);
  for (const path of ['/livez', '/readyz', '/metrics', '/v1/status']) assert.equal((await clear.ask('GET', path, from)).status, 200);
  assert.equal((await clear.ask('GET', '/v1/leases', { host: outerAddress()! })).status, 200, 'of this host, whichever its address');
  clear.reported.length = 0;
  const answer = await clear.ask('GET', '/v1/leases', { ...from, ...bearer('admin') });
  assert.equal(answer.status, 401);
  assert.match(answer.body, /came in the clear and counts as known to others.*lessor token revoke/);
  assert.deepEqual(clear.reported.map(({ id, fields }) => [id, fields['token']]), [['api.token-exposed', 'admin']]);
  await clear.ask('GET', '/v1/leases', { ...from, ...bearer('unknown') });
  assert.equal(clear.reported.at(-1)!.fields['token'], '');
  assert.equal(clear.cluster.counters.tokensExposed, 2);
});

test('a certificate without a role gets what monitoring needs', () => {
  const asking: Asking = { from: '192.0.2.7', isLocal: false, isEncrypted: true, host: 'a', isForwarded: false, authorization: undefined, certificateNames: ['stranger'] };
  const verdict = judge(asking, () => 'no', new Map([['noc', 'admin']]));
  assert.ok('refused' in verdict && verdict.refused.status === 403);
  assert.match(verdict.refused.error, /http\.roles in node\.yaml gives no role to this certificate \(stranger\)/);
  assert.deepEqual(judge({ ...asking, certificateNames: ['x', 'noc'] }, () => 'no', new Map([['noc', 'admin']])), { caller: { name: 'noc', role: 'admin', via: 'certificate', from: '192.0.2.7' } });
});

test('credentials that are no good are told why, and after some of them less', async () => {
  const refusal = async (authorization: string): Promise<Answer> => secure.ask('GET', '/v1/leases', { ca: readFileSync(authority.file), ...shows('admin'), headers: { authorization } });
  assert.match((await refusal(`Bearer ${tokenOf('old')}`)).body, /the token old ended on 2020-01-02T00:00:00Z/);
  assert.match((await refusal(`Bearer ${tokenOf('nobody')}`)).body, /not known here/);
  assert.match((await refusal('Bearer x')).body, /no token of Lessor/);
  assert.match((await refusal('Basic YTpi')).body, /expected Authorization: Bearer/);
  assert.equal((await refusal('Bearer')).status, 401);
  for (let i = 0; i < API_FAILURES_BURST; i++) await refusal('Bearer x');
  const last = await refusal('Bearer x');
  assert.equal(last.status, 429);
  assert.equal(last.headers['retry-after'], '60');
  // Whoever shows good ones is not shut out by it.
  assert.equal((await secure.ask('GET', '/v1/leases', { ca: readFileSync(authority.file), ...shows('stranger'), ...bearer('viewer') })).status, 200);
});

test('a token that is taken out of the file, or expires, counts no more', () => {
  const file = join(folder, 'own');
  writeFileSync(file, `${tokenLine('x', 'viewer', hashOf(tokenOf('x')), undefined)}\n`, { mode: 0o644 });
  const reported: Occurrence[] = [];
  const held = new Tokens(file, (occurrences) => reported.push(...occurrences));
  const found = (name: string): unknown => {
    const entry = held.find(tokenOf(name), 1_790_000_000);
    return typeof entry === 'string' ? undefined : entry.role;
  };
  try {
    assert.deepEqual(reported.map(({ id }) => id), ['api.tokens-exposed']);
    assert.equal(found('x'), 'viewer');
    writeFileSync(file, `broken line\n${tokenLine('y', 'operator', hashOf(tokenOf('y')), '2027-01-01')}\n`);
    held.look();
    assert.deepEqual([found('x'), found('y')], [undefined, 'operator']);
    assert.match(String(reported.find(({ id }) => id === 'api.tokens-unusable')!.fields['problem']), /^line 1: broken: expected a role/);
    assert.match(held.find(tokenOf('y'), 1_900_000_000) as string, /the token y ended on 2027-01-02/);
    rmSync(file);
    held.look();
    assert.equal(found('y'), undefined);
  } finally {
    held.close();
  }
});

test('what is no request of the API gets a clean refusal', async () => {
  const asked = bearer('admin');
  const release = (body: string, headers: Record<string, string> = {}): Promise<Answer> => clear.ask('POST', '/v1/release', { body, headers: { ...asked.headers, ...headers } });
  for (const [answer, status] of [
    [await release('{'), 400], [await release(''), 400], [await release('null'), 400], [await release('[]'), 400], [await release('"x"'), 400],
    [await release('{"__proto__":{"role":"admin"},"address":"10.0.1.1"}'), 400], [await release('{"constructor":{"prototype":{}}}'), 400],
    [await release(`{"reason":"${'x'.repeat(OPERATION_BODY_BYTES_MAX)}"}`), 413], [await release('address=10.0.1.1', { 'content-type': 'application/x-www-form-urlencoded' }), 415],
    [await release('{"address":"10.0.1.1"}', { 'content-type': 'text/plain' }), 400],
    [await clear.ask('GET', '/v1/release', asked), 404], [await clear.ask('DELETE', '/v1/leases', asked), 404], [await clear.ask('OPTIONS', '/v1/leases', asked), 404],
    [await clear.ask('HEAD', '/v1/leases', asked), 404], [await clear.ask('GET', '/v1/leases/%00', asked), 404], [await clear.ask('GET', `/v1/${'x'.repeat(4000)}`, asked), 404],
    [await clear.ask('GET', '/v1/leases?address=10.0.0.1&address=10.0.0.2', asked), 400], [await clear.ask('GET', '/v1/leases?constructor=x', asked), 400],
    [await clear.ask('GET', '/', { headers: { filler: 'x'.repeat(9000) } }), 431],
  ] as const) assert.equal(answer.status, status, answer.body);
  assert.equal((await clear.ask('GET', '/v1/leases', { headers: { origin: 'https://evil.example.net' } })).headers['access-control-allow-origin'], undefined);
});

test('the file of tokens: what a line may be', () => {
  const hash = 'ab'.repeat(32);
  const { mistakes, tokens: read } = parseTokenFile(`
# comment
a viewer ${hash}
b  operator\t${hash} 2027-03-31 # until
a admin ${hash}
c root ${hash}
d admin ${hash.slice(1)}
-e admin ${hash}
f admin ${hash} soon
g admin ${hash} 2027-03-31 more
`);
  assert.deepEqual(read.map(({ line, name, role }) => [line, name, role]), [[3, 'a', 'viewer'], [4, 'b', 'operator']]);
  assert.deepEqual(mistakes.map((mistake) => mistake.slice(0, 22)), [
    'line 5: a is here twic', 'line 6: c: expected a ', 'line 7: d: expected th', 'line 8: expected a nam', 'line 9: f: expected a ', 'line 10: g: expected a',
  ]);
  assert.ok(mistakes.every((mistake) => !mistake.includes('abab')));
});
