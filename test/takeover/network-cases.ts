/** A link fails: between two nodes, while both see etcd and the clients, or between a node and the clients. */
import { CUT } from '../support/link-faults.ts';
import { DEAF_MS, LINK_MS } from './bounds.ts';
import type { TakeoverCase } from './cases.ts';
import { measure, type Measured } from './measuring.ts';
import { CLIENTS_HOST, type Stage } from './stage.ts';

const LASTS_MS = 2500;
const DEAF_LASTS_MS = 1000;

/** `ways`: which of the two is not heard any more by the other. */
async function cutLink(stage: Stage, ways: readonly ('leader' | 'follower')[]): Promise<Measured> {
  await stage.healthy();
  const hosts = { leader: (await stage.leader()).host, follower: (await stage.follower()).host };
  return measure(stage, {
    gone: [], lasts: LASTS_MS,
    strike: async () => {
      await Promise.all(ways.map((from) => stage.world.links.cut([hosts[from]], [hosts[from === 'leader' ? 'follower' : 'leader']])));
    },
    mend: () => stage.world.links.restoreAll(),
  });
}

async function deafNode(stage: Stage): Promise<Measured> {
  await stage.healthy();
  const victim = await stage.leader();
  return measure(stage, {
    gone: [], deaf: [victim], lasts: DEAF_LASTS_MS,
    strike: () => stage.world.links.setBoth([victim.host], [stage.world.host(CLIENTS_HOST)], CUT), mend: () => stage.world.links.restoreAll(),
  });
}

export const networkCases: readonly TakeoverCase[] = [
  {
    name: 'link-cut', title: 'the link between two nodes is cut', promiseMs: LINK_MS,
    run: (stage) => cutLink(stage, ['leader', 'follower']),
  },
  {
    name: 'one-way-leader', title: 'the other node does not hear the leading one', promiseMs: LINK_MS,
    run: (stage) => cutLink(stage, ['leader']),
  },
  {
    name: 'one-way-follower', title: 'the leading node does not hear the other one', promiseMs: LINK_MS,
    run: (stage) => cutLink(stage, ['follower']),
  },
  {
    name: 'deaf', title: 'the leading node does not hear the clients, and is well otherwise', promiseMs: DEAF_MS, othersMs: LINK_MS,
    run: (stage) => deafNode(stage),
  },
];
