/**
 * A process that probes addresses: for tests of the conflict prober in a network namespace. Each line of its
 * input is JSON, an `Ask`; it prints a line of JSON for each thing that happens, and at SIGTERM its counters.
 *
 * Arguments: the names of the interfaces, as they are when it starts.
 */
import { createInterface } from 'node:readline';
import { parseIpv4 } from '../../node/codec/address.ts';
import { openConflictProber } from '../../node/io/conflict-prober.ts';
import { readInterfaces } from '../../node/io/interfaces.ts';
import { InterfaceControl } from '../../node/io/libc.ts';
import { Counters } from '../../node/telemetry/counters.ts';

export interface Ask {
  readonly id: number;
  readonly address: string;
  readonly method: 'icmp' | 'arp';
  readonly timeoutMs: number;
  /** The name of the interface that the client's packet came in on. */
  readonly iface: string;
  readonly targetLocal: boolean;
  /** The client's hardware address in hexadecimal. */
  readonly chaddr: string;
}

function say(what: string, fields: object): void {
  process.stdout.write(`${JSON.stringify({ what, ...fields })}\n`);
}

const counters = new Counters();
const askedAt = new Map<number, number>();
const interfaces = readInterfaces(process.argv.slice(2), new InterfaceControl());
const prober = openConflictProber({
  counters,
  onResult: (id, inUse, answeredBy) => {
    const afterMs = Math.round((performance.now() - askedAt.get(id)!) * 10) / 10;
    say('result', { id, inUse, answeredBy: answeredBy?.toString('hex'), afterMs });
  },
  onEvent: ({ id, fields }) => say('event', { event: id, ...fields }),
});
prober.setInterfaces(interfaces);

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const { iface: name, address, chaddr, ...rest } = JSON.parse(line) as Ask;
  askedAt.set(rest.id, performance.now());
  prober.probe({ ...rest, address: parseIpv4(address)!, chaddr: Buffer.from(chaddr, 'hex'), iface: interfaces.find((one) => one.name === name)! });
  say('asked', { id: rest.id });
});
say('ready', { interfaces: interfaces.map(({ name }) => name) });

process.once('SIGTERM', () => {
  prober.close();
  input.close();
  say('end', { probes: counters.probes });
});
