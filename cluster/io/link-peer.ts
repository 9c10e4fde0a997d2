/**
 * The link to one peer over its life: dialled by the node whose id sorts first, accepted by the other.
 * While there is none, both sides probe the peer's port, so that both learn quickly that its process
 * is dead: nothing else may be concluded from a link that is down.
 */
import { LINK_BACKLOG_BYTES_MAX } from '../../node/limits.ts';
import { NO_TLS } from '../../node/tls/io/peer.ts';
import type { LinkDownReason, LinkEvent, PeerMessage } from '../core/ports.ts';
import { dial } from './link-dial.ts';
import type { LinkTls } from './link-tls.ts';
import { type LinkCall, LinkStream } from './link-stream.ts';
import { parseAddress, probe } from './probe.ts';

export interface LinkContext {
  readonly self: string;
  readonly cluster: string;
  readonly tls: LinkTls | undefined;
  /** To be called from the event loop only. */
  emit(event: LinkEvent): void;
  /** To be called where the core may be in the middle of a step: the event follows later. */
  post(event: LinkEvent): void;
  reject(peer: string, detail: string): void;
  /** A link begins in the clear though there is TLS here. */
  unsecured(peer: string): void;
}

/** Waits before the attempts after a link has gone; the last one repeats. */
const DIAL_WAITS_MS = [0, 100, 100, 100, 200, 300, 500] as const;

/** The side that does not dial only asks whether the peer lives. Once it does, less often. */
const PROBE_WAITS_MS = [0, 100] as const;
const PROBE_WAIT_OPEN_MS = 500;
const PROBES_OPEN_QUICK = 10;

const CONNECT_TIMEOUT_MS = 1000;

/** From one link to the next at least, so that two nodes which keep ending their links do not spin. */
const LINK_INTERVAL_MS = 100;

export class LinkPeer {
  readonly id: string;
  readonly dials: boolean;
  readonly #context: LinkContext;
  #address: string;
  #stream: LinkStream | undefined;
  #upAt = Number.NEGATIVE_INFINITY;
  /** Attempts since the last link. */
  #failures = 0;
  /** Probes in a row that found the peer's port open. */
  #open = 0;
  /** TLS is optional here, and the peer did not speak it a moment ago. */
  #inTheClear = false;
  #timer: NodeJS.Timeout | undefined;
  #cancelAttempt: (() => void) | undefined;
  #stopped = false;
  #onFinished: (() => void) | undefined;

  constructor(id: string, address: string, context: LinkContext) {
    parseAddress(address);
    this.id = id;
    this.dials = context.self < id;
    this.#address = address;
    this.#context = context;
    this.#schedule();
  }

  get host(): string {
    return parseAddress(this.#address).host;
  }

  get backlogBytes(): number {
    return this.#stream?.backlogBytes ?? 0;
  }

  /** A link that is up stays as it is. */
  setAddress(address: string): void {
    if (address === this.#address) return;
    parseAddress(address);
    this.#address = address;
    if (this.#stream !== undefined) return;
    this.#cancel();
    this.#failures = 0;
    this.#schedule();
  }

  send(message: PeerMessage): void {
    if (this.#stream === undefined || this.#stopped) return;
    this.#stream.send(message);
    if (this.#stream.backlogBytes > LINK_BACKLOG_BYTES_MAX) this.reset();
  }

  reset(): void {
    if (this.#stream === undefined || this.#stopped) return;
    this.#stream.drop();
    this.#context.post({ kind: 'link-down', peer: this.id, reason: 'closed' });
    this.#afterStream();
  }

  /** Takes a stream as the link; one that is there already gives way. */
  use(call: LinkCall, disconnect: () => void): void {
    this.#cancel();
    if (this.#stream !== undefined) {
      this.#stream.drop();
      this.#stream = undefined;
      this.#down('closed');
    }
    if (this.#stopped) {
      disconnect();
      return;
    }
    const stream = new LinkStream(call, disconnect, {
      onMessage: (message) => {
        this.#context.emit({ kind: 'link-message', peer: this.id, message });
      },
      onOver: (fault) => {
        if (this.#stream !== stream) return;
        if (fault !== undefined) this.#context.reject(this.id, fault);
        this.#down('closed');
        this.#afterStream();
      },
    });
    this.#stream = stream;
    this.#upAt = performance.now();
    this.#context.emit({ kind: 'link-up', peer: this.id });
  }

  /** Resolves when the peer has what was sent to it and the stream is over; it may never be. */
  finish(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    return new Promise((resolve) => {
      if (this.#stream === undefined) resolve();
      this.#onFinished = resolve;
      this.#stream?.finish();
    });
  }

  /** Ends all at once; true if there was a link. */
  stop(): boolean {
    this.#stopped = true;
    this.#cancel();
    const linked = this.#stream !== undefined;
    this.#stream?.drop();
    this.#stream = undefined;
    return linked;
  }

  #down(reason: LinkDownReason): void {
    this.#context.emit({ kind: 'link-down', peer: this.id, reason });
  }

  #afterStream(): void {
    this.#stream = undefined;
    this.#open = 0;
    this.#failures = 0;
    this.#onFinished?.();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#attempt();
    }, this.#wait());
  }

  #wait(): number {
    if (!this.dials && this.#open >= PROBES_OPEN_QUICK) return PROBE_WAIT_OPEN_MS;
    const waits: readonly number[] = this.dials ? DIAL_WAITS_MS : PROBE_WAITS_MS;
    return waits[Math.min(this.#failures, waits.length - 1)] ?? 0;
  }

  #attempt(): void {
    this.#failures++;
    this.#cancelAttempt = probe(parseAddress(this.#address), CONNECT_TIMEOUT_MS, (outcome) => {
      this.#cancelAttempt = undefined;
      this.#open = outcome === 'open' ? this.#open + 1 : 0;
      if (outcome !== 'open') this.#down(outcome);
      if (outcome === 'open' && this.dials && performance.now() >= this.#upAt + LINK_INTERVAL_MS) this.#dial();
      else this.#schedule();
    });
  }

  #dial(): void {
    const { self, cluster, tls } = this.#context;
    const inTheClear = this.#inTheClear;
    this.#inTheClear = false;
    const options = { self, cluster, tls: inTheClear ? undefined : tls?.source, peer: this.id, address: this.#address, timeoutMs: CONNECT_TIMEOUT_MS };
    this.#cancelAttempt = dial(options, {
      onUp: (call, disconnect) => {
        this.#cancelAttempt = undefined;
        if (inTheClear) this.#context.unsecured(this.id);
        this.use(call, disconnect);
      },
      onFailed: (rejection) => {
        this.#cancelAttempt = undefined;
        this.#inTheClear = rejection === NO_TLS && tls?.isOptional === true && !inTheClear;
        if (rejection !== undefined && !this.#inTheClear) this.#context.reject(this.id, rejection);
        this.#down('unreachable');
        this.#schedule();
      },
    });
  }

  #cancel(): void {
    clearTimeout(this.#timer);
    this.#cancelAttempt?.();
    this.#cancelAttempt = undefined;
  }
}
