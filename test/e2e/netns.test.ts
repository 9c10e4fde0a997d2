import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Network, sweepLeftovers, whyNoNetwork } from '../../deploy/lab/netns.ts';
import { LabProcess, waitUntil } from '../../deploy/lab/processes.ts';

const why = whyNoNetwork();
const needsNetwork = why === undefined ? {} : { skip: why };

function namespacesOf(prefix: string): string[] {
  return readdirSync('/run/netns').filter((name) => name.startsWith(prefix));
}

function gone(pid: number): true | undefined {
  // A process that nobody has waited for yet is gone all the same.
  try {
    process.kill(pid, 0);
    return existsSync(`/proc/${pid}/exe`) ? undefined : true;
  } catch {
    return true;
  }
}

/** A process that makes a network with a process in it, prints the prefix and that process's id, and waits. */
function makeNetworkElsewhere(ending: string): LabProcess {
  const script = `
    import { Network } from ${JSON.stringify(join(import.meta.dirname, '../../deploy/lab/netns.ts'))};
    const net = new Network();
    net.createSegment('lan', { hosts: [{ name: 'a', addresses: ['10.0.0.1/24'] }] });
    const sleeper = net.host('a').spawn(['sleep', '1000']);
    console.log('made', net.prefix, sleeper.pid);
    ${ending}`;
  return new LabProcess('network maker', [process.execPath, '--input-type=module-typescript', '--eval', script]);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} removes a network and its processes, and ends the process by that signal`, needsNetwork, async () => {
    const maker = makeNetworkElsewhere('setInterval(() => undefined, 1000);');
    const [, prefix = '', pid] = (await maker.waitForLine(/^made/, 8000)).split(' ');
    assert.equal(namespacesOf(prefix).length, 2);
    maker.signal(signal);
    assert.equal(await maker.exited, signal);
    assert.deepEqual(namespacesOf(prefix), []);
    await waitUntil('the end of the process in it', 3000, () => gone(Number(pid)));
  });
}

test('an exception removes a network', needsNetwork, async () => {
  const maker = makeNetworkElsewhere("throw new Error('as it happens');");
  const [, prefix = '', pid] = (await maker.waitForLine(/^made/, 8000)).split(' ');
  assert.equal(await maker.exited, 1);
  assert.deepEqual(namespacesOf(prefix), []);
  await waitUntil('the end of the process in it', 3000, () => gone(Number(pid)));
});

test('what a killed process leaves behind is swept by the next, what belongs to a live one is not', needsNetwork, async () => {
  const killed = makeNetworkElsewhere('setInterval(() => undefined, 1000);');
  const living = makeNetworkElsewhere('setInterval(() => undefined, 1000);');
  const [, killedPrefix = '', pid] = (await killed.waitForLine(/^made/, 8000)).split(' ');
  const [, livingPrefix = ''] = (await living.waitForLine(/^made/, 8000)).split(' ');
  await killed.kill();
  sweepLeftovers();
  assert.deepEqual(namespacesOf(killedPrefix), []);
  assert.equal(namespacesOf(livingPrefix).length, 2);
  await waitUntil('the end of the process in it', 3000, () => gone(Number(pid)));
  await living.stop();
});

test('a cut is silent or takes the carrier, between one host and all or between two, and is undone', needsNetwork, async () => {
  await using net = new Network();
  const lan = net.createSegment('lan', { hosts: ['a', 'b', 'c'].map((name, i) => ({ name, addresses: [`10.0.0.${i + 1}/24`] })) });
  const [a, b, c] = [net.host('a'), net.host('b'), net.host('c')];
  const reaches = async (address: string): Promise<boolean> => {
    const script = `
      const socket = require('node:net').connect({ host: '${address}', port: 9 });
      socket.on('error', (error) => process.exit(error.code === 'ECONNREFUSED' ? 0 : 1));
      setTimeout(() => process.exit(1), 500);`;
    return a.exec([process.execPath, '--eval', script]).then(() => true, () => false);
  };
  assert.equal(await reaches('10.0.0.2'), true);

  lan.cut(b);
  assert.equal(await reaches('10.0.0.2'), false);
  assert.equal(b.ip('link show eth0').includes('NO-CARRIER'), false);
  lan.restore(b);
  assert.equal(await reaches('10.0.0.2'), true);

  lan.cut(b, 'unplugged');
  assert.ok(b.ip('link show eth0').includes('NO-CARRIER'));
  lan.restore(b);
  assert.equal(await reaches('10.0.0.2'), true);

  await lan.cutBetween(a, b);
  assert.equal(await reaches('10.0.0.2'), false);
  assert.equal(await reaches('10.0.0.3'), true);
  await lan.restoreBetween();
  assert.equal(await reaches('10.0.0.2'), true);
  assert.deepEqual(c.addresses(), ['10.0.0.3/24']);
});
