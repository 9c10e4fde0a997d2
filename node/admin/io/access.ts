/** Who asks on the HTTP port: what a request shows, put before the rules (../access.ts), and what comes of failures. */
import type { TLSSocket } from 'node:tls';
import type { X509Certificate } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { readClock } from '../../io/clock.ts';
import type { Occurrence } from '../../telemetry/events.ts';
import { judge } from '../access.ts';
import type { Asking, FindToken } from '../access.ts';
import type { ApiCounters } from '../api-counters.ts';
import { CredentialFailures } from '../failures.ts';
import { isLoopback, plainAddress } from '../ip-text.ts';
import type { Role } from '../roles.ts';
import type { Caller } from '../operation.ts';
import { Tokens } from './token-file.ts';

/** What a request is answered that is let do nothing. */
export interface NotLetIn {
  readonly status: 401 | 403 | 429;
  readonly error: string;
}

/** Who asks, or what it is told. */
export type Identify = (request: FastifyRequest) => Caller | NotLetIn;

export interface AccessOptions {
  /** The file of tokens; undefined: no token counts. */
  readonly tokens: string | undefined;
  /** By a name in a client's certificate. */
  readonly roles: ReadonlyMap<string, Role>;
  readonly counters: ApiCounters;
  readonly report: (occurrences: readonly Occurrence[]) => void;
}

const NO_TOKENS = 'this node takes no tokens: http.tokens in its node.yaml names no file of them';

export class HttpAccess {
  readonly #options: AccessOptions;
  readonly #tokens: Tokens | undefined;
  readonly #failures = new CredentialFailures();

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#tokens = options.tokens === undefined ? undefined : new Tokens(options.tokens, options.report);
  }

  readonly identify: Identify = (request) => {
    const { counters, report, roles } = this.#options;
    const { mono, wall } = readClock();
    const find: FindToken = (token) => this.#tokens?.find(token, Math.floor(wall / 1000)) ?? NO_TOKENS;
    const asking = askingOf(request);
    const verdict = judge(asking, find, roles);
    if ('caller' in verdict) return verdict.caller;
    const { error, exposed, isFailure, status } = verdict.refused;
    if (!isFailure) return { status, error };
    const isTold = this.#failures.note(asking.from, mono);
    if (exposed !== undefined) counters.tokensExposed++;
    else counters.credentialFailures++;
    if (exposed !== undefined && isTold) report([{ id: 'api.token-exposed', fields: { token: exposed, from: asking.from } }]);
    return isTold ? { status, error } : { status: 429, error: `too many credentials that are no good came from here. ${error}` };
  };

  close(): void {
    this.#tokens?.close();
  }
}

function askingOf({ headers, raw: { socket } }: FastifyRequest): Asking {
  const tls = (socket as Partial<TLSSocket>).encrypted === true ? socket as TLSSocket : undefined;
  // Without it the connection is gone, and nobody reads the answer. No connection comes from elsewhere under this host's own address.
  const remote = socket.remoteAddress ?? '?';
  return {
    from: plainAddress(remote), isLocal: isLoopback(remote) || remote === socket.localAddress, isEncrypted: tls !== undefined, host: headers.host ?? '',
    isForwarded: headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined || headers.via !== undefined,
    authorization: headers.authorization,
    certificateNames: tls?.authorized === true ? namesIn(tls.getPeerX509Certificate()) : undefined,
  };
}

/** Its DNS names, and then its common name. */
function namesIn(certificate: X509Certificate | undefined): string[] | undefined {
  if (certificate === undefined) return undefined;
  const dns = [...(certificate.subjectAltName ?? '').matchAll(/(?:^|, )DNS:([^,"]+)/g)].map(([, name]) => name!);
  const common = [...certificate.subject.matchAll(/^CN=(.+)$/gm)].map(([, name]) => name!);
  return [...new Set([...dns, ...common])];
}
