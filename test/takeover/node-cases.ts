/** A node's process or host fails. */
import { sleep } from '../../deploy/lab/processes.ts';
import type { ClusterNode } from '../support/cluster-node.ts';
import { nodeAddress } from '../support/cluster-world.ts';
import { CRASH_MS, LINK_MS, SILENT_AND_ETCD_MS, SILENT_MS } from './bounds.ts';
import type { CaseOptions, Noted, TakeoverCase } from './cases.ts';
import { measure, type Measured } from './measuring.ts';
import type { Stage } from './stage.ts';

const PAUSED_MS = 20_000;

/** Most clients ask again after 4 s. One begins right after the fault; a quick run does without, as it takes so long. */
class OrdinaryClient {
  readonly #stage: Stage;
  readonly #hardware: string;
  readonly #quick: boolean;

  constructor(stage: Stage, victim: ClusterNode, number: number, quick: boolean) {
    this.#stage = stage;
    this.#hardware = stage.hardwareOf(victim, number);
    this.#quick = quick;
  }

  begin(): void {
    if (!this.#quick) this.#stage.askers.do({ do: 'ordinary', hardware: this.#hardware });
  }

  notes(): string[] {
    const served = this.#stage.askers.events.findLast((event) => event.event === 'served' && event.client === this.#hardware);
    if (served?.event !== 'served') return [];
    return [`an ordinary client that begins right after the fault, and asks again after about 4 s, has a lease after ${(served.at - served.beganAt).toFixed(0)} ms`];
  }
}

async function killAndReturn(stage: Stage, which: 'leader' | 'follower', number: number, { quick }: CaseOptions): Promise<Noted> {
  await stage.healthy();
  const victim = await stage[which]();
  const ordinary = new OrdinaryClient(stage, victim, number, quick);
  const measured = await measure(stage, {
    gone: [victim], lasts: () => stage.takenOver(victim),
    strike: async () => {
      await victim.kill();
      ordinary.begin();
    },
    mend: () => victim.start(),
  });
  return { ...measured, notes: ordinary.notes() };
}

async function silentHost(stage: Stage, withEtcdLeader: boolean, { quick }: CaseOptions): Promise<Noted> {
  await stage.healthy();
  const victim = await stage.leader();
  const ordinary = new OrdinaryClient(stage, victim, withEtcdLeader ? 12 : 11, quick);
  const hosts = [victim.name, ...withEtcdLeader ? [(await stage.etcdLeader()).name] : []];
  const measured = await measure(stage, {
    gone: [victim], lasts: () => stage.takenOver(victim),
    strike: async () => {
      if (withEtcdLeader) await stage.silence(hosts);
      else stage.world.lan.cut(victim.host, 'unplugged');
      ordinary.begin();
    },
    mend: async () => {
      if (withEtcdLeader) {
        await stage.world.links.restoreAll();
        await stage.etcdSettled();
      } else stage.world.lan.restore(victim.host);
    },
  });
  return { ...measured, notes: ordinary.notes() };
}

async function pausedOwner(stage: Stage, { quick }: CaseOptions): Promise<Measured> {
  await stage.healthy();
  const victim = await stage.leader();
  const measured = await measure(stage, {
    gone: [victim], lasts: quick ? () => stage.takenOver(victim) : PAUSED_MS, strike: () => victim.pause(), mend: () => victim.resume(),
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
    gone: [victim], lasts: () => stage.takenOver(victim), alone: () => stage.askers.do({ do: 'secs-zero', hardware }),
    strike: () => stage.world.lan.cut(victim.host, 'unplugged'), mend: () => stage.world.lan.restore(victim.host),
  });
}

/** The weights stay so: it is the last case. */
async function hotStandby(stage: Stage): Promise<Measured> {
  await stage.setWeights(Object.fromEntries(stage.world.nodes.map(({ name }, i) => [name, i === 0 ? 1 : 0])));
  const standby = stage.world.nodes.at(-1)!;
  return measure(stage, { gone: [standby], lasts: () => stage.takenOver(standby), strike: () => standby.kill(), mend: () => standby.start() });
}

export const nodeCases: readonly TakeoverCase[] = [
  {
    name: 'crash', title: 'kill -9 of a node that does not lead', promiseMs: CRASH_MS, othersMs: LINK_MS,
    run: (stage, options) => killAndReturn(stage, 'follower', 9, options),
  },
  {
    name: 'leader', title: 'kill -9 of the node that holds the election key', promiseMs: CRASH_MS, othersMs: LINK_MS,
    run: (stage, options) => killAndReturn(stage, 'leader', 10, options),
  },
  {
    name: 'silent-host', title: "the leading node's cable is pulled", promiseMs: SILENT_MS, othersMs: LINK_MS,
    run: (stage, options) => silentHost(stage, false, options),
  },
  {
    name: 'silent-etcd', title: 'the same, and the host has the leader of etcd on it', promiseMs: SILENT_AND_ETCD_MS,
    run: (stage, options) => silentHost(stage, true, options),
  },
  {
    name: 'paused', title: 'the leading node stands still, and goes on (SIGSTOP, SIGCONT)', promiseMs: SILENT_MS, othersMs: LINK_MS,
    run: (stage, options) => pausedOwner(stage, options),
  },
  {
    name: 'quiet', title: "one client alone that sends secs 0, its server's cable is pulled", promiseMs: SILENT_MS,
    run: (stage) => quietNetwork(stage),
  },
];

export const standbyCase: TakeoverCase = {
  name: 'standby', title: 'kill -9 of a hot standby (weights 1 and 0)', promiseMs: LINK_MS, othersMs: LINK_MS,
  run: (stage) => hotStandby(stage),
};
