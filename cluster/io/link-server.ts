/**
 * The listening port of the links. The sockets are accepted here and handed to gRPC, because a link must
 * be ended at once by closing its connection: gRPC's own way waits behind what is still to be sent.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { ServerHttp2Stream } from 'node:http2';
import type { X509Certificate } from 'node:crypto';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { LINK_CONNECTION_IDLE_MS, LINK_CONNECTIONS_MAX, LINK_MESSAGE_BYTES_MAX } from '../../node/limits.ts';
import { linkGate } from './link-tls.ts';
import type { LinkTls } from './link-tls.ts';
import { LINK_CHANNEL_OPTIONS, LINK_METHOD } from './link-stream.ts';

export type IncomingCall = ServerDuplexStream<Buffer, Buffer>;

/** What is below a stream. */
export interface LinkConnection {
  /** Whose it is, as the authority says; undefined: it is in the clear. */
  readonly certificate: X509Certificate | undefined;
  /** It carries a link: it may stay. */
  keep(): void;
  disconnect(): void;
}

export interface LinkServer {
  /** The port that it listens on, also where 0 was asked for. */
  readonly port: number;
  close(): Promise<void>;
}

/** What a peer may send before it must wait to be read: 50 ms of round trip at 80 MB/s. */
export const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024;

export interface LinkServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  /** Without it in the clear. */
  readonly tls: LinkTls | undefined;
  readonly onCall: (call: IncomingCall, connection: LinkConnection) => void;
  /** A connection from this address that came to nothing, and why. */
  readonly onRefused: (address: string, detail: string) => void;
}

/** Rejects with the system's error if the port cannot be had. */
export async function listenForLinks({ listen, onCall, onRefused, tls }: LinkServerOptions): Promise<LinkServer> {
  const sockets = new SocketTable();
  const server = new Server({
    ...LINK_CHANNEL_OPTIONS,
    'grpc.max_receive_message_length': LINK_MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': LINK_MESSAGE_BYTES_MAX,
  });
  server.addService(
    { link: LINK_METHOD },
    {
      link: (call: IncomingCall) => {
        onCall(call, sockets.connection(call.getPeer()));
      },
    },
  );
  // gRPC has no way to tell who has shown which certificate: what it gets is behind TLS already.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const gate = linkGate(tls, ({ certificate, socket }) => {
    sockets.admit(socket, certificate);
    injector.injectConnection(socket);
  }, ({ remoteAddress = '' }, detail) => {
    onRefused(remoteAddress, detail);
  });
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    gate.take(socket);
  });
  listener.maxConnections = LINK_CONNECTIONS_MAX;
  listener.listen(listen.port, listen.host);
  await once(listener, 'listening');
  const onStream = (message: unknown): void => {
    widenWindow(message, sockets);
  };
  subscribe('http2.server.stream.start', onStream);
  return {
    port: portOf(listener),
    close: async () => {
      unsubscribe('http2.server.stream.start', onStream);
      const closed = once(listener, 'close');
      listener.close();
      sockets.destroyAll();
      injector.destroy();
      server.forceShutdown();
      await closed;
    },
  };
}

/** Open connections by the text that gRPC names a call's peer with. */
class SocketTable {
  readonly #sockets = new Map<string, { readonly socket: Socket; readonly idle: NodeJS.Timeout; certificate?: X509Certificate }>();

  add(socket: Socket): void {
    const name = nameOf(socket);
    const idle = setTimeout(() => socket.destroy(), LINK_CONNECTION_IDLE_MS);
    this.#sockets.set(name, { socket, idle });
    socket.on('close', () => {
      clearTimeout(idle);
      if (this.#sockets.get(name)?.socket === socket) this.#sockets.delete(name);
    });
  }

  /** `socket`: the one that was added, or TLS over it. */
  admit(socket: Socket, certificate: X509Certificate | undefined): void {
    const entry = this.#sockets.get(nameOf(socket));
    if (entry !== undefined && certificate !== undefined) entry.certificate = certificate;
  }

  has(name: string): boolean {
    return this.#sockets.has(name);
  }

  connection(name: string): LinkConnection {
    const entry = this.#sockets.get(name);
    return {
      certificate: entry?.certificate,
      keep: () => {
        clearTimeout(entry?.idle);
      },
      disconnect: () => entry?.socket.destroy(),
    };
  }

  destroyAll(): void {
    for (const { socket } of this.#sockets.values()) socket.destroy();
  }
}

function nameOf(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

function portOf(listener: NetServer): number {
  const address = listener.address();
  if (typeof address !== 'object' || address === null) throw new TypeError('the links need a TCP port');
  return address.port;
}

/**
 * gRPC has a setting for the receive window of its clients but none for servers, which stay at 64 KiB:
 * 1.3 MB/s at a round trip of 50 ms. The stream comes from Node.js's own announcement of it.
 */
function widenWindow(message: unknown, sockets: SocketTable): void {
  const { session } = (message as { readonly stream: ServerHttp2Stream }).stream;
  if (session === undefined || session.destroyed || !sockets.has(nameOf(session.socket))) return;
  session.setLocalWindowSize(RECEIVE_WINDOW_BYTES);
  session.settings({ initialWindowSize: RECEIVE_WINDOW_BYTES });
}
