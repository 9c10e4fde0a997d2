import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsLab, nothingRemains, withLab } from '../support/lab-run.ts';

test('a check that is interrupted says so, and leaves nothing behind', needsLab, () =>
  withLab(['--check'], async (lab, leftovers) => {
    await lab.waitForLine(/udhcpc gets a lease/, 60_000);
    assert.notDeepEqual(leftovers(), []);
    lab.signal('SIGINT');
    assert.equal(await lab.exited, 130, lab.output);
    assert.match(lab.output, /Ended by SIGINT/);
    assert.doesNotMatch(lab.output, /FAILED|All steps held/);
    assert.deepEqual(leftovers(), []);
  }));

test('without a terminal the lab prints how it fares, and SIGTERM removes it', needsLab, () =>
  withLab([], async (lab, leftovers) => {
    await lab.waitForLine(/client udhcpc +10\.77\./, 60_000);
    lab.signal('SIGTERM');
    assert.equal(await lab.exited, 143, lab.output);
    assert.deepEqual(leftovers(), []);
  }));

test('a lab that is killed leaves nothing behind either', needsLab, () =>
  withLab(['--check'], async (lab, leftovers) => {
    await lab.waitForLine(/udhcpc gets a lease/, 60_000);
    await lab.kill();
    await nothingRemains(leftovers);
  }));

test('a wrong argument is refused before anything is made', () =>
  withLab(['--chek'], async (lab, leftovers) => {
    assert.equal(await lab.exited, 2);
    assert.match(lab.output, /Unknown option '--chek'[\s\S]*Usage: npm start/);
    assert.deepEqual(leftovers(), []);
  }));
