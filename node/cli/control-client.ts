/** Gives commands to the node on this host, over the control socket in its data folder. */
import { request } from 'node:http';
import { join } from 'node:path';
import { CONTROL_SOCKET } from '../admin/operator.ts';
import type { OperatorAnswer } from '../admin/operator.ts';
import type { NodeStatus } from '../admin/status.ts';
import { CliError, ExitCode } from './cli-error.ts';

const ANSWER_MS_MAX = 10_000;

export class ControlClient {
  readonly #dataDir: string;
  readonly #path: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.#path = join(dataDir, CONTROL_SOCKET);
  }

  command(name: 'recover' | 'partner-down', body: Readonly<Record<string, unknown>>): Promise<OperatorAnswer> {
    return this.#call('POST', `/v1/${name}`, body);
  }

  status(): Promise<NodeStatus> {
    return this.#call('GET', '/v1/status', undefined);
  }

  async #call<T>(method: string, path: string, body: object | undefined): Promise<T> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const { status, answer } = await new Promise<{ status: number; answer: string }>((resolve, reject) => {
      const call = request({
        socketPath: this.#path, method, path, timeout: ANSWER_MS_MAX,
        headers: text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      }, (response) => {
        let received = '';
        response.setEncoding('utf8').on('data', (piece: string) => {
          received += piece;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, answer: received })).on('error', reject);
      });
      call.on('timeout', () => call.destroy(new Error(`no answer within ${ANSWER_MS_MAX / 1000} s`))).on('error', reject);
      call.end(text);
    }).catch((cause: unknown) => {
      throw controlFailure(this.#path, this.#dataDir, cause as NodeJS.ErrnoException);
    });
    if (status === 200) return JSON.parse(answer) as T;
    throw new CliError(status === 400 ? ExitCode.usage : ExitCode.unreachable, `the node at ${this.#path} answered ${status}: ${answer}`);
  }
}

/** Why nobody answered there, and what to do. */
export function controlFailure(path: string, dataDir: string, cause: NodeJS.ErrnoException): CliError {
  switch (cause.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new CliError(
        ExitCode.unreachable,
        `no node answers at ${path}: none is running on this host with the data folder ${dataDir}, or it is only starting ` +
          '(it waits until it has read its configuration, in a cluster from etcd). --config names another node.yaml.',
        { cause },
      );
    case 'EACCES':
    case 'EPERM':
      return new CliError(ExitCode.unreachable, `no permission for ${path}: give the command as the user that the node runs as, or as root`, { cause });
    default:
      return new CliError(ExitCode.unreachable, `cannot reach the node at ${path}: ${cause.message}. Its log says what it does; a node that hangs is restarted.`, { cause });
  }
}
