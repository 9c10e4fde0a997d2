/** Certificates for tests, made by `openssl` in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram, requireProgram } from '../../deploy/lab/programs.ts';

/** For `test`: the reason to leave it out, if there is one. */
export function needsOpenssl(): { skip?: string } {
  return findProgram('openssl') === undefined ? { skip: 'not there: openssl (deploy/lab/install.sh test)' } : {};
}

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

export class Authority {
  readonly folder: string;
  readonly own: CertificateFiles;

  /** `folder`: an empty one, else a new temporary one. */
  constructor(name: string, folder: string = mkdtempSync(join(tmpdir(), 'lessor-certificates-'))) {
    this.folder = folder;
    this.own = this.#make('authority', ['-subj', `/CN=${name}`]);
  }

  /** With this common name, and these names beside it. */
  issue(name: string, alternative = `DNS:${name}`): CertificateFiles {
    const by = ['-CA', this.own.certificate, '-CAkey', this.own.key];
    return this.#make(name, ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${alternative}`, '-addext', 'basicConstraints=CA:FALSE', ...by]);
  }

  #make(file: string, args: readonly string[]): CertificateFiles {
    const files = { certificate: join(this.folder, `${file}.pem`), key: join(this.folder, `${file}.key`) };
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const { command, env } = requireProgram('openssl');
    execFileSync(command, ['req', '-x509', ...kind, '-keyout', files.key, '-out', files.certificate, ...args], { stdio: 'pipe', env: { ...process.env, ...env } });
    return files;
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What `tls.connect` takes; without files, no certificate is shown. */
export function showing(authority: Authority, files?: CertificateFiles): { ca: Buffer; cert?: Buffer; key?: Buffer; checkServerIdentity: () => undefined } {
  const own = files === undefined ? {} : { cert: readFileSync(files.certificate), key: readFileSync(files.key) };
  return { ca: readFileSync(authority.own.certificate), ...own, checkServerIdentity: () => undefined };
}
