/** Where an operator's commands go: to the node on this host over its control socket, or over HTTPS to any node. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
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
  if (options.url !== undefined) {
    return new NodeClient({ ...nodeTarget(options), headers: options.tokenFile === undefined ? {} : { authorization: `Bearer ${readToken(options.tokenFile)}` } });
  }
  if (options.tokenFile !== undefined) throw new CliError(ExitCode.usage, '--token-file belongs to --url: over the control socket of this host no token is needed.');
  const { dataDir } = loadNodeConfig(options.config ?? DEFAULT_NODE_CONFIG);
  return new NodeClient({ url: 'http://localhost', tls: {}, dataDir, headers: { [CALLER_HEADER]: encodeURIComponent(whoAmI()) } });
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}
