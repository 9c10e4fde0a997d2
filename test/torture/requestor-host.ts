/**
 * Runs on the requestor's host: sends LEASEQUERYs over UDP (RFC 4388) and bulk queries over TCP (RFC 6926) as it is
 * told, and tells what came.
 *
 * Argument: `RequestorHostOptions` as JSON. Input, a line of JSON each: `RequestorCommand`. Output: `ready`, then
 * `RequestorAnswer`s.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { formatIpv4, parseIpv4 } from '../../node/codec/address.ts';
import { MESSAGE_BYTES_MAX } from '../../node/codec/message.ts';
import { framed, FrameReader } from '../../node/leasequery/framing.ts';
import { LEASEQUERY_PORT, QueryStatus, QueryType } from '../../node/leasequery/messages.ts';
import { Answer, statusName } from '../../node/leasequery/requestor/answer.ts';
import { bulkQuery, singleQuery } from '../../node/leasequery/requestor/queries.ts';

export interface RequestorHostOptions {
  /** Its own. */
  readonly address: string;
  /** What the monotonic clock lacks to be the run's time. */
  readonly clockOffset: number;
}

/** About an address, or a hardware address (hex). `id`: also the transaction's. */
export type RequestorCommand =
  | { readonly do: 'ask'; readonly id: number; readonly server: string; readonly address: string }
  | { readonly do: 'ask'; readonly id: number; readonly server: string; readonly hardware: string }
  | { readonly do: 'bulk'; readonly id: number; readonly server: string };

/** What one LEASEQUERY was answered. */
export interface SingleAnswer {
  readonly answer: 'single';
  readonly id: number;
  readonly at: number;
  readonly outcome: 'active' | 'unassigned' | 'unknown';
  /** All of the client's leases. */
  readonly addresses: readonly string[];
  /** Hex. */
  readonly hardware: string;
}

/** All active bindings of a node, or why there are none. */
export interface BulkAnswer {
  readonly answer: 'bulk';
  readonly id: number;
  readonly at: number;
  readonly failure?: string;
  readonly active: readonly (readonly [address: string, hardware: string])[];
  /** Addresses that it told of, and those that it told of again. */
  readonly told: number;
  readonly repeated: number;
}

export type RequestorAnswer = SingleAnswer | BulkAnswer;

const BULK_MS = 8000;
const ETHERNET = 1;
const OUTCOMES: Readonly<Record<number, SingleAnswer['outcome']>> = {
  [QueryType.LEASEACTIVE]: 'active', [QueryType.LEASEUNASSIGNED]: 'unassigned', [QueryType.LEASEUNKNOWN]: 'unknown',
};

const options = JSON.parse(process.argv[2] ?? '{}') as RequestorHostOptions;
const giaddr = parseIpv4(options.address)!;
const now = (): number => Number(process.hrtime.bigint()) / 1e6 + options.clockOffset;
const answer = new Answer();

function tell(told: RequestorAnswer): void {
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

function hardwareOf({ hardware }: Answer): string {
  return hardware?.chaddr.toString('hex') ?? '';
}

// ── over UDP ─────────────────────────────────────────────────────────────────────────────────────

const socket = createSocket('udp4');

socket.on('message', (bytes) => {
  if (answer.parse(bytes) !== undefined) return;
  const outcome = OUTCOMES[answer.type];
  if (outcome === undefined) return;
  const addresses = outcome === 'active' ? answer.associated ?? [answer.address] : [];
  tell({ answer: 'single', id: answer.xid, at: now(), outcome, addresses: addresses.map(formatIpv4), hardware: hardwareOf(answer) });
});

function ask(command: Extract<RequestorCommand, { do: 'ask' }>): void {
  const subject = 'address' in command
    ? { by: 'address', address: parseIpv4(command.address)! } as const
    : { by: 'hardware', hardware: { htype: ETHERNET, chaddr: Buffer.from(command.hardware, 'hex') } } as const;
  // A way that is cut: no answer, as for any other reason.
  socket.send(singleQuery({ xid: command.id, giaddr, subject, options: [] }), LEASEQUERY_PORT, command.server, () => undefined);
}

// ── over TCP ─────────────────────────────────────────────────────────────────────────────────────

function readAll({ id, server }: Extract<RequestorCommand, { do: 'bulk' }>): void {
  const active: [string, string][] = [];
  const seen = new Set<number>();
  const reader = new FrameReader(MESSAGE_BYTES_MAX);
  const stream = connect({ host: server, port: LEASEQUERY_PORT, localAddress: options.address });
  let repeated = 0;
  let isOver = false;
  const end = (failure?: string): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    stream.destroy();
    tell({ answer: 'bulk', id, at: now(), active, told: seen.size, repeated, ...(failure === undefined ? {} : { failure }) });
  };
  const timer = setTimeout(() => end('no end came in time'), BULK_MS);
  stream.on('error', (error) => end(error.message));
  stream.on('close', () => end('the connection ended'));
  stream.on('connect', () => stream.write(framed(bulkQuery({ xid: id, options: [] }))));
  stream.on('data', (bytes: Buffer) => {
    reader.push(bytes);
    for (let message = reader.next(); message !== undefined; message = reader.next()) {
      if (answer.parse(message) !== undefined) end('a message that cannot be read');
      else if (answer.type === QueryType.LEASEQUERYDONE) end(answer.status === QueryStatus.SUCCESS ? undefined : `${statusName(answer.status)}: ${answer.statusText}`);
      else {
        if (seen.has(answer.address)) repeated++;
        seen.add(answer.address);
        if (answer.type === QueryType.LEASEACTIVE) active.push([formatIpv4(answer.address), hardwareOf(answer)]);
      }
    }
  });
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line) as RequestorCommand;
  if (command.do === 'ask') ask(command);
  else readAll(command);
}).on('close', () => process.exit());

socket.bind(LEASEQUERY_PORT, options.address, () => process.stdout.write('ready\n'));
