/** `/proc/net/udp`, `/proc/net/tcp` and their kin, as proc(5) describes them. */

/** A socket that is bound and takes what comes: UDP, or a TCP socket that listens. */
export interface BoundSocket {
  readonly protocol: 'udp' | 'tcp';
  /** `0.0.0.0`, or `::` for all of IPv6; other addresses of IPv6 in hexadecimal. */
  readonly address: string;
  readonly port: number;
  readonly inode: string;
}

const TCP_LISTEN = '0A';
const UDP_UNCONNECTED = '07';

/** In the text the address is in the byte order of the machine, the port is not. */
export function parseSockets(text: string, protocol: 'udp' | 'tcp'): BoundSocket[] {
  const wanted = protocol === 'tcp' ? TCP_LISTEN : UDP_UNCONNECTED;
  return text.split('\n').slice(1).flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    const [address = '', port = ''] = local.split(':');
    return state === wanted ? [{ protocol, address: addressText(address), port: Number.parseInt(port, 16), inode }] : [];
  });
}

function addressText(hex: string): string {
  if (hex.length === 8) return hex.match(/../g)!.toReversed().map((byte) => Number.parseInt(byte, 16)).join('.');
  return /^0+$/.test(hex) ? '::' : hex.toLowerCase();
}

/** Who has a port, as far as it may be seen. */
export interface PortOwner extends Omit<BoundSocket, 'inode'> {
  /** Undefined: of another user, and not to be seen without root. */
  readonly holder: { readonly pid: number; readonly name: string } | undefined;
}
