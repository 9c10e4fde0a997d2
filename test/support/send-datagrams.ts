/**
 * A process that sends datagrams from UDP port 67 or 68 of its network namespace and prints what comes back.
 * Its argument is JSON, `SendDatagramsOptions`.
 */
import dgram from 'node:dgram';

export interface SendDatagramsOptions {
  /** The own address and port to send from and to listen on. */
  readonly address: string;
  readonly port: number;
  readonly datagrams: readonly { readonly to: string; readonly toPort?: number; readonly hex: string }[];
  /** Go on listening until stopped; otherwise end when all is sent. */
  readonly listen?: boolean;
}

const options = JSON.parse(process.argv[2] ?? '{}') as SendDatagramsOptions;
const socket = dgram.createSocket({ type: 'udp4', reuseAddr: true });

socket.on('message', (bytes, from) => {
  process.stdout.write(`${JSON.stringify({ what: 'reply', from: from.address, port: from.port, hex: bytes.toString('hex') })}\n`);
});

function send(to: string, port: number, hex: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(Buffer.from(hex, 'hex'), port, to, (error) => (error ? reject(error) : resolve()));
  });
}

socket.bind(options.port, options.address, () => {
  socket.setBroadcast(true);
  void (async () => {
    for (const { to, toPort, hex } of options.datagrams) await send(to, toPort ?? 67, hex);
    process.stdout.write('{"what":"sent"}\n');
    if (options.listen !== true) socket.close();
  })();
});
