/** What clients, or somebody in their name, send at the wrong moment. */
import { formatIpv4 } from '../../../node/codec/address.ts';
import { MessageType } from '../../../node/codec/message.ts';
import { recordLastTransaction } from '../../../node/lease/record.ts';
import { chaddrOf, clientPacket } from '../../support/client-packets.ts';
import type { SimClient } from '../client.ts';
import { WALL_EPOCH_MS } from '../config.ts';
import type { SimNode } from '../node.ts';
import type { World } from '../world.ts';
import { inOrder } from './schemes.ts';
import { nameOf } from './strike.ts';
import type { FaultKind, Strike } from './strike.ts';

const CLIENT_PORT = 68;
/** A hardware address that no machine has. */
const STRANGER = chaddrOf(999_999);
/** A release so soon after the last transaction may have been overtaken by it (ARCHITECTURE.md, Late releases). */
const OVERTAKEN_MS = 30_000;

/** Machines that hold a lease for at least so long, and would renew it by themselves only later. */
function bound({ now, population }: World, leftMs: number): SimClient[] {
  return population.clients.filter((client) => client.state === 'bound' && !client.asleep && !client.traits.bootp && client.leaseEnds - now > leftMs);
}

function recordAt(node: SimNode, address: number): Buffer | undefined {
  return node.table?.read(address);
}

/** The member that owns the address. */
function ownerOf({ nodes }: World, address: number): SimNode | undefined {
  return nodes.find((node) => node.engine?.core.owns(address & 255) === true);
}

/** Its release is held up in the network, and it begins anew at once. */
function releaseAndReturn(strike: Strike, client: SimClient, late: boolean, backMs: number): void {
  const { clientPath, agenda } = strike.world;
  strike.world.log(`client ${client.id} releases ${formatIpv4(client.address)} and comes back`);
  const before = clientPath.late;
  if (late) clientPath.late = 1;
  client.release();
  clientPath.late = before;
  agenda.after(backMs, () => {
    if (client.state === 'off') client.boot();
  });
}

export const CLIENT_FAULTS = {
  // In somebody else's name, or in his own for an address that is not his.
  'release-forged': { weight: 1, shows: ['release-forged-done'], strike: (strike) => {
    const { node, random, world } = strike;
    const victims = bound(world, 60_000);
    if (victims.length === 0 || !node.alive) return false;
    const victim = random.pick(victims);
    const inHisName = random.chance(0.5);
    const clientId = inHisName && victim.keys.length > 1 ? { clientId: victim.keys[0]! } : {};
    const bytes = clientPacket(MessageType.RELEASE, {
      chaddr: inHisName ? victim.chaddr : STRANGER, ...clientId, ciaddr: victim.address, serverIdentifier: node.address, xid: random.u32(),
    });
    // Without his address nothing can be sent from it.
    const from = inHisName ? victim.address + 1 : victim.address;
    world.clientPath.carry(node, 'in', () => node.receivePacket(Buffer.from(bytes), { address: from, port: CLIENT_PORT, unicast: true }));
    strike.count('release-forged-done');
    return true;
  } },
  'release-late': { weight: 2, shows: ['release-late-done'], strike: (strike) => {
    const { random, world } = strike;
    const clients = bound(world, 50_000);
    if (clients.length === 0) return false;
    for (const client of clients) if (random.chance(0.5)) releaseAndReturn(strike, client, true, random.between(50, 3000));
    strike.count('release-late-done');
    return true;
  } },
  // Whoever got it is not the owner, and what it proposes to the owner takes longer than the client takes to come back.
  'release-proposed-late': { weight: 2, nodes: 2, clustered: true, shows: ['release-proposed-late-done'], strike: (strike) => {
    const { node, random, world } = strike;
    if (!inOrder(strike) || world.etcdPath.down) return false;
    const old = bound(world, 50_000).filter((client) => {
      const record = recordAt(node, client.address);
      const since = record === undefined ? 0 : world.now - (recordLastTransaction(record) * 1000 - WALL_EPOCH_MS);
      return client.server === node.address && since > OVERTAKEN_MS + 5000 && ownerOf(world, client.address) !== node;
    });
    if (old.length === 0) return false;
    const ms = random.between(1500, 3000);
    for (const each of world.nodes) if (each !== node) strike.cut(node, each, true, ms);
    const { etcdPath } = world;
    const meddle: typeof etcdPath.meddle = (from, request) =>
      (from === node && nameOf({ kind: 'etcd', request }) === 'put-inbox' ? { delayMs: random.between(400, 1400) } : undefined);
    etcdPath.meddle = meddle;
    strike.lasts(ms, () => {
      if (etcdPath.meddle === meddle) etcdPath.meddle = undefined;
    });
    strike.later(random.between(300, 600), () => {
      strike.count('release-proposed-late-done');
      for (const client of old) if (client.state === 'bound') releaseAndReturn(strike, client, false, random.between(5, 100));
    });
    return true;
  } },
} as const satisfies Record<string, FaultKind>;
