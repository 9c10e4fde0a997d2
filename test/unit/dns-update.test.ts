/** The procedures that put names into DNS and take them out: what they leave in a zone, also where answers are lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDomainName } from '../../node/codec/domain-name.ts';
import { DNS_UPDATE_ROUNDS_MAX } from '../../node/ddns/limits.ts';
import type { DnsJob, DnsOutcome } from '../../node/ddns/types.ts';
import { outcomeOf, Procedure, responseCode, reverseName } from '../../node/ddns/update.ts';
import { carryOut, dnsJob, ModelZone, textsOf, zoneRecord } from '../support/dns-zone.ts';

const FORWARD = 'example.test.';
const REVERSE = '0.0.10.in-addr.arpa.';
const DONE: DnsOutcome = { kind: 'done' };

test('the pointer of an address stands below in-addr.arpa', () => {
  assert.equal(formatDomainName(reverseName(0x0a000005)), '5.0.0.10.in-addr.arpa');
  assert.equal(formatDomainName(reverseName(0xfffefdfc)), '252.253.254.255.in-addr.arpa');
});

test('response codes have names, also those that nobody knows', () => {
  assert.deepEqual([0, 5, 10, 11, 16, 18, 22, 23].map(responseCode), ['NOERROR', 'REFUSED', 'NOTZONE', 'RCODE11', 'BADSIG', 'BADTIME', 'BADTRUNC', 'RCODE23']);
});

test('a code that says "not now" makes a job unavailable, any other one refuses it', () => {
  const kinds = (['NOERROR', 'SERVFAIL', 'BADTIME', 'REFUSED', 'FORMERR', 'NOTZONE', 'BADKEY', 'RCODE11'] as const).map((code) => outcomeOf(code).kind);
  assert.deepEqual(kinds, ['done', 'unavailable', 'unavailable', 'refused', 'refused', 'refused', 'refused', 'refused']);
});

test('where conflicts replace, a name becomes the client\'s whoever had it, an alias too, and other records of it stay', () => {
  const zone = new ModelZone(FORWARD, [
    zoneRecord('laptop.example.test', 'A', '10.0.0.77'), zoneRecord('laptop.example.test', 'DHCID', '7'), zoneRecord('laptop.example.test', 'TXT', 'note'), zoneRecord('www.example.test', 'CNAME', 'laptop.example.test'),
  ]);
  assert.deepEqual(carryOut(dnsJob({ action: 'add-forward', conflicts: 'replace' }), zone).outcome, DONE);
  assert.deepEqual(carryOut(dnsJob({ action: 'add-forward', conflicts: 'replace', name: 'www.example.test' }), zone).outcome, DONE);
  assert.deepEqual(textsOf(zone).filter((text) => !text.includes('TXT')), [
    'laptop.example.test A 10.0.0.5', 'laptop.example.test DHCID 1', 'www.example.test A 10.0.0.5', 'www.example.test DHCID 1',
  ]);
  assert.deepEqual(carryOut(dnsJob({ action: 'remove-forward', conflicts: 'replace' }), zone).outcome, DONE);
  assert.deepEqual(zone.at('laptop.example.test').map(({ type }) => type), ['TXT']);
});

test('of several pointers of an address only the one that is meant goes', () => {
  const zone = new ModelZone(REVERSE, [zoneRecord('5.0.0.10.in-addr.arpa', 'PTR', 'laptop.example.test'), zoneRecord('5.0.0.10.in-addr.arpa', 'PTR', 'other.example.test')]);
  assert.deepEqual(carryOut(dnsJob({ action: 'remove-reverse' }), zone).outcome, DONE);
  assert.deepEqual(textsOf(zone), ['5.0.0.10.in-addr.arpa PTR other.example.test']);
  assert.deepEqual(carryOut(dnsJob({ action: 'remove-reverse' }), zone).outcome, DONE);
  assert.equal(textsOf(zone).length, 1);
});

test('a name that is there for one update and gone for the next ends the job after some rounds, to be tried later', () => {
  const procedure = new Procedure(dnsJob({ action: 'add-forward' }));
  for (let round = 1; round < DNS_UPDATE_ROUNDS_MAX; round++) assert.deepEqual([procedure.onAnswer('YXDOMAIN'), procedure.onAnswer('NXDOMAIN')], [undefined, undefined]);
  assert.equal(procedure.onAnswer('YXDOMAIN'), undefined);
  assert.equal(procedure.onAnswer('NXDOMAIN')?.kind, 'unavailable');
});

const arbitraryJob: fc.Arbitrary<DnsJob> = fc.record({
  action: fc.constantFrom('add-forward', 'remove-forward', 'add-reverse', 'remove-reverse' as const),
  name: fc.constantFrom('laptop.example.test', 'printer.example.test', 'alias.example.test'),
  client: fc.integer({ min: 1, max: 2 }), address: fc.constantFrom('10.0.0.5', '10.0.0.6'), conflicts: fc.constantFrom('keep', 'replace' as const),
}).map(dnsJob);

/** A world of two zones, one of them with entries of an administrator. */
function zones(): Readonly<Record<string, ModelZone>> {
  return {
    [FORWARD]: new ModelZone(FORWARD, [
      zoneRecord('printer.example.test', 'A', '10.0.0.200'), zoneRecord('alias.example.test', 'CNAME', 'printer.example.test'), zoneRecord('laptop.example.test', 'TXT', 'note'),
    ]),
    [REVERSE]: new ModelZone(REVERSE, [zoneRecord('6.0.0.10.in-addr.arpa', 'PTR', 'static.example.test')]),
  };
}

const texts = (world: Readonly<Record<string, ModelZone>>): string[][] => Object.values(world).map(textsOf);

test('property: every job done twice leaves the zones as once, and says the same', () => {
  fc.assert(fc.property(fc.array(arbitraryJob, { maxLength: 12 }), (jobs) => {
    const world = zones();
    for (const job of jobs) {
      const once = carryOut(job, world[job.zone.name]!);
      const after = texts(world);
      assert.deepEqual(carryOut(job, world[job.zone.name]!).outcome, once.outcome);
      assert.deepEqual(texts(world), after);
    }
  }));
});

test('property: answers that are lost after the update was made, and jobs that begin anew, end as without', () => {
  fc.assert(fc.property(fc.array(fc.tuple(arbitraryJob, fc.array(fc.constantFrom('answered', 'repeated', 'begun-anew' as const), { maxLength: 5 })), { maxLength: 10 }), (jobs) => {
    const [world, twin] = [zones(), zones()];
    for (const [job, faults] of jobs) {
      const left = [...faults];
      let procedure = new Procedure(job);
      let outcome: DnsOutcome | undefined;
      while (outcome === undefined) {
        const code = world[job.zone.name]!.apply(procedure.next());
        const fault = left.shift();
        if (fault === 'repeated') continue;
        if (fault === 'begun-anew') procedure = new Procedure(job);
        else outcome = procedure.onAnswer(code);
      }
      assert.deepEqual(outcome, carryOut(job, twin[job.zone.name]!).outcome);
      assert.deepEqual(texts(world), texts(twin));
    }
  }));
});

test('property: where conflicts are kept, nothing of anybody else changes', () => {
  fc.assert(fc.property(fc.array(arbitraryJob.map((job): DnsJob => ({ ...job, conflicts: 'keep' })), { maxLength: 20 }), (jobs) => {
    const world = zones();
    for (const job of jobs) {
      if (!job.action.endsWith('forward')) continue;
      const mine = (text: string): boolean => text.startsWith(`${formatDomainName(job.name)} `);
      const before = textsOf(world[FORWARD]!);
      const owned = before.some((text) => text === `${formatDomainName(job.name)} DHCID ${job.dhcid.at(-1)}`);
      const free = !before.some(mine);
      carryOut(job, world[FORWARD]!);
      const after = textsOf(world[FORWARD]!);
      assert.deepEqual(after.filter((text) => !mine(text)), before.filter((text) => !mine(text)));
      if (!owned && !free) assert.deepEqual(after, before);
    }
  }));
});
