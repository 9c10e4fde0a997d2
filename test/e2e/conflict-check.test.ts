/** The conflict prober asks real hosts, in network namespaces. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Network, whyNoNetwork, type Host } from '../../deploy/lab/netns.ts';
import { waitUntil, type LabProcess } from '../../deploy/lab/processes.ts';
import type { Ask } from '../support/prober-process.ts';

const project = join(import.meta.dirname, '../..');
const proberFile = join(project, 'test/support/prober-process.ts');
const why = whyNoNetwork();
const needsNetwork = why === undefined ? {} : { skip: why };

interface Said {
  readonly what: string;
  readonly [field: string]: unknown;
}

interface Result {
  readonly inUse: boolean;
  readonly answeredBy?: string;
}

/** Nobody has it. */
const CLIENT = '02000000000a';
/** An answer within it is certain on this machine, however busy; no test waits for it to pass. */
const LONG_MS = 20_000;
/** So long is silence waited for. */
const SHORT_MS = 300;

class Prober {
  readonly process: LabProcess;
  readonly #said: Said[] = [];
  #lastId = 0;

  constructor(host: Host, options: { interfaces?: readonly string[]; prefix?: readonly string[] } = {}) {
    this.process = host.spawn([...options.prefix ?? [], process.execPath, proberFile, ...options.interfaces ?? ['eth0']], {
      input: true,
      onLine: (line) => {
        if (line.startsWith('{')) this.#said.push(JSON.parse(line) as Said);
      },
    });
  }

  of(what: string): Said[] {
    return this.#said.filter((one) => one.what === what);
  }

  wait(what: string, matches: (said: Said) => boolean = () => true): Promise<Said> {
    return waitUntil(`${what} from the prober, which said:\n${this.process.output}\n`, LONG_MS * 1.5, () => this.of(what).find(matches));
  }

  async ready(): Promise<this> {
    await this.wait('ready');
    return this;
  }

  /** Returns the probe's number. */
  ask(address: string, method: 'icmp' | 'arp', changes: Partial<Ask> = {}): number {
    const id = ++this.#lastId;
    this.process.write(JSON.stringify({ id, address, method, timeoutMs: LONG_MS, iface: 'eth0', targetLocal: true, chaddr: CLIENT, ...changes } satisfies Ask));
    return id;
  }

  async result(id: number): Promise<Result> {
    const { inUse, answeredBy } = await this.wait('result', (said) => said['id'] === id);
    return { inUse: inUse as boolean, ...(answeredBy === undefined ? {} : { answeredBy: answeredBy as string }) };
  }

  probe(address: string, method: 'icmp' | 'arp', changes: Partial<Ask> = {}): Promise<Result> {
    return this.result(this.ask(address, method, changes));
  }

  /** Ends it; gives how its probes ended, after checking that each one ended once. */
  async counts(): Promise<Said> {
    await this.process.stop();
    assert.deepEqual(this.of('result').map((said) => said['id']).toSorted((a, b) => Number(a) - Number(b)), Array.from({ length: this.#lastId }, (_, i) => i + 1));
    return this.of('end')[0]!['probes'] as Said;
  }
}

const hardwareOf = (host: Host): string => host.hardware().replaceAll(':', '');

for (const method of ['icmp', 'arp'] as const) {
  test(`${method}: an address that a host has is in use, one that nobody has is free`, needsNetwork, async () => {
    await using net = new Network();
    net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: ['10.1.0.99/24'] }] });
    const prober = await new Prober(net.host('server')).ready();
    const squatter = hardwareOf(net.host('squatter'));
    assert.deepEqual(await prober.probe('10.1.0.99', method), { inUse: true, answeredBy: squatter });
    assert.deepEqual(await prober.probe('10.1.0.98', method, { timeoutMs: SHORT_MS }), { inUse: false });
    assert.deepEqual(await prober.probe('10.1.0.1', method), { inUse: true }, 'its own');
    assert.deepEqual(await prober.counts(), { 'in-use': 2, 'free': 1, 'unable': 0 });
  });

  test(`${method}: many probes at once each get their own answer`, needsNetwork, async () => {
    await using net = new Network();
    const taken = (i: number): boolean => i % 3 === 0;
    const addresses = Array.from({ length: 90 }, (_, i) => `10.1.0.${100 + i}`);
    net.createSegment('lan', {
      hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: addresses.filter((_, i) => taken(i)).map((one) => `${one}/24`) }],
    });
    const prober = await new Prober(net.host('server')).ready();
    // The free ones' time begins with the others': it must be long enough for all of those.
    const ids = addresses.map((address, i) => prober.ask(address, method, { timeoutMs: taken(i) ? LONG_MS : SHORT_MS }));
    const results = await Promise.all(ids.map((id) => prober.result(id)));
    assert.deepEqual(results.map(({ inUse }) => inUse), addresses.map((_, i) => taken(i)));
    assert.deepEqual(await prober.counts(), { 'in-use': 30, 'free': 60, 'unable': 0 });
  });

  test(`${method}: what the client that asks still uses itself is free`, needsNetwork, async () => {
    await using net = new Network();
    net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'client', addresses: ['10.1.0.50/24'] }] });
    const prober = await new Prober(net.host('server')).ready();
    const chaddr = hardwareOf(net.host('client'));
    assert.deepEqual(await prober.probe('10.1.0.50', method, { chaddr, timeoutMs: SHORT_MS }), { inUse: false });
    assert.deepEqual(await prober.probe('10.1.0.50', method), { inUse: true, answeredBy: chaddr }, 'for another client it is in use');
  });

  test(`${method}: on an interface that is down an address is free, and it is counted that nobody could be asked`, needsNetwork, async () => {
    await using net = new Network();
    net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: ['10.1.0.99/24'] }] });
    const server = net.host('server');
    const prober = await new Prober(server).ready();
    assert.deepEqual((await prober.probe('10.1.0.99', method)).inUse, true);
    server.ip('link set eth0 down');
    assert.deepEqual(await prober.probe('10.1.0.99', method), { inUse: false });
    server.ip('link set eth0 up');
    assert.deepEqual((await prober.probe('10.1.0.99', method)).inUse, true, 'the sockets outlive it');
    assert.deepEqual(await prober.counts(), { 'in-use': 2, 'free': 0, 'unable': 1 });
  });

  test(`${method}: a process that may not open the socket says so once, and every address is free`, needsNetwork, async () => {
    await using net = new Network();
    net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: ['10.1.0.99/24'] }] });
    const prober = await new Prober(net.host('server'), { prefix: ['setpriv', '--bounding-set', '-net_raw'] }).ready();
    for (let i = 0; i < 3; i++) assert.deepEqual(await prober.probe('10.1.0.99', method), { inUse: false });
    assert.deepEqual(await prober.counts(), { 'in-use': 0, 'free': 0, 'unable': 3 });
    const what = method === 'icmp' ? 'ICMP' : 'ARP';
    assert.deepEqual(prober.of('event'), [{
      what: 'event', event: 'probe.unable', method: method === 'icmp' ? 'ICMP' : 'ARP on eth0', error: `socket for ${what}: EPERM`,
    }]);
  });
}

test('icmp: an earlier user of the address that the kernel remembers does not hide who uses it now', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: ['10.1.0.99/24'] }] });
  const server = net.host('server');
  server.ip('neighbour add 10.1.0.99 lladdr 02:00:00:00:00:77 nud reachable dev eth0');
  const prober = await new Prober(server).ready();
  assert.equal((await prober.probe('10.1.0.99', 'icmp')).inUse, true);
});

test('icmp: what nobody answered for leaves nothing in the kernel\'s table, what an operator put there stays', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }] });
  const server = net.host('server');
  server.ip('neighbour add 10.1.0.80 lladdr 02:00:00:00:00:80 nud permanent dev eth0');
  const prober = await new Prober(server).ready();
  for (const address of ['10.1.0.80', '10.1.0.81']) {
    assert.deepEqual(await prober.probe(address, 'icmp', { timeoutMs: SHORT_MS }), { inUse: false });
  }
  const known = JSON.parse(server.ip('-j neighbour show dev eth0 nud all')) as { dst: string }[];
  assert.deepEqual(known.map(({ dst }) => dst).filter((dst) => dst.startsWith('10.1.0.8')), ['10.1.0.80']);
});

test('arp: a request that is lost is sent again', needsNetwork, async () => {
  await using net = new Network();
  const lan = net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: ['10.1.0.99/24'] }] });
  const squatter = net.host('squatter');
  const prober = await new Prober(net.host('server')).ready();
  lan.cut(squatter);
  const id = prober.ask('10.1.0.99', 'arp', { timeoutMs: 6000 });
  await prober.wait('asked');
  lan.restore(squatter);
  assert.equal((await prober.result(id)).inUse, true);
});

test('arp: a host that uses the address is seen by what it asks itself, though it answers nobody', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: ['10.1.0.99/24'] }] });
  const squatter = net.host('squatter');
  await squatter.exec(['sh', '-c', 'echo 8 >/proc/sys/net/ipv4/conf/eth0/arp_ignore']);
  const prober = await new Prober(net.host('server')).ready();
  const id = prober.ask('10.1.0.99', 'arp');
  await prober.wait('asked');
  // Makes the kernel ask who has the address.
  await squatter.exec([process.execPath, '--eval', "require('node:dgram').createSocket('udp4').send('x', 9, '10.1.0.200', () => process.exit())"]);
  assert.deepEqual(await prober.result(id), { inUse: true, answeredBy: hardwareOf(squatter) });
});

test('arp: what the segment said while nothing was asked keeps no answer out of the socket', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: ['10.1.0.99/24'] }] });
  const squatter = net.host('squatter');
  const prober = await new Prober(net.host('server')).ready();
  // Opens the socket.
  assert.equal((await prober.probe('10.1.0.98', 'arp', { timeoutMs: 1 })).inUse, false);
  const index = (JSON.parse(squatter.ip('-j link show eth0')) as { ifindex: number }[])[0]!.ifindex;
  await squatter.exec([process.execPath, '--input-type=module-typescript', '--eval', `
    import { buildArpProbe } from ${JSON.stringify(join(project, 'node/io/arp-probe.ts'))};
    import { ArpSocket } from ${JSON.stringify(join(project, 'node/io/raw-sockets.ts'))};
    const socket = new ArpSocket(${index});
    // More than the socket holds.
    for (let i = 0; i < 4000; i++) socket.broadcast(buildArpProbe(Buffer.alloc(6, 2), i));`]);
  const id = prober.ask('10.1.0.99', 'arp');
  assert.equal((await prober.result(id)).inUse, true);
  const [result] = prober.of('result').filter((said) => said['id'] === id);
  assert.ok(Number(result?.['afterMs']) < LONG_MS / 2, 'before it is asked again');
});

test('behind a relay ICMP asks, by way of the router, whichever method is set', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'], gateway: '10.1.0.2' }, { name: 'router', addresses: ['10.1.0.2/24'] }] });
  net.createSegment('far', { hosts: [{ name: 'router', addresses: ['10.8.0.1/24'] }, { name: 'squatter', addresses: ['10.8.0.99/24'], gateway: '10.8.0.1' }] });
  net.route(net.host('router'));
  const prober = await new Prober(net.host('server')).ready();
  for (const method of ['icmp', 'arp'] as const) {
    assert.deepEqual(await prober.probe('10.8.0.99', method, { targetLocal: false }), { inUse: true });
    assert.deepEqual(await prober.probe('10.8.0.98', method, { targetLocal: false, timeoutMs: SHORT_MS }), { inUse: false });
  }
  assert.deepEqual(await prober.probe('203.0.113.1', 'icmp', { targetLocal: false, timeoutMs: SHORT_MS }), { inUse: false });
  net.host('server').ip('route delete default');
  assert.deepEqual(await prober.probe('10.8.0.99', 'icmp', { targetLocal: false }), { inUse: false });
  assert.deepEqual(await prober.counts(), { 'in-use': 2, 'free': 3, 'unable': 1 });
});

test('an address of a second subnet on the segment is asked for there, though the server has no address in it', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', {
    hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: ['10.2.0.99/24'] }, { name: 'router', addresses: ['10.1.0.2/24'] }],
  });
  // Its way back.
  net.host('squatter').ip('route add 10.1.0.0/24 dev eth0');
  net.host('server').ip('route add default via 10.1.0.2');
  const prober = await new Prober(net.host('server')).ready();
  for (const method of ['icmp', 'arp'] as const) {
    assert.deepEqual(await prober.probe('10.2.0.99', method), { inUse: true, answeredBy: hardwareOf(net.host('squatter')) });
  }
});

test('each interface asks on its own segment', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('one', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'a', addresses: ['10.1.0.99/24'] }] });
  net.createSegment('two', { hosts: [{ name: 'server', addresses: ['10.2.0.1/24'] }, { name: 'b', addresses: ['10.2.0.99/24', '10.1.0.98/24'] }] });
  const prober = await new Prober(net.host('server'), { interfaces: ['eth0', 'eth1'] }).ready();
  for (const method of ['arp', 'icmp'] as const) {
    assert.equal((await prober.probe('10.1.0.99', method)).inUse, true);
    assert.equal((await prober.probe('10.2.0.99', method, { iface: 'eth1' })).inUse, true);
    assert.equal((await prober.probe('10.1.0.98', method, { timeoutMs: SHORT_MS })).inUse, false);
    assert.equal((await prober.probe('10.1.0.98', method, { iface: 'eth1' })).inUse, true);
  }
});

test('an interface without ARP is asked by ICMP', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }] });
  const prober = await new Prober(net.host('server'), { interfaces: ['lo'] }).ready();
  assert.deepEqual(await prober.probe('127.0.0.9', 'arp', { iface: 'lo' }), { inUse: true });
  assert.deepEqual(await prober.counts(), { 'in-use': 1, 'free': 0, 'unable': 0 });
});

test('answers that came while the process was stopped count, though their time is over', needsNetwork, async () => {
  await using net = new Network();
  net.createSegment('lan', { hosts: [{ name: 'server', addresses: ['10.1.0.1/24'] }, { name: 'squatter', addresses: ['10.1.0.99/24'] }] });
  const server = net.host('server');
  const squatter = net.host('squatter');
  const prober = await new Prober(server).ready();
  // Opens the socket.
  assert.equal((await prober.probe('10.1.0.98', 'arp', { timeoutMs: 1 })).inUse, false);
  squatter.ip('link set eth0 down');
  const timeoutMs = 2000;
  const id = prober.ask('10.1.0.99', 'arp', { timeoutMs });
  await prober.wait('asked', (said) => said['id'] === id);
  prober.process.signal('SIGSTOP');
  squatter.ip('link set eth0 up');
  // Its first packet tells who it is.
  await squatter.exec([process.execPath, '--eval', "require('node:dgram').createSocket('udp4').send('x', 9, '10.1.0.1', () => process.exit())"]);
  await new Promise((resolve) => setTimeout(resolve, timeoutMs));
  prober.process.signal('SIGCONT');
  assert.equal((await prober.result(id)).inUse, true);
});
