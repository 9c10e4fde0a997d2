/** TLS over a connection that there is (RFC 7724 §8.1): both sides show a certificate, or there is no connection. */
import { readFileSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import type { TlsFiles } from '../../config/types.ts';

interface Credentials {
  readonly changed: string;
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

let read: Credentials | undefined;

/** Read again when a file has changed: certificates are renewed while the node runs. Throws what the files do. */
function credentials({ authority, certificate, key }: TlsFiles): Credentials {
  const changed = [certificate, key, authority].map((file) => `${file} ${statSync(file).mtimeMs}`).join('\n');
  if (read?.changed !== changed) read = { changed, cert: readFileSync(certificate), key: readFileSync(key), ca: readFileSync(authority) };
  return read;
}

/** Whether the files are there and fit together: otherwise TLS is refused, which a requestor is told. */
export function offersTls(files: TlsFiles): boolean {
  try {
    const { ca, cert, key } = credentials(files);
    tls.createSecureContext({ ca, cert, key });
    return true;
  } catch {
    return false;
  }
}

/** The secured connection. Rejects, the connection being of no more use, where the other side's certificate is not taken. */
export function secured(socket: Socket, files: TlsFiles, names: readonly string[], handshakeMs: number): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const { ca, cert, key } = credentials(files);
    // A server that listens nowhere: it checks certificates as any other does.
    const server = tls.createServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2', handshakeTimeout: handshakeMs });
    server.on('tlsClientError', reject);
    server.on('secureConnection', (stream) => {
      if (names.length === 0 || namesOf(stream).some((name) => names.includes(name))) return resolve(stream);
      stream.on('error', () => undefined);
      stream.destroy();
      return reject(new Error('the certificate is none of those that are taken'));
    });
    socket.on('close', () => reject(new Error('the connection has ended')));
    server.emit('connection', socket);
  });
}

/** The common name and the DNS names of the other side's certificate. */
function namesOf(stream: tls.TLSSocket): string[] {
  const { subject, subjectaltname = '' } = stream.getPeerCertificate();
  const dns = subjectaltname.split(', ').flatMap((entry) => (entry.startsWith('DNS:') ? [entry.slice(4)] : []));
  return [...dns, ...[subject?.CN ?? []].flat()];
}
