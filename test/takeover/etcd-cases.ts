/** etcd fails, in part or as a whole. */
import { LINK_MS } from './bounds.ts';
import type { Noted, TakeoverCase } from './cases.ts';
import { measure, type Measured } from './measuring.ts';
import { LOAD_HOST, type Stage } from './stage.ts';
import { WatchedLoad } from './watched-load.ts';

/** Longer than it takes to elect another one. */
const LEADER_MS = 3500;
const ALL_MS = 600_000;
const ALL_QUICK_MS = 30_000;

async function etcdLeader(stage: Stage): Promise<Measured> {
  await stage.healthy();
  const victim = await stage.etcdLeader();
  return measure(stage, {
    gone: [], lasts: LEADER_MS, strike: () => victim.kill(),
    mend: async () => {
      victim.start();
      await victim.ready();
      await stage.etcdSettled();
    },
  });
}

async function allOfEtcd(stage: Stage, quick: boolean): Promise<Noted> {
  await stage.healthy();
  const { etcd } = stage.world;
  const load = new WatchedLoad(stage.world.host(LOAD_HOST));
  await load.start();
  const measured = await measure(stage, {
    gone: [], lasts: quick ? ALL_QUICK_MS : ALL_MS, everyMs: quick ? 50 : 200, alsoAcknowledged: () => load.acknowledged,
    strike: async () => {
      await Promise.all(etcd.map((member) => member.kill()));
    },
    mend: async () => {
      for (const member of etcd) member.start();
      await Promise.all(etcd.map((member) => member.ready()));
      await stage.etcdSettled();
    },
  });
  const { sent, drops } = await load.stop();
  return { ...measured, notes: [`under a load of ${load.description}: ${drops} of ${sent} packets got no answer, ${load.acknowledged.size} leases`] };
}

export const etcdCases: readonly TakeoverCase[] = [
  { name: 'etcd-leader', title: 'kill -9 of the leader of etcd', promiseMs: LINK_MS, run: (stage) => etcdLeader(stage) },
  { name: 'etcd', title: 'kill -9 of all of etcd for ten minutes, under load', promiseMs: LINK_MS, run: (stage, { quick }) => allOfEtcd(stage, quick) },
];
