/** Certificates as `lessor cert` makes them, in files of a folder that its test removes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueCertificate, makeAuthority } from '../../node/cli/certificate-making.ts';
import type { Made, Wanted } from '../../node/cli/certificate-making.ts';
import type { TlsFiles } from '../../node/config/types.ts';

export class MadeAuthority {
  readonly made: Made;
  readonly #folder: string;
  readonly #name: string;

  private constructor(folder: string, name: string, made: Made) {
    this.#folder = folder;
    this.#name = name;
    this.made = made;
    writeFileSync(this.file, made.certificate);
  }

  static async make(folder: string, name = 'authority', now = Date.now()): Promise<MadeAuthority> {
    mkdirSync(folder, { recursive: true });
    return new MadeAuthority(folder, name, await makeAuthority(name, 3650, now));
  }

  /** Its certificate takes the place of that of another one in the same file. */
  static from(folder: string, made: Made, name = 'authority'): MadeAuthority {
    return new MadeAuthority(folder, name, made);
  }

  get file(): string {
    return join(this.#folder, `${this.#name}.pem`);
  }

  /** Written over what was there under this name. `now`: when it is issued. */
  async issue(name: string, { as = name, now = Date.now(), ...wanted }: Partial<Wanted> & { readonly as?: string; readonly now?: number } = {}): Promise<TlsFiles> {
    const { certificate, key } = await issueCertificate({ name, dns: [], addresses: [], days: 30, ...wanted }, this.made, now);
    const files = { certificate: join(this.#folder, `${as}.pem`), key: join(this.#folder, `${as}.key`), authority: this.file };
    writeFileSync(files.certificate, certificate);
    writeFileSync(files.key, key, { mode: 0o600 });
    return files;
  }
}
