/** What is wrong with files of TLS, or will soon be, as an operator should know it. Reads them, and changes nothing. */
import type { X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import type { ServerTlsFiles } from '../../config/types.ts';
import { CredentialsError, readCredentials } from './credentials.ts';
import type { Credentials } from './credentials.ts';

/** An error: connections will not come about with these files. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly message: string;
}

/** A certificate that ends within this, or within a fifth of its whole time where that is less, is to be renewed. */
const ENDS_SOON_MS = 14 * 86_400_000;
const OTHERS_MAY_READ = 0o007;
const PURPOSES = { '1.3.6.1.5.5.7.3.1': 'serverAuth', '1.3.6.1.5.5.7.3.2': 'clientAuth' } as const;

/** `name`: whom the certificate must name, as between nodes; undefined where the other side does not ask. */
export function checkTlsFiles(files: ServerTlsFiles, name: string | undefined, now = Date.now()): Finding[] {
  let credentials: Credentials;
  try {
    credentials = readCredentials(files);
  } catch (error) {
    if (!(error instanceof CredentialsError)) throw error;
    return [{ severity: 'error', file: error.file, message: error.message.slice(error.file.length + 2) }, ...checkKeyMode(files)];
  }
  const problem = problemOf(credentials, name, now);
  const { authority, certificate } = files;
  return [
    ...(problem === undefined ? [] : [{ severity: 'error', file: certificate, message: problem } as const]),
    ...(problem === undefined && endsSoon(credentials.certificate, now)
      ? [{ severity: 'warning', file: certificate, message: `ends on ${untilText(credentials.certificate)}: renew it` } as const] : []),
    ...(authority === undefined ? [] : checkAuthorities(credentials, authority, now)),
    // The other nodes have the same authority.
    ...(authority !== undefined && name !== undefined && !isSignedByThem(credentials)
      ? [{ severity: 'warning', file: certificate, message: `is signed by none of the authorities in ${authority}: nodes with that file refuse it` } as const] : []),
    ...checkKeyMode(files),
  ];
}

/** Why the other side would refuse this certificate; undefined: as far as can be seen here it would not. */
export function problemOf({ certificate }: Credentials, name: string | undefined, now = Date.now()): string | undefined {
  if (certificate.validToDate.getTime() <= now) return `expired on ${untilText(certificate)}`;
  if (certificate.validFromDate.getTime() > now) return `is valid only from ${dayText(certificate.validFromDate)} on (now it is ${dayText(new Date(now))})`;
  if (name === undefined) return undefined;
  if (!namesHost(certificate, name)) return `names ${namesText(certificate)}, and not this node, ${name}: expected it among the DNS names (subjectAltName)`;
  const purposes = certificate.keyUsage as readonly string[] | undefined;
  const missing = Object.entries(PURPOSES).filter(([purpose]) => purposes !== undefined && !purposes.includes(purpose)).map(([, called]) => called);
  return missing.length === 0 ? undefined : `is not for ${missing.join(' and ')} (extendedKeyUsage): nodes need both, since either side may begin a connection`;
}

/** Whether a DNS name of the certificate is exactly this one: no common name, no wildcard. */
export function namesHost(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined;
}

/** For messages. */
export function namesText(certificate: X509Certificate): string {
  return certificate.subjectAltName ?? `nobody but ${certificate.subject.replaceAll('\n', ', ') || 'an empty subject'}`;
}

/** A file with a secret that every user of the host may read; empty: it is kept well, or cannot be looked at. */
export function checkKeyMode({ key }: Pick<ServerTlsFiles, 'key'>): Finding[] {
  const mode = statSync(key, { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & OTHERS_MAY_READ) === 0 ? [] : [{
    severity: 'warning', file: key, message: `may be used by every user of this host (mode ${(mode & 0o777).toString(8)}): chmod 600, owned by the node's user`,
  }];
}

function checkAuthorities({ authorities }: Credentials, file: string, now: number): Finding[] {
  const ended = authorities.filter((authority) => authority.validToDate.getTime() <= now);
  if (ended.length === authorities.length) return [{ severity: 'error', file, message: `the authority expired on ${untilText(ended[0]!)}` }];
  const soon = authorities.filter((authority) => endsSoon(authority, now));
  return soon.map((authority) => ({ severity: 'warning', file, message: `the authority ${subjectText(authority)} ends on ${untilText(authority)}: replace it` }));
}

function isSignedByThem({ authorities, certificate, chain }: Credentials): boolean {
  return [certificate, ...chain].some((signed) => authorities.some((authority) => signed.checkIssued(authority) && signed.verify(authority.publicKey)));
}

function endsSoon(certificate: X509Certificate, now: number): boolean {
  const whole = certificate.validToDate.getTime() - certificate.validFromDate.getTime();
  return certificate.validToDate.getTime() - now < Math.min(ENDS_SOON_MS, whole / 5);
}

function subjectText({ subject }: X509Certificate): string {
  return subject.replaceAll('\n', ', ');
}

function untilText({ validToDate }: X509Certificate): string {
  return dayText(validToDate);
}

function dayText(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
