/** `npm run upgrade`: a rolling upgrade and downgrade under load, with two nodes and with three. */
import { testCommand, wholeNumber } from '../support/command.ts';
import { whyNoClusterWorld } from '../support/cluster-world.ts';
import { formatReport } from './report.ts';
import { Upgrade } from './run.ts';

const options = testCommand('npm run upgrade', 'A rolling upgrade and downgrade of real nodes under load, in network namespaces of their own.')
  .option('--nodes <n>', 'only with so many (2 or 3)', wholeNumber(2, 3))
  .option('--rate <n>', 'exchanges a second (500; 200 with --quick)', wholeNumber(1))
  .option('--holders <n>', 'clients that hold a lease and renew it (10000; 1000 with --quick)', wholeNumber(1))
  .option('--quick', 'a shorter form of it, with less load')
  .parse().opts<{ nodes?: 2 | 3; rate?: number; holders?: number; quick?: true }>();
const quick = options.quick === true;
const why = whyNoClusterWorld();
if (why !== undefined) {
  process.stderr.write(`The upgrade cannot run here: ${why}\n`);
  process.exit(2);
}

const sizes = options.nodes === undefined ? [2, 3] as const : [options.nodes];
let worst = 0;
for (const nodes of sizes) {
  const rate = options.rate ?? (quick ? 200 : 500);
  const holders = options.holders ?? (quick ? 1000 : 10_000);
  process.stdout.write(`\n${nodes} nodes, ${rate} exchanges/s, ${holders} clients that renew\n`);
  const upgrade = new Upgrade({
    nodes, rate, holders, leaseSeconds: quick ? 40 : 160, restMs: quick ? 2000 : 15_000,
    print: (line) => process.stdout.write(`  ${line}\n`),
  }, true);
  try {
    const result = await upgrade.run();
    process.stdout.write(formatReport(result));
    if (result.broken.length > 0) worst = 1;
  } catch (error) {
    process.stdout.write(`${String((error as Error).stack)}\n\n${upgrade.logs}\n`);
    worst = 1;
  } finally {
    await upgrade.remove();
  }
}
process.exit(worst);
