/** Whether anything listens at an address, told apart by the error of a plain TCP connect. */
import { connect } from 'node:net';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export type ProbeOutcome = 'open' | 'refused' | 'unreachable';

/** `host:port`, an IPv6 host in brackets. Throws a TypeError for anything else. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65535) throw new TypeError(`not a host:port address: ${text}`);
  return { host, port };
}

/** Calls `done` once, later; the function returned ends the probe without it. */
export function probe(address: Address, timeoutMs: number, done: (outcome: ProbeOutcome) => void): () => void {
  const socket = connect({ host: address.host, port: address.port, noDelay: true });
  let timer: NodeJS.Timeout | undefined;
  const end = (outcome: ProbeOutcome | undefined): void => {
    if (timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    socket.destroy();
    if (outcome !== undefined) done(outcome);
  };
  timer = setTimeout(() => {
    end('unreachable');
  }, timeoutMs);
  socket.on('connect', () => {
    // On one host the kernel may pick the dead peer's port as ours, and TCP then connects to itself.
    const itself = socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress;
    end(itself ? 'refused' : 'open');
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    end(error.code === 'ECONNREFUSED' ? 'refused' : 'unreachable');
  });
  return () => {
    end(undefined);
  };
}
