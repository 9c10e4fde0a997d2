/**
 * A private authority and the certificates that it signs (RFC 5280): what a cluster needs, and no more. ECDSA with
 * P-256 and SHA-256, which every TLS library takes.
 */
import type { webcrypto } from 'node:crypto';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

/** PEM texts. */
export interface Made {
  readonly certificate: string;
  readonly key: string;
}

export interface Wanted {
  /** The common name, and the first of the DNS names. */
  readonly name: string;
  /** Further ones. */
  readonly dns: readonly string[];
  readonly addresses: readonly string[];
  readonly days: number;
}

const CURVE = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** Whoever gets a certificate may have a clock that is behind. */
const EARLIER_MS = 3_600_000;

export async function makeAuthority(name: string, days: number, now = Date.now()): Promise<Made> {
  const keys = await crypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }], keys, signingAlgorithm: SIGNATURE,
    notBefore: new Date(now - EARLIER_MS), notAfter: new Date(now + days * DAY_MS),
    extensions: [
      // It signs nodes, and no further authorities.
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: text(certificate), key: await keyText(keys.privateKey) };
}

/**
 * For a server and a client in one, as nodes and members of etcd are to each other. It ends with its authority at the latest.
 * Throws where `authority` is no certificate with its ECDSA key.
 */
export async function issueCertificate({ addresses, days, dns, name }: Wanted, authority: Made, now = Date.now()): Promise<Made> {
  const by = new x509.X509Certificate(authority.certificate);
  const signingKey = await crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(authority.key), CURVE, false, ['sign']);
  const keys = await crypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
  const names = [...new Set([name, ...dns])];
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [name] }], issuer: by.subjectName, publicKey: keys.publicKey, signingKey, signingAlgorithm: SIGNATURE,
    notBefore: new Date(Math.max(now - EARLIER_MS, by.notBefore.getTime())), notAfter: new Date(Math.min(now + days * DAY_MS, by.notAfter.getTime())),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...names.map((value) => ({ type: 'dns', value }) as const), ...addresses.map((value) => ({ type: 'ip', value }) as const),
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(by),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: text(certificate), key: await keyText(keys.privateKey) };
}

function text(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

async function keyText(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}
