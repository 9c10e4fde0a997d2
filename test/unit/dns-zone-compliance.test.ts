/**
 * One suite for a real name server and for the zone in memory: what is shown with the latter holds for real zones only
 * as far as both do the same with an update (RFC 2136 §3).
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import type { DnsUpdate, ResponseCode } from '../../node/ddns/update.ts';
import { encodeUpdate, TYPE_NUMBERS } from '../../node/ddns/wire.ts';
import { DnsClient } from '../../node/ddns/io/client.ts';
import { readClock } from '../../node/io/clock.ts';
import { carryOut, dhcidOf, dnsJob, ModelZone, recordText, zoneRecord } from '../support/dns-zone.ts';
import type { ZoneRecord } from '../support/dns-zone.ts';
import { NameServer, needsNameServers } from '../support/name-server.ts';
import type { NameServerKind } from '../support/name-server.ts';

const ZONE = 'example.test.';

interface Subject {
  apply(update: DnsUpdate): Promise<ResponseCode>;
  /** The records of a name, as `recordText` has them. */
  at(name: string): Promise<string[]>;
  end(): Promise<void>;
}

async function real(kind: NameServerKind): Promise<Subject> {
  const server = await NameServer.start({ kind, zones: [{ name: ZONE, updates: 'anybody' }] });
  const client = new DnsClient(readClock);
  const question = { name: parseDomainName(ZONE)!, type: TYPE_NUMBERS.SOA };
  return {
    apply: async (update) => {
      const answer = await client.ask(server.server, { question, encode: (id) => encodeUpdate(id, update) }, undefined);
      assert(answer.kind === 'answer', `${kind} answers: ${JSON.stringify(answer)}`);
      return answer.message.code;
    },
    at: async (name) => {
      const found: string[] = [];
      const wire = parseDomainName(name)!;
      for await (const record of client.transfer(server.server, parseDomainName(ZONE)!, undefined)) {
        const type = Object.entries(TYPE_NUMBERS).find(([, number]) => number === record.type)?.[0] ?? 'TXT';
        if (record.name.equals(wire) && type !== 'SOA' && type !== 'NS') found.push(recordText({ name, type: type as ZoneRecord['type'], ttlSeconds: record.ttlSeconds, data: record.data }));
      }
      return found.toSorted();
    },
    end: async () => {
      client.close();
      await server.remove();
    },
  };
}

function model(): Promise<Subject> {
  const zone = new ModelZone(ZONE, [zoneRecord('example.test', 'NS', 'ns'), zoneRecord('example.test', 'SOA', 'soa')]);
  return Promise.resolve({
    apply: (update) => Promise.resolve(zone.apply(update)),
    at: (name) => Promise.resolve(zone.at(name).filter(({ type }) => type !== 'SOA' && type !== 'NS').map(recordText).toSorted()),
    end: () => Promise.resolve(),
  });
}

const SUBJECTS: Readonly<Record<string, { readonly start: () => Promise<Subject>; readonly skip?: string }>> = {
  model: { start: model },
  bind: { start: () => real('bind'), ...needsNameServers('bind') },
  knot: { start: () => real('knot'), ...needsNameServers('knot') },
};

const wire = (name: string): Buffer => parseDomainName(name)!;
const A = (address: string): Buffer => zoneRecord('x', 'A', address).data;
const update = (prerequisites: DnsUpdate['prerequisites'], changes: DnsUpdate['changes'], zone = ZONE): DnsUpdate => ({ zone, prerequisites, changes });
const add = (name: string, address: string, ttlSeconds = 600): DnsUpdate['changes'][number] => ({ kind: 'add', name: wire(name), type: 'A', ttlSeconds, data: A(address) });

for (const [subjectName, { start, ...options }] of Object.entries(SUBJECTS)) {
  describe(subjectName, options, () => {
    let subject: Subject;
    before(async () => {
      subject = await start();
    });
    after(() => subject.end());
    const codes = async (...updates: DnsUpdate[]): Promise<ResponseCode[]> => {
      const given: ResponseCode[] = [];
      for (const one of updates) given.push(await subject.apply(one));
      return given;
    };

    test('a name is in use, or not', async () => {
      const name = wire('used.example.test');
      assert.deepEqual(await codes(
        update([{ kind: 'name-in-use', name }], [add('used.example.test', '10.0.0.1')]),
        update([{ kind: 'name-not-in-use', name }], [add('used.example.test', '10.0.0.1')]),
        update([{ kind: 'name-not-in-use', name }], [add('used.example.test', '10.0.0.2')]),
        update([{ kind: 'name-in-use', name }], [add('used.example.test', '10.0.0.3')]),
      ), ['NXDOMAIN', 'NOERROR', 'YXDOMAIN', 'NOERROR']);
      assert.deepEqual(await subject.at('used.example.test'), ['used.example.test A 10.0.0.1', 'used.example.test A 10.0.0.3']);
    });

    test('a name without records of its own is not in use, though there are names below it', async () => {
      assert.deepEqual(await codes(
        update([], [add('below.middle.example.test', '10.0.0.1')]),
        update([{ kind: 'name-not-in-use', name: wire('middle.example.test') }], []),
        update([{ kind: 'name-in-use', name: wire('middle.example.test') }], []),
      ), ['NOERROR', 'NOERROR', 'NXDOMAIN']);
    });

    test('records of a type are there, or not, or are exactly these', async () => {
      const name = wire('set.example.test');
      const is = (data: Buffer): DnsUpdate => update([{ kind: 'rrset-is', name, type: 'A', data }], []);
      assert.deepEqual(await codes(
        update([{ kind: 'rrset-exists', name, type: 'A' }], []), update([{ kind: 'rrset-absent', name, type: 'A' }], []), is(A('10.0.0.1')),
        update([], [add('set.example.test', '10.0.0.1')]),
        update([{ kind: 'rrset-exists', name, type: 'A' }], []), update([{ kind: 'rrset-absent', name, type: 'A' }], []), is(A('10.0.0.1')), is(A('10.0.0.2')),
        update([{ kind: 'rrset-exists', name, type: 'AAAA' }], []), update([{ kind: 'rrset-absent', name, type: 'AAAA' }], []),
        update([], [add('set.example.test', '10.0.0.2')]), is(A('10.0.0.1')),
      ), ['NXRRSET', 'NOERROR', 'NXRRSET', 'NOERROR', 'NOERROR', 'YXRRSET', 'NOERROR', 'NXRRSET', 'NXRRSET', 'NOERROR', 'NOERROR', 'NXRRSET']);
    });

    test('all of an update is done or nothing', async () => {
      assert.deepEqual(await codes(update([{ kind: 'name-in-use', name: wire('nobody.example.test') }], [add('all.example.test', '10.0.0.1')])), ['NXDOMAIN']);
      assert.deepEqual(await codes(update([], [add('all.example.test', '10.0.0.1'), add('elsewhere.test', '10.0.0.1')])), ['NOTZONE']);
      assert.deepEqual(await codes(update([{ kind: 'name-not-in-use', name: wire('elsewhere.test') }], [])), ['NOTZONE']);
      assert.deepEqual(await subject.at('all.example.test'), []);
    });

    test('one record, a type and a whole name are deleted, and what is not there is no failure', async () => {
      const name = wire('gone.example.test');
      const all = update([], [add('gone.example.test', '10.0.0.1'), add('gone.example.test', '10.0.0.2'), { kind: 'add', name, type: 'DHCID', ttlSeconds: 60, data: dhcidOf(1) }]);
      assert.deepEqual(await codes(
        all, update([], [{ kind: 'delete-record', name, type: 'A', data: A('10.0.0.1') }]), update([], [{ kind: 'delete-record', name, type: 'A', data: A('10.0.0.9') }]),
      ), ['NOERROR', 'NOERROR', 'NOERROR']);
      assert.deepEqual(await subject.at('gone.example.test'), ['gone.example.test A 10.0.0.2', 'gone.example.test DHCID 1']);
      await codes(update([], [{ kind: 'delete-rrset', name, type: 'A' }]));
      assert.deepEqual(await subject.at('gone.example.test'), ['gone.example.test DHCID 1']);
      assert.deepEqual(await codes(all, update([], [{ kind: 'delete-name', name }]), update([], [{ kind: 'delete-name', name }])), ['NOERROR', 'NOERROR', 'NOERROR']);
      assert.deepEqual(await subject.at('gone.example.test'), []);
    });

    test('an alias and other records of one name keep each other out, without a word', async () => {
      const [alias, host] = [wire('alias.example.test'), wire('host.example.test')];
      assert.deepEqual(await codes(
        update([], [{ kind: 'add', name: alias, type: 'CNAME', ttlSeconds: 60, data: host }]), update([], [add('alias.example.test', '10.0.0.1')]),
        update([], [add('host.example.test', '10.0.0.1')]), update([], [{ kind: 'add', name: host, type: 'CNAME', ttlSeconds: 60, data: alias }]),
      ), ['NOERROR', 'NOERROR', 'NOERROR', 'NOERROR']);
      assert.deepEqual(await subject.at('alias.example.test'), ['alias.example.test CNAME host.example.test']);
      assert.deepEqual(await subject.at('host.example.test'), ['host.example.test A 10.0.0.1']);
    });

    test('names are the same in whatever case', async () => {
      await codes(update([], [add('Case.Example.Test', '10.0.0.1')]));
      assert.deepEqual(await codes(update([{ kind: 'name-not-in-use', name: wire('case.example.test') }], [])), ['YXDOMAIN']);
    });

    test('the changes of an update are made in their order', async () => {
      const name = wire('order.example.test');
      await codes(update([], [add('order.example.test', '10.0.0.1'), { kind: 'delete-rrset', name, type: 'A' }, add('order.example.test', '10.0.0.2')]));
      assert.deepEqual(await subject.at('order.example.test'), ['order.example.test A 10.0.0.2']);
    });

    // Of A records BIND takes only names of hosts, unless `check-names` says otherwise.
    test('a label may have any bytes', async () => {
      const name = Buffer.concat([Buffer.of(5), Buffer.from('a.b\\\0', 'latin1'), wire('example.test')]);
      const added = update([], [{ kind: 'add', name, type: 'DHCID', ttlSeconds: 60, data: dhcidOf(1) }]);
      assert.deepEqual(await codes(added, update([{ kind: 'name-not-in-use', name }], [])), ['NOERROR', 'YXDOMAIN']);
      assert.deepEqual(await subject.at('a\\.b\\\\\\000.example.test'), ['a\\.b\\\\\\000.example.test DHCID 1']);
    });

    test('the procedures come to the same', async () => {
      const jobs = [
        dnsJob({ action: 'add-forward', name: 'p.example.test' }), dnsJob({ action: 'add-forward', name: 'p.example.test', address: '10.0.0.6' }),
        dnsJob({ action: 'add-forward', name: 'p.example.test', client: 2 }), dnsJob({ action: 'remove-forward', name: 'p.example.test' }),
        dnsJob({ action: 'remove-forward', name: 'p.example.test', client: 2, address: '10.0.0.6' }), dnsJob({ action: 'remove-forward', name: 'p.example.test', address: '10.0.0.6' }),
        dnsJob({ action: 'add-forward', name: 'p.example.test', client: 2, conflicts: 'replace' }), dnsJob({ action: 'remove-forward', name: 'p.example.test', client: 2, conflicts: 'replace' }),
      ];
      const twin = new ModelZone(ZONE);
      for (const [i, job] of jobs.entries()) {
        for (const sent of carryOut(job, twin).updates) await subject.apply(sent);
        assert.deepEqual(await subject.at('p.example.test'), twin.at('p.example.test').map(recordText).toSorted(), `after job ${i}`);
      }
      assert.deepEqual(await subject.at('p.example.test'), []);
    });
  });
}
