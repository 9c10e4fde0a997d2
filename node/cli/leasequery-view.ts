/** An answer of LEASEQUERY as people and scripts read it. Times are the server's, as it has told them. */
import { isoSeconds } from '../admin/lease-view.ts';
import { formatHardware, formatHexPairs, formatIpv4 } from '../codec/address.ts';
import { OptionCode } from '../codec/message.ts';
import { OptionCatalogue, readOptionValue } from '../codec/options.ts';
import type { OptionJson } from '../codec/options.ts';
import { QueryOption, QueryType } from '../leasequery/messages.ts';
import type { Answer, DhcpStateName } from '../leasequery/requestor/answer.ts';
import { INFINITE_SECONDS } from '../time.ts';
import { formatDuration, renderRow } from './table.ts';

const HOST_NAME = 12;
const VENDOR_CLASS = 60;

/** What has a place of its own in the view. */
const PLACED: ReadonlySet<number> = new Set([
  OptionCode.MESSAGE_TYPE, OptionCode.OVERLOAD, OptionCode.SERVER_IDENTIFIER, OptionCode.LEASE_TIME, OptionCode.CLIENT_IDENTIFIER,
  OptionCode.RELAY_AGENT_INFORMATION, QueryOption.CLIENT_LAST_TRANSACTION_TIME, QueryOption.ASSOCIATED_IP, QueryOption.BASE_TIME,
  QueryOption.START_TIME_OF_STATE, QueryOption.DHCP_STATE, QueryOption.DATA_SOURCE, HOST_NAME, VENDOR_CLASS,
]);

const RELAY_AGENT_INFORMATION = OptionCatalogue.standard.find(OptionCode.RELAY_AGENT_INFORMATION)!;

export type AnswerType = 'ACTIVE' | 'UNASSIGNED' | 'UNKNOWN';

/** Absent is what the server did not tell. */
export interface AnswerView {
  readonly type: AnswerType;
  /** Absent where the server knows none for the client. */
  readonly address?: string;
  /** In the words of RFC 6926 §6.2.7. */
  readonly state?: DhcpStateName;
  /** "52:54:00:12:34:56"; another type than Ethernet goes before a slash. */
  readonly hardware?: string;
  /** Option 61 in hex. */
  readonly clientId?: string;
  /** How long the lease lasts from the base time on; 4294967295: for ever. */
  readonly leaseSeconds?: number;
  /** ISO 8601 UTC, as all times are, or "never". */
  readonly leaseEnds?: string;
  readonly lastTransaction?: string;
  readonly stateSince?: string;
  /** The server's clock when it wrote the answer; where it does not tell, the other times count from this host's clock. */
  readonly baseTime?: string;
  /** Another server made the last change. */
  readonly remote?: boolean;
  /** Option 82's value in hex. */
  readonly relayAgentInformation?: string;
  /** The same by the names of its sub-options, if it is well formed. */
  readonly relay?: OptionJson;
  readonly hostname?: string;
  readonly vendorClass?: string;
  /** Of a client that has several: all of them (RFC 4388 §6.4.2), or from ISC dhcpd the others. */
  readonly associated?: readonly string[];
  /** Option 54, or the one of the first answer of the query. */
  readonly server?: string;
  /** All others, by name. */
  readonly options?: Readonly<Record<string, OptionJson>>;
}

/** Writable while it is put together: no second copy of a million. */
type Draft = { -readonly [Key in keyof AnswerView]: AnswerView[Key] };

/** What an answer is read with. */
export interface AnswerContext {
  /** From the first answer of the query; undefined: that has told none, or there is none. */
  readonly server: number | undefined;
  /** This host's clock, for a server that sends no base time. */
  readonly wallSeconds: number;
  /** What the query asked for. */
  readonly asked: readonly number[];
}

export function answerView(answer: Answer, { server, wallSeconds, asked }: AnswerContext): AnswerView {
  const view: Draft = { type: typeName(answer.type) };
  const { address, state, hardware, leaseSeconds, lastTransaction, startOfState, baseTime, isRemote, associated } = answer;
  const base = baseTime ?? wallSeconds;
  if (address !== 0) view.address = formatIpv4(address);
  if (state !== undefined) view.state = state;
  if (hardware !== undefined) view.hardware = formatHardware(hardware);
  const clientId = answer.option(OptionCode.CLIENT_IDENTIFIER);
  if (clientId !== undefined) view.clientId = clientId.toString('hex');
  if (leaseSeconds !== undefined) {
    view.leaseSeconds = leaseSeconds;
    view.leaseEnds = leaseSeconds === INFINITE_SECONDS ? 'never' : isoSeconds(base + leaseSeconds);
  }
  if (lastTransaction !== undefined) view.lastTransaction = isoSeconds(base - lastTransaction);
  if (startOfState !== undefined) view.stateSince = isoSeconds(base - startOfState);
  if (baseTime !== undefined) view.baseTime = isoSeconds(baseTime);
  // RFC 6926 §6.2.8: where it was asked for and does not appear, the source is local.
  if (isRemote !== undefined || asked.includes(QueryOption.DATA_SOURCE)) view.remote = isRemote ?? false;
  const relay = answer.option(OptionCode.RELAY_AGENT_INFORMATION);
  if (relay !== undefined) {
    view.relayAgentInformation = relay.toString('hex');
    const named = readOptionValue(RELAY_AGENT_INFORMATION, relay);
    if (named !== undefined) view.relay = named;
  }
  const hostname = answer.option(HOST_NAME);
  if (hostname !== undefined) view.hostname = hostname.toString('utf8');
  const vendorClass = answer.option(VENDOR_CLASS);
  if (vendorClass !== undefined) view.vendorClass = vendorClass.toString('utf8');
  if (associated !== undefined) view.associated = associated.map(formatIpv4);
  const identifier = answer.server ?? server;
  if (identifier !== undefined) view.server = formatIpv4(identifier);
  const others = otherOptions(answer);
  if (others !== undefined) view.options = others;
  return view;
}

function typeName(type: number): AnswerType {
  return type === QueryType.LEASEACTIVE ? 'ACTIVE' : type === QueryType.LEASEUNASSIGNED ? 'UNASSIGNED' : 'UNKNOWN';
}

function otherOptions(answer: Answer): Record<string, OptionJson> | undefined {
  let others: Record<string, OptionJson> | undefined;
  for (const code of answer.codes()) {
    const definition = PLACED.has(code) ? undefined : OptionCatalogue.standard.find(code);
    if (definition === undefined) continue;
    const bytes = answer.option(code)!;
    // What the server sends may be malformed, and is of interest then most of all.
    (others ??= {})[definition.name] = readOptionValue(definition, bytes) ?? { hex: formatHexPairs(bytes) };
  }
  return others;
}

export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** Widths of what is usual: the list streams, so nobody knows its widest cell. */
const COLUMNS: readonly { readonly title: string; readonly width: number; readonly cell: (view: AnswerView) => string }[] = [
  { title: 'ADDRESS', width: 15, cell: (view) => view.address ?? '-' },
  { title: 'STATE', width: 10, cell: (view) => view.state ?? view.type },
  { title: 'HARDWARE', width: 17, cell: (view) => view.hardware ?? '-' },
  { title: 'LEASE', width: 7, cell: (view) => leaseText(view) },
  { title: 'ENDS', width: 20, cell: (view) => view.leaseEnds ?? '-' },
  { title: 'LAST TRANSACTION', width: 20, cell: (view) => view.lastTransaction ?? '-' },
  { title: 'STATE SINCE', width: 20, cell: (view) => view.stateSince ?? '-' },
  { title: 'SOURCE', width: 6, cell: (view) => sourceText(view) ?? '-' },
  { title: 'CLIENT ID', width: 16, cell: (view) => view.clientId ?? '-' },
  { title: 'HOST NAME', width: 12, cell: (view) => view.hostname ?? '-' },
  { title: 'RELAY AND OPTIONS', width: 0, cell: (view) => optionsText(view) },
];
const WIDTHS = COLUMNS.map(({ width }) => width);

export const bindingHeader: string = renderRow(COLUMNS.map(({ title }) => title), WIDTHS);

export function bindingRow(view: AnswerView): string {
  return renderRow(COLUMNS.map(({ cell }) => cell(view)), WIDTHS);
}

function leaseText({ leaseSeconds }: AnswerView): string {
  return leaseSeconds === undefined ? '-' : leaseSeconds === INFINITE_SECONDS ? 'forever' : formatDuration(leaseSeconds);
}

function sourceText({ remote }: AnswerView): string | undefined {
  return remote === undefined ? undefined : remote ? 'remote' : 'local';
}

/** `circuit-id=eth1 domain-name=example.org` */
function optionsText({ relay, relayAgentInformation, vendorClass, options }: AnswerView): string {
  const words: string[] = [];
  if (relay !== undefined) words.push(namedText(relay));
  else if (relayAgentInformation !== undefined) words.push(`relay-agent-information=${relayAgentInformation}`);
  if (vendorClass !== undefined) words.push(`vendor-class-identifier=${valueText(vendorClass)}`);
  if (options !== undefined) words.push(namedText(options));
  return words.join(' ');
}

function namedText(values: OptionJson | Readonly<Record<string, OptionJson>>): string {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) return valueText(values as OptionJson);
  return Object.entries(values).map(([name, value]) => `${name}=${valueText(value)}`).join(' ');
}

function valueText(value: OptionJson): string {
  if (typeof value === 'string' && !/\s|^$/.test(value)) return value;
  if (typeof value === 'object' && value !== null && 'hex' in value && typeof value.hex === 'string') return value.hex;
  return JSON.stringify(value);
}

/** One answer alone: a line for each thing that the server has told. */
export function answerLines(view: AnswerView, wallSeconds: number): readonly (readonly [string, string])[] {
  const base = view.baseTime === undefined ? wallSeconds : Math.floor(Date.parse(view.baseTime) / 1000);
  const ago = (time: string | undefined): string | undefined =>
    (time === undefined ? undefined : `${formatDuration(base - Date.parse(time) / 1000)} ago, ${time}`);
  const lines: readonly (readonly [string, string | undefined])[] = [
    ['state', view.state],
    ['hardware', view.hardware],
    ['client id', view.clientId],
    ['host name', view.hostname],
    ['vendor class', view.vendorClass],
    ['lease', view.leaseSeconds === undefined ? undefined : view.leaseEnds === 'never' ? 'for ever' : `${leaseText(view)} left, until ${view.leaseEnds}`],
    ['last transaction', ago(view.lastTransaction)],
    ['state since', ago(view.stateSince)],
    ['relay', view.relay === undefined ? view.relayAgentInformation : namedText(view.relay)],
    ['data source', sourceText(view)],
    ['associated', view.associated?.join(' ')],
    ...Object.entries(view.options ?? {}).map(([name, value]) => [name, valueText(value)] as const),
  ];
  return lines.filter((line): line is readonly [string, string] => line[1] !== undefined);
}
