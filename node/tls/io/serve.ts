/** A TLS server of Node.js that shows whatever certificate is current. */
import type { Server } from 'node:tls';
import type { TlsSource } from './credentials.ts';

/** From the next connection after a renewal on; those that there are go on as they are. */
export function serveRenewed(server: Server, source: TlsSource): void {
  let shown = source.current;
  server.setSecureContext(shown.options);
  server.prependListener('connection', () => {
    if (source.current === shown) return;
    shown = source.current;
    server.setSecureContext(shown.options);
  });
}
