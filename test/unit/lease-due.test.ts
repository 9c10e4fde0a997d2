import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { DUE_LISTS, DueWheel, WHEEL_SECONDS } from '../../node/lease/due.ts';
import { AddressLists, Pages } from '../../node/lease/pages.ts';

function wheelAt(second: number): { wheel: DueWheel; pages: Pages; lists: AddressLists } {
  const pages = new Pages(() => {});
  const lists = new AddressLists(pages, 1 + DUE_LISTS);
  const wheel = new DueWheel(pages, lists, 1);
  wheel.reset(second);
  return { wheel, pages, lists };
}

const START = 1_800_000_000;
const aStep = fc.oneof(
  fc.record({
    kind: fc.constant('add' as const), address: fc.integer({ min: 1, max: 40 }),
    ahead: fc.oneof(fc.integer({ min: -100, max: 100 }), fc.constantFrom(
      -WHEEL_SECONDS - 5, WHEEL_SECONDS - 1, WHEEL_SECONDS, WHEEL_SECONDS + 1, 5 * WHEEL_SECONDS,
    )),
  }),
  fc.record({ kind: fc.constant('remove' as const), address: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    kind: fc.constant('walk' as const), limit: fc.constantFrom(1, 3, Infinity, Infinity),
    step: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.constantFrom(-WHEEL_SECONDS - 3, -500, -7, 500, WHEEL_SECONDS - 1, WHEEL_SECONDS, 3 * WHEEL_SECONDS)),
  }),
);

test('whatever is due is found, once, and nothing else, however the clock steps', () => {
  fc.assert(fc.property(fc.array(aStep, { maxLength: 40, size: 'max' }), (steps) => {
    const { wheel, pages, lists } = wheelAt(START);
    const model = new Map<number, number>();
    let second = START;
    for (const step of steps) {
      if (step.kind === 'walk') {
        second += step.step;
        const fired: number[] = [];
        wheel.walk(second, step.limit, (_page, address) => fired.push(address));
        const due = [...model].filter(([, when]) => when <= second).map(([address]) => address);
        assert.equal(fired.length, Math.min(step.limit, due.length));
        for (const address of fired) {
          assert.ok(due.includes(address));
          assert.ok(model.delete(address), 'once');
        }
      } else {
        const page = pages.of(step.address);
        lists.remove(page, step.address);
        model.delete(step.address);
        if (step.kind === 'remove') continue;
        page.due[step.address] = second + step.ahead;
        wheel.add(page, step.address);
        model.set(step.address, second + step.ahead);
      }
    }
  }), { numRuns: 150 });
});

test('within a round what is due comes in the order of its seconds', () => {
  const { wheel, pages } = wheelAt(START);
  for (const [address, ahead] of [[1, 30], [2, 10], [3, 20]] as const) {
    pages.of(address).due[address] = START + ahead;
    wheel.add(pages.of(address), address);
  }
  const fired: number[] = [];
  wheel.walk(START + 100, Infinity, (_page, address) => fired.push(address));
  assert.deepEqual(fired, [2, 3, 1]);
});
