/**
 * `npm run upgrade`: a rolling upgrade and downgrade under load, with two nodes and with three.
 *
 *     --nodes N       only with so many (2 or 3)
 *     --rate N        exchanges a second (500)
 *     --holders N     clients that hold a lease and renew it (10000)
 *     --quick         a shorter form of it, with less load
 */
import { parseArgs } from 'node:util';
import { whyNoClusterWorld } from '../support/cluster-world.ts';
import { formatReport } from './report.ts';
import { Upgrade } from './run.ts';

const { values } = parseArgs({ options: {
  nodes: { type: 'string' }, rate: { type: 'string' }, holders: { type: 'string' }, quick: { type: 'boolean', default: false },
} });
const why = whyNoClusterWorld();
if (why !== undefined) {
  process.stderr.write(`The upgrade cannot run here: ${why}\n`);
  process.exit(2);
}

const sizes = values.nodes === undefined ? [2, 3] as const : [values.nodes === '3' ? 3 : 2] as const;
let worst = 0;
for (const nodes of sizes) {
  const rate = Number(values.rate ?? (values.quick ? 200 : 500));
  const holders = Number(values.holders ?? (values.quick ? 1000 : 10_000));
  process.stdout.write(`\n${nodes} nodes, ${rate} exchanges/s, ${holders} clients that renew\n`);
  const upgrade = new Upgrade({
    nodes, rate, holders, leaseSeconds: values.quick ? 40 : 160, restMs: values.quick ? 2000 : 15_000,
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
