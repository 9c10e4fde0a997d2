/** One request to a name server over TCP, and the messages that come back (RFC 1035 §4.2.2; RFC 6926 frames its messages the same way). */
import { connect } from 'node:net';
import { FrameReader, framed } from '../../leasequery/framing.ts';
import type { DnsServer } from '../types.ts';

const MESSAGE_BYTES_MAX = 65_535;

/**
 * Messages until the server ends the connection or the caller stops. Rejects with what the network says, when the server is
 * silent for `idleMs`, and with the reason of `signal`.
 */
export async function* tcpMessages({ host, port }: DnsServer, request: Buffer, idleMs: number, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  signal.throwIfAborted();
  const socket = connect({ host, port, noDelay: true });
  socket.setTimeout(idleMs, () => socket.destroy(new Error(`no answer for ${idleMs / 1000} s`)));
  const onAbort = (): void => void socket.destroy(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    socket.write(framed(request));
    const frames = new FrameReader(MESSAGE_BYTES_MAX);
    for await (const bytes of socket) {
      frames.push(bytes as Buffer);
      for (let message = frames.next(); message !== undefined; message = frames.next()) yield message;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket.destroy();
  }
}
