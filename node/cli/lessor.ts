#!/usr/bin/env node
/** The entry of the `lessor` command. */
const args = process.argv.slice(2);
// A node's process may begin again here, so that the rest is loaded once.
if (args[0] === 'node') (await import('./early-drop.ts')).dropForNode(args);

const { processOutput } = await import('./output.ts');
const { runCli } = await import('./program.ts');
const exitCode = await runCli(args, processOutput());
// A node that could not start may have left sockets open, which would keep the process.
if (exitCode !== 0) process.exit(exitCode);
