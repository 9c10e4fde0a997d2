/**
 * A node that is nothing but links, as a process of its own that a test can kill.
 * Arguments: its id, its port, `id=host:port` of its peers; LINK_NODE_TLS in the environment: its files, as JSON. It
 * prints its port and each event as a line of JSON, and ends its links on SIGTERM.
 */
import { openLinks } from '../../cluster/io/grpc-links.ts';
import type { TlsFiles } from '../../node/config/types.ts';
import { readCredentials } from '../../node/tls/io/credentials.ts';

const files = process.env['LINK_NODE_TLS'];
const [self = '', port = '', ...peers] = process.argv.slice(2);
const links = await openLinks({
  self,
  cluster: 'test',
  listen: { host: '127.0.0.1', port: Number(port) },
  peers: new Map(peers.map((peer): [string, string] => [peer.split('=')[0] ?? '', peer.split('=')[1] ?? ''])),
  tls: files === undefined ? undefined : { source: { current: readCredentials(JSON.parse(files) as TlsFiles) }, isOptional: false },
  handler: (event) => {
    console.log(JSON.stringify(event));
  },
  onRejected: (peer, detail) => {
    console.log(JSON.stringify({ kind: 'rejected', peer, detail }));
  },
});
console.log(JSON.stringify({ kind: 'listening', port: links.port }));
process.on('SIGTERM', () => void links.close());
