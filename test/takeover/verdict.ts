/** Whether the nodes know what the clients were told. */
import type { LeaseView } from '../../node/admin/lease-view.ts';
import { sleep } from '../../deploy/lab/processes.ts';
import type { Acknowledged } from './askers.ts';

interface Asked {
  readonly name: string;
  fetch(path: string): Promise<string>;
}

/** What a node has not stored yet, while its link is down, it takes from etcd in the next moment. */
const SETTLE_MS = 5000;
const PAUSE_MS = 200;
/** The clients' clock is not read in whole seconds, as the nodes' is. */
const ROUNDING_MS = 1000;
const ETHERNET = '01';

/** Leases that a node does not have as ACTIVE for their client and at least as long, in words. */
function missingOn(node: string, leases: ReadonlyMap<string, LeaseView>, acknowledged: ReadonlyMap<string, Acknowledged>): string[] {
  const now = performance.timeOrigin + performance.now();
  return [...acknowledged].flatMap(([client, { address, until }]) => {
    if (until <= now) return [];
    const lease = leases.get(address);
    if (lease === undefined) return [`${node} does not know ${address} of ${client}`];
    if (lease.state !== 'ACTIVE' || lease.client !== ETHERNET + client) return [`${node} has ${address} of ${client} as ${lease.state} of ${lease.client}`];
    return Date.parse(lease.expires) + ROUNDING_MS < until ? [`${node} has ${address} of ${client} until ${lease.expires}, the client until ${new Date(until).toISOString()}`] : [];
  });
}

async function leasesOf(node: Asked): Promise<Map<string, LeaseView>> {
  const text = await node.fetch('/v1/leases');
  return new Map(text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as LeaseView).map((lease) => [lease.address, lease]));
}

/** Empty: every one of the nodes has everything that the clients were told. */
export async function missing(nodes: readonly Asked[], acknowledged: ReadonlyMap<string, Acknowledged>): Promise<string[]> {
  const end = performance.now() + SETTLE_MS;
  for (;;) {
    const found = (await Promise.all(nodes.map(async (node) => missingOn(node.name, await leasesOf(node), acknowledged)))).flat();
    if (found.length === 0 || performance.now() > end) return found;
    await sleep(PAUSE_MS);
  }
}
