/**
 * `npm start`: two nodes, etcd, real clients and a steady load on a network of their own, with a live
 * view; `--check` goes through a script of steps instead. However it ends, all is removed.
 */
import { parseArgs } from 'node:util';
import { Check } from './check.ts';
import { LabCluster, NODE_NAMES } from './lab-cluster.ts';
import { LiveLab } from './live-lab.ts';
import { whyNoNetwork } from './netns.ts';
import { missingPrograms } from './programs.ts';

const USAGE = `Usage: npm start [-- OPTIONS]

Starts two nodes, etcd, DHCP clients and a load in network namespaces of their own, and shows how they
fare. Nothing outside of the namespaces is touched; all is removed at the end.

  --check   no terminal: a script of steps (lease, renew, release, kill, return, drain), one line each;
            exit code 0 if all hold, else 1
  --help    this text
`;

/** sysexits are of no use to people: 2 wrong usage, 3 this machine cannot, 128 + n ended by signal n. */
const EXIT = { usage: 2, cannot: 3, SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const PARENT_POLL_MS = 200;
/** The check itself takes half of it. */
const CHECK_MS_MAX = 150_000;

/** Undefined, and the reason is printed, if they are wrong. */
function readArguments(): { check: boolean; help: boolean } | undefined {
  try {
    const { values } = parseArgs({ options: { check: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } });
    return { check: values.check === true, help: values.help === true };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return undefined;
  }
}

/** Why the lab cannot run here. */
function whyImpossible(): string | undefined {
  const missing = missingPrograms(['ip', 'etcd', 'perfdhcp', 'udhcpc', 'dhclient']);
  return whyNoNetwork() ?? (missing.length > 0 ? `programs are missing: ${missing.join(', ')} (run deploy/lab/install.sh lab)` : undefined);
}

/** Resolves with the signal that asks for the end. */
function endSignal(): Promise<'SIGINT' | 'SIGTERM' | 'SIGHUP'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
    // npm passes a signal on to its shell, which ends and tells nobody.
    if (process.env['npm_lifecycle_event'] === undefined) return;
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) resolve('SIGTERM');
    }, PARENT_POLL_MS).unref();
  });
}

function timeLimit(): Promise<never> {
  return new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error(`the check is not at its end after ${CHECK_MS_MAX / 1000} s`)), CHECK_MS_MAX).unref();
  });
}

/** Returns the exit code. Silent once the lab is being removed. */
async function runCheck(lab: LabCluster, removing: AbortSignal): Promise<number> {
  const began = performance.now();
  const print = (line: string): void => {
    if (!removing.aborted) process.stdout.write(`${line}\n`);
  };
  print('Two nodes (a and b), etcd and DHCP clients, each on a host of its own, joined by a bridge.');
  const check = new Check(lab, print);
  try {
    await Promise.race([check.run(), timeLimit()]);
    print(`All steps held, in ${((performance.now() - began) / 1000).toFixed(0)} s. ${check.summary}`);
    return 0;
  } catch (error) {
    print(`\n${error instanceof Error ? error.message : String(error)}`);
    for (const name of NODE_NAMES) print(`\nThe last log lines of node ${name}:\n${lab.nodes[name].lastLines}`);
    return 1;
  }
}

async function main(): Promise<number> {
  const options = readArguments();
  if (options === undefined) return EXIT.usage;
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const why = whyImpossible();
  if (why !== undefined) {
    process.stderr.write(`The lab cannot run here: ${why}\n`);
    return EXIT.cannot;
  }
  // A terminal that is gone takes no more output; the signal that comes with it ends the lab.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const ended = endSignal();
  const lab = new LabCluster();
  const removing = new AbortController();
  const crashed = new Promise<never>((_resolve, reject) => process.on('uncaughtException', reject));
  try {
    const work = options.check ? runCheck(lab, removing.signal) : new LiveLab(lab).run();
    const result = await Promise.race([work, ended, crashed]);
    if (typeof result === 'number') return result;
    process.stderr.write(`Ended by ${result}: stopping and removing everything.\n`);
    return EXIT[result];
  } finally {
    removing.abort();
    await lab.remove();
  }
}

let signalled: keyof typeof EXIT | undefined;
void endSignal().then((signal) => {
  signalled = signal;
});
try {
  process.exitCode = await main();
} catch (error) {
  // A Ctrl-C also ends what this process was just running: the failure is only its consequence.
  await new Promise((resolve) => setTimeout(resolve, 50));
  if (signalled === undefined) process.stderr.write(`The lab failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = signalled === undefined ? 1 : EXIT[signalled];
}
process.exit();
