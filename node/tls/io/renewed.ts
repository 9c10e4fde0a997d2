/**
 * Credentials whose files are renewed while the node runs.
 *
 * Invariant: what is current was usable when it was taken up; what is not keeps the one before in use.
 */
import type { ServerTlsFiles } from '../../config/types.ts';
import { fileSignature } from '../../io/file-signature.ts';
import { problemOf } from './check-files.ts';
import { CredentialsError, readCredentials } from './credentials.ts';
import type { Credentials, TlsSource } from './credentials.ts';

export type Renewal =
  | { readonly outcome: 'changed'; readonly credentials: Credentials }
  /** The one before stays in use, if there is one. */
  | { readonly outcome: 'unusable'; readonly problem: string };

export class RenewedCredentials implements TlsSource {
  readonly #files: ServerTlsFiles;
  readonly #name: string | undefined;
  #current: Credentials | undefined;
  #seen = '';
  /** What is wrong with the files as last seen, until it is told. */
  #untold: string | undefined;
  #saidEnded = false;

  /** Nothing is read yet. `name`: whom the certificate must name. */
  constructor(files: ServerTlsFiles, name?: string) {
    this.#files = files;
    this.#name = name;
  }

  /** @throws CredentialsError where there never were usable ones */
  get current(): Credentials {
    return this.#current ?? this.begin();
  }

  get isUsable(): boolean {
    return this.#current !== undefined;
  }

  /** Takes the files as they are, also where the certificate has expired or names somebody else. @throws CredentialsError */
  begin(): Credentials {
    this.#seen = this.#signature();
    this.#current = readCredentials(this.#files);
    return this.#current;
  }

  /**
   * Looks whether the files have changed. A certificate and its key are seldom written in one moment: that
   * they do not fit is told once they have stayed so from one look to the next.
   */
  look(now: number): Renewal | undefined {
    const signature = this.#signature();
    if (signature === this.#seen) return this.#tellUntold() ?? this.#tellEnd(now);
    this.#seen = signature;
    try {
      const next = readCredentials(this.#files);
      const problem = problemOf(next, this.#name, now);
      this.#untold = problem === undefined ? undefined : `${this.#files.certificate}: ${problem}`;
      if (problem !== undefined) return undefined;
      if (this.#current !== undefined && isSame(this.#current, next)) return undefined;
      this.#current = next;
      this.#saidEnded = false;
      return { outcome: 'changed', credentials: next };
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error;
      this.#untold = error.message;
      return undefined;
    }
  }

  #tellUntold(): Renewal | undefined {
    const problem = this.#untold;
    this.#untold = undefined;
    return problem === undefined ? undefined : { outcome: 'unusable', problem };
  }

  #tellEnd(now: number): Renewal | undefined {
    if (this.#saidEnded || this.#current === undefined || this.#current.certificate.validToDate.getTime() > now) return undefined;
    this.#saidEnded = true;
    return { outcome: 'unusable', problem: `${this.#files.certificate}: the certificate in use has expired` };
  }

  #signature(): string {
    const { authority, certificate, key } = this.#files;
    return [certificate, key, authority ?? certificate].map(fileSignature).join('\n');
  }
}

function isSame({ options: one }: Credentials, { options: other }: Credentials): boolean {
  return one.cert.equals(other.cert) && one.key.equals(other.key) && (one.ca ?? one.cert).equals(other.ca ?? other.cert);
}
