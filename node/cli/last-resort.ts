/** `lessor recover` and `lessor partner-down`: what only a person can know, told to the node on this host. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { OperatorAnswer } from '../admin/operator.ts';
import { loadNodeConfig } from '../config/load.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { DEFAULT_NODE_CONFIG, whoAmI } from './cluster-store.ts';
import { confirm, terminal } from './confirm.ts';
import type { Terminal } from './confirm.ts';
import { ControlClient } from './control-client.ts';
import type { CliOutput } from './output.ts';
import { Progress } from './progress.ts';
import { printable } from './table.ts';

const OUTCOME_MS_MAX = 15_000;
const POLL_MS = 200;

interface Options {
  readonly config: string;
}

export function addLastResortCommands(program: Command, output: CliOutput, asked: Terminal = terminal): void {
  addConfigOption(program.command('recover'))
    .description('where no node goes on by itself: begin a new generation with what the node on this host has')
    .option('--force', 'do it; without it, it is only said what would happen and what may be lost')
    .action(async ({ config, force = false }: Options & { force?: boolean }) => {
      const control = new ControlClient(loadNodeConfig(config).dataDir);
      const answer = await control.command('recover', { force, by: whoAmI() });
      await tell(answer, output);
      if (force) await outcome(control, output);
    });
  addConfigOption(program.command('partner-down'))
    .description('on an ISOLATED node: tell it that another one is switched off, so that it serves without it')
    .argument('<node...>', 'the one that is switched off, or all that are')
    .option('--yes', 'do not ask again')
    .action(async (nodes: string[], { config, yes = false }: Options & { yes?: boolean }) => {
      const control = new ControlClient(loadNodeConfig(config).dataDir);
      if (!yes) {
        output.err(`What is switched off must stay off until etcd has the new generation (lessor status says so): if it runs, ` +
          'both give out the same addresses, and what it grants is lost.\n');
        for (const node of nodes) await confirm(asked, `Type the name of a node that is switched off (${nodes.join(', ')}): `, node);
      }
      // The node puts them together: as long as one is missing it refuses, and changes nothing.
      const answers: OperatorAnswer[] = [];
      for (const node of nodes) answers.push(await control.command('partner-down', { node, by: whoAmI() }));
      await tell(answers.find(({ ok }) => ok) ?? answers.at(-1)!, output);
      await outcome(control, output);
    });
}

function addConfigOption(command: Command): Command {
  return command.option('--config <file>', 'the configuration of the node on this host (node.yaml), which names its data folder', DEFAULT_NODE_CONFIG);
}

async function tell({ ok, text }: OperatorAnswer, output: CliOutput): Promise<void> {
  if (!ok) throw new CliError(ExitCode.no, `refused: ${printableLines(text)}`);
  await output.out(`${printableLines(text)}\n`);
}

/** What came of it, once that is known. */
async function outcome(control: ControlClient, output: CliOutput): Promise<void> {
  const progress = new Progress();
  try {
    await waitForOutcome(control, output, progress);
  } finally {
    progress.clear();
  }
}

async function waitForOutcome(control: ControlClient, output: CliOutput, progress: Progress): Promise<void> {
  const until = performance.now() + OUTCOME_MS_MAX;
  for (;;) {
    const { node, operator, state, view } = await control.status();
    if (operator?.state === 'refused') throw new CliError(ExitCode.no, printableLines(operator.text));
    progress.show(() => `waiting: ${operator === null ? 'nothing is known of it yet' : printable(operator.text)}`);
    if (operator?.state === 'done') {
      progress.clear();
      await output.out(`${printableLines(operator.text)}; ${node} is ${state} in epoch ${view?.epoch ?? 0}\n`);
      return;
    }
    if (performance.now() >= until) {
      throw new CliError(ExitCode.no, `${operator === null ? 'nothing is known of it' : printableLines(operator.text)}, still after ${OUTCOME_MS_MAX / 1000} s. lessor status shows how it goes on`);
    }
    await sleep(POLL_MS);
  }
}

function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}
