/**
 * One endpoint of etcd with a client of its own, so that a dead member holds up nobody but itself.
 *
 * etcd3's own host pool is not used across members: it picks at random, and its defaults send a call
 * again after an error, transactions too. Here nothing is ever sent twice, and every call can be ended.
 */
import { InterceptingCall, type Interceptor, status } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import {
  Etcd3,
  EtcdLeaseInvalidError,
  type IDuplexStream,
  type ILeaseKeepAliveResponse,
  type IWatchRequest,
  type IWatchResponse,
} from 'etcd3';
import { ETCD_ANSWER_BYTES_MAX } from '../../node/limits.ts';
import type { EtcdRequest, EtcdResult } from '../core/ports.ts';
import { txnFromWire, txnToWire } from './etcd-wire.ts';

/** PEM texts. Mutual TLS wants all three; a password's token would outlive its validity unnoticed. */
export interface EtcdCredentials {
  readonly rootCertificate: Buffer;
  readonly privateKey: Buffer;
  readonly certChain: Buffer;
}

export type WatchStream = IDuplexStream<IWatchRequest, IWatchResponse>;

const CHANNEL_OPTIONS = {
  // etcd drops clients that ping more often than every 5 s.
  'grpc.keepalive_time_ms': 6000,
  'grpc.keepalive_timeout_ms': 2000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': ETCD_ANSWER_BYTES_MAX,
};

export class EtcdEndpoint {
  readonly address: string;
  readonly #prefix: string;
  readonly #etcd: Etcd3;
  readonly #calls = new Set<InterceptingCall>();

  constructor(address: string, prefix: string, credentials: EtcdCredentials | undefined) {
    this.address = address;
    this.#prefix = prefix;
    this.#etcd = new Etcd3({
      hosts: [address],
      grpcOptions: { ...CHANNEL_OPTIONS, interceptors: [trackCalls(this.#calls)] },
      faultHandling: { global: noop, host: () => noop },
      ...(credentials === undefined ? {} : { credentials: { ...credentials } }),
    });
  }

  /** Sends the request once. Rejects when no answer came, or when etcd refused it with an error. */
  async call(request: EtcdRequest): Promise<EtcdResult> {
    const { id } = request;
    const deadline = { deadline: Date.now() + request.deadlineMs };
    switch (request.kind) {
      case 'txn':
        return txnFromWire(this.#prefix, id, await this.#etcd.kv.txn(txnToWire(this.#prefix, request), deadline));
      case 'grant': {
        const granted = await this.#etcd.leaseClient.leaseGrant({ TTL: request.ttlSeconds }, deadline);
        return { id, outcome: 'granted', lease: granted.ID, ttlSeconds: Number(granted.TTL) };
      }
      case 'keepalive': {
        const answer = await this.#keepaliveOnce(request.lease, deadline);
        return { id, outcome: 'alive', ttlSeconds: Number(answer.TTL) };
      }
      case 'revoke':
        await this.#revoke(request.lease, deadline);
    }
    return { id, outcome: 'revoked' };
  }

  watch(): Promise<WatchStream> {
    return this.#etcd.watchClient.watch();
  }

  /** Ends all calls; resolves when none is left, or after a second. */
  async close(): Promise<void> {
    for (const call of this.#calls) call.cancelWithStatus(status.CANCELLED, 'closed');
    this.#etcd.close();
    for (let waited = 0; this.#calls.size > 0 && waited < 1000; waited += 10) {
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
    }
  }

  async #revoke(lease: string, deadline: { deadline: number }): Promise<void> {
    try {
      await this.#etcd.leaseClient.leaseRevoke({ ID: lease }, deadline);
    } catch (error) {
      // "Lease not found": it is gone already, which is what was asked for.
      if (!(error instanceof EtcdLeaseInvalidError)) throw error;
    }
  }

  async #keepaliveOnce(lease: string, deadline: { deadline: number }): Promise<ILeaseKeepAliveResponse> {
    const stream = await this.#etcd.leaseClient.leaseKeepAlive(deadline);
    return new Promise((resolve, reject) => {
      stream.on('data', (answer) => {
        resolve(answer);
        stream.end();
      });
      stream.on('error', reject);
      stream.on('end', () => {
        reject(new Error('the keepalive ended without an answer'));
      });
      stream.write({ ID: lease });
    });
  }
}

/**
 * Notes each call until its status is in, so that closing can end it. `hasleader` makes a member that
 * has lost its leader end the call instead of keeping it (a watch would stay silent without an error).
 */
function trackCalls(calls: Set<InterceptingCall>): Interceptor {
  return (options, nextCall) => {
    const call: InterceptingCall = new InterceptingCall(nextCall(options), {
      start(metadata, _listener, proceed) {
        metadata.set('hasleader', 'true');
        calls.add(call);
        proceed(metadata, {
          onReceiveStatus(outcome, pass) {
            calls.delete(call);
            pass(outcome);
          },
        });
      },
    });
    return call;
  };
}
