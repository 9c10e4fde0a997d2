/**
 * A rolling upgrade, a downgrade and a build that fits nobody, of two real nodes under load: the short form of
 * `npm run upgrade`, which has 500 exchanges a second, 10,000 clients that renew, and three nodes as well.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROTOCOL } from '../../node/protocol.ts';
import { whyNoClusterWorld } from '../support/cluster-world.ts';
import { formatReport } from './report.ts';
import { Upgrade } from './run.ts';

const why = whyNoClusterWorld();

test('nodes are replaced one at a time, up and down, and no client needs more than one retransmission', why === undefined ? {} : { skip: why }, async (t) => {
  const upgrade = new Upgrade({
    nodes: 2, rate: 100, holders: 300, leaseSeconds: 20, restMs: 500, downwards: ['a'], print: (line) => t.diagnostic(line),
  }, true);
  try {
    const result = await upgrade.run();
    t.diagnostic(formatReport(result));
    assert.deepEqual(result.broken, [], result.report.stories.join('\n'));
    assert.deepEqual(result.versions, [PROTOCOL.max - 1, PROTOCOL.max, PROTOCOL.max - 1]);
    const asked = result.report.buckets.reduce((sum, { exchange, renewal }) => sum + exchange.ended + renewal.ended, 0);
    assert.ok(asked > 1500, `${asked} exchanges and renewals`);
  } catch (error) {
    t.diagnostic(upgrade.logs);
    throw error;
  } finally {
    await upgrade.remove();
  }
});
