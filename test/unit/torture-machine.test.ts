/** The torture's client machines and frames: what they send and hold, by RFC 2131 §4.4. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { MessageType, readServerMessage, writeClientMessage, type ClientMessage, type ServerMessage } from '../../deploy/lab/client-wire.ts';
import { DhcpMessage } from '../../node/codec/message.ts';
import { Random } from '../sim/random.ts';
import type { ClientEvent } from '../torture/events.ts';
import { EVERYONE, readArpQuestion, readUdpFrame, writeArpAnswer, writeUdpFrame } from '../torture/frames.ts';
import { Machine, type MachineWorld } from '../torture/machine.ts';

interface Sent {
  readonly at: number;
  readonly message: ClientMessage;
  readonly to: 'everybody' | { readonly server: string };
}

/** A machine, a clock in steps, and a server that answers what `answer` says. */
class Bench {
  now = 0;
  quiet = false;
  readonly sent: Sent[] = [];
  readonly told: ClientEvent[] = [];
  readonly machine: Machine;
  answer: (message: ClientMessage) => Partial<ServerMessage> | undefined = () => undefined;

  constructor(probe: boolean, seed = 1) {
    const isQuiet = (): boolean => this.quiet;
    const world: MachineWorld = {
      random: new Random(seed),
      get quiet() {
        return isQuiet();
      },
      send: (machine, message, to) => {
        this.sent.push({ at: this.now, message, to });
        const reply = this.answer(message);
        if (reply === undefined) return;
        queueMicrotask(() => machine.onReply({ xid: message.xid, chaddr: machine.hardware, yiaddr: '10.0.0.7', serverId: '10.0.0.1', leaseSeconds: 30, type: MessageType.ack, ...reply }, this.now));
      },
      tell: (event) => this.told.push(event),
    };
    this.machine = new Machine({ name: 'm', chaddr: Buffer.from('024c48000001', 'hex'), relayed: false, broadcastFlag: true, probe }, world, 0);
  }

  async pass(ms: number, stepMs = 10): Promise<void> {
    for (const end = this.now + ms; this.now < end; this.now += stepMs) {
      this.machine.step(this.now);
      await Promise.resolve();
      await Promise.resolve();
    }
  }

  get types(): number[] {
    return this.sent.map(({ message }) => message.type);
  }
}

const serving = ({ type }: ClientMessage): Partial<ServerMessage> => ({ type: type === MessageType.discover ? MessageType.offer : MessageType.ack });

test('a probe asks every second until it is served, waits since its first request, and is gone with its lease', async () => {
  const bench = new Bench(true);
  await bench.pass(2500);
  assert.deepEqual(bench.types, [MessageType.discover, MessageType.discover, MessageType.discover]);
  bench.answer = serving;
  await bench.pass(1000);
  assert.ok(bench.machine.gone);
  const [event] = bench.told;
  assert.equal(bench.told.length, 1);
  assert.ok(event?.event === 'granted' && event.how === 'new' && event.since === 0 && event.at >= 3000);
  // Counted from when it asked.
  assert.equal(event.until, bench.sent.at(-1)!.at + 30_000);
});

test('a lease is renewed with the server that gave it, then with anybody, and runs out by its own count', async () => {
  const bench = new Bench(false);
  bench.answer = serving;
  await bench.pass(1000);
  bench.answer = () => undefined;
  await bench.pass(32_000);
  const asked = bench.sent.filter(({ message }) => message.type === MessageType.request).slice(1);
  assert.deepEqual(asked.slice(0, 3).map(({ to }) => to), [{ server: '10.0.0.1' }, { server: '10.0.0.1' }, { server: '10.0.0.1' }]);
  assert.ok(asked.slice(3).length > 5 && asked.slice(3).every(({ to, message }) => to === 'everybody' && message.ciaddr === '10.0.0.7'));
  assert.ok(asked[0]!.at >= 11_900 && asked[0]!.at <= 15_100);
  const over = bench.told.at(-1)!;
  assert.ok(over.event === 'ended' && over.why === 'expired' && over.at - bench.told[0]!.at >= 29_900 && over.at - bench.told[0]!.at <= 30_100);
  assert.equal(bench.types.at(-1), MessageType.discover);
});

test('a refusal is told with whether the lease was held, and the machine begins anew', async () => {
  const bench = new Bench(false);
  bench.answer = serving;
  await bench.pass(1000);
  bench.answer = (message) => (message.ciaddr === undefined ? serving(message) : { type: MessageType.nak });
  await bench.pass(16_000);
  const refused = bench.told.find(({ event }) => event === 'refused');
  assert.ok(refused?.event === 'refused' && refused.held && refused.how === 'renew');
  assert.ok(bench.told.some((event) => event.event === 'granted' && event.at > refused.at && event.how === 'new'));
});

test('in their lives machines release, decline, forget, sleep, and come back with the address that they remember', async () => {
  const seen = new Set<string>();
  for (let seed = 1; seed < 250; seed++) {
    const bench = new Bench(false, seed);
    bench.answer = serving;
    await bench.pass(seed < 20 ? 240_000 : 200, 100);
    for (const event of bench.told) seen.add(event.event === 'granted' ? event.how : event.event === 'ended' ? event.why : 'refused');
    for (const { message } of bench.sent) seen.add(`type ${message.type}`);
  }
  const expected = ['new', 'renew', 'reboot', 'released', 'declined', 'forgotten', 'passed', `type ${MessageType.release}`, `type ${MessageType.decline}`];
  assert.deepEqual(expected.filter((what) => !seen.has(what)), []);
});

test('in quiet times nothing new begins, except where a lease would be over soon', async () => {
  const bench = new Bench(false);
  bench.quiet = true;
  await bench.pass(5000);
  assert.deepEqual(bench.sent, []);
  bench.quiet = false;
  bench.answer = serving;
  await bench.pass(1000);
  bench.quiet = true;
  await bench.pass(16_500);
  assert.equal(bench.sent.length, 2, 'its time to renew has come');
  await bench.pass(3000);
  assert.equal(bench.sent.length, 3);
});

test('frames are what was written, and the relay agent\'s part of a message is what the server reads', () => {
  const from = Buffer.from('024c48000001', 'hex');
  const payload = writeClientMessage({
    type: MessageType.decline, xid: 7, chaddr: from, requested: '10.0.0.7', serverId: '10.0.0.1', clientId: Buffer.from([0, 1, 2]),
    relay: { giaddr: '10.78.0.1', circuitId: 'port-1' },
  });
  const frame = writeUdpFrame({ fromHardware: from, toHardware: EVERYONE, from: '0.0.0.0', to: '255.255.255.255', fromPort: 68, toPort: 67, payload });
  const read = readUdpFrame(frame)!;
  assert.deepEqual([read.from, read.to, read.fromPort, read.toPort, read.payload.equals(payload)], ['0.0.0.0', '255.255.255.255', 68, 67, true]);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += frame.readUInt16BE(at);
  assert.equal((sum & 0xffff) + (sum >>> 16), 0xffff, 'the sum over a header with its checksum is all ones');
  assert.equal(readUdpFrame(frame.subarray(0, 60)), undefined);
  const message = new DhcpMessage();
  assert.equal(message.parse(payload), undefined);
  assert.deepEqual([message.giaddr, message.hops], [0x0a4e_0001, 1]);
  assert.equal(readServerMessage(payload), undefined);
});

test('who has an address is answered with its hardware address', () => {
  const question = Buffer.from('ffffffffffff024c5300000108060001080006040001024c530000010a4d000b0000000000000a4d1007', 'hex');
  const read = readArpQuestion(question)!;
  assert.deepEqual([read.from, read.asked], ['10.77.0.11', '10.77.16.7']);
  const answer = writeArpAnswer(read, Buffer.from('024c48000009', 'hex'));
  assert.equal(answer.toString('hex'), '024c53000001024c4800000908060001080006040002024c480000090a4d1007024c530000010a4d000b');
  assert.equal(readArpQuestion(answer), undefined);
});
