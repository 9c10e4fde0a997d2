/** Settings of a scope: where they may stand, which one counts, and what they may not say together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INFINITE_SECONDS } from '../../node/time.ts';
import { assertOne, clusterConfig, clusterMistakes } from '../support/config-mistakes.ts';

const HOUR = 3600;
const SUBNET = 'subnets: [{ subnet: 10.0.0.0/8 }]\n';

test('what stands nearest to the address counts, setting by setting', () => {
  const { networks, subnets, pools } = clusterConfig(`
leaseTime: 1d
renewTime: 40%
rebindTime: 80%
leaseCache: 10%
nextServer: 10.0.0.5
serverHostname: boot
bootFileName: all
rapidCommit: true
allocation: random
conflictCheck: { method: icmp, timeout: 1s }
options: { routers: 10.0.0.1, domain-name: all.example.net, ntp-servers: 10.0.0.2 }
sharedNetworks:
  - name: link
    leaseTime: { default: 2h, max: 4h }
    bootp: true
    options: { domain-name: { value: link.example.net, send: always } }
    subnets:
      - subnet: 10.1.0.0/16
        rebindTime: 1h
        bootFileName: subnet
        allocation: hashed
        options: { routers: 10.1.0.1 }
        pools:
          - 10.1.1.0-10.1.1.255
          - { range: 10.1.2.0-10.1.2.255, leaseTime: infinite, renewTime: 10m, rapidCommit: false, nextServer: 0.0.0.0, conflictCheck: none, options: { ntp-servers: { send: never } } }
      - subnet: 10.2.0.0/16
subnets:
  - subnet: 10.3.0.0/16
    leaseCache: 25%
`);
  assert.deepEqual(networks.map(({ name, subnets: own }) => [name, own.length]), [['link', 2], ['10.3.0.0/16', 1]]);
  const [subnet, sibling, other] = subnets;
  const [plain, special] = pools;
  assert.equal(plain?.scope, subnet?.scope, 'a pool that says nothing has its subnet\'s');
  assert.deepEqual(subnet?.scope.lease, {
    defaultSeconds: 2 * HOUR, minSeconds: 2 * HOUR, maxSeconds: 4 * HOUR, renew: { fraction: 0.4 }, rebind: { seconds: HOUR },
  });
  assert.deepEqual(subnet.scope.boot, { nextServer: 0x0a000005, serverHostname: Buffer.from('boot'), bootFileName: Buffer.from('subnet') });
  assert.deepEqual([subnet.scope.rapidCommit, subnet.scope.bootp, subnet.scope.leaseCache, plain?.allocation], [true, true, 0.1, 'hashed']);
  assert.deepEqual(subnet.scope.conflictCheck, { method: 'icmp', timeoutMs: 1000, cacheSeconds: 300 });
  assert.deepEqual(subnet.scope.options, [
    { code: 3, value: Buffer.from([10, 1, 0, 1]), send: 'requested' },
    { code: 15, value: Buffer.from('link.example.net'), send: 'always' },
    { code: 42, value: Buffer.from([10, 0, 0, 2]), send: 'requested' },
  ]);
  assert.deepEqual(special?.scope.lease, {
    defaultSeconds: INFINITE_SECONDS, minSeconds: INFINITE_SECONDS, maxSeconds: INFINITE_SECONDS, renew: { seconds: 600 }, rebind: { seconds: HOUR },
  });
  assert.deepEqual([special.scope.rapidCommit, special.scope.bootp, special.allocation], [false, true, 'hashed']);
  assert.deepEqual(special.scope.conflictCheck, { method: 'none', timeoutMs: 500, cacheSeconds: 300 });
  assert.equal(special.scope.boot.nextServer, 0);
  assert.deepEqual(special.scope.options[2], { code: 42, value: Buffer.alloc(0), send: 'never' });
  assert.equal(sibling?.scope.options[0]?.value.readUInt8(1), 0, 'a sibling has what stands at the top');
  assert.deepEqual([other?.scope.lease.defaultSeconds, other?.scope.bootp, other?.scope.leaseCache], [24 * HOUR, false, 0.25]);
});

test('the defaults are those that dhcpd and Kea have', () => {
  const { subnets, limits } = clusterConfig(SUBNET);
  assert.deepEqual(subnets[0]?.scope, {
    lease: { defaultSeconds: 12 * HOUR, minSeconds: 12 * HOUR, maxSeconds: 12 * HOUR, renew: { fraction: 0.5 }, rebind: { fraction: 0.875 } },
    boot: { nextServer: 0, serverHostname: Buffer.alloc(0), bootFileName: Buffer.alloc(0) },
    options: [], rapidCommit: false, bootp: false, leaseCache: 0, conflictCheck: { method: 'none', timeoutMs: 500, cacheSeconds: 300 },
  });
  const none = { perSecond: 0, burst: 0 };
  assert.deepEqual(limits, { packetsPerClient: none, packetsPerRelay: none, declinesPerClient: none, leasesPerCircuit: 0, queriesPerRequestor: { perSecond: 0, burst: 0 } });
});

test('classes and reservations set what they say, and nothing else', () => {
  const { classes, reservations } = clusterConfig(`${SUBNET}
classes:
  - { name: a, match: { class: ALL }, leaseTime: 30m, renewTime: 5m, bootFileName: x, options: { domain-name: a } }
  - { name: b, match: { class: ALL }, rebindTime: 80%, nextServer: 10.0.0.9, identity: hardware, drop: true }
  - { name: c, match: { class: ALL } }
reservations:
  - { hardware: "02:00:00:00:00:01", hostname: h, options: { domain-name: { value: r, send: always } }, leaseTime: { default: 1h, min: 1m } }
  - { hardware: "02:00:00:00:00:02" }
`);
  const domainName = { code: 15, value: Buffer.from('a'), send: 'requested' };
  assert.deepEqual(classes.map(({ overlay, identity, drop }) => ({ overlay, identity, drop })), [
    {
      overlay: {
        lease: { defaultSeconds: 1800, minSeconds: 1800, maxSeconds: 1800, renew: { seconds: 300 } },
        boot: { bootFileName: Buffer.from('x') }, options: [domainName],
      },
      identity: undefined, drop: false,
    },
    { overlay: { lease: { rebind: { fraction: 0.8 } }, boot: { nextServer: 0x0a000009 }, options: [] }, identity: 'hardware', drop: true },
    { overlay: { options: [] }, identity: undefined, drop: false },
  ]);
  assert.deepEqual(reservations.map(({ overlay }) => overlay), [
    {
      lease: { defaultSeconds: HOUR, minSeconds: 60, maxSeconds: HOUR },
      options: [{ code: 12, value: Buffer.from('h'), send: 'requested' }, { code: 15, value: Buffer.from('r'), send: 'always' }],
    },
    { options: [] },
  ]);
});

test('the shortest, the usual and the longest lease are in order', () => {
  const lease = (text: string): string[] => clusterMistakes(`${SUBNET}leaseTime: ${text}`);
  assert.deepEqual(lease('{ default: 1h, min: 1h, max: infinite }'), []);
  assertOne(lease('{ default: 1h, min: 2h }'), 'c.yaml:2:32: leaseTime.min: expected min to be no longer than default');
  assertOne(lease('{ default: 1h, max: 30m }'), 'c.yaml:2:32: leaseTime.max: expected max to be no shorter than default');
  assertOne(lease('{ min: 1h }'), 'c.yaml:2:12: leaseTime.default: expected whole seconds: a duration from 1s to 3650d, such as 30s, 1h or 7d (a plain number is seconds), or infinite, but it is missing');
  assertOne(lease('{ default: 1h, maximum: 2h }'), 'c.yaml:2:27: leaseTime.maximum: unknown key; expected one of default, min, max');
  assertOne(lease('{ default: 1h, mx: 2h }'), 'c.yaml:2:27: leaseTime.mx: unknown key; did you mean max?');
  assertOne(lease('[1h]'), 'c.yaml:2:12: leaseTime: expected whole seconds: a duration');
});

test('RFC 2131 §4.4.5: T1 is earlier than T2, however each is given and wherever it stands', () => {
  const times = (top: string, subnet = ''): string[] => clusterMistakes(`${top}\nsubnets: [{ subnet: 10.0.0.0/8, ${subnet} }]`);
  assert.deepEqual(times('renewTime: 30m\nrebindTime: 1h'), []);
  assertOne(times('rebindTime: 50%'), 'c.yaml:1:13: rebindTime: expected renewTime (50%) to be earlier than rebindTime (50%)');
  assertOne(times('renewTime: 1h\nrebindTime: 30m'), 'c.yaml:2:13: rebindTime: expected renewTime (3600 s) to be earlier than rebindTime (1800 s)');
  assertOne(times('renewTime: 60%', 'rebindTime: 55%'), 'c.yaml:2:45: subnets[0].rebindTime: expected renewTime (60%)');
  assert.deepEqual(times('renewTime: 90%', 'rebindTime: 95%'), [], 'what no subnet takes over is no mistake');
  assert.deepEqual(times('rebindTime: 1h\nleaseTime: 90m'), []);
  assertOne(times('rebindTime: 1h', 'leaseTime: 4h'),
    'c.yaml:2:44: subnets[0].leaseTime: expected renewTime (50%) to be earlier than rebindTime (3600 s) with a lease of 14400 s');
  assert.deepEqual(times('rebindTime: 1h', 'leaseTime: 30m'), [], 'a time that the lease does not have counts for nothing');
  assert.deepEqual(times('leaseTime: infinite\nrebindTime: 1h'), [], 'there is no half of for ever');
  assertOne(clusterMistakes('rebindTime: 40%\nsubnets: [{ subnet: 10.0.0.0/16 }, { subnet: 10.1.0.0/16 }, { subnet: 10.2.0.0/16 }]'), 'c.yaml:1:13: rebindTime: expected');
  for (const value of ['0%', '100%', '-1%', '50', '"50"', '0.5', '5 %', '1.5s', 'half']) {
    const mistakes = times(`renewTime: ${value}`);
    if (value === '50') assert.deepEqual(mistakes, [], 'seconds');
    else assert.match(mistakes[0]!, /renewTime: expected a part of the lease between 0% and 100%/, value);
  }
  assertOne(clusterMistakes(`${SUBNET}classes: [{ name: a, match: { class: ALL }, renewTime: 70%, rebindTime: 60% }]`), 'c.yaml:2:73: classes[0].rebindTime: expected renewTime (70%)');
});

test('a cache that would never let a client lengthen its lease is a mistake', () => {
  assert.deepEqual(clusterMistakes(`${SUBNET}leaseCache: 49%`), []);
  assertOne(clusterMistakes(`${SUBNET}leaseCache: 50%`), 'c.yaml:2:13: leaseCache: expected leaseCache below renewTime (50%)');
  assertOne(clusterMistakes(`${SUBNET}leaseCache: 30%\nrenewTime: 25%`), 'c.yaml:2:13: leaseCache: expected leaseCache below renewTime (25%)');
  assertOne(clusterMistakes(`${SUBNET}leaseCache: 91%`), 'c.yaml:2:13: leaseCache: expected a percentage from 0% to 90%');
  assertOne(clusterMistakes(`${SUBNET}leaseCache: 0.3`), 'c.yaml:2:13: leaseCache: expected a percentage');
});

test('the boot fields hold what the packet has room for', () => {
  assert.deepEqual(clusterMistakes(`${SUBNET}serverHostname: ${'s'.repeat(63)}\nbootFileName: ${'f'.repeat(127)}`), []);
  assertOne(clusterMistakes(`${SUBNET}serverHostname: ${'s'.repeat(64)}`), 'c.yaml:2:17: serverHostname: expected text of at most 63 bytes');
  assertOne(clusterMistakes(`${SUBNET}bootFileName: ${'é'.repeat(64)}`), 'c.yaml:2:15: bootFileName: expected text of at most 127 bytes');
  assertOne(clusterMistakes(`${SUBNET}bootFileName: 7`), 'c.yaml:2:15: bootFileName: expected text');
  assertOne(clusterMistakes(`${SUBNET}bootFileName: "a\\u0000"`), 'c.yaml:2:15: bootFileName: expected text');
  assertOne(clusterMistakes(`${SUBNET}nextServer: boot.example.net`), 'c.yaml:2:13: nextServer: expected an IPv4 address');
});

test('a conflict check is a method, or a map with one', () => {
  assert.deepEqual(clusterConfig(`${SUBNET}conflictCheck: arp`).subnets[0]?.scope.conflictCheck, { method: 'arp', timeoutMs: 500, cacheSeconds: 300 });
  assertOne(clusterMistakes(`${SUBNET}conflictCheck: ping`), 'c.yaml:2:16: conflictCheck: expected one of none, icmp, arp, found "ping"');
  assertOne(clusterMistakes(`${SUBNET}conflictCheck: { timeout: 1s }`), 'c.yaml:2:16: conflictCheck.method: expected one of none, icmp, arp, but it is missing');
  assertOne(clusterMistakes(`${SUBNET}conflictCheck: { method: icmp, cash: 1s }`), 'c.yaml:2:32: conflictCheck.cash: unknown key; did you mean cache?');
  assertOne(clusterMistakes(`${SUBNET}conflictCheck: { method: icmp, timeout: 6s }`), 'c.yaml:2:41: conflictCheck.timeout: expected a duration from 10ms to 4s');
});

test('limits are rates with a burst that leaves room for them', () => {
  const limits = (text: string): ReturnType<typeof clusterConfig>['limits'] => clusterConfig(`${SUBNET}limits: { ${text} }`).limits;
  assert.deepEqual(limits('packetsPerClient: { rate: 20, burst: 40 }, leasesPerCircuit: 3').packetsPerClient, { perSecond: 20, burst: 40 });
  assert.deepEqual(limits('packetsPerRelay: { rate: 2000 }').packetsPerRelay, { perSecond: 2000, burst: 4000 });
  assert.deepEqual(limits('declinesPerClient: { rate: 0.1 }').declinesPerClient, { perSecond: 0.1, burst: 5 });
  assert.deepEqual(limits('declinesPerClient: { rate: 0, burst: 3 }').declinesPerClient, { perSecond: 0, burst: 0 });
  const mistakes = (text: string): string[] => clusterMistakes(`${SUBNET}limits: { ${text} }`);
  assertOne(mistakes('packetsPerClient: { burst: 9 }'), 'c.yaml:2:29: limits.packetsPerClient.rate: expected a number from 0 to 1000000, but it is missing');
  assertOne(mistakes('packetsPerClient: { rate: 20, burst: 10 }'), 'c.yaml:2:48: limits.packetsPerClient.burst: expected at least 20');
  assertOne(mistakes('packetsPerClient: { rate: 0.5, burst: 1 }'), 'c.yaml:2:49: limits.packetsPerClient.burst: expected at least 2');
  assertOne(mistakes('packetsPerClients: { rate: 1 }'), 'c.yaml:2:11: limits.packetsPerClients: unknown key; did you mean packetsPerClient?');
  assertOne(mistakes('leasesPerCircuit: -1'), 'c.yaml:2:29: limits.leasesPerCircuit: expected a whole number');
});
