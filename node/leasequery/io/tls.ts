/** TLS over a connection that there is (RFC 7724 §8.1): both sides show a certificate, or there is no connection. */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import type { TlsFiles } from '../../config/types.ts';
import { namesHost } from '../../tls/io/check-files.ts';
import { CredentialsError } from '../../tls/io/credentials.ts';
import { RenewedCredentials } from '../../tls/io/renewed.ts';

let held: { readonly files: TlsFiles; readonly credentials: RenewedCredentials } | undefined;

/** Looked at for each connection: certificates are renewed while the node runs. What became of that the node itself tells. */
function credentials(files: TlsFiles): RenewedCredentials {
  if (held?.files !== files) held = { files, credentials: new RenewedCredentials(files) };
  held.credentials.look(Date.now());
  return held.credentials;
}

/** Whether the files are there and fit together, or did: otherwise TLS is refused, which a requestor is told. */
export function offersTls(files: TlsFiles): boolean {
  const own = credentials(files);
  try {
    return own.isUsable || own.begin().authorities.length > 0;
  } catch (error) {
    if (error instanceof CredentialsError) return false;
    throw error;
  }
}

/** The secured connection. Rejects, the connection being of no more use, where the other side's certificate is not taken. */
export function secured(socket: Socket, files: TlsFiles, names: readonly string[], handshakeMs: number): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    // A server that listens nowhere: it checks certificates as any other does.
    const server = tls.createServer({ ...credentials(files).current.options, requestCert: true, rejectUnauthorized: true, handshakeTimeout: handshakeMs });
    server.on('tlsClientError', reject);
    server.on('secureConnection', (stream) => {
      const certificate = stream.getPeerX509Certificate();
      if (certificate !== undefined && (names.length === 0 || names.some((name) => isNamed(certificate, name)))) return resolve(stream);
      stream.on('error', () => undefined);
      stream.destroy();
      return reject(new Error('the certificate is none of those that are taken'));
    });
    socket.on('close', () => reject(new Error('the connection has ended')));
    server.emit('connection', socket);
  });
}

/** By a DNS name of the certificate or its common name. */
function isNamed(certificate: X509Certificate, name: string): boolean {
  const { CN = [] } = certificate.toLegacyObject().subject as { readonly CN?: string | string[] };
  return namesHost(certificate, name) || [CN].flat().includes(name);
}
