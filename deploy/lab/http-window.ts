/**
 * Runs on a host of the lab: passes connections to a socket in the file system on to a TCP port that
 * only that network reaches. Arguments: `SOCKET=ADDRESS:PORT ...`. Prints `ready` once it listens.
 */
import { connect, createServer, type Socket } from 'node:net';

/** What ends in order is delivered to the last byte; what is cut off is seen to be cut off. */
function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on('error', () => to.destroy());
  from.on('close', () => {
    if (!to.writableEnded) to.destroy();
  });
}

const listening = process.argv.slice(2).map((argument) => {
  const [, path = '', host = '', port = ''] = /^(.*)=(.*):(\d+)$/.exec(argument) ?? [];
  const server = createServer((client) => {
    const node = connect({ host, port: Number(port) });
    join(client, node);
    join(node, client);
  });
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
});
await Promise.all(listening);
console.log('ready');
