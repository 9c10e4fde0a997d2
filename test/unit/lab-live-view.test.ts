import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { renderLiveView, type LiveViewLab } from '../../deploy/lab/live-view.ts';
import type { NodeStatus } from '../../node/admin/status.ts';
import type { WallMs } from '../../node/time.ts';
import { exampleStatus } from './telemetry-fixture.ts';

const NOW = 1_700_000_067_000;
const WIDE = { width: 140, height: 30, colours: false };

const LAB: LiveViewLab = {
  title: 'Lessor lab', now: NOW as WallMs, startedAt: 1_700_000_000_000 as WallMs, stop: 'Ctrl-C',
  nodes: ['a', 'b'].map((node, index) => ({
    node, pid: 101 + index, kill: `kill -9 ${101 + index}`, metrics: `ip netns exec lab-${node} curl -s http://127.0.0.1:9067/metrics`,
  })),
  clients: [
    { name: 'udhcpc', address: '10.1.0.7', note: 'renews every 30 s' },
    { name: 'dhclient', note: 'asks' },
  ],
};

function statusOfB(changes: Partial<NodeStatus> = {}): NodeStatus {
  return exampleStatus({
    node: 'b', role: 'member', exchangesPerSecond: 100,
    recentEvents: [{ time: (NOW - 2000) as WallMs, id: 'lease.released', message: 'lease released', fields: { address: '10.1.0.9' } }],
    ...changes,
  });
}

test('the screen tells nodes, states, roles, slots, leases, exchanges and lag', () => {
  const text = renderLiveView([exampleStatus(), statusOfB()], LAB, WIDE);
  assert.match(text, /^Lessor lab {3}running 1m 07s {3}603 exchanges\/s {3}812 leases$/m);
  assert.match(text, /^a +NORMAL +leader +7 +128 ████████░░░░░░░░ +812 +503\.4 +b 3 changes, 4 ms$/m);
  assert.match(text, /^b +NORMAL +member +7 +128 /m);
  assert.match(text, /^pool 10\.0\.0\.0\/8 +812 of 1000 leased, 179 free \(a 90, b 89\)$/m);
  assert.match(text, /^client udhcpc +10\.1\.0\.7 +renews every 30 s$/m);
  assert.match(text, /^client dhclient +no address +asks$/m);
});

test('the screen says how to kill a node, see metrics and stop', () => {
  const text = renderLiveView([exampleStatus(), statusOfB()], LAB, WIDE);
  assert.match(text, /^kill node a +kill -9 101$/m);
  assert.match(text, /^kill node b +kill -9 102$/m);
  assert.match(text, /^metrics of a +ip netns exec lab-a curl -s http:\/\/127\.0\.0\.1:9067\/metrics$/m);
  assert.match(text, /^stop +Ctrl-C$/m);
});

test('events of all nodes stand in order of time, with their age and fields', () => {
  const lines = renderLiveView([exampleStatus(), statusOfB()], LAB, WIDE).split('\n');
  const at = lines.indexOf('LAST EVENTS');
  assert.match(lines[at + 1]!, /^ +1m 04s ago {2}a {2}lease granted {2}address=10\.1\.0\.1$/);
  assert.match(lines[at + 2]!, /^ +2s ago {2}b {2}lease released {2}address=10\.1\.0\.9$/);
});

test('a node that does not answer, or does not run, is shown as that', () => {
  const killed = { ...LAB, nodes: [LAB.nodes[0]!, { node: 'b', kill: '', metrics: '' }] };
  assert.match(renderLiveView([exampleStatus(), undefined], LAB, WIDE), /^b +no answer \(process 102\)$/m);
  const text = renderLiveView([exampleStatus(), undefined], killed, WIDE);
  assert.match(text, /^b +not running$/m);
  assert.doesNotMatch(text, /kill node b/);
  assert.match(renderLiveView([undefined, undefined], LAB, WIDE), /0 exchanges\/s {3}0 leases/);
});

test('a link that is down and an inbox are told', () => {
  const [peer] = exampleStatus().peers;
  const status = exampleStatus({
    state: 'COMMUNICATIONS-INTERRUPTED', view: null, peers: [{ ...peer!, link: 'down', inboxChanges: 5 }],
  });
  assert.match(renderLiveView([status], LAB, WIDE), /^a +COMMUNICATIONS-INTERRUPTED leader +- .*b link down, 5 in the inbox$/m);
});

test('the screen keeps to its width and height, and the help stays', () => {
  const events = Array.from({ length: 50 }, (_, n) => ({
    time: (NOW - 60_000 + n) as WallMs, id: 'x', message: `event ${n}`, fields: { text: 'y'.repeat(200) },
  }));
  for (const [width, height] of [[80, 24], [60, 16], [140, 50]] as const) {
    for (const colours of [false, true]) {
      const text = renderLiveView([exampleStatus({ recentEvents: events }), statusOfB()], LAB, { width, height, colours });
      const lines = stripVTControlCharacters(text).split('\n');
      assert.equal(lines.length, height);
      for (const line of lines) assert.ok(Array.from(line).length <= width, line);
      assert.match(lines.at(-1)!, /^stop/);
    }
  }
  const tall = renderLiveView([exampleStatus({ recentEvents: events })], LAB, { width: 140, height: 50, colours: false });
  assert.match(tall, /event 49/);
  assert.doesNotMatch(tall, /event 0 /);
});

test('colours tell states apart, and none are written where none are wanted', () => {
  const screen = { ...WIDE, colours: true };
  const green = renderLiveView([exampleStatus()], LAB, screen);
  assert.ok(green.includes(`\u001B[32m${'NORMAL'.padEnd(27)}\u001B[0m`));
  assert.ok(renderLiveView([exampleStatus({ state: 'ISOLATED' })], LAB, screen).includes('\u001B[31mISOLATED'));
  assert.ok(!renderLiveView([exampleStatus()], LAB, WIDE).includes('\u001B'));
});

test('what a client sent cannot steer the screen', () => {
  const status = exampleStatus({
    recentEvents: [{ time: NOW as WallMs, id: 'x', message: 'm', fields: { hostname: '\u001B[2J\nx' } }],
  });
  assert.match(renderLiveView([status], LAB, WIDE), /hostname=\?\[2J\?x/);
});
