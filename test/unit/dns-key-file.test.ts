/** Files of TSIG keys: as tsig-keygen writes them, with mistakes, and changed while a node runs. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { checkKeyFile, DnsKeys } from '../../node/ddns/io/keys.ts';
import { KeyFileError, parseKeyFile } from '../../node/ddns/key-file.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import { keyFileText, TEST_KEY } from '../support/name-server.ts';

const SECRET = Buffer.alloc(32, 7).toString('base64');

function problemOf(text: string): string {
  try {
    parseKeyFile(text, 'k');
  } catch (error) {
    assert.ok(error instanceof KeyFileError);
    assert.ok(!error.message.includes(SECRET.slice(0, 12)), 'no message has a secret');
    return error.message;
  }
  return 'none';
}

test('what tsig-keygen prints is read', () => {
  assert.deepEqual(parseKeyFile(keyFileText(TEST_KEY), 'k'), [{ name: 'lessor-test', algorithm: 'hmac-sha256', secret: Buffer.from(TEST_KEY.secret, 'base64') }]);
});

test('several keys, comments of each kind, without quotes, in any case', () => {
  const text = `# one\n/* two\n lines */ key One.Example. { // three\n algorithm HMAC-SHA512.; secret ${SECRET}; };\nkey "two" { secret "${SECRET}"; algorithm hmac-sha384; };`;
  assert.deepEqual(parseKeyFile(text, 'k').map(({ algorithm, name }) => [name, algorithm]), [['one.example', 'hmac-sha512'], ['two', 'hmac-sha384']]);
});

test('a mistake is told with its line, and what to do', () => {
  const key = (inner: string): string => `\nkey "a" {\n${inner}\n};\n`;
  const secret = `secret "${SECRET}";`;
  const mistakes: Readonly<Record<string, string>> = {
    [key(`algorithm hmac-md5.sig-alg.reg.int; ${secret}`)]: 'k:3: hmac-md5.sig-alg.reg.int is not safe any more and refused: use hmac-sha256, hmac-sha384, hmac-sha512: tsig-keygen -a hmac-sha256 makes such a key, and the name server needs it as well',
    [key(`algorithm hmac-sha1; ${secret}`)]: 'k:3: hmac-sha1 is not safe any more and refused: use hmac-sha256, hmac-sha384, hmac-sha512: tsig-keygen -a hmac-sha256 makes such a key, and the name server needs it as well',
    [key(`algorithm gss-tsig; ${secret}`)]: 'k:3: keys of GSS-TSIG are not for files, and Lessor does not speak it: use hmac-sha256, hmac-sha384, hmac-sha512: tsig-keygen -a hmac-sha256 makes such a key, and the name server needs it as well',
    [key(`algorithm hmac-sha256-128; ${secret}`)]: 'k:3: the algorithm "hmac-sha256-128" is not supported: use hmac-sha256, hmac-sha384, hmac-sha512: tsig-keygen -a hmac-sha256 makes such a key, and the name server needs it as well',
    [key(secret)]: 'k:2: the key has no algorithm',
    [key('algorithm hmac-sha256;')]: 'k:2: the key has no secret',
    [key('algorithm hmac-sha256;\nsecret "no base64!";')]: 'k:4: the secret is not in base64',
    [key('algorithm hmac-sha256;\nsecret "c2hvcnQ=";')]: 'k:4: the secret has 5 bytes and can be guessed: expected 16 at least; tsig-keygen makes a good one',
    [key(`algorithm hmac-sha256; ${secret} ${secret}`)]: 'k:3: expected algorithm and secret, each once, found secret',
    [key(`algorithm hmac-sha256 ${secret}`)]: 'k:3: expected ; at the end of the statement, found secret',
    [key(`algorithm hmac-sha256; secret "${SECRET}" "${SECRET}";`)]: 'k:3: expected ; at the end of the statement, found something else',
    'key "a" {': 'k:1: ends too early: expected algorithm, secret or }',
    'key "a\n': 'k:1: a text in quotes does not end in its line',
    '/* key': 'k:1: a comment has no end',
    'options { };': 'k:1: expected key "NAME" { ... };, found options',
    [`key "a..b" { algorithm hmac-sha256; ${secret} };`]: 'k:1: "a..b" is no name of a key: expected a domain name',
    '# nothing\n': 'k: holds no key: expected what tsig-keygen prints',
    [`${keyFileText(TEST_KEY)}${keyFileText({ ...TEST_KEY, name: 'LESSOR-test' })}`]: 'k:5: the key lessor-test is here twice',
  };
  for (const [text, problem] of Object.entries(mistakes)) assert.equal(problemOf(text), problem);
});

test('property: whatever is in a file, it is read or refused', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom('key', '"a"', '{', '}', ';', 'algorithm', 'hmac-sha256', 'secret', `"${SECRET}"`, '"', '/*', '*/', '//', '#', '\n', ' ', '\0'), { maxLength: 30 }), (words) => {
    problemOf(words.join(' '));
  }));
});

test('changed files are taken up, broken ones leave the keys from before in use, and what others may read is told', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-keys-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [one, two] = [join(folder, 'one.key'), join(folder, 'two.key')];
  writeFileSync(one, keyFileText(TEST_KEY), { mode: 0o600 });
  const told: Occurrence[] = [];
  const keys = new DnsKeys([one, two], (event) => told.push(event));
  t.after(() => keys.close());
  const takeTold = (): string[] => told.splice(0).map(({ fields, id }) => `${id} ${String(fields?.['problem'] ?? fields?.['keys'])}`.replaceAll(folder, ''));
  assert.deepEqual(takeTold().map((text) => text.replace(/ENOENT.*/, '...')), ['dns.keys-unusable /two.key: cannot be read: ...']);
  assert.equal(keys.find('Lessor-Test.')?.secret.equals(Buffer.from(TEST_KEY.secret, 'base64')), true);
  keys.look();
  assert.deepEqual(takeTold(), [], 'nothing has changed');

  writeFileSync(two, keyFileText({ ...TEST_KEY, name: 'second' }), { mode: 0o600 });
  chmodSync(two, 0o644);
  keys.look();
  assert.deepEqual(takeTold(), ['dns.key-exposed may be used by every user of this host (mode 644): chmod 600, owned by the node\'s user', 'dns.keys-changed second']);
  assert.equal(keys.find('second')?.name, 'second');

  writeFileSync(one, 'key');
  keys.look();
  assert.deepEqual(takeTold(), ['dns.keys-unusable /one.key:1: ends too early: expected the name of the key']);
  assert.equal(keys.find('lessor-test')?.name, 'lessor-test', 'it stays in use');

  writeFileSync(one, keyFileText({ ...TEST_KEY, name: 'second', secret: SECRET }));
  keys.look();
  assert.deepEqual(takeTold(), ['dns.keys-changed second', 'dns.keys-unusable /two.key: the key second is in another file of dnsKeys too, which counts']);
  assert.equal(keys.find('second')?.secret.equals(Buffer.alloc(32, 7)), true);
  assert.equal(keys.find('lessor-test'), undefined);
  assert.deepEqual(checkKeyFile(join(folder, 'none')).map(({ severity }) => severity), ['error']);
});
