/**
 * Which connections that come in carry TLS, and whose they are. A node takes links over TLS or in the clear, both only
 * while a cluster is moved from one to the other; what is not taken is ended with a word, so that each side can tell its operator.
 */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer } from 'node:tls';
import type { Server } from 'node:tls';
import { LINK_CONNECTION_IDLE_MS } from '../../node/limits.ts';
import type { TlsSource } from '../../node/tls/io/credentials.ts';
import { describeTlsError, NO_TLS, verifiedPeer } from '../../node/tls/io/peer.ts';
import { serveRenewed } from '../../node/tls/io/serve.ts';

export interface AdmittedSocket {
  readonly socket: Socket;
  /** Signed by the authority; undefined: the connection is in the clear. */
  readonly certificate: X509Certificate | undefined;
}

export interface LinkGate {
  take(socket: Socket): void;
}

/** The first byte of a TLS connection: a record of the handshake. */
const HANDSHAKE = 22;

/** A fatal alert, unexpected_message (RFC 8446 §6), as any TLS server answers to what is none. */
const ALERT = Buffer.from([21, 3, 3, 0, 2, 2, 10]);

export interface LinkTls {
  readonly source: TlsSource;
  /** Peers that do not speak TLS are taken as well, and dialled in the clear. */
  readonly isOptional: boolean;
}

/** `onRefused` is told why, of connections of which no node has said its name yet. */
export function linkGate(
  tls: LinkTls | undefined, onAdmitted: (admitted: AdmittedSocket) => void, onRefused: (socket: Socket, detail: string) => void,
): LinkGate {
  const server = tls === undefined ? undefined : secureServer(tls.source, onAdmitted, onRefused);
  return {
    take: (socket) => {
      onFirstByte(socket, (byte) => {
        const isTls = byte === HANDSHAKE;
        if (isTls && server !== undefined) server.emit('connection', socket);
        else if (!isTls && tls?.isOptional === false) {
          onRefused(socket, `${NO_TLS}, and this side does`);
          socket.end(ALERT);
        } else {
          if (isTls) onRefused(socket, 'it speaks TLS, and this side does not');
          // The other side finds no TLS in the answer, and tells as much.
          onAdmitted({ socket, certificate: undefined });
        }
      });
    },
  };
}

function secureServer(tls: TlsSource, onAdmitted: (admitted: AdmittedSocket) => void, onRefused: (socket: Socket, detail: string) => void): Server {
  const server = createServer({
    // Refused below, where it can be told why.
    requestCert: true, rejectUnauthorized: false,
    ALPNProtocols: ['h2'], handshakeTimeout: LINK_CONNECTION_IDLE_MS,
  });
  serveRenewed(server, tls);
  server.on('secureConnection', (stream) => {
    stream.on('error', () => undefined);
    const peer = verifiedPeer(stream);
    if (typeof peer !== 'string') return onAdmitted({ socket: stream, certificate: peer });
    onRefused(stream, peer);
    stream.destroy();
    return undefined;
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, stream) => {
    const detail = describeTlsError(error);
    if (detail !== undefined) onRefused(stream, detail);
    stream.destroy();
  });
  return server;
}

/** Leaves it in the connection. A connection without one tells nobody anything. */
function onFirstByte(socket: Socket, then: (byte: number) => void): void {
  const onReadable = (): void => {
    const first = socket.read(1) as Buffer | null;
    if (first === null) return;
    socket.off('readable', onReadable);
    socket.unshift(first);
    then(first[0]!);
  };
  socket.on('readable', onReadable);
  socket.on('error', () => undefined);
}
