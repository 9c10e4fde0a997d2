/**
 * A node that is nothing but links, as a process of its own that a test can kill.
 * Arguments: its id, its port, `id=host:port` of its peers. It prints its port and each event as a line
 * of JSON, and ends its links on SIGTERM.
 */
import { openLinks } from '../../cluster/io/grpc-links.ts';

const [self = '', port = '', ...peers] = process.argv.slice(2);
const links = await openLinks({
  self,
  cluster: 'test',
  listen: { host: '127.0.0.1', port: Number(port) },
  peers: new Map(peers.map((peer): [string, string] => [peer.split('=')[0] ?? '', peer.split('=')[1] ?? ''])),
  handler: (event) => {
    console.log(JSON.stringify(event));
  },
});
console.log(JSON.stringify({ kind: 'listening', port: links.port }));
process.on('SIGTERM', () => void links.close());
