/** The examples do what their comments say: who is in which class, who may pass, and what clients are told. */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClassMatcher, mayPass } from '../../node/classes/matcher.ts';
import { formatRange } from '../../node/codec/address.ts';
import { loadClusterConfig } from '../../node/config/load.ts';
import type { ClusterConfig, SubnetConfig } from '../../node/config/types.ts';
import { addressOption, discover, ip } from '../support/client-packets.ts';
import type { ClientFields } from '../support/client-packets.ts';
import { PROJECT } from '../support/documentation.ts';
import { match } from './class-fixture.ts';
import type { RequestFields } from './class-fixture.ts';
import { parsed, tlv } from './codec-packets.ts';

const load = (name: string): ClusterConfig => loadClusterConfig(join(PROJECT, `deploy/examples/${name}.yaml`));
const text = (value: string): Buffer => Buffer.from(value);
const hardware = (hex: string): ClientFields => ({ chaddr: Buffer.from(hex.replaceAll(':', ''), 'hex') });
const relayed = (...suboptions: readonly Buffer[]): ClientFields => ({ giaddr: ip('10.0.0.1'), relayAgentInformation: Buffer.concat(suboptions) });

/** The names of a client's classes, and what they and the scope make together where no reservation does. */
function client(config: ClusterConfig, fields: ClientFields, more: RequestFields = {}) {
  const set = match(new ClassMatcher(config.classes), parsed(discover(fields)), more);
  const may = (subnet: SubnetConfig): string[] => (mayPass(set, subnet.guard)
    ? subnet.pools.filter(({ guard }) => mayPass(set, guard)).flatMap(({ ranges }) => ranges.map(formatRange)) : []);
  const told = (subnet: SubnetConfig) => {
    const options = new Map([...subnet.scope.options, ...set.overlay.options].map((option) => [option.code, option]));
    return {
      leaseSeconds: { ...subnet.scope.lease, ...set.overlay.lease }.defaultSeconds,
      bootFileName: { ...subnet.scope.boot, ...set.overlay.boot }.bootFileName.toString(),
      sends: (code: number) => (options.get(code)?.send === 'never' ? undefined : options.get(code)?.value.toString('latin1')),
      send: (code: number) => options.get(code)?.send,
    };
  };
  return { classes: set.indexes.map((index) => config.classes[index]!.name), identity: set.identity, drop: set.drop, may, told };
}

test('each example is checked', () => {
  const names = globSync('deploy/examples/*.yaml', { cwd: PROJECT }).map((file) => file.replace(/.*\/|\.yaml$/g, '')).toSorted();
  assert.deepEqual(names, ['campus-relays', 'guests-and-infrastructure', 'ipv6-mostly', 'names-in-dns', 'phones', 'pxe-boot', 'shared-network']);
});

test('office machines have their own names in DNS, guests made-up ones, test machines none', () => {
  const [office, guests, tests] = load('names-in-dns').subnets as [SubnetConfig, SubnetConfig, SubnetConfig];
  assert.deepEqual(office.scope.dns?.updates, guests.scope.dns?.updates);
  assert.deepEqual(office.scope.dns?.updates.zones.map(({ name, key }) => [name, key]), [['example.net.', 'lessor-key'], ['70.10.in-addr.arpa.', 'lessor-key']]);
  assert.deepEqual([office, guests].map(({ scope }) => scope.dns?.naming.replaceName), ['never', 'always']);
  assert.deepEqual([guests.scope.dns?.naming.clientUpdates, guests.scope.dns?.naming.generated], ['override', 'guest-{address}']);
  assert.equal(tests.scope.dns, undefined);
});

test('guests have half an hour and infrastructure a week', () => {
  const config = load('guests-and-infrastructure');
  const [house, guests] = config.subnets as [SubnetConfig, SubnetConfig];
  const guest = client(config, relayed(tlv(1, text('wifi-guest/ap-7'))));
  assert.deepEqual([guest.classes, guest.identity, guest.told(guests).leaseSeconds], [['guests'], 'hardware', 30 * 60]);
  assert.deepEqual([guest.may(house), guest.may(guests)], [[], ['10.21.1.0-10.21.255.254']]);
  assert.deepEqual([guest.told(guests).sends(6), guest.told(guests).sends(42)], ['\x09\x09\x09\x09\x95\x70\x70\x70', undefined]);
  const accessPoint = client(config, hardware('00:1b:63:00:00:07'));
  assert.deepEqual([accessPoint.classes, accessPoint.told(house).leaseSeconds], [['infrastructure'], 7 * 86_400]);
  assert.deepEqual(accessPoint.may(house), ['10.20.64.0-10.20.67.255']);
  assert.deepEqual(client(config, { options: { 60: text('ArubaAP 505') } }).classes, ['infrastructure']);
  const laptop = client(config, relayed(tlv(1, text('wired'))));
  assert.deepEqual([laptop.classes, laptop.told(house).leaseSeconds, laptop.may(house)], [[], 86_400, ['10.20.1.0-10.20.63.255']]);
  assert.equal(laptop.told(house).sends(42), '\x0a\x14\x00\x7b');
  const known = client(config, {}, { known: true });
  assert.deepEqual(known.may(house), ['10.20.1.0-10.20.63.255', '10.20.64.0-10.20.67.255']);
  assert.deepEqual([config.pools.at(-1)?.allocation, config.limits.leasesPerCircuit], ['random', 500]);
});

test('a machine that boots gets the file of its architecture', () => {
  const config = load('pxe-boot');
  const [subnet] = config.subnets as [SubnetConfig];
  const boots = (architecture: number, vendor: string, more: Record<number, Buffer> = {}) =>
    client(config, { options: { 60: text(vendor), 93: Buffer.from([0, architecture]), ...more } });
  const files = new Map([[0, 'undionly.kpxe'], [7, 'efi/x64/ipxe.efi'], [9, 'efi/x64/ipxe.efi'], [11, 'efi/arm64/ipxe.efi'], [6, '']]);
  for (const [architecture, file] of files) {
    const { told } = boots(architecture, `PXEClient:Arch:0000${architecture}:UNDI:003001`);
    assert.deepEqual([told(subnet).bootFileName, told(subnet).leaseSeconds], [file, 3600], String(architecture));
  }
  const http = boots(16, 'HTTPClient:Arch:00016:UNDI:003001').told(subnet);
  assert.deepEqual([http.bootFileName, http.sends(60), http.send(60)], ['http://10.30.0.5/efi/boot.efi', 'HTTPClient', 'always']);
  for (const userClass of [text('iPXE'), Buffer.concat([Buffer.from([4]), text('iPXE')])]) {
    assert.equal(boots(7, 'PXEClient:Arch:00007', { 77: userClass }).told(subnet).bootFileName, 'http://10.30.0.5/boot.ipxe', 'iPXE has it bare or by RFC 3004');
  }
  const installed = client(config, {}).told(subnet);
  assert.deepEqual([installed.bootFileName, installed.leaseSeconds], ['', 12 * 3600]);
  assert.equal(subnet.scope.boot.nextServer, ip('10.30.0.5'));
  assert.equal(config.reservations[0]?.overlay.boot?.bootFileName?.toString(), 'http://10.30.0.5/build-1.ipxe');
});

test('on a shared network the class decides the subnet', () => {
  const config = load('shared-network');
  const [registered, others] = config.subnets as [SubnetConfig, SubnetConfig];
  assert.deepEqual(config.networks.map(({ name, subnets }) => [name, subnets.length]), [['campus-1', 2]]);
  const stranger = client(config, relayed(tlv(1, text('lab-1/ge-0/0/1'))));
  assert.deepEqual([stranger.classes, stranger.may(registered), stranger.may(others)], [[], [], ['192.168.40.10-192.168.43.250']]);
  assert.equal(stranger.told(others).leaseSeconds, 20 * 60);
  const desk = client(config, relayed(tlv(1, text('office/ge-0/0/1'))), { known: true });
  assert.deepEqual([desk.may(registered), desk.may(others)], [['10.40.2.0-10.40.2.6', '10.40.2.8-10.40.3.15', '10.40.3.32-10.40.3.250'], []]);
  assert.equal(desk.told(registered).leaseSeconds, 8 * 3600);
  const bench = client(config, relayed(tlv(1, text('lab-2/ge-0/0/1'))), { known: true });
  assert.deepEqual([bench.classes, bench.may(registered)[0]], [['laboratory', 'KNOWN'], '10.40.1.0-10.40.1.255']);
  assert.notEqual(bench.told(registered).sends(119), undefined);
  assert.equal(config.reservations.length, 5);
  assert.ok(config.reservations.every(({ networkIndex }) => networkIndex === 0));
});

test('on the campus a subnet says what differs, and a pool lets in whom it is for', () => {
  const config = load('campus-relays');
  const halls = config.subnets.at(-1)!;
  const camera = client(config, hardware('ac:cc:8e:00:00:01'));
  assert.deepEqual([camera.classes, camera.may(halls)], [['cameras'], ['10.3.7.0-10.3.7.200']]);
  assert.equal(camera.told(halls).sends(3), undefined);
  const laptop = client(config, hardware('02:00:00:00:00:01'));
  assert.deepEqual(laptop.may(halls), ['10.3.1.0-10.3.3.255', '10.3.5.0-10.3.6.255']);
  assert.equal(laptop.told(halls).sends(3), addressOption(ip('10.3.0.1')).toString('latin1'));
  assert.equal(client(config, { options: { 60: text('Hewlett-Packard JetDirect') } }).told(halls).leaseSeconds, 30 * 86_400);
  assert.equal(client(config, hardware('52:54:00:66:66:66')).drop, true);
  assert.equal(client(config, hardware('52:54:00:66:66:67')).drop, false);
  assert.deepEqual(config.networks.map(({ identity }) => identity), ['client-id', 'client-id', 'client-id', 'client-id', 'hardware']);
  assert.deepEqual(config.subnets.map(({ scope }) => scope.conflictCheck.method), ['none', 'none', 'icmp', 'none', 'none']);
  assert.deepEqual(config.reservations.map(({ networkIndex, address }) => [networkIndex, address]), [
    [undefined, undefined], [1, ip('10.1.4.5')], [3, ip('10.2.0.11')], [3, ip('10.2.0.12')], [3, ip('10.2.0.13')],
  ]);
});

test('telephones find their files, and access points their controller', () => {
  const config = load('phones');
  const [subnet] = config.subnets as [SubnetConfig];
  const vendor = (name: string, more: Record<number, Buffer> = {}) => client(config, { options: { 60: text(name), ...more } });
  const desk = vendor('ccp.example.com');
  assert.deepEqual([desk.told(subnet).sends(242), desk.may(subnet)], ['VLAN-A:40;', ['10.50.4.0-10.50.7.255']]);
  const tftp = vendor('Example Systems IP Phone CP-7').told(subnet);
  assert.deepEqual([tftp.sends(150), tftp.sends(66), tftp.sends(67), tftp.leaseSeconds], ['\x0a\x32\x00\x05\x0a\x32\x00\x06', '10.50.0.5', 'phone.cfg', 3 * 86_400]);
  const accessPoint = vendor('ExampleAP');
  assert.deepEqual([accessPoint.told(subnet).sends(43), accessPoint.told(subnet).send(43)], ['\x01\x04\x0a\x32\x00\x09\x02\x04\x1f\x90\x20\xfb', 'always']);
  assert.deepEqual(accessPoint.may(subnet), ['10.50.8.0-10.50.8.255']);
  const serial = tlv(2, text('123'));
  const box = vendor('box', { 125: Buffer.concat([Buffer.from([0, 0, 0x0d, 0xe9, serial.length]), serial]) });
  assert.deepEqual([box.classes, box.told(subnet).sends(43)], [['set-top-boxes'], '\x01\x04\x0a\x32\x00\x07']);
  assert.deepEqual(vendor('other').may(subnet), ['10.50.9.0-10.50.15.250']);
});

test('RFC 8925: clients that can do without IPv4 are told so where they may', () => {
  const config = load('ipv6-mostly');
  const [mostly, both] = config.subnets as [SubnetConfig, SubnetConfig];
  const any = client(config, hardware('02:00:00:00:00:01'));
  assert.deepEqual([any.told(mostly).sends(108), any.told(mostly).send(108), any.told(both).sends(108)], ['\x00\x00\x07\x08', 'requested', undefined]);
  assert.equal(client(config, hardware('00:80:f0:00:00:01')).told(mostly).sends(108), undefined);
  assert.equal(any.told(both).sends(114), 'https://portal.example.net/api');
});
