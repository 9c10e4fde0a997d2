/** A large configuration: all of it arrives, and one mistake in it is found at its place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpv4 } from '../../node/codec/address.ts';
import { readFast } from '../../node/config/fast-yaml.ts';
import { CONFIG_MISTAKES_MAX } from '../../node/limits.ts';
import { assertOne, clusterConfig, clusterMistakes } from '../support/config-mistakes.ts';

const SUBNETS = 300;
const PER_SUBNET = 20;

function large(entry: (subnet: number, n: number) => string): string {
  const lines = ['subnets:'];
  for (let subnet = 0; subnet < SUBNETS; subnet++) {
    lines.push(`  - subnet: 10.${subnet >> 8}.${subnet & 255}.0/24`, `    pools: [10.${subnet >> 8}.${subnet & 255}.100-10.${subnet >> 8}.${subnet & 255}.199]`, '    reservations:');
    for (let n = 0; n < PER_SUBNET; n++) lines.push(`      - ${entry(subnet, n)}`);
  }
  return `${lines.join('\n')}\n`;
}

const hex = (value: number): string => value.toString(16).padStart(2, '0');
const right = (subnet: number, n: number): string => `{ hardware: 02:00:00:${hex(subnet >> 8)}:${hex(subnet & 255)}:${hex(n)}, address: 10.${subnet >> 8}.${subnet & 255}.${n + 1}, hostname: host-${n} }`;

test('every subnet, pool and reservation of a large file arrives', () => {
  const text = large(right);
  assert.ok(readFast(text) !== undefined);
  const { subnets, pools, reservations } = clusterConfig(text);
  assert.deepEqual([subnets.length, pools.length, reservations.length], [SUBNETS, SUBNETS, SUBNETS * PER_SUBNET]);
  for (const [index, { networkIndex, client, address, overlay }] of reservations.entries()) {
    const [subnet, n] = [Math.floor(index / PER_SUBNET), index % PER_SUBNET];
    assert.equal(networkIndex, subnet);
    assert.equal(client.hardware, `\x01\x02\0\0${String.fromCharCode(subnet >> 8, subnet & 255, n)}`);
    assert.equal(formatIpv4(address!), `10.${subnet >> 8}.${subnet & 255}.${n + 1}`);
    assert.equal(overlay.options[0]?.value.toString(), `host-${n}`);
  }
});

test('the place of the only mistake of a large file is named', () => {
  const line = 1 + 221 * (3 + PER_SUBNET) + 3 + 13;
  const text = large((subnet, n) => (subnet === 221 && n === 12 ? right(subnet, n).replace(':0c,', ':0b,') : right(subnet, n)));
  assertOne(clusterMistakes(text),
    `c.yaml:${line}:21: subnets[221].reservations[12].hardware: expected each client once in a network; subnets[221].reservations[11] is for the same one`);
});

test('of very many mistakes the first are named and the others counted', () => {
  const mistakes = clusterMistakes(large((subnet, n) => right(subnet, n).replace('hostname', 'hostnam')));
  assert.equal(mistakes.length, CONFIG_MISTAKES_MAX + 1);
  assert.match(mistakes[0]!, /^c\.yaml:5:\d+: subnets\[0\]\.reservations\[0\]\.hostnam: unknown key; did you mean hostname\?$/);
  assert.equal(mistakes.at(-1), `c.yaml: ${SUBNETS * PER_SUBNET - CONFIG_MISTAKES_MAX} more mistakes`);
});
