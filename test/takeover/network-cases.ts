/** The link between two nodes fails, while both see etcd and the clients. */
import { LINK_MS } from './bounds.ts';
import type { TakeoverCase } from './cases.ts';
import { measure, type Measured } from './measuring.ts';
import type { Stage } from './stage.ts';

const LASTS_MS = 2500;

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
];
