/** Asks a segment for DHCP servers, as a client without an address does. Needs CAP_NET_RAW. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatHardware } from '../../codec/address.ts';
import { InterfaceControl } from '../../io/libc.ts';
import { Ipv4Socket } from '../../io/raw-sockets.ts';
import type { OffersHeard, OfferSeen } from '../cluster-checks.ts';
import { discoverPacket, offerIn } from '../discover.ts';

/** Some servers ask for a second whether the address is in use before they offer it. */
const WAIT_MS = 3000;
/** In case the first one was lost. */
const AGAIN_MS = 1000;
const POLL_MS = 20;
const ETHERNET = 1;

export async function hearOffers(interfaceNames: readonly string[]): Promise<OffersHeard> {
  const control = new InterfaceControl();
  try {
    const heard = await Promise.all(interfaceNames.map((name) => askOn(name, control)));
    return {
      asked: heard.filter(({ error }) => error === '').map(({ interfaceName }) => interfaceName),
      failed: heard.filter(({ error }) => error !== ''),
      offers: heard.flatMap(({ offers }) => offers), waitedMs: WAIT_MS,
    };
  } finally {
    control.close();
  }
}

async function askOn(interfaceName: string, control: InterfaceControl): Promise<{ interfaceName: string; error: string; offers: OfferSeen[] }> {
  const index = control.indexOf(interfaceName);
  const hardware = control.ethernetAddressOf(interfaceName);
  if (index === undefined || hardware === undefined) return { interfaceName, error: index === undefined ? 'there is no such interface' : 'it is no Ethernet', offers: [] };
  const offers: OfferSeen[] = [];
  let socket: Ipv4Socket | undefined;
  try {
    socket = new Ipv4Socket(index);
    const xid = randomBytes(4).readUInt32BE();
    const packet = discoverPacket(hardware, xid);
    const began = performance.now();
    let sent = 0;
    while (performance.now() - began < WAIT_MS) {
      if (performance.now() - began >= sent * AGAIN_MS && sent < 2) {
        if (!socket.broadcast(packet)) return { interfaceName, error: 'the kernel does not send on it: it is down', offers };
        sent++;
      }
      for (let came = socket.receiveFrom(); came !== undefined; came = socket.receiveFrom()) {
        const offer = offerIn(came.packet, xid);
        if (offer !== undefined) offers.push({ interfaceName, ...offer, hardware: formatHardware({ htype: ETHERNET, chaddr: came.hardware }) });
      }
      await sleep(POLL_MS);
    }
    return { interfaceName, error: '', offers };
  } catch (error) {
    return { interfaceName, error: `no servers can be asked for on it: ${(error as Error).message} (as root they can)`, offers };
  } finally {
    socket?.close();
  }
}
