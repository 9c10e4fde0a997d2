/** Classes: their names, what they match, and who refers to them. */
import { BUILT_IN_CLASSES, builtInCondition } from '../classes/built-in.ts';
import { readCondition } from './condition.ts';
import { found } from './error.ts';
import type { PathPart, Report } from './error.ts';
import { didYouMean } from './nearest.ts';
import type { PlacedNetwork } from './placed-networks.ts';
import { asList, asMap, isMap } from './plain-values.ts';
import type { PlainMap } from './plain-values.ts';
import type { OptionCatalogue } from '../codec/options.ts';

export function checkClasses(cluster: PlainMap, networks: readonly PlacedNetwork[], catalogue: OptionCatalogue, report: Report): void {
  const classes = asList(cluster['classes']).map(asMap);
  const names = classes.map(({ name }) => name).filter((name) => typeof name === 'string');
  const earlier = new Map<string, number>();
  const { class: quarantined } = asMap(cluster['quarantine']);
  for (const [index, { name, match }] of classes.entries()) {
    if (match === undefined && typeof name === 'string' && name !== quarantined) {
      report(['classes', index, 'match'], 'expected a map that says what the clients of this class have in common, but it is missing');
    }
    if (isMap(match)) readCondition(match, ['classes', index, 'match'], { catalogue, earlier, names, report });
    if (typeof name !== 'string') continue;
    const other = earlier.get(name);
    if (other !== undefined) report(['classes', index, 'name'], `expected each name once; classes[${other}] has ${name} too`);
    else if (builtInCondition(name) !== undefined) report(['classes', index, 'name'], `expected a name of its own: ${name} is built in`);
    else earlier.set(name, index);
  }
  checkQuarantine(quarantined, earlier, report);
  for (const { subnets } of networks) {
    for (const { value, path } of subnets) {
      checkGuard(value, path, earlier, report);
      for (const [index, pool] of asList(value['pools']).entries()) {
        if (isMap(pool)) checkGuard(pool, [...path, 'pools', index], earlier, report);
      }
    }
  }
}

function checkQuarantine(name: unknown, classes: ReadonlyMap<string, number>, report: Report): void {
  if (typeof name !== 'string' || classes.has(name)) return;
  report(['quarantine', 'class'], `expected the name of one of classes${didYouMean(name, [...classes.keys()])}, ${found(name)}`);
}

/** Who may pass: `allow` and `deny` of a subnet or a pool. */
function checkGuard(value: PlainMap, path: readonly PathPart[], classes: ReadonlyMap<string, number>, report: Report): void {
  for (const key of ['allow', 'deny']) {
    const list = value[key];
    if (key === 'allow' && Array.isArray(list) && list.length === 0) {
      report([...path, key], 'expected at least one class (without allow any client may pass), found an empty list');
    }
    for (const [index, name] of asList(list).entries()) {
      if (typeof name !== 'string' || classes.has(name) || builtInCondition(name) !== undefined) continue;
      const known = [...classes.keys(), ...BUILT_IN_CLASSES.map((builtIn) => builtIn.name)];
      report([...path, key, index], `expected the name of a class${didYouMean(name, known)}, ${found(name)}`);
    }
  }
}
