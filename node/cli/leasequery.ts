/** `lessor leasequery`: asks any server of RFC 4388, RFC 6926 and RFC 7724 about its bindings, not only this project's. */
import type { Command } from 'commander';
import { addActiveCommand } from './leasequery-active.ts';
import { addBulkCommand } from './leasequery-bulk.ts';
import { addSingleCommand } from './leasequery-single.ts';
import type { CliOutput } from './output.ts';

export function addLeasequeryCommand(program: Command, output: CliOutput): void {
  const leasequery = program.command('leasequery').description('ask any DHCP server for its bindings, with LEASEQUERY');
  addSingleCommand(leasequery, output);
  addBulkCommand(leasequery, output);
  addActiveCommand(leasequery, output);
}
