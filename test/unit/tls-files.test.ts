import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkTlsFiles } from '../../node/tls/io/check-files.ts';
import { RenewedCredentials } from '../../node/tls/io/renewed.ts';
import { MadeAuthority } from '../support/made-certificates.ts';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'lessor-tls-files-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const authority = await MadeAuthority.make(folder);
const other = await MadeAuthority.make(folder, 'other');
const good = await authority.issue('a');

/** "error a.pem: expired …". */
function findings(files: Parameters<typeof checkTlsFiles>[0], name: string | undefined = 'a', now = Date.now()): string[] {
  return checkTlsFiles(files, name, now).map(({ file, message, severity }) => `${severity} ${file.slice(folder.length + 1)}: ${message}`);
}

function only(found: readonly string[], pattern: RegExp): void {
  assert.equal(found.length, 1, found.join('\n'));
  assert.match(found[0]!, pattern);
}

test('files that fit have nothing wrong', () => {
  assert.deepEqual(findings(good), []);
  assert.deepEqual(findings({ certificate: good.certificate, key: good.key }), []);
});

test('files that cannot be read, or are something else, are named', async () => {
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  only(findings({ ...good, certificate: join(folder, 'none.pem') }), /^error none\.pem: cannot be read: ENOENT/);
  only(findings({ ...good, key: join(folder, 'none.key') }), /^error none\.key: cannot be read: ENOENT/);
  only(findings({ ...good, authority: join(folder, 'none-ca.pem') }), /^error none-ca\.pem: cannot be read: ENOENT/);
  only(findings({ ...good, certificate: good.key }), /^error a\.key: holds no certificate in PEM form/);
  only(findings({ ...good, certificate: file('broken.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n') }), /^error broken\.pem: holds a certificate that cannot be read/);
  only(findings({ ...good, key: file('broken.key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n') }), /^error broken\.key: holds no private key in PEM form that is without a passphrase$/);
  const another = await authority.issue('b');
  only(findings({ ...good, key: another.key }), /^error b\.key: is not the key of the certificate in .*a\.pem$/);
});

test('a certificate out of its time is an error, one that ends soon a warning', async () => {
  only(findings(good, 'a', Date.now() + 31 * DAY_MS), /^error a\.pem: expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
  only(findings(good, 'a', Date.now() - DAY_MS), /^error a\.pem: is valid only from .* UTC on/);
  assert.deepEqual(findings(good, 'a', Date.now() + 23 * DAY_MS), [], 'a fifth of its month is left');
  only(findings(good, 'a', Date.now() + 25 * DAY_MS), /^warning a\.pem: ends on .*: renew it$/);
  // A year before: its authority ends as well.
  const [atEnd, soon] = [3660, 3640].map((days) => findings({ ...good }, 'a', Date.now() + days * DAY_MS));
  assert.match(atEnd!.join('\n'), /error authority\.pem: the authority expired on/);
  assert.match(soon!.join('\n'), /warning authority\.pem: the authority CN=authority ends on .*: replace it/);
});

test('between nodes the certificate names the node, exactly and among its DNS names', async () => {
  only(findings(good, 'b'), /^error a\.pem: names DNS:a, and not this node, b: expected it among the DNS names/);
  const wildcard = await authority.issue('*.example.net', { as: 'wildcard', dns: ['x.example.net'] });
  only(findings(wildcard, 'b.example.net'), /^error wildcard\.pem: names DNS:\*\.example\.net/);
  assert.deepEqual(findings(good, undefined), []);
  // What is quoted within a name is no name of its own.
  const sly = await authority.issue('x, DNS:b', { as: 'sly' });
  only(findings(sly, 'b'), /^error sly\.pem: names/);
});

test('an authority that has not signed it is a warning', async () => {
  only(findings({ ...good, authority: other.file }), /^warning a\.pem: is signed by none of the authorities in .*other\.pem/);
  const both = join(folder, 'both.pem');
  copyFileSync(other.file, both);
  appendFileSync(both, authority.made.certificate);
  assert.deepEqual(findings({ ...good, authority: both }), []);
});

test('a key that others may read is a warning', async () => {
  const files = await authority.issue('open');
  chmodSync(files.key, 0o640);
  assert.deepEqual(findings(files, 'open'), []);
  chmodSync(files.key, 0o644);
  only(findings(files, 'open'), /^warning open\.key: may be used by every user of this host \(mode 644\): chmod 600/);
});

test('renewed files are taken up once they fit, and others keep those from before in use', async () => {
  const files = await authority.issue('r');
  const held = new RenewedCredentials(files, 'r');
  const first = held.begin();
  const look = (): string => {
    const renewal = held.look(Date.now());
    return renewal === undefined ? 'nothing' : renewal.outcome === 'changed' ? 'changed' : renewal.problem;
  };
  assert.equal(look(), 'nothing');

  // The certificate first, its key a moment later.
  const next = await authority.issue('r', { as: 'next' });
  renameSync(next.certificate, files.certificate);
  assert.equal(look(), 'nothing');
  renameSync(next.key, files.key);
  assert.equal(look(), 'changed');
  assert.notEqual(held.current.certificate.serialNumber, first.certificate.serialNumber);

  const second = held.current;
  writeFileSync(files.key, 'half a k');
  assert.equal(look(), 'nothing', 'it may be being written');
  assert.match(look(), /r\.key: holds no private key/);
  assert.equal(look(), 'nothing', 'it is told once');
  await authority.issue('somebody-else', { as: 'r' });
  assert.equal(look(), 'nothing');
  assert.match(look(), /r\.pem: names DNS:somebody-else, and not this node, r/);
  await authority.issue('r', { days: 1, now: Date.now() - 2 * DAY_MS });
  assert.equal(look(), 'nothing');
  assert.match(look(), /r\.pem: expired on/);
  rmSync(files.certificate);
  assert.equal(look(), 'nothing');
  assert.match(look(), /r\.pem: cannot be read: ENOENT/);
  assert.equal(held.current, second);

  await authority.issue('r');
  assert.equal(look(), 'changed');
});

test('that the certificate in use has expired is told once', async () => {
  const files = await authority.issue('e');
  const held = new RenewedCredentials(files, 'e');
  held.begin();
  assert.equal(held.look(Date.now()), undefined);
  const later = Date.now() + 31 * DAY_MS;
  const told = held.look(later);
  assert.ok(told?.outcome === 'unusable');
  assert.match(told.problem, /e\.pem: the certificate in use has expired/);
  assert.equal(held.look(later), undefined);
});
