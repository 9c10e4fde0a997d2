/**
 * Channel credentials, with or without TLS, that keep hold of the connections made with them, so that they can be
 * ended at once; and that know why one did not come about, which gRPC tells only in part.
 *
 * gRPC's `close` leaves a connection open on which the server has not said a word yet (a paused process
 * would collect them), and waits behind what is still to be sent on others.
 */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { CallCredentials, ChannelCredentials } from '@grpc/grpc-js';
import type { TlsSource } from '../../node/tls/io/credentials.ts';
import { describeTlsError, verifiedPeer } from '../../node/tls/io/peer.ts';

type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>;
type Connected = Awaited<ReturnType<SecureConnector['connect']>>;

/** How TLS is spoken to a server. */
export interface ServerTerms {
  readonly source: TlsSource;
  /** Sent ahead, for servers with several certificates; none where the server is known by its address. */
  readonly serverName: string | undefined;
  /** Whether the certificate is that of the server that is wanted; else what it is instead. */
  readonly refusal: (certificate: X509Certificate) => string | undefined;
}

/** A server that has said nothing for this long after the connection was made is not there. */
const SILENCE_MS = 2000;

/** What a TLS server answers to who does not speak TLS: one alert. HTTP/2 begins with more. */
const TLS_ALERT_BYTES = 7;

export class HeldCredentials extends ChannelCredentials {
  readonly #terms: ServerTerms | undefined;
  readonly #whenWordless: string | undefined;
  readonly #sockets = new Set<Socket>();
  #ended = false;
  #isProven = false;
  #failure: string | undefined;

  /** Without terms in the clear. `whenWordless`: what it means that a server ends such a connection without a word. */
  constructor(terms: ServerTerms | undefined, whenWordless?: string) {
    super();
    this.#terms = terms;
    this.#whenWordless = whenWordless;
  }

  /** Why the last connection came to nothing, where TLS was the reason. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The server has answered: whatever happens to this connection now is no matter of TLS. */
  proven(): void {
    this.#isProven = true;
    this.#failure = undefined;
  }

  /** Ends all connections, and those that are still being made as soon as they are there. */
  disconnect(): void {
    this.#ended = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  override _isSecure(): boolean {
    return this.#terms !== undefined;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    _target: unknown, _options: unknown, callCredentials: CallCredentials = CallCredentials.createEmpty(),
  ): SecureConnector {
    return {
      connect: (socket) => this.#connect(socket),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => undefined,
    };
  }

  async #connect(socket: Socket): Promise<Connected> {
    this.#isProven = false;
    this.#hold(socket);
    if (this.#terms === undefined) {
      socket.once('close', () => {
        if (socket.bytesRead === TLS_ALERT_BYTES) this.#fail('it speaks TLS, and this side does not');
        else if (socket.bytesRead === 0 && this.#whenWordless !== undefined) this.#fail(this.#whenWordless);
      });
      return { socket, secure: false };
    }
    try {
      return { socket: await this.#secure(socket, this.#terms), secure: true };
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  async #secure(socket: Socket, { refusal, serverName, source }: ServerTerms): Promise<TLSSocket> {
    const timer = setTimeout(() => socket.destroy(), SILENCE_MS);
    const stream = connectTls({
      socket, secureContext: source.current.context, ALPNProtocols: ['h2'], ...(serverName === undefined ? {} : { servername: serverName }),
      // Looked at below, where it can be told what is wrong with it.
      rejectUnauthorized: false, checkServerIdentity: () => undefined,
    });
    let error: NodeJS.ErrnoException | undefined;
    stream.on('error', (each) => {
      error = each;
    });
    const isSecure = await new Promise<boolean>((resolve) => {
      stream.once('secureConnect', () => resolve(true)).once('close', () => resolve(false));
    });
    clearTimeout(timer);
    if (!isSecure) throw this.#fail((error && describeTlsError(error)) ?? 'it ended the connection at the beginning of TLS: it may not speak it');
    const peer = verifiedPeer(stream);
    const problem = typeof peer === 'string' ? peer : refusal(peer);
    if (problem !== undefined) throw this.#fail(problem);
    // TLS 1.3: whether a server takes the certificate of this side it says after the handshake, if at all.
    stream.once('close', () => {
      this.#fail((error && describeTlsError(error)) ?? 'it ended the connection when TLS had begun: it may not take the certificate of this side, its log says why');
    });
    return stream;
  }

  #fail(failure: string): Error {
    if (!this.#isProven && !this.#ended) this.#failure = failure;
    return new Error(failure);
  }

  #hold(socket: Socket): void {
    this.#sockets.add(socket);
    // Whoever reads from it, here or over TLS, hears of its end.
    socket.on('error', () => undefined);
    const timer = setTimeout(() => {
      if (socket.bytesRead === 0) socket.destroy();
    }, SILENCE_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
    });
    if (this.#ended) socket.destroy();
  }
}
