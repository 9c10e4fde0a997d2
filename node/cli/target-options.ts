/** The options by which a command finds the node that it asks. */
import { Option, type Command } from 'commander';
import { DEFAULT_URL } from './node-client.ts';

export function addTargetOptions(command: Command): Command {
  return command
    .addOption(new Option('--url <url>', `the node's HTTP port (default: ${DEFAULT_URL})`).conflicts('config'))
    .option('--config <file>', 'the node\'s configuration, which names its HTTP port');
}
