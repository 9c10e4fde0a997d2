/** A node's process or host fails. */
import { sleep } from '../../deploy/lab/processes.ts';
import { nodeAddress } from '../support/cluster-world.ts';
import { CRASH_MS, LINK_MS, SILENT_AND_ETCD_MS, SILENT_MS } from './bounds.ts';
import type { Noted, TakeoverCase } from './cases.ts';
import { measure, type Measured } from './measuring.ts';
import type { Stage } from './stage.ts';

const ORDINARY_MS_MAX = 6000;

/** The note on a client that asks again after 4 s as most do; it began with the fault. */
function ordinaryNote(stage: Stage, hardware: string): string {
  const served = stage.askers.events.findLast((event) => event.event === 'served' && event.client === hardware);
  if (served?.event !== 'served') return 'an ordinary client that begins with the fault and asks again after 4 s is not served yet';
  return `an ordinary client that begins with the fault and asks again after 4 s is served after ${(served.at - served.beganAt).toFixed(0)} ms, by its packet ${served.packets}`;
}

async function killAndReturn(stage: Stage, which: 'leader' | 'follower', number: number): Promise<Noted> {
  await stage.healthy();
  const victim = await stage[which]();
  const hardware = stage.hardwareOf(victim, number);
  const measured = await measure(stage, {
    gone: [victim], lastsMs: 1500,
    strike: () => {
      stage.askers.do({ do: 'ordinary', hardware });
      return victim.kill();
    },
    mend: () => victim.start(),
  });
  return { ...measured, notes: [ordinaryNote(stage, hardware)] };
}

async function silentHost(stage: Stage, withEtcdLeader: boolean): Promise<Noted> {
  await stage.healthy();
  const victim = await stage.leader();
  const hosts = [victim.name, ...withEtcdLeader ? [(await stage.etcdLeader()).name] : []];
  const hardware = stage.hardwareOf(victim, withEtcdLeader ? 12 : 11);
  const measured = await measure(stage, {
    gone: [victim], lastsMs: withEtcdLeader ? 8000 : ORDINARY_MS_MAX,
    strike: async () => {
      stage.askers.do({ do: 'ordinary', hardware });
      if (withEtcdLeader) await stage.silence(hosts);
      else stage.world.lan.cut(victim.host, 'unplugged');
    },
    mend: async () => {
      if (withEtcdLeader) await stage.world.links.restoreAll();
      else stage.world.lan.restore(victim.host);
    },
  });
  return { ...measured, notes: [ordinaryNote(stage, hardware)] };
}

async function pausedOwner(stage: Stage, quick: boolean): Promise<Measured> {
  await stage.healthy();
  const victim = await stage.leader();
  const measured = await measure(stage, {
    gone: [victim], lastsMs: quick ? 8000 : 20_000, strike: () => victim.pause(), mend: () => victim.resume(),
  });
  const stale = stage.askers.events.filter((event) => event.event === 'late' && event.serverId === nodeAddress(victim.name) &&
    event.at >= measured.mendedAt && event.sentAt < measured.mendedAt);
  return {
    ...measured,
    broken: [...measured.broken, ...stale.length === 0 ? [] : [`${victim.name} answered ${stale.length} packets from before it went on`]],
  };
}

async function quietNetwork(stage: Stage): Promise<Measured> {
  await stage.healthy();
  const victim = await stage.leader();
  const hardware = stage.hardwareOf(victim, 13);
  // Nothing else moves: what was under way is over.
  await sleep(500);
  return measure(stage, {
    gone: [victim], lastsMs: 0, alone: () => stage.askers.do({ do: 'secs-zero', hardware }),
    strike: () => stage.world.lan.cut(victim.host, 'unplugged'), mend: () => stage.world.lan.restore(victim.host),
  });
}

async function hotStandby(stage: Stage): Promise<Noted> {
  const [active, ...others] = stage.world.nodes;
  const even = Object.fromEntries(stage.world.nodes.map(({ name }) => [name, 1]));
  await stage.setWeights({ ...even, ...Object.fromEntries(others.map(({ name }) => [name, 0])) });
  const standby = others.at(-1)!;
  const measured = await measure(stage, { gone: [standby], lastsMs: 1500, strike: () => standby.kill(), mend: () => standby.start() });
  await stage.setWeights(even);
  return { ...measured, notes: [`${active!.name} serves everybody before and after`] };
}

export const nodeCases: readonly TakeoverCase[] = [
  {
    name: 'crash', title: 'kill -9 of a node that does not lead', promiseMs: CRASH_MS, othersMs: LINK_MS,
    run: (stage) => killAndReturn(stage, 'follower', 9),
  },
  {
    name: 'leader', title: 'kill -9 of the node that holds the election key', promiseMs: CRASH_MS, othersMs: LINK_MS,
    run: (stage) => killAndReturn(stage, 'leader', 10),
  },
  {
    name: 'standby', title: 'kill -9 of a hot standby (weights 1 and 0)', promiseMs: LINK_MS, othersMs: LINK_MS,
    run: (stage) => hotStandby(stage),
  },
  {
    name: 'silent-host', title: "the leading node's cable is pulled", promiseMs: SILENT_MS, othersMs: LINK_MS,
    run: (stage) => silentHost(stage, false),
  },
  {
    name: 'silent-etcd', title: 'the same, and the host has the leader of etcd on it', promiseMs: SILENT_AND_ETCD_MS,
    run: (stage) => silentHost(stage, true),
  },
  {
    name: 'paused', title: 'the leading node stands still, and goes on (SIGSTOP, SIGCONT)', promiseMs: SILENT_MS, othersMs: LINK_MS,
    run: (stage, { quick }) => pausedOwner(stage, quick),
  },
  {
    name: 'quiet', title: "one client alone that sends secs 0, its server's cable is pulled", promiseMs: SILENT_MS,
    run: (stage) => quietNetwork(stage),
  },
];
