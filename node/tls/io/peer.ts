/** Who is at the other end of a TLS connection, and why one did not come about, in words for an operator. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

/** Its certificate, if the authority has signed it; else what is wrong with it, without anything that the other side could have written. */
export function verifiedPeer(stream: TLSSocket): X509Certificate | string {
  const certificate = stream.getPeerX509Certificate();
  if (certificate === undefined) return 'it shows no certificate';
  if (stream.authorized) return certificate;
  // OpenSSL's code, such as UNABLE_TO_GET_ISSUER_CERT_LOCALLY, in spite of its type.
  const code = String(stream.authorizationError);
  return `its certificate is not taken: ${code.toLowerCase().replaceAll('_', ' ')}`;
}

/** What the other side must have done for a link to be tried in the clear, where that is allowed. */
export const NO_TLS = 'it does not speak TLS';

const CLEAR_TEXT = new Set(['WRONG_VERSION_NUMBER', 'PACKET_LENGTH_TOO_LONG', 'HTTP_REQUEST', 'UNEXPECTED_MESSAGE', 'RECORD_TOO_SMALL']);

/** Undefined: the connection ended without a word of TLS. */
export function describeTlsError({ code = '' }: NodeJS.ErrnoException): string | undefined {
  if (!code.startsWith('ERR_SSL_')) return undefined;
  const reason = code.slice('ERR_SSL_'.length);
  if (CLEAR_TEXT.has(reason)) return NO_TLS;
  const words = reason.toLowerCase().replaceAll('_', ' ');
  return /ALERT_.*(?:CERTIFICATE|CA)\b/.test(reason) ? `it does not take the certificate of this side: ${words}` : `TLS does not come about: ${words}`;
}
