/**
 * The files of TLS as the node uses them: a certificate with its key, and the authority of the other side's.
 * What is read here fits together; whether it is in force and names whom it should, check-files.ts says.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { ServerTlsFiles } from '../../config/types.ts';

export interface Credentials {
  /** The node's own; what leads from it to its authority follows. */
  readonly certificate: X509Certificate;
  readonly chain: readonly X509Certificate[];
  /** Empty: the other side need not show a certificate. */
  readonly authorities: readonly X509Certificate[];
  readonly context: SecureContext;
  /** What `context` was made of, for a server of Node.js. */
  readonly options: ContextOptions;
}

interface ContextOptions {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
  readonly minVersion: 'TLSv1.2';
}

/** Whoever makes connections asks for each one anew, so that a renewed certificate is used from then on. */
export interface TlsSource {
  readonly current: Credentials;
}

/** One of the files cannot be used, or two do not fit together; nothing of a key is in the message. */
export class CredentialsError extends Error {
  readonly code = 'tls-files';
  readonly file: string;

  constructor(file: string, problem: string, options?: ErrorOptions) {
    super(`${file}: ${problem}`, options);
    this.name = 'CredentialsError';
    this.file = file;
  }
}

/** @throws CredentialsError */
export function readCredentials(files: ServerTlsFiles): Credentials {
  const { authority, certificate, key } = files;
  const cert = readPem(certificate);
  const chain = certificatesIn(cert, certificate);
  const keyText = readPem(key);
  if (!chain[0]!.checkPrivateKey(privateKeyIn(keyText, key))) throw new CredentialsError(key, `is not the key of the certificate in ${certificate}`);
  const ca = authority === undefined ? undefined : readPem(authority);
  const authorities = authority === undefined ? [] : certificatesIn(ca!, authority);
  const options: ContextOptions = { cert, key: keyText, ...(ca === undefined ? {} : { ca }), minVersion: 'TLSv1.2' };
  try {
    return { certificate: chain[0]!, chain: chain.slice(1), authorities, context: createSecureContext(options), options };
  } catch (cause) {
    // Too weak for this OpenSSL, such as a key of 1024 bits or a signature with SHA-1.
    throw new CredentialsError(certificate, `cannot be used: ${(cause as Error).message}`, { cause });
  }
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CredentialsError(file, `cannot be read: ${(cause as Error).message}`, { cause });
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificatesIn(pem: Buffer, file: string): X509Certificate[] {
  const texts = pem.toString('latin1').match(CERTIFICATE);
  if (texts === null) throw new CredentialsError(file, 'holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)');
  try {
    return texts.map((text) => new X509Certificate(text));
  } catch (cause) {
    throw new CredentialsError(file, 'holds a certificate that cannot be read', { cause });
  }
}

function privateKeyIn(pem: Buffer, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // Without its cause: what OpenSSL says of a key belongs in no log.
    throw new CredentialsError(file, 'holds no private key in PEM form that is without a passphrase');
  }
}
