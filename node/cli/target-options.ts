/** The options by which a command finds the node that it asks, and what it shows and believes over HTTPS. */
import { readFileSync } from 'node:fs';
import { checkServerIdentity } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { Option, type Command } from 'commander';
import { loadNodeConfig } from '../config/load.ts';
import type { NodeConfig } from '../config/types.ts';
import { CliError, ExitCode } from './cli-error.ts';

export const DEFAULT_URL = 'http://127.0.0.1:9067';

export interface TargetOptions {
  readonly url?: string;
  readonly config?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly tlsServerName?: string;
}

export interface NodeTarget {
  /** Without a slash at its end. */
  readonly url: string;
  /** For https. */
  readonly tls: ConnectionOptions;
  /** The control socket of a node on this host, in this data folder, in place of the URL's host. */
  readonly dataDir?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export function addTargetOptions(command: Command): Command {
  return command
    .addOption(new Option('--url <url>', `the node's HTTP port (default: the one that --config names, else ${DEFAULT_URL})`))
    .option('--config <file>', 'the node\'s configuration, which names its HTTP port, and the files for HTTPS')
    .option('--tls-ca <file>', 'for https: who signs the node\'s certificate, PEM (default: as --config says, else whom the system trusts)')
    .option('--tls-cert <file>', 'for https: the certificate to show, PEM, where the node asks for one (http.tls.authority)')
    .option('--tls-key <file>', 'for https: its key, PEM')
    .option('--tls-server-name <name>', 'for https: whom the node\'s certificate must name (default: the host)');
}

/** @throws CliError, ConfigError */
export function nodeTarget(options: TargetOptions): NodeTarget {
  const config = options.config === undefined ? undefined : loadNodeConfig(options.config);
  const url = options.url === undefined ? (config === undefined ? DEFAULT_URL : configuredUrl(config)) : checkedUrl(options.url);
  return { url, tls: url.startsWith('https:') ? tlsFor(options, config, new URL(url).hostname.replaceAll(/[[\]]/g, '')) : {} };
}

function configuredUrl({ http: { host, port, tls } }: NodeConfig): string {
  // A node that listens everywhere listens here as well.
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `${tls === undefined ? 'http' : 'https'}://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}

function checkedUrl(text: string): string {
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(withScheme) || !/^https?:$/.test(new URL(withScheme).protocol)) {
    throw new CliError(ExitCode.usage, `--url: expected something like ${DEFAULT_URL}, found "${text}"`);
  }
  return new URL(withScheme).origin;
}

function tlsFor(options: TargetOptions, config: NodeConfig | undefined, host: string): ConnectionOptions {
  const { tlsCa, tlsCert, tlsKey, tlsServerName } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new CliError(ExitCode.usage, '--tls-cert and --tls-key belong together.');
  const own = config?.http.tls;
  const cert = tlsCert ?? own?.certificate;
  const key = tlsKey ?? own?.key;
  // The node's own certificate counts as well: its authority may be one that nobody here knows.
  const trusted = tlsCa === undefined ? [own?.certificate, own?.authority, config?.cluster?.tls?.authority].filter((file) => file !== undefined) : [tlsCa];
  // Over loopback its certificate need not name the address.
  const names = tlsServerName === undefined ? [host, ...(config !== undefined && options.url === undefined ? [config.node] : [])] : [tlsServerName];
  return {
    minVersion: 'TLSv1.2',
    ...(cert === undefined || key === undefined ? {} : { cert: readPem(cert), key: readPem(key) }),
    ...(trusted.length === 0 ? {} : { ca: trusted.map(readPem), allowPartialTrustChain: true }),
    checkServerIdentity: (_host, shown) => {
      const errors = names.map((name) => checkServerIdentity(name, shown));
      return errors.includes(undefined) ? undefined : errors[0];
    },
  };
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: cannot be read: ${(cause as Error).message}. It is needed for https.`, { cause });
  }
}
