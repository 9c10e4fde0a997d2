/** What `npm start -- --check` promises, with its times: by itself, since other work beside it would be measured too. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsLab, withLab } from '../support/lab-run.ts';

const CHECK_MS_MAX = 90_000;

test('the check of the lab holds in every step and leaves nothing behind', needsLab, () =>
  withLab(['--check'], async (lab, leftovers) => {
    const timer = setTimeout(() => lab.signal('SIGTERM'), CHECK_MS_MAX);
    const code = await lab.exited;
    clearTimeout(timer);
    assert.equal(code, 0, lab.output);
    assert.match(lab.output, /^All steps held/m);
    assert.doesNotMatch(lab.output, /FAILED/);
    assert.deepEqual(leftovers(), []);
  }));
