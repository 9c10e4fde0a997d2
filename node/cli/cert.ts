/** `lessor cert`: a private authority for a cluster, and the certificates of its nodes, etcd's members and clients. */
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import * as kinds from '../config/kinds.ts';
import type { Made } from './certificate-making.ts';
import { CliError, ExitCode } from './cli-error.ts';
import type { CliOutput } from './output.ts';
import { printable } from './table.ts';

const AUTHORITY = 'authority';
const AUTHORITY_YEARS = 10;
const CERTIFICATE_DAYS = 365;
/** RFC 5280, ub-common-name. */
const NAME_LENGTH_MAX = 64;
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

interface IssueOptions {
  readonly ca: string;
  readonly address: readonly string[];
  readonly dns: readonly string[];
  readonly days: number;
  readonly out: string;
  readonly renew?: true;
}

export function addCertCommand(program: Command, output: CliOutput): void {
  const cert = program.command('cert').description('make and show the certificates of a cluster: a private authority, and what it signs');
  cert.command('init')
    .description('make a private authority: its certificate for all hosts, its key for none of them')
    .argument('<dir>', 'the folder to make it in')
    .addOption(new Option('--cluster <name>', 'the name of the cluster, for the name of the authority').argParser(clusterName))
    .addOption(new Option('--years <n>', 'for how long').argParser(wholeNumber(1, 30)).default(AUTHORITY_YEARS))
    .action((folder: string, options: { readonly cluster?: string; readonly years: number }) => init(folder, options, output));
  cert.command('issue')
    .description('issue a certificate for a node, a member of etcd or a client')
    .addArgument(cert.createArgument('<name>', 'the node\'s name in node.yaml, or what else the certificate names').argParser(certificateName))
    .requiredOption('--ca <dir>', 'the folder of the authority (lessor cert init)')
    .addOption(new Option('--address <ip...>', 'an address that it is reached at; etcd\'s members and HTTPS need it').argParser(collect(address)).default([]))
    .addOption(new Option('--dns <name...>', 'a further DNS name').argParser(collect(certificateName)).default([]))
    .addOption(new Option('--days <n>', 'for how long').argParser(wholeNumber(1, 3650)).default(CERTIFICATE_DAYS))
    .option('--out <dir>', 'the folder for its files', '.')
    .option('--renew', 'in place of an earlier one in the same files')
    .action((name: string, options: IssueOptions) => issue(name, options, output));
  cert.command('show')
    .description('show whom the certificates in a file name, until when they are valid, and who signed them')
    .argument('<file>', 'PEM')
    .action((file: string) => output.out(describeFile(file)));
}

async function init(folder: string, { cluster, years }: { readonly cluster?: string; readonly years: number }, output: CliOutput): Promise<void> {
  const files = filesOf(folder, AUTHORITY);
  refuseExisting(files, 'An authority that is overwritten takes all its certificates with it: choose another folder.');
  // Loading it takes longer than all else that any command does.
  const { makeAuthority } = await import('./certificate-making.ts');
  const made = await makeAuthority(cluster === undefined ? 'Lessor authority' : `Lessor authority of ${cluster}`, years * 365 + Math.floor(years / 4));
  write(folder, files, made);
  await output.out(`${describe(new X509Certificate(made.certificate))}
The authority is in ${files.certificate}, for every host, and ${files.key}, which is needed to issue
certificates and for nothing else: keep it off the hosts of the cluster, and keep a copy of it.
Next, for each node: lessor cert issue NAME --ca ${folder} --out FOLDER
`);
}

async function issue(name: string, { address, ca, days, dns, out, renew }: IssueOptions, output: CliOutput): Promise<void> {
  if (name === AUTHORITY) throw new CliError(ExitCode.usage, `${AUTHORITY} is what the files of the authority itself are called: choose another name`);
  const files = filesOf(out, name);
  if (renew !== true) refuseExisting(files, 'Say --renew to put a new certificate and key in their place.');
  const { issueCertificate } = await import('./certificate-making.ts');
  const authority = readAuthority(ca);
  const made = await issueCertificate({ name, dns, addresses: address, days }, authority).catch((cause: unknown) => {
    throw new CliError(ExitCode.no, `${ca}: cannot sign: expected an authority as lessor cert init makes it`, { cause });
  });
  const certificate = new X509Certificate(made.certificate);
  if (!certificate.verify(new X509Certificate(authority.certificate).publicKey)) {
    throw new CliError(ExitCode.no, `${ca}: ${AUTHORITY}.key is not the key of ${AUTHORITY}.pem`);
  }
  write(out, files, made);
  const shortened = certificate.validToDate.getTime() < Date.now() + days * 86_400_000 - 60_000 ? ' (with its authority)' : '';
  await output.out(`${describe(certificate)}
It ends on ${certificate.validToDate.toISOString().slice(0, 10)}${shortened}. To the host go ${files.certificate}, ${files.key} (readable
for the user of the node alone) and ${join(ca, `${AUTHORITY}.pem`)}; for a node they are named in node.yaml:
  cluster:
    tls: { certificate: ${name}.pem, key: ${name}.key, authority: ${AUTHORITY}.pem }
A node takes renewed files up by itself. lessor config check node.yaml says whether they fit.
`);
}

function describeFile(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  const found = text.match(PEM);
  if (found === null) throw new CliError(ExitCode.no, `${file}: holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`);
  try {
    return found.map((pem) => describe(new X509Certificate(pem))).join('\n');
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: holds a certificate that cannot be read`, { cause });
  }
}

function describe(certificate: X509Certificate, now = Date.now()): string {
  const { ca, fingerprint256, issuer, serialNumber, subject, subjectAltName, validFromDate, validToDate } = certificate;
  const self = certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
  const days = Math.floor((validToDate.getTime() - now) / 86_400_000);
  const left = validToDate.getTime() <= now ? 'EXPIRED' : validFromDate.getTime() > now ? 'NOT YET VALID' : `${days} ${days === 1 ? 'day' : 'days'} left`;
  const lines = [
    `${ca ? 'authority' : 'certificate'} ${oneLine(subject)}`,
    ...(subjectAltName === undefined ? [] : [`  names        ${subjectAltName}`]),
    `  valid        ${minute(validFromDate)} to ${minute(validToDate)} (${left})`,
    `  signed by    ${self ? 'itself' : oneLine(issuer)}`,
    `  serial       ${serialNumber.toLowerCase()}`,
    `  fingerprint  SHA-256 ${fingerprint256}`,
  ];
  return `${lines.map(printable).join('\n')}\n`;
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}

function minute(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

interface Files {
  readonly certificate: string;
  readonly key: string;
}

function filesOf(folder: string, name: string): Files {
  return { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
}

function refuseExisting({ certificate, key }: Files, hint: string): void {
  const there = [certificate, key].filter((file) => existsSync(file));
  if (there.length > 0) throw new CliError(ExitCode.no, `${there.join(' and ')} ${there.length === 1 ? 'is' : 'are'} there already. ${hint}`);
}

/** Each file is there whole or not at all, the key first: a node that looks between the two waits for the other. */
function write(folder: string, files: Files, { certificate, key }: Made): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    put(files.key, key, 0o600);
    put(files.certificate, certificate, 0o644);
  } catch (cause) {
    throw new CliError(ExitCode.no, `${folder}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

function put(file: string, text: string, mode: number): void {
  const next = `${file}.new`;
  writeFileSync(next, text, { mode });
  // Whatever the mask and an earlier file of this name say.
  chmodSync(next, mode);
  renameSync(next, file);
}

function readAuthority(folder: string): Made {
  const { certificate, key } = filesOf(folder, AUTHORITY);
  try {
    return { certificate: readFileSync(certificate, 'latin1'), key: readFileSync(key, 'latin1') };
  } catch (cause) {
    throw new CliError(ExitCode.no, `${folder}: ${(cause as Error).message}. Expected an authority there: lessor cert init ${folder}`, { cause });
  }
}

function certificateName(text: string): string {
  if (kinds.hostname.read(text) === undefined || text.length > NAME_LENGTH_MAX) {
    throw new InvalidArgumentError(`expected a name such as a or etcd1.example.net, of at most ${NAME_LENGTH_MAX} characters.`);
  }
  return text;
}

function clusterName(text: string): string {
  if (!kinds.isId(text)) throw new InvalidArgumentError(`expected ${kinds.ID_EXPECTED}.`);
  return text;
}

function address(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError('expected an IP address such as 10.0.0.11.');
  return text;
}

function collect(read: (text: string) => string): (text: string, before: readonly string[]) => string[] {
  return (text, before) => [...before, read(text)];
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}.`);
    return value;
  };
}
