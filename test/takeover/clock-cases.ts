/** The wall clock of one node is wrong. */
import { waitUntil } from '../../deploy/lab/processes.ts';
import { CUT } from '../support/link-faults.ts';
import { CRASH_MS, LINK_MS, SILENT_MS } from './bounds.ts';
import type { TakeoverCase } from './cases.ts';
import { measure, type Measured } from './measuring.ts';
import type { Stage } from './stage.ts';

const OFF_SECONDS = 120;
const STEP_MS_MAX = 5000;
const LINK_DOWN_MS_MAX = 5000;
const START_MS_MAX = 15_000;
const LASTS_MS = 3000;

/** `unlinked`: its links to the other nodes are cut before that, so nobody can compare. */
async function stepsWhileRunning(stage: Stage, { unlinked }: { readonly unlinked: boolean }): Promise<Measured> {
  await stage.healthy();
  const victim = await stage.leader();
  return measure(stage, {
    gone: [victim], lasts: LASTS_MS,
    strike: async () => {
      if (unlinked) {
        await stage.world.links.setBoth([victim.host], stage.except(victim).map(({ host }) => host), CUT);
        await waitUntil(`the links of ${victim.name} to be down`, LINK_DOWN_MS_MAX,
          async () => ((await victim.status())?.state === 'COMMUNICATIONS-INTERRUPTED' ? true : undefined));
      }
      const steps = (): number => victim.lastLines.split('clock.stepped').length;
      const before = steps();
      victim.setClock(OFF_SECONDS);
      await waitUntil(`the clock of ${victim.name} to step`, STEP_MS_MAX, () => (steps() > before ? true : undefined));
    },
    mend: async () => {
      victim.setClock(0);
      await stage.world.links.restoreAll();
    },
  });
}

async function startsWrong(stage: Stage): Promise<Measured> {
  await stage.healthy();
  const victim = await stage.leader();
  await victim.kill();
  victim.setClock(OFF_SECONDS);
  return measure(stage, {
    gone: [victim], wereGone: true, lasts: LASTS_MS,
    strike: async () => {
      victim.start();
      await waitUntil(`${victim.name} to start`, START_MS_MAX, async () => ((await victim.status()) === undefined ? undefined : true));
    },
    check: async () => {
      const statuses = await Promise.all(stage.except(victim).map((node) => node.status()));
      return statuses.some((status) => status?.view?.members.some(({ node }) => node === victim.name)) ? [`${victim.name} was let in`] : [];
    },
    mend: () => victim.setClock(0),
  });
}

export const clockCases: readonly TakeoverCase[] = [
  {
    name: 'clock-steps', title: `the leading node's clock steps by ${OFF_SECONDS} s`, promiseMs: CRASH_MS, othersMs: LINK_MS,
    run: (stage) => stepsWhileRunning(stage, { unlinked: false }),
  },
  {
    name: 'clock-steps-unlinked', title: `the leading node's clock steps by ${OFF_SECONDS} s while its link is cut`, promiseMs: SILENT_MS, othersMs: LINK_MS,
    run: (stage) => stepsWhileRunning(stage, { unlinked: true }),
  },
  {
    name: 'clock-start', title: `a node starts whose clock is ${OFF_SECONDS} s off`, promiseMs: LINK_MS, othersMs: LINK_MS,
    run: (stage) => startsWrong(stage),
  },
];
