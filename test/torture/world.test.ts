/** The instruments of the torture: a cut that does not cut, or a clock that does not step, would prove nothing. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { sleep, waitUntil } from '../../deploy/lab/processes.ts';
import type { Host } from '../../deploy/lab/netns.ts';
import { ClusterWorld, nodeAddress, whyNoClusterWorld } from '../support/cluster-world.ts';

const why = whyNoClusterWorld();
// Leaving out is for a person's own machine.
const needsWorld = why === undefined || process.env['CI'] === 'true' ? {} : { skip: why };
const NORMAL_MS = 30_000;
const ECHO_PORT = 9;
const PACKETS = 10;

/** Sends datagrams from one host to another and says after how many ms each came, by the machine's own clock. */
async function datagrams(from: Host, to: Host, address: string): Promise<number[]> {
  const hear = `
    const socket = require('node:dgram').createSocket('udp4');
    socket.on('message', (text) => console.log('ms', Number(process.hrtime.bigint() - BigInt(String(text))) / 1e6));
    socket.bind(${ECHO_PORT}, () => console.log('ready'));`;
  const say = `
    const socket = require('node:dgram').createSocket('udp4');
    let left = ${PACKETS};
    const timer = setInterval(() => {
      socket.send(String(process.hrtime.bigint()), ${ECHO_PORT}, '${address}');
      if (--left === 0) { clearInterval(timer); setTimeout(() => socket.close(), 50); }
    }, 10);`;
  const hearer = to.spawn([process.execPath, '--eval', hear]);
  await hearer.waitForLine(/^ready/, 5000);
  await from.exec([process.execPath, '--eval', say]);
  await sleep(400);
  await hearer.kill();
  return hearer.output.split('\n').filter((line) => line.startsWith('ms ')).map((line) => Number(line.slice(3)));
}

test('links are cut and slowed one way', needsWorld, async () => {
  await using world = new ClusterWorld({ nodes: 2 });
  const [a, b] = [world.host('a'), world.host('b')];
  const there = (): Promise<number[]> => datagrams(a, b, nodeAddress('b'));
  const back = (): Promise<number[]> => datagrams(b, a, nodeAddress('a'));
  assert.equal((await there()).length, PACKETS);
  await world.links.cut([a], [b]);
  assert.deepEqual([(await there()).length, (await back()).length], [0, PACKETS]);
  await world.links.set([a], [b], { lossPercent: 0, delay: { delayMs: 120, jitterMs: 0 } });
  const slow = await there();
  assert.ok(slow.length === PACKETS && slow.every((ms) => ms >= 120), slow.join(' '));
  assert.ok((await back()).some((ms) => ms < 100));
  await world.links.set([a], [b], { lossPercent: 50 });
  const some = [...await there(), ...await there(), ...await there()].length;
  assert.ok(some > 0 && some < 3 * PACKETS, `${some} of ${3 * PACKETS}`);
  await world.links.restoreAll();
  assert.equal((await there()).length, PACKETS);
});

test('nodes pause, lose their disks, fill them, and have clocks of their own; nothing is left of all this', needsWorld, async () => {
  const world = new ClusterWorld({ nodes: 2, diskMegabytes: 64, ownClocks: true });
  const { folder } = world;
  const { prefix } = world.network;
  try {
    await world.start(NORMAL_MS);
    assert.ok(await world.etcdLeader());
    const [a, b] = [world.node('a'), world.node('b')];
    await a.pause();
    assert.equal(await a.status(), undefined);
    a.resume();
    await world.waitForNormal(NORMAL_MS);

    a.setClock(60);
    await waitUntil('a is out of service', NORMAL_MS, async () => ((await b.status())?.state === 'PARTNER-DOWN' ? true : undefined));
    a.setClock(0);
    await world.waitForNormal(NORMAL_MS);

    await a.fillDisk();
    const write = ['nsenter', `--mount=/proc/${a.pid}/ns/mnt`, 'dd', 'if=/dev/zero', `of=${join(a.dataFolder, 'more')}`, 'bs=8192', 'count=1'];
    await assert.rejects(a.host.exec(write), /No space left on device/);
    await a.emptyDisk();
    await a.host.exec(write);

    await a.kill();
    await a.wipe();
    a.start();
    await world.waitForNormal(NORMAL_MS);
    assert.equal(await a.stop(), 0);
  } finally {
    await world.remove();
  }
  assert.equal(existsSync(folder), false);
  assert.ok(!world.network.hosts.some(({ namespace }) => namespace.startsWith(prefix) && existsSync(`/run/netns/${namespace}`)));
});
