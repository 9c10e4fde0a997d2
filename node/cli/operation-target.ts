/** Where an operator's commands go: to the node on this host over its control socket, or over HTTPS to any node. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { isLoopback } from '../admin/ip-text.ts';
import { CALLER_HEADER } from '../admin/operator.ts';
import { loadNodeConfig } from '../config/load.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { DEFAULT_NODE_CONFIG, whoAmI } from './cluster-store.ts';
import { NodeClient } from './node-client.ts';
import { addTargetOptions, nodeTarget } from './target-options.ts';
import type { TargetOptions } from './target-options.ts';

export interface OperationOptions extends TargetOptions {
  readonly tokenFile?: string;
}

export function addOperationOptions(command: Command): Command {
  return addTargetOptions(command)
    .option('--token-file <file>', 'with --url: a file with the token to show (lessor token create)');
}

/** @throws CliError, ConfigError */
export function operationClient(options: OperationOptions): NodeClient {
  if (options.url !== undefined) return httpClient(options);
  if (options.tokenFile !== undefined) throw new CliError(ExitCode.usage, '--token-file belongs to --url: over the control socket of this host no token is needed.');
  const { dataDir } = loadNodeConfig(options.config ?? DEFAULT_NODE_CONFIG);
  return new NodeClient({ url: 'http://localhost', tls: {}, dataDir, headers: { [CALLER_HEADER]: encodeURIComponent(whoAmI()) } });
}

export interface ReadingOptions extends OperationOptions {
  readonly socket?: true;
}

/** Of a command that only looks: the HTTP port answers it, where that lets the caller. */
export function addReadingOptions(command: Command): Command {
  return addOperationOptions(command)
    .option('--socket', 'ask over the control socket of the node on this host, as its user or root; --config finds it');
}

/** @throws CliError, ConfigError */
export function readingClient(options: ReadingOptions): NodeClient {
  if (!options.socket) return httpClient(options);
  if (options.url !== undefined) throw new CliError(ExitCode.usage, 'expected --socket or --url, and not both');
  return operationClient(options);
}

function httpClient(options: OperationOptions): NodeClient {
  const target = nodeTarget(options);
  if (options.tokenFile === undefined) return new NodeClient({ ...target, headers: {} });
  const { hostname, protocol } = new URL(target.url);
  if (protocol === 'http:' && !isLoopback(hostname.replaceAll(/[[\]]/g, '')) && hostname !== 'localhost') {
    throw new CliError(ExitCode.usage, `the token is not sent in the clear to ${hostname}, where whoever listens on the way could use it: give an https:// URL (http.tls in the node's node.yaml)`);
  }
  return new NodeClient({ ...target, headers: { authorization: `Bearer ${readToken(options.tokenFile)}` } });
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}
