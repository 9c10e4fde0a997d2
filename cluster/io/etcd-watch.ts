/**
 * A hint that something below some prefixes may have changed, never what: a watcher that lost its
 * stream can miss changes, so a hint is followed by a read. Each new stream gives a hint of its own.
 */
import type { IWatchResponse } from 'etcd3';
import type { EtcdEndpoint, WatchStream } from './etcd-endpoint.ts';
import { prefixEnd } from './etcd-wire.ts';

/** Waits before the first attempts to watch again; the last one repeats. */
const RETRY_MS = [0, 100, 200, 500] as const;

/** A stream whose watches are not confirmed within this time is given up. */
const CREATE_TIMEOUT_MS = 2000;

export class EtcdWatch {
  readonly #endpoints: readonly EtcdEndpoint[];
  readonly #prefixes: readonly string[];
  readonly #onHint: () => void;
  #at = 0;
  #stream: WatchStream | undefined;
  /** Counts attempts, so that what an earlier stream still says is ignored. */
  #attempt = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #hint: NodeJS.Immediate | undefined;
  #stopped = false;

  constructor(endpoints: readonly EtcdEndpoint[], prefixes: readonly string[], onHint: () => void) {
    this.#endpoints = endpoints;
    this.#prefixes = prefixes;
    this.#onHint = onHint;
    if (prefixes.length > 0) this.#open();
  }

  /** A request to this endpoint failed: if the stream is there too, go to another one. */
  onFailed(endpoint: EtcdEndpoint): void {
    if (this.#stream !== undefined && this.#endpoints[this.#at] === endpoint) this.#again(this.#attempt);
  }

  stop(): void {
    this.#stopped = true;
    this.#attempt++;
    clearTimeout(this.#timer);
    clearImmediate(this.#hint);
    this.#drop();
  }

  #open(): void {
    const endpoint = this.#endpoints[this.#at];
    if (this.#stopped || endpoint === undefined) return;
    const attempt = ++this.#attempt;
    this.#timer = setTimeout(() => {
      this.#again(attempt);
    }, CREATE_TIMEOUT_MS);
    endpoint.watch().then(
      (stream) => {
        this.#use(stream, attempt);
      },
      () => {
        this.#again(attempt);
      },
    );
  }

  #use(stream: WatchStream, attempt: number): void {
    const again = (): void => {
      this.#again(attempt);
    };
    stream.on('error', again);
    stream.on('end', again);
    if (attempt !== this.#attempt) {
      end(stream);
      return;
    }
    this.#stream = stream;
    let created = 0;
    stream.on('data', (response: IWatchResponse) => {
      if (attempt !== this.#attempt) return;
      if (response.canceled) {
        again();
        return;
      }
      if (response.created && ++created === this.#prefixes.length) {
        clearTimeout(this.#timer);
        this.#failures = 0;
        this.#giveHint();
      }
      if (response.events.length > 0) this.#giveHint();
    });
    for (const prefix of this.#prefixes) {
      stream.write({ create_request: { key: Buffer.from(prefix), range_end: prefixEnd(prefix) } });
    }
  }

  #again(attempt: number): void {
    if (attempt !== this.#attempt || this.#stopped) return;
    this.#attempt++;
    this.#drop();
    clearTimeout(this.#timer);
    this.#at = (this.#at + 1) % this.#endpoints.length;
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] ?? 0;
    this.#failures++;
    this.#timer = setTimeout(() => {
      this.#open();
    }, wait);
  }

  #drop(): void {
    if (this.#stream !== undefined) end(this.#stream);
    this.#stream = undefined;
  }

  /** Changes that arrive in one turn of the event loop give one hint. */
  #giveHint(): void {
    this.#hint ??= setImmediate(() => {
      this.#hint = undefined;
      this.#onHint();
    });
  }
}

/** Ended before it is cancelled: etcd3 takes the error of a writable stream for a fault of the member. */
function end(stream: WatchStream): void {
  stream.end();
  stream.cancel();
}
