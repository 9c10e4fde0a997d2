/** `quarantine`, and the class that it names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClusterConfig } from '../../node/config/load.ts';
import { assertOne, clusterMistakes } from '../support/config-mistakes.ts';

const SUBNET = 'subnets: [{ subnet: 10.0.0.0/8, pools: [{ range: 10.0.0.1-10.0.0.9, allow: [shut-out] }] }]\n';

test('the class of the quarantine needs nothing that its clients have in common, and has no client of its own', () => {
  const text = `${SUBNET}classes: [{ name: phones, match: { class: KNOWN } }, { name: shut-out, leaseTime: 1m }]\nquarantine: { answer: silence, class: shut-out }\n`;
  const { classes, pools, quarantine } = parseClusterConfig(text, 'c.yaml');
  assert.deepEqual(quarantine, { answer: 'silence', classIndex: 1 });
  assert.deepEqual([classes[1]!.condition, pools[0]!.guard.allow], [{ kind: 'any', of: [] }, [1]]);
});

test('without it clients are told, and there is no class', () => {
  assert.deepEqual(parseClusterConfig('subnets: [{ subnet: 10.0.0.0/8 }]', 'c.yaml').quarantine, { answer: 'nak', classIndex: undefined });
});

test('a class that nobody is put into, and one that is not there, are mistakes', () => {
  assertOne(clusterMistakes(`${SUBNET}classes: [{ name: shut-out }]\n`), 'c.yaml:2:11: classes[0].match: expected a map that says what the clients of this class have in common, but it is missing');
  assertOne(clusterMistakes('subnets: [{ subnet: 10.0.0.0/8 }]\nclasses: [{ name: shut-out, match: { class: ALL } }]\nquarantine: { class: shut-of }\n'),
    'c.yaml:3:22: quarantine.class: expected the name of one of classes; did you mean shut-out?, found "shut-of"');
  assertOne(clusterMistakes('subnets: [{ subnet: 10.0.0.0/8 }]\nquarantine: { class: ALL }\n'), 'c.yaml:2:22: quarantine.class: expected the name of one of classes, found "ALL"');
});
