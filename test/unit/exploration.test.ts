/** Random executions of the protocol, message by message, from fresh seeds. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Exploration } from '../support/exploration.ts';

const EXECUTIONS = 150;

test(`${EXECUTIONS} fresh executions: changes form one chain, what is committed stays, and whoever is confirmed knows it`, (t) => {
  const first = Date.now() % 1_000_000_000;
  t.diagnostic(`seeds from ${first}`);
  let committed = 0;
  let confirmed = 0;
  for (let seed = first; seed < first + EXECUTIONS; seed++) {
    let result;
    try {
      result = new Exploration(seed).run();
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
    committed += result.committed;
    confirmed += result.confirmed;
  }
  assert.ok(committed > 10 * EXECUTIONS && confirmed > EXECUTIONS, `${committed} committed, ${confirmed} confirmed`);
});
