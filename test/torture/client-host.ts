/**
 * Runs on the clients' host: hundreds of client machines with hardware addresses of their own, on the segment
 * and behind a relay agent, which is also the router of its clients. All speak through one packet socket, so
 * no address of theirs is the host's own; the machines answer ARP for the addresses that they use.
 *
 * Argument: `ClientHostOptions` as JSON. Input, a line of JSON each: `ClientHostCommand`. Output: `ready`, then
 * `ClientEvent`s and `ClientsState`s, and `quiet` once nobody asks any more after that was commanded.
 */
import { createInterface } from 'node:readline';
import { readServerMessage, writeClientMessage, type ClientMessage } from '../../deploy/lab/client-wire.ts';
import { Random } from '../sim/random.ts';
import { FrameSocket } from '../support/frame-socket.ts';
import type { ClientEvent, ClientsState } from './events.ts';
import { EVERYONE, readArpQuestion, readUdpFrame, writeArpAnswer, writeUdpFrame } from './frames.ts';
import { Machine, type MachineTraits, type MachineWorld } from './machine.ts';

export interface ClientHostOptions {
  readonly device: string;
  readonly seed: number;
  /** What the monotonic clock lacks to be the run's time. */
  readonly clockOffset: number;
  /** Address and hardware address (hex) of each node. */
  readonly nodes: readonly (readonly [address: string, hardware: string])[];
  /** Its address towards the nodes, and the one towards its clients. */
  readonly relay: { readonly address: string; readonly giaddr: string };
}

export type ClientHostCommand =
  | { readonly do: 'machines'; readonly direct: number; readonly relayed: number; readonly withinMs: number }
  /** A new client every so often, on the segment and behind the relay in turn. */
  | { readonly do: 'probe'; readonly everyMs: number }
  | { readonly do: 'quiet'; readonly quiet: boolean };

const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const STEP_MS = 5;
const STATE_MS = 1000;
/** While so many probes wait, no more begin: an outage of minutes would end in a flood. */
const PROBES_WAITING_MAX = 250;
const RELAY_HARDWARE = Buffer.from('024c52000001', 'hex');

const options = JSON.parse(process.argv[2] ?? '{}') as ClientHostOptions;
const now = (): number => Number(process.hrtime.bigint()) / 1e6 + options.clockOffset;
const random = new Random(options.seed);
const socket = new FrameSocket(options.device);
const machines = new Map<string, Machine>();
const hardwareOfNode = new Map(options.nodes.map(([address, hex]) => [address, Buffer.from(hex, 'hex')]));
let lines: string[] = [];
let quiet = false;
let quietAsked = false;
let probeEveryMs = 0;
let probeAt = 0;
let made = 0;
let stateAt = 0;

function tell(event: ClientEvent | ClientsState): void {
  lines.push(`${JSON.stringify(event)}\n`);
}

function sendUdp(fromHardware: Buffer, toHardware: Buffer, from: string, to: string, ports: readonly [number, number], payload: Buffer): void {
  socket.send(writeUdpFrame({ fromHardware, toHardware, from, to, fromPort: ports[0], toPort: ports[1], payload }));
}

const world: MachineWorld = {
  random,
  get quiet() {
    return quiet;
  },
  tell,
  send(machine: Machine, message: ClientMessage, to: 'everybody' | { readonly server: string }): void {
    const { chaddr, relayed } = machine.traits;
    if (to !== 'everybody') {
      const hardware = hardwareOfNode.get(to.server);
      // A server identifier that is no node's: nobody would get the packet.
      if (hardware !== undefined) {
        sendUdp(relayed ? RELAY_HARDWARE : chaddr, hardware, message.ciaddr!, to.server, [CLIENT_PORT, SERVER_PORT], writeClientMessage(message));
      }
    } else if (relayed) {
      const { address, giaddr } = options.relay;
      const payload = writeClientMessage({ ...message, relay: { giaddr, circuitId: machine.traits.name } });
      for (const [node, hardware] of hardwareOfNode) sendUdp(RELAY_HARDWARE, hardware, address, node, [SERVER_PORT, SERVER_PORT], payload);
    } else {
      sendUdp(chaddr, EVERYONE, message.ciaddr ?? '0.0.0.0', '255.255.255.255', [CLIENT_PORT, SERVER_PORT], writeClientMessage(message));
    }
  },
};

function onFrame(frame: Buffer): void {
  const datagram = readUdpFrame(frame);
  if (datagram !== undefined) {
    if (datagram.toPort !== CLIENT_PORT && datagram.to !== options.relay.giaddr) return;
    const reply = readServerMessage(datagram.payload);
    if (reply !== undefined) machines.get(reply.chaddr)?.onReply(reply, now());
    return;
  }
  const question = readArpQuestion(frame);
  if (question === undefined) return;
  const hardware = question.asked === options.relay.address ? RELAY_HARDWARE : holderOf(question.asked)?.traits.chaddr;
  if (hardware !== undefined) socket.send(writeArpAnswer(question, hardware));
}

function holderOf(address: string): Machine | undefined {
  return [...machines.values()].find((machine) => machine.address === address && !machine.traits.relayed);
}

function addMachine(name: string, relayed: boolean, probe: boolean, bootAt: number): void {
  const chaddr = Buffer.from([0x02, 0x4c, probe ? 0x50 : 0x48, 0, 0, 0]);
  chaddr.writeUIntBE(++made, 3, 3);
  const traits: MachineTraits = {
    name, chaddr, relayed, probe, broadcastFlag: random.chance(0.5), ...(random.chance(0.3) ? { clientId: Buffer.from(`\0${name}`) } : {}),
  };
  machines.set(chaddr.toString('hex'), new Machine(traits, world, bootAt));
}

function probe(at: number): void {
  if (probeEveryMs === 0 || quiet || at < probeAt) return;
  // Not those that were missed: the pace is what counts.
  probeAt = Math.max(probeAt + probeEveryMs, at - probeEveryMs);
  const waiting = [...machines.values()].filter(({ traits }) => traits.probe).length;
  if (waiting < PROBES_WAITING_MAX) addMachine(`probe-${made + 1}`, made % 2 === 0, true, at);
}

function step(): void {
  socket.drain(onFrame);
  const at = now();
  probe(at);
  let asking = 0;
  let holding = 0;
  let longestMs = 0;
  for (const [hardware, machine] of machines) {
    machine.step(at);
    const waits = machine.askingMs(at);
    if (waits !== undefined) asking++;
    longestMs = Math.max(longestMs, waits ?? 0);
    if (machine.holding) holding++;
    if (machine.gone) machines.delete(hardware);
  }
  if (at >= stateAt) {
    tell({ event: 'state', at, holding, asking, longestMs });
    stateAt = at + STATE_MS;
  }
  if (quietAsked && asking === 0) {
    quietAsked = false;
    lines.push('quiet\n');
  }
  if (lines.length > 0) process.stdout.write(lines.join(''));
  lines = [];
}

function obey(command: ClientHostCommand): void {
  const at = now();
  switch (command.do) {
    case 'machines':
      for (let i = 0; i < command.direct + command.relayed; i++) {
        addMachine(`host-${made + 1}`, i >= command.direct, false, at + random.between(0, command.withinMs));
      }
      return;
    case 'probe':
      probeEveryMs = command.everyMs;
      probeAt = at;
      return;
    case 'quiet':
      quiet = command.quiet;
      quietAsked = command.quiet;
      return;
    default: command satisfies never;
  }
}

createInterface({ input: process.stdin }).on('line', (line) => obey(JSON.parse(line) as ClientHostCommand));
setInterval(step, STEP_MS);
process.stdout.write('ready\n');
