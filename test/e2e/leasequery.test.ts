/** LEASEQUERY of a pair, asked by a library that is not ours, with a client's real lease; tshark reads along. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PERL_LIBRARIES } from '../../deploy/lab/programs.ts';
import { RealClient } from '../../deploy/lab/real-clients.ts';
import { Capture, complaintsAbout, readCapture, writeCapture } from '../support/capture.ts';
import { ADDRESSES, needs, ServedNetwork } from '../support/served-network.ts';
import type { NodeName } from '../support/served-network.ts';

const WAIT_MS = 20_000;
const NODES: readonly NodeName[] = ['a', 'b'];
const CONFIGURATION = `
leasequery: { requestors: [${ADDRESSES.router}/32] }
leaseTime: 10m
authoritative: true
subnets:
  - subnet: 10.1.0.0/16
    pools: [10.1.16.0-10.1.31.255]
    options: { routers: [${ADDRESSES.router}] }
`;

type Answer = Readonly<Record<string, string>>;

/** What Net::DHCP reads of a node's answer. */
async function ask(served: ServedNetwork, node: NodeName, by: 'address' | 'hardware' | 'client-id', value: string): Promise<Answer> {
  const script = join(import.meta.dirname, '../support/net-dhcp-query.pl');
  const { stdout } = await served.router.exec(['perl', '-I', PERL_LIBRARIES, script, ADDRESSES.router, ADDRESSES[node], by, value]);
  return Object.fromEntries(stdout.trim().split('\n').map((line) => line.split(/[ =]/) as [string, string]));
}

const libraryMissing = existsSync(join(PERL_LIBRARIES, 'Net/DHCP/Packet.pm')) ? {} : { skip: 'not there: Net::DHCP (deploy/lab/install.sh test)' };

test('who holds an address is told by both nodes of a pair, as another library and tshark read it', { ...needs('tshark', 'dhclient', 'etcd'), ...libraryMissing }, async (t) => {
  await using served = await ServedNetwork.start({ nodes: NODES, clients: ['laptop'], configuration: CONFIGURATION });
  const laptop = new RealClient({ host: served.host('laptop'), folder: join(served.folder, 'laptop'), kind: 'dhclient' });
  const { address } = await laptop.waitForLease(WAIT_MS);
  const captured = await Capture.start({ host: served.router, segment: served.lan, file: join(served.folder, 'queries.pcapng') });
  let hardware = '';

  await t.test('DHCPLEASEACTIVE: the client, the rest of its lease, and when it was last heard of', async () => {
    for (const node of NODES) {
      const answer = await ask(served, node, 'address', address);
      assert.equal(answer['type'], 'DHCPLEASEACTIVE');
      assert.equal(answer['ciaddr'], address);
      assert.equal(answer['xid'], '4c51');
      const left = Number.parseInt(answer['51']!, 16);
      assert.ok(left > 0 && left <= 600, `${left} s`);
      assert.ok(Number.parseInt(answer['91']!, 16) <= 600);
      hardware = answer['chaddr']!;
      assert.match(hardware, /^[0-9a-f]{12}$/);
    }
  });
  await t.test('the same by its hardware address', async () => {
    for (const node of NODES) {
      const answer = await ask(served, node, 'hardware', hardware);
      assert.deepEqual([answer['type'], answer['ciaddr'], answer['chaddr']], ['DHCPLEASEACTIVE', address, hardware]);
    }
  });
  await t.test('DHCPLEASEUNASSIGNED for a free address, DHCPLEASEUNKNOWN for one of somebody else and for a client without a lease', async () => {
    for (const node of NODES) {
      assert.equal((await ask(served, node, 'address', '10.1.31.7'))['type'], 'DHCPLEASEUNASSIGNED');
      assert.equal((await ask(served, node, 'address', '192.0.2.7'))['type'], 'DHCPLEASEUNKNOWN');
      assert.equal((await ask(served, node, 'hardware', '02005e005301'))['type'], 'DHCPLEASEUNKNOWN');
      assert.equal((await ask(served, node, 'client-id', '01020304'))['type'], 'DHCPLEASEUNKNOWN');
    }
  });
  await t.test('every address in one bulk query, which tshark reads without a complaint', async () => {
    for (const node of NODES) {
      const { stdout } = await served.router.exec([process.execPath, join(import.meta.dirname, '../support/bulk-messages.ts'), ADDRESSES[node]]);
      const messages = stdout.trim().split('\n').map((line) => Buffer.from(line, 'hex'));
      assert.equal(messages.length, 16 * 256 + 1);
      const file = join(served.folder, `bulk-${node}.pcap`);
      writeCapture(file, messages);
      assert.deepEqual(await complaintsAbout(file), []);
      const types = (await readCapture(file, ['dhcp.option.dhcp'])).flat();
      const count = (type: string): number => types.filter((one) => one === type).length;
      assert.deepEqual(['13', '11', '15'].map(count), [1, 16 * 256 - 1, 1], 'ACTIVE, UNASSIGNED and DONE, as tshark reads them');
      const [[active]] = await readCapture(file, ['dhcp.ip.client'], 'dhcp.option.dhcp == 13') as [[string]];
      assert.equal(active, address);
    }
  });
  await t.test('a lease that was released is nobody\'s, on both nodes, once it is', async () => {
    await laptop.release(WAIT_MS);
    for (const node of NODES) assert.equal((await ask(served, node, 'address', address))['type'], 'DHCPLEASEUNASSIGNED');
  });
  await t.test('tshark finds nothing wrong in any of it', async () => {
    await captured.stop();
    assert.deepEqual(await captured.complaints(), []);
    const types = (await captured.read(['dhcp.option.dhcp'], 'dhcp.type == 2')).flat();
    for (const type of ['11', '12', '13']) assert.ok(types.includes(type), `an answer of type ${type} among ${types.join(' ')}`);
  });
  await t.test('whoever is not to ask is refused, and counted', async () => {
    await served.host('laptop').exec(['ip', 'addr', 'add', '10.1.0.9/16', 'dev', 'eth0']);
    const { stdout } = await served.host('laptop').exec(['perl', '-I', PERL_LIBRARIES, join(import.meta.dirname, '../support/net-dhcp-query.pl'), '10.1.0.9', ADDRESSES.a, 'address', address]);
    assert.equal(stdout.trim(), 'silence');
    const dropped = await served.nodes[0]!.metric('lessor_dhcp_dropped_total');
    assert.equal(dropped.get('reason="query-refused"'), 1);
  });
});
