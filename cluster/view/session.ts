/**
 * This node's session in etcd: a lease, kept alive one call at a time, and `nodes/<id>` bound to it.
 * The TTL counted with is the one that etcd granted.
 */
import type { Context } from '../core/context.ts';

const RETRY_MS = 250;

export class Session {
  readonly #context: Context;
  #lease: string | undefined;
  #ttlMs: number;
  #busy = false;
  #nextAt = -Infinity;
  /** Apart from `#nextAt`: a state that keeps changing must not keep the session from being kept alive. */
  #keepAliveAt = -Infinity;
  /** What `nodes/<id>` shows now, and what it should show. */
  #shown: string | undefined;

  constructor(context: Context) {
    this.#context = context;
    this.#ttlMs = context.options.sessionTtlSeconds * 1000;
  }

  get lease(): string | undefined {
    return this.#lease;
  }

  get ttlMs(): number {
    return this.#ttlMs;
  }

  /** Once a turn, with what the other nodes and operators should see of this one. */
  tick(describe: () => string): void {
    if (this.#busy) return;
    const { mono } = this.#context.now;
    if (this.#lease !== undefined && mono >= this.#keepAliveAt) return this.#keepAlive(this.#lease);
    if (mono < this.#nextAt) return;
    if (this.#lease === undefined) return this.#grant();
    const text = describe();
    if (text !== this.#shown) this.#show(this.#lease, text);
    else this.#nextAt = mono + this.#ttlMs / 3;
  }

  /** State changes show at once. */
  hurry(): void {
    this.#nextAt = Math.min(this.#nextAt, this.#context.now.mono);
  }

  #grant(): void {
    this.#busy = true;
    this.#context.etcd.lease({ kind: 'grant', ttlSeconds: this.#context.options.sessionTtlSeconds }, (result) => {
      this.#busy = false;
      if (result.outcome !== 'granted') {
        this.#nextAt = this.#context.now.mono + RETRY_MS;
        return;
      }
      this.#lease = result.lease;
      this.#ttlMs = result.ttlSeconds * 1000;
      this.#shown = undefined;
      this.#nextAt = this.#context.now.mono;
      this.#keepAliveAt = this.#context.now.mono + this.#ttlMs / 3;
    });
  }

  #show(lease: string, text: string): void {
    this.#busy = true;
    const put = { op: 'put', key: `nodes/${this.#context.options.self}`, value: Buffer.from(text), lease } as const;
    this.#context.etcd.txn({ then: [put], anyEtcd: true }, (result) => {
      this.#busy = false;
      if (result === undefined) {
        // The lease may be gone: a keepalive tells.
        this.#nextAt = this.#context.now.mono + RETRY_MS;
        this.#keepAlive(lease);
        return;
      }
      this.#shown = text;
      this.#nextAt = this.#context.now.mono + this.#ttlMs / 3;
    });
  }

  #keepAlive(lease: string): void {
    this.#busy = true;
    this.#context.etcd.lease({ kind: 'keepalive', lease }, (result) => {
      this.#busy = false;
      const { mono } = this.#context.now;
      if (result.outcome === 'alive' && result.ttlSeconds > 0) {
        this.#keepAliveAt = mono + this.#ttlMs / 3;
        return;
      }
      if (result.outcome === 'alive') this.#lease = undefined;
      this.#keepAliveAt = mono + RETRY_MS;
      this.#nextAt = mono + RETRY_MS;
    });
  }

  /** Gives the session up; its keys go with it. */
  end(): void {
    if (this.#lease === undefined) return;
    this.#context.etcd.lease({ kind: 'revoke', lease: this.#lease }, () => undefined);
    this.#lease = undefined;
    this.#nextAt = Infinity;
  }
}
