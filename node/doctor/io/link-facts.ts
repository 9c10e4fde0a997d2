/** How long it takes to reach another node's port for links, and whether its certificate is taken. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TlsFiles } from '../../config/types.ts';
import { namesHost } from '../../tls/io/check-files.ts';
import { readCredentials } from '../../tls/io/credentials.ts';
import type { LinkFacts } from '../cluster-checks.ts';
import { X509Certificate } from 'node:crypto';

const CONNECT_MS_MAX = 2000;
const CONNECTIONS = 4;

/** `address`: host:port. The best of a few connections, each closed at once. */
export async function linkFacts(node: string, address: string, tls: TlsFiles | undefined): Promise<LinkFacts> {
  const at = address.lastIndexOf(':');
  const [host, port] = [address.slice(0, at).replace(/^\[|\]$/g, ''), Number(address.slice(at + 1))];
  try {
    const times: number[] = [];
    for (let i = 0; i < CONNECTIONS; i++) times.push(await timeToConnect(host, port));
    if (tls !== undefined) await shakeHands(host, port, node, tls);
    return { node, address, error: '', roundTripMs: Math.min(...times) };
  } catch (error) {
    const { name, code, message } = error as NodeJS.ErrnoException;
    const text = name === 'AbortError' ? `no answer within ${CONNECT_MS_MAX / 1000} s` : code === 'ECONNREFUSED' ? 'nothing listens there' : message;
    return { node, address, error: text, roundTripMs: 0 };
  }
}

async function timeToConnect(host: string, port: number): Promise<number> {
  const began = performance.now();
  const socket = connect({ host, port });
  try {
    await opened(socket, 'connect');
    return performance.now() - began;
  } finally {
    socket.destroy();
  }
}

async function shakeHands(host: string, port: number, node: string, tls: TlsFiles): Promise<void> {
  const socket = connectTls({
    host, port, ...readCredentials(tls).options, servername: node, ALPNProtocols: ['h2'],
    // As the nodes themselves do: by a DNS name that is the node's own.
    checkServerIdentity: (_, { raw }) => (namesHost(new X509Certificate(raw), node) ? undefined : new Error(`its certificate does not name ${node}`)),
  });
  try {
    await opened(socket, 'secureConnect');
  } finally {
    socket.destroy();
  }
}

async function opened(socket: Socket, event: string): Promise<void> {
  await once(socket, event, { signal: AbortSignal.timeout(CONNECT_MS_MAX) });
}
