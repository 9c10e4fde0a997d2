/**
 * The adapter of etcd: carries out requests of the core, once each, and says what came of it.
 *
 * Exactly one result follows each request, at the latest when its deadline has passed. Whatever went
 * wrong, the result is `unknown`; nothing is sent again here, the core knows what may be repeated.
 * Requests go to one endpoint until it fails or is slow, then the following ones go to the next.
 */
import { ETCD_REQUESTS_MAX } from '../../node/limits.ts';
import type { MonotonicMs } from '../../node/time.ts';
import type { TlsSource } from '../../node/tls/io/credentials.ts';
import type { EtcdPort, EtcdRequest, EtcdResult } from '../core/ports.ts';
import { EtcdEndpoint, isRefusal } from './etcd-endpoint.ts';
import { EtcdWatch } from './etcd-watch.ts';

export interface EtcdHandler {
  onResult(result: EtcdResult): void;
  /** Something below a watched prefix may have changed; also after each new connection of the watch. */
  onHint(): void;
}

export interface EtcdOptions {
  /** `http://host:port` or `https://host:port`, at least one. */
  readonly endpoints: readonly string[];
  /** `/lessor/<cluster>/`; all keys of requests and results are relative to it. */
  readonly prefix: string;
  /** Relative to `prefix`; the empty text watches everything below it. */
  readonly watchPrefixes: readonly string[];
  readonly handler: EtcdHandler;
  /** For https:// endpoints. */
  readonly tls?: TlsSource | undefined;
  /** Told of every request that has ended, and how long it took; not answered: refused, or nobody knows what became of it. */
  readonly onEnd?: (seconds: number, answered: boolean) => void;
}

export interface EtcdClient extends EtcdPort {
  /** Requests without a result. */
  readonly inFlight: number;
  /** When etcd last answered (performance.now()); undefined until it has. */
  readonly lastSuccess: MonotonicMs | undefined;
}

/** With other endpoints to turn to, an answer that takes longer sends the following requests there. */
const PATIENCE_MS = 500;

/** Throws a TypeError if an endpoint is no such address, or https:// without `tls`. */
export function openEtcd(options: EtcdOptions): EtcdClient {
  if (options.endpoints.length === 0) throw new RangeError('etcd needs at least one endpoint');
  return new RotatingClient(options);
}

class RotatingClient implements EtcdClient {
  readonly #endpoints: readonly EtcdEndpoint[];
  readonly #handler: EtcdHandler;
  readonly #onEnd: EtcdOptions['onEnd'];
  readonly #watch: EtcdWatch;
  /** How to end each request that has no result yet. */
  readonly #pending = new Set<(result: EtcdResult | string) => void>();
  #current = 0;
  #lastSuccess: MonotonicMs | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: EtcdOptions) {
    this.#handler = options.handler;
    this.#onEnd = options.onEnd;
    this.#endpoints = options.endpoints.map(
      (address) => new EtcdEndpoint(address, options.prefix, options.tls),
    );
    const prefixes = options.watchPrefixes.map((prefix) => options.prefix + prefix);
    this.#watch = new EtcdWatch(this.#endpoints, prefixes, () => {
      this.#handler.onHint();
    });
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  get lastSuccess(): MonotonicMs | undefined {
    return this.#lastSuccess;
  }

  request(request: EtcdRequest): void {
    const endpoint = this.#endpoints[this.#current];
    if (this.#closed !== undefined || endpoint === undefined) {
      this.#deliver({ id: request.id, outcome: 'unknown', error: 'the client is closed' });
      return;
    }
    if (this.#pending.size >= ETCD_REQUESTS_MAX) {
      this.#deliver({ id: request.id, outcome: 'unknown', error: `${ETCD_REQUESTS_MAX} requests are under way` });
      return;
    }
    const began = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const settle = (result: EtcdResult | string): void => {
      if (!this.#pending.delete(settle)) return;
      clearTimeout(timer);
      this.#onEnd?.((performance.now() - began) / 1000, typeof result !== 'string');
      this.#deliver(typeof result === 'string' ? { id: request.id, outcome: 'unknown', error: result } : result);
    };
    this.#pending.add(settle);
    const onDeadline = (): void => {
      endpoint.onSlow();
      this.#leave(endpoint);
      settle(`no answer from ${endpoint.name} within ${request.deadlineMs} ms`);
    };
    const patience = Math.min(PATIENCE_MS, request.deadlineMs / 2);
    timer = setTimeout(() => {
      this.#prefer(endpoint);
      timer = setTimeout(onDeadline, request.deadlineMs - patience);
    }, patience);
    this.#send(endpoint, request, settle);
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  #send(endpoint: EtcdEndpoint, request: EtcdRequest, settle: (result: EtcdResult | string) => void): void {
    endpoint.call(request).then(
      (result) => {
        this.#lastSuccess = performance.now() as MonotonicMs;
        settle(result);
      },
      (error: unknown) => {
        if (isRefusal(error)) this.#lastSuccess = performance.now() as MonotonicMs;
        else this.#leave(endpoint);
        settle(`${endpoint.name}: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
  }

  /** Never from within `request`: its caller may be in the middle of a step. */
  #deliver(result: EtcdResult): void {
    queueMicrotask(() => {
      this.#handler.onResult(result);
    });
  }

  /** Sends what follows elsewhere, once, however many requests to this endpoint fail. */
  #prefer(failed: EtcdEndpoint): void {
    if (this.#endpoints[this.#current] === failed) this.#current = (this.#current + 1) % this.#endpoints.length;
  }

  #leave(failed: EtcdEndpoint): void {
    if (this.#closed !== undefined) return;
    this.#prefer(failed);
    this.#watch.onFailed(failed);
  }

  async #end(): Promise<void> {
    this.#watch.stop();
    for (const settle of this.#pending) settle('the client was closed');
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
  }
}
