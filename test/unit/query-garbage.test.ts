/** Whatever comes over a connection of LEASEQUERY ends that connection at worst. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueryType } from '../../node/leasequery/messages.ts';
import { ip } from '../support/client-packets.ts';
import { active, addresses, bulk, frame, startTls } from '../support/query-requestor.ts';
import { ACTIVE, fewAddresses, leaseRecord, QueryFixture } from '../support/query-server.ts';
import { dice } from './store-fixture.ts';

const SEED = 20_260_101;
const CONNECTIONS = 150;

test('mutated queries of all kinds, cut anywhere, while leases and the configuration change', async (t) => {
  const roll = dice(SEED);
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(5)], leaseQuery: { active: ACTIVE, connections: 50, queriesPerConnection: 2 }, historySeconds: 100 });
  const relay = Buffer.of(2, 3, 1, 2, 3, 12, 2, 1, 1);
  const seeds = [
    bulk(), bulk({ chaddr: Buffer.from('020000000001', 'hex') }), bulk({ clientId: Buffer.of(1, 2, 3) }), bulk({ relayAgentInformation: relay }),
    bulk({ startTime: 1, endTime: 5, options: { 221: Buffer.of(254) } }), active(), active({ startTime: fixture.second + 2 }), startTls(),
  ];
  for (let n = 0; n < CONNECTIONS; n++) {
    const requestor = await fixture.connect();
    const messages = Array.from({ length: 1 + roll(6) }, () => {
      const message = Buffer.from(seeds[roll(seeds.length)]!);
      message.writeUInt32BE(roll(4), 4);
      // Most of it in the options, where it matters.
      for (let changes = roll(4); changes > 0; changes--) message[roll(2) === 0 ? 236 + roll(message.length - 236) : roll(message.length)] = roll(256);
      return roll(12) === 0 ? message.subarray(0, roll(message.length)) : message;
    });
    let stream = Buffer.concat(messages.map(frame));
    if (roll(5) === 0) stream = stream.subarray(0, roll(stream.length));
    if (roll(5) === 0) stream[roll(stream.length + 1)] = roll(256);
    const cut = roll(stream.length + 1);
    requestor.sendBytes(stream.subarray(0, cut));
    if (roll(3) === 0) await fixture.put([ip('10.0.0.100') + roll(5), roll(3) === 0 ? undefined : leaseRecord({ n: 1 + roll(3), relayAgentInformation: relay })]);
    requestor.sendBytes(stream.subarray(cut));
    if (roll(10) === 0) fixture.configure({ options: roll(2) === 0 ? [12] : [82], idleSeconds: 1 + roll(300), active: roll(3) === 0 ? undefined : ACTIVE });
    if (roll(25) === 0) {
      fixture.port = 0;
      fixture.configure(undefined);
      fixture.configure({ active: ACTIVE });
      await fixture.until(() => fixture.port !== 0, 'it listens again');
    }
    if (roll(4) === 0) requestor.socket.resetAndDestroy();
    else requestor.end();
    if (roll(2) === 0) await requestor.untilEnd().catch(() => undefined);
  }
  await fixture.connections(0);
  assert.ok(fixture.outcomes.length > CONNECTIONS / 4, 'many were queries still');
  assert.equal(addresses(await (await fixture.connect()).ask()).length, 5);
});

test('every byte of a query, and every length of it', async (t) => {
  const fixture = await QueryFixture.start(t, { subnets: [fewAddresses(2)], leaseQuery: { connections: 1000 } });
  const whole = bulk({ relayAgentInformation: Buffer.of(2, 1, 7), options: { 221: Buffer.of(255) } });
  const end = whole.lastIndexOf(255);
  const variants = [
    ...Array.from({ length: end }, (_, length) => whole.subarray(0, length)),
    ...Array.from({ length: end - 236 }, (_, n) => Buffer.concat([whole.subarray(0, 236 + n), Buffer.of(255), whole.subarray(237 + n)])),
  ];
  assert.ok(variants.length > 250);
  for (const variant of variants) {
    const requestor = await fixture.connect();
    requestor.send(variant);
    requestor.end();
    const messages = await requestor.untilEnd();
    const last = messages.at(-1);
    assert.ok(last === undefined || last.type === QueryType.LEASEQUERYDONE);
  }
});
