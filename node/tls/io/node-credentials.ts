/** All certificates of a node: read when it starts, looked at again while it runs, told of when they change. */
import type { NodeConfig } from '../../config/types.ts';
import { TLS_LOOK_MS } from '../../limits.ts';
import type { Occurrence } from '../../telemetry/events.ts';
import { tlsPlaces } from '../uses.ts';
import type { TlsPlace, TlsUse } from '../uses.ts';
import { checkKeyMode, namesText, problemOf } from './check-files.ts';
import { CredentialsError } from './credentials.ts';
import type { Credentials, TlsSource } from './credentials.ts';
import { RenewedCredentials } from './renewed.ts';
import type { Renewal } from './renewed.ts';

export interface CertificateStatus {
  readonly use: TlsUse;
  /** As in the certificate: hexadecimal. */
  readonly serial: string;
  /** When it ends, UTC seconds. */
  readonly expires: number;
}

interface Held {
  readonly place: TlsPlace;
  readonly credentials: RenewedCredentials;
}

export class NodeCredentials {
  readonly #held: readonly Held[];
  readonly #isOptional: boolean;
  readonly #report: (occurrence: Occurrence) => void;
  readonly #timer: NodeJS.Timeout;

  /** Those of LEASEQUERY may be missing: DHCP clients are served without them. @throws CredentialsError */
  constructor(config: NodeConfig, report: (occurrence: Occurrence) => void) {
    this.#report = report;
    this.#isOptional = config.cluster?.tls?.optional === true;
    this.#held = tlsPlaces(config).map((place) => ({ place, credentials: new RenewedCredentials(place.files, place.name) }));
    for (const { credentials, place } of this.#held) this.#begin(place, credentials);
    this.#timer = setInterval(() => this.look(Date.now()), TLS_LOOK_MS).unref();
  }

  get links(): { readonly source: TlsSource; readonly isOptional: boolean } | undefined {
    const source = this.#find('cluster');
    return source && { source, isOptional: this.#isOptional };
  }

  get etcd(): TlsSource | undefined {
    return this.#find('etcd') ?? this.#find('cluster');
  }

  get http(): TlsSource | undefined {
    return this.#find('http');
  }

  #find(use: TlsUse): TlsSource | undefined {
    return this.#held.find(({ place }) => place.use === use)?.credentials;
  }

  /** Of those in use. */
  status(): CertificateStatus[] {
    return this.#held.flatMap(({ credentials, place: { use } }) => {
      if (!credentials.isUsable) return [];
      const { serialNumber, validToDate } = credentials.current.certificate;
      return [{ use, serial: serialNumber, expires: Math.floor(validToDate.getTime() / 1000) }];
    });
  }

  look(now: number): void {
    for (const { credentials, place } of this.#held) {
      const renewal = credentials.look(now);
      if (renewal !== undefined) this.#tell(place, renewal);
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** A node with an expired certificate starts: it takes the renewed one as soon as that is there. */
  #begin(place: TlsPlace, credentials: RenewedCredentials): void {
    try {
      const problem = problemOf(credentials.begin(), place.name);
      if (problem !== undefined) this.#tell(place, { outcome: 'unusable', problem: `${place.files.certificate}: ${problem}` });
    } catch (error) {
      if (!(error instanceof CredentialsError) || place.use !== 'leasequery') throw error;
      this.#tell(place, { outcome: 'unusable', problem: error.message });
    }
    this.#tellMode(place);
  }

  #tell(place: TlsPlace, renewal: Renewal): void {
    if (renewal.outcome === 'unusable') {
      this.#report({ id: 'certificate.unusable', fields: { use: place.use, problem: renewal.problem } });
      return;
    }
    this.#report({ id: 'certificate.changed', fields: { use: place.use, certificate: place.files.certificate, ...described(renewal.credentials) } });
    this.#tellMode(place);
  }

  #tellMode({ files, use }: TlsPlace): void {
    for (const { file, message } of checkKeyMode(files)) this.#report({ id: 'certificate.key-exposed', fields: { use, key: file, problem: message } });
  }
}

function described({ certificate }: Credentials): Record<'serial' | 'names' | 'expires', string> {
  return { serial: certificate.serialNumber, names: namesText(certificate), expires: certificate.validToDate.toISOString() };
}
