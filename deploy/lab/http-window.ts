/**
 * Runs on a host of the lab: passes connections to a socket in the file system on to a TCP port that
 * only that network reaches. Arguments: `SOCKET=ADDRESS:PORT ...`. Prints `ready` once it listens.
 */
import { connect, createServer } from 'node:net';

const listening = process.argv.slice(2).map((argument) => {
  const [, path = '', host = '', port = ''] = /^(.*)=(.*):(\d+)$/.exec(argument) ?? [];
  const server = createServer((client) => {
    const node = connect({ host, port: Number(port) });
    // Either end's failure ends both: the asker sees a connection that was cut.
    client.on('error', () => node.destroy()).on('close', () => node.destroy());
    node.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.pipe(node);
    node.pipe(client);
  });
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
});
await Promise.all(listening);
console.log('ready');
