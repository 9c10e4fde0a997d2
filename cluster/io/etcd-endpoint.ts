/**
 * One endpoint of etcd with a client of its own, so that a dead member holds up nobody but itself.
 *
 * etcd3's own host pool is not used across members: it picks at random, and its defaults send a call
 * again after an error, transactions too. Here nothing is ever sent twice, and every call can be ended.
 * etcd3 makes new channels after each failure and cannot give up a connection that is being made, so
 * after one a plain connect has to succeed first: a dead host would collect connections otherwise.
 */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { ChannelCredentials, InterceptingCall, type Interceptor, status } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import {
  Etcd3,
  EtcdLeaseInvalidError,
  GRPCInvalidArgumentError,
  type IDuplexStream,
  type ILeaseKeepAliveResponse,
  type IWatchRequest,
  type IWatchResponse,
} from 'etcd3';
import { ETCD_ANSWER_BYTES_MAX } from '../../node/limits.ts';
import { namesText } from '../../node/tls/io/check-files.ts';
import type { TlsSource } from '../../node/tls/io/credentials.ts';
import type { EtcdRequest, EtcdResult } from '../core/ports.ts';
import { HeldCredentials } from './held-credentials.ts';
import type { ServerTerms } from './held-credentials.ts';
import { type Address, parseAddress, probe, type ProbeOutcome } from './probe.ts';
import { txnFromWire, txnToWire } from './etcd-wire.ts';

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

const CONNECT_TIMEOUT_MS = 1000;

export interface MemberReport {
  readonly version: string;
  readonly sizeBytes: number;
  readonly revision: number;
  readonly memberId: string;
  /** "": it knows none. */
  readonly leader: string;
  readonly alarms: readonly string[];
  /** Undefined: it does not say. */
  readonly compactedOnce: boolean | undefined;
  /** Empty: it does not say. */
  readonly members: readonly { readonly id: string; readonly name: string; readonly clientUrls: readonly string[]; readonly peerUrls: readonly string[] }[];
}

export class EtcdEndpoint {
  readonly name: string;
  readonly #address: Address;
  readonly #prefix: string;
  readonly #etcd: HeldEtcd;
  readonly #calls = new Set<InterceptingCall>();
  /** No answer since the last failure, or none yet. */
  #suspect = true;
  #probing: Promise<ProbeOutcome> | undefined;
  #cancelProbe: (() => void) | undefined;

  /**
   * Throws a TypeError if `url` is not `http://host:port` or `https://host:port`. Who asks is told to etcd by a certificate,
   * never by a password: etcd3 does not notice when the token of one has ended.
   */
  constructor(url: string, prefix: string, tls: TlsSource | undefined) {
    this.name = url;
    this.#address = parseAddress(url.replace(/^https?:\/\//, ''));
    this.#prefix = prefix;
    this.#etcd = new HeldEtcd(url, this.#calls, termsFor(url, this.#address, tls));
  }

  /** Sends the request once. Rejects when no answer came, or when etcd refused it with an error. */
  async call(request: EtcdRequest): Promise<EtcdResult> {
    const deadline = { deadline: Date.now() + request.deadlineMs };
    const { held } = this.#etcd;
    let isReached = false;
    try {
      await this.#reach();
      isReached = true;
      const result = await this.#send(request, deadline);
      this.#suspect = false;
      held.proven();
      return result;
    } catch (error) {
      if (isRefusal(error)) throw error;
      this.#suspect = true;
      throw isReached && held.failure !== undefined ? new Error(held.failure, { cause: error }) : error;
    }
  }

  async #send(request: EtcdRequest, deadline: { deadline: number }): Promise<EtcdResult> {
    const { id } = request;
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

  /** The core gave the request up: its answer is still on the way, or will never come. */
  onSlow(): void {
    this.#suspect = true;
  }

  async watch(): Promise<WatchStream> {
    await this.#reach();
    return this.#etcd.watchClient.watch();
  }

  /** Ends all calls; resolves when none is left, or after a second. */
  /** What the member says of itself and of the others, for people. Rejects when it does not answer. */
  async describe(deadlineMs: number): Promise<MemberReport> {
    const { cluster, maintenance } = this.#etcd;
    const deadline = { deadline: Date.now() + deadlineMs };
    await this.#reach();
    const { dbSize, header, leader, version } = await maintenance.status(deadline);
    const [listed, alarms, first] = await Promise.all([
      cluster.memberList({}, deadline).then(({ members }) => members, () => []),
      maintenance.alarm({ action: 'Get' }, deadline).then((answer) => answer.alarms, () => []),
      // Of the first revision only a store that was never compacted still knows.
      this.#etcd.get(`${this.#prefix}view`).revision(1).options(deadline).exec().then(() => false, (error: Error) => (/compacted/.test(error.message) ? true : undefined)),
    ]);
    return {
      version, sizeBytes: Number(dbSize), revision: Number(header.revision), memberId: header.member_id, leader: leader === '0' ? '' : leader,
      alarms: alarms.map(({ alarm }) => alarm), compactedOnce: first,
      members: listed.map(({ ID, clientURLs, name, peerURLs }) => ({ id: ID, name, clientUrls: clientURLs, peerUrls: peerURLs })),
    };
  }

  async close(): Promise<void> {
    for (const call of this.#calls) call.cancelWithStatus(status.CANCELLED, 'closed');
    this.#cancelProbe?.();
    this.#etcd.close();
    for (let waited = 0; this.#calls.size > 0 && waited < 1000; waited += 10) {
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
    }
    this.#etcd.held.disconnect();
  }

  async #reach(): Promise<void> {
    if (!this.#suspect) return;
    this.#probing ??= new Promise((resolve) => {
      this.#cancelProbe = probe(this.#address, CONNECT_TIMEOUT_MS, (outcome) => {
        this.#probing = undefined;
        resolve(outcome);
      });
    });
    const outcome = await this.#probing;
    if (outcome === 'refused') throw new Error('the connection was refused');
    if (outcome === 'unreachable') throw new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`);
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

/** etcd answered, with an error that every member would give. */
export function isRefusal(error: unknown): boolean {
  return error instanceof EtcdLeaseInvalidError || error instanceof GRPCInvalidArgumentError;
}

/** etcd's certificate names the host of the URL, as any server's does: an address of it, or a DNS name. */
function termsFor(url: string, { host }: Address, source: TlsSource | undefined): ServerTerms | undefined {
  if (!url.startsWith('https:')) return undefined;
  if (source === undefined) throw new TypeError(`no certificate for ${url}`);
  const isAddress = isIP(host) !== 0;
  const names = (certificate: X509Certificate): boolean =>
    (isAddress ? certificate.checkIP(host) : certificate.checkHost(host, { subject: 'never' })) !== undefined;
  return {
    source, serverName: isAddress ? undefined : host,
    refusal: (certificate) => (names(certificate) ? undefined : `its certificate names ${namesText(certificate)}, not ${host}`),
  };
}

/** An etcd3 client of one host whose connections can be ended; etcd3 has no setting for that. */
class HeldEtcd extends Etcd3 {
  readonly held: HeldCredentials;

  constructor(url: string, calls: Set<InterceptingCall>, terms: ServerTerms | undefined) {
    super({
      hosts: [url],
      grpcOptions: { ...CHANNEL_OPTIONS, interceptors: [trackCalls(calls)] },
      faultHandling: { global: noop, host: () => noop },
    });
    const { hosts } = this.pool as unknown as { readonly hosts: { channelCredentials: ChannelCredentials }[] };
    const host = hosts[0];
    assert(host?.channelCredentials instanceof ChannelCredentials, 'etcd3 has changed inside');
    this.held = new HeldCredentials(terms, 'it ended the connection without a word: it may want TLS (https://)');
    host.channelCredentials = this.held;
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
