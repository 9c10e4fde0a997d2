#!/usr/bin/env node
/** The entry of the `lessor` command. */
import { processOutput } from './output.ts';
import { runCli } from './program.ts';

const exitCode = await runCli(process.argv.slice(2), processOutput());
// A node that could not start may have left sockets open, which would keep the process.
if (exitCode !== 0) process.exit(exitCode);
