/** What the `lessor leasequery` commands are given, read; a mistake is wrong usage. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { readFileSync } from 'node:fs';
import { type HardwareAddress, parseHardware, parseHexPairs, parseIpv4 } from '../codec/address.ts';
import { OptionCatalogue } from '../codec/options.ts';
import { parseDurationMs, until } from '../config/time-kinds.ts';
import { LEASEQUERY_PORT } from '../leasequery/messages.ts';
import { SUBOPTION_BYTES_MAX } from '../leasequery/requestor/queries.ts';
import { CLIENT_IDENTIFIER_BYTES_MAX } from '../limits.ts';
import { CliError, ExitCode } from './cli-error.ts';
import type { QueryServer, TlsTerms } from './leasequery-connection.ts';

/** Of what is asked for; more repeat themselves. */
const REQUESTED_OPTIONS_MAX = 254;

export function readServer(text: string): QueryServer {
  const [, host, port = String(LEASEQUERY_PORT)] = /^([^\s:/]+)(?::([0-9]{1,5}))?$/.exec(text) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 0xffff) {
    throw new InvalidArgumentError('expected HOST or HOST:PORT, such as dhcp1.example or 10.0.0.1:67.');
  }
  return { host, port: Number(port) };
}

/** For an option that may be given several times. */
export function collectServers(text: string, before: readonly QueryServer[] | undefined): QueryServer[] {
  return [...(before ?? []), readServer(text)];
}

export function readAddress(text: string): number {
  const address = parseIpv4(text);
  if (address === undefined || address === 0) throw new InvalidArgumentError('expected an IPv4 address such as 10.0.0.5.');
  return address;
}

export function readHardware(text: string): HardwareAddress {
  const hardware = parseHardware(text);
  if (hardware === undefined) {
    throw new InvalidArgumentError('expected a hardware address such as 52:54:00:12:34:56, or 32/00:01:02:03 for another type than Ethernet.');
  }
  return hardware;
}

export function readClientIdentifier(text: string): Buffer {
  const identifier = parseHexPairs(text) ?? plainHex(text);
  if (identifier === undefined || identifier.length < 2 || identifier.length > CLIENT_IDENTIFIER_BYTES_MAX) {
    throw new InvalidArgumentError('expected the bytes of option 61 in hex, the type first: 01:52:54:00:12:34:56 or 01525400123456.');
  }
  return identifier;
}

/** Text, or 0x and hex: what relays write is one or the other. */
export function readRelayIdentifier(text: string): Buffer {
  const identifier = text.startsWith('0x') ? parseHexPairs(text.slice(2)) ?? plainHex(text.slice(2)) : Buffer.from(text, 'utf8');
  if (identifier === undefined || identifier.length === 0 || identifier.length > SUBOPTION_BYTES_MAX) {
    throw new InvalidArgumentError(`expected text, or 0x and bytes in hex such as 0x0102abcd; 1 to ${SUBOPTION_BYTES_MAX} bytes.`);
  }
  return identifier;
}

function plainHex(text: string): Buffer | undefined {
  return /^(?:[0-9a-f]{2})+$/i.test(text) ? Buffer.from(text, 'hex') : undefined;
}

/** UTC seconds: a time with its zone, seconds since 1970, or how long ago. */
export function readTime(text: string): number {
  const ago = parseDurationMs(text);
  const seconds = /^[0-9]{1,10}$/.test(text) ? Number(text)
    : ago !== undefined ? Math.floor((Date.now() - ago) / 1000)
    // A plain day would mean its end.
    : /[T ]/.test(text) ? until.read(text) : undefined;
  if (seconds === undefined || seconds < 1 || seconds > 0xffff_ffff) {
    throw new InvalidArgumentError('expected a time such as 2027-03-31T18:00Z, seconds since 1970, or how long ago, such as 10m.');
  }
  return seconds;
}

/** Milliseconds; at least a hundredth of a second, so that nothing spins. */
export function readDuration(text: string): number {
  const ms = parseDurationMs(/^[0-9.]+$/.test(text) ? Number(text) : text);
  if (ms === undefined || ms < 10 || ms > 86_400_000) {
    throw new InvalidArgumentError('expected a duration such as 500ms, 3s or 5m (a plain number is seconds).');
  }
  return ms;
}

export function readCount(text: string): number {
  if (!/^[0-9]{1,3}$/.test(text)) throw new InvalidArgumentError('expected a number from 0 to 999.');
  return Number(text);
}

export function readPort(text: string): number {
  if (!/^[0-9]{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 0xffff) throw new InvalidArgumentError('expected a port from 1 to 65535.');
  return Number(text);
}

/** Which options are asked for. */
export interface OptionChoice {
  readonly codes: readonly number[];
  /** Besides the usual ones, not in their place. */
  readonly isMore: boolean;
}

export function readOptionChoice(text: string): OptionChoice {
  const isMore = text.startsWith('+');
  const codes = text.slice(isMore ? 1 : 0).split(',').map((word) => {
    const name = word.trim();
    const definition = OptionCatalogue.standard.find(name);
    if (definition === undefined) throw new InvalidArgumentError(`"${name}" is neither the name nor the code of an option (1 to 254).`);
    return definition.code;
  });
  return { codes, isMore };
}

/** The codes for option 55. */
export function chosenOptions(usual: readonly number[], choice: OptionChoice | undefined): number[] {
  if (choice === undefined) return [...usual];
  return [...new Set(choice.isMore ? [...usual, ...choice.codes] : choice.codes)].slice(0, REQUESTED_OPTIONS_MAX);
}

export function addOptionsOption(command: Command): Command {
  return command.addOption(new Option(
    '--options <list>', 'ask for these options, by name or code, instead of the usual ones; with + in front, besides them: +domain-name,15',
  ).argParser(readOptionChoice));
}

export interface TlsOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly tlsServerName?: string;
}

export function addTlsOptions(command: Command): Command {
  return command
    .option('--tls-cert <file>', 'this requestor\'s certificate, PEM; servers ask for one (RFC 7724 §8.1)')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--tls-ca <file>', 'who signs the server\'s certificate, PEM (default: the authorities that the system trusts)')
    .option('--tls-server-name <name>', 'whom the server\'s certificate must name (default: the host)');
}

export function readTlsTerms({ tlsCert, tlsKey, tlsCa, tlsServerName }: TlsOptions): TlsTerms {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new CliError(ExitCode.usage, '--tls-cert and --tls-key belong together.');
  const read = (file: string | undefined): Buffer | undefined => {
    if (file === undefined) return undefined;
    try {
      return readFileSync(file);
    } catch (cause) {
      throw new CliError(ExitCode.no, `${file}: cannot be read: ${(cause as Error).message}. Name a file that is there, and that this user may read.`, { cause });
    }
  };
  return { cert: read(tlsCert), key: read(tlsKey), ca: read(tlsCa), serverName: tlsServerName };
}
