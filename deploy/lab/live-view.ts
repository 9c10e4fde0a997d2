/**
 * The lab's screen as text: what each node says of itself, the clients, the last events of all nodes,
 * and what one may try. Pure: the same statuses give the same screen.
 *
 * Invariants: never more lines than `height`, never a line wider than `width` (unless there is no room
 * at all for the heading and the help); nodes and help come before events, which fill what is left.
 */
import type { NodeStatus } from '../../node/admin/status.ts';
import { formatDuration, formatLag, printable } from '../../node/cli/table.ts';
import type { WallMs } from '../../node/time.ts';

export interface LabNode {
  readonly node: string;
  /** Undefined while it does not run. */
  readonly pid?: number;
  /** A command for another terminal that kills the node. */
  readonly kill: string;
  /** How to start it again; shown while it does not run. */
  readonly start?: string;
  /** A command for another terminal that shows its metrics. */
  readonly metrics: string;
}

export interface LabClient {
  readonly name: string;
  /** Undefined while it has none. */
  readonly address?: string;
  /** What it does or did last. */
  readonly note: string;
}

export interface LiveViewLab {
  readonly title: string;
  readonly now: WallMs;
  readonly startedAt: WallMs;
  /** In the order of the statuses. */
  readonly nodes: readonly LabNode[];
  readonly clients: readonly LabClient[];
  /** How to stop, such as "Ctrl-C". */
  readonly stop: string;
}

export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly colours: boolean;
}

type Colour = 'plain' | 'bold' | 'dim' | 'green' | 'yellow' | 'red';
interface Span {
  readonly text: string;
  readonly colour: Colour;
}
type Line = readonly Span[];

const CODES: Readonly<Record<Colour, string>> = {
  plain: '', bold: '1', dim: '2', green: '32', yellow: '33', red: '31',
};
const BAR_CELLS = 16;
const SLOTS = 256;

/** Lines joined by newlines, without one at the end. `statuses`: undefined where a node does not answer. */
export function renderLiveView(
  statuses: readonly (NodeStatus | undefined)[], lab: LiveViewLab, screen: Screen,
): string {
  const top = [heading(statuses, lab), [], ...nodeLines(statuses, lab), [], ...poolLines(statuses)];
  const help = helpLines(lab);
  const room = Math.max(0, screen.height - top.length - help.length - 1);
  const clients = clientLines(lab, Math.floor(room / 2));
  const events = eventLines(statuses, lab, room - clients.length);
  const middle = [...clients, ...events];
  const padding = Array.from({ length: Math.max(0, room - middle.length) }, (): Line => []);
  return [...top, ...middle, ...padding, rule(screen.width), ...help]
    .slice(0, screen.height)
    .map((line) => draw(line, screen))
    .join('\n');
}

const span = (text: string, colour: Colour = 'plain'): Span => ({ text: printable(text), colour });
const cell = (text: string, width: number, colour: Colour = 'plain'): Span => span(text.padEnd(width), colour);

function draw(line: Line, { width, colours }: Screen): string {
  let room = width;
  let drawn = '';
  for (const { text, colour } of line) {
    const characters = Array.from(text);
    const cut = characters.length > room ? `${characters.slice(0, Math.max(0, room - 1)).join('')}…` : text;
    if (room <= 0) break;
    room -= characters.length;
    drawn += colours && colour !== 'plain' ? `\u001B[${CODES[colour]}m${cut}\u001B[0m` : cut;
  }
  return colours ? drawn : drawn.trimEnd();
}

const rule = (width: number): Line => [span('─'.repeat(width), 'dim')];

function heading(statuses: readonly (NodeStatus | undefined)[], lab: LiveViewLab): Line {
  const known = statuses.filter((status) => status !== undefined);
  const exchanges = known.reduce((sum, { exchangesPerSecond }) => sum + exchangesPerSecond, 0);
  // Every node knows all leases: the one that knows most is nearest to the truth.
  const leases = Math.max(0, ...known.map(activeLeases));
  return [
    span(lab.title, 'bold'),
    span(`   running ${formatDuration((lab.now - lab.startedAt) / 1000)}   ${exchanges.toFixed(0)} exchanges/s   ${leases} leases`),
  ];
}

function activeLeases(status: NodeStatus): number {
  return status.leases.reduce((sum, { active }) => sum + active, 0);
}

const NODE_COLUMNS = [
  ['NODE', 6], ['STATE', 26], ['ROLE', 8], ['EPOCH', 6], ['SLOTS', 4 + BAR_CELLS], ['LEASES', 8], ['EXCH/S', 8], ['LAG', 0],
] as const;

function nodeLines(statuses: readonly (NodeStatus | undefined)[], lab: LiveViewLab): Line[] {
  const header = NODE_COLUMNS.map(([title, width]) => cell(title, width + 1, 'dim'));
  return [header, ...lab.nodes.map((node, index) => nodeLine(node, statuses[index]))];
}

function nodeLine({ node, pid }: LabNode, status: NodeStatus | undefined): Line {
  const name = cell(node, 7, 'bold');
  if (status === undefined) {
    return [name, span(pid === undefined ? 'not running' : `no answer (process ${pid})`, 'red')];
  }
  return [
    name,
    cell(status.state, 27, stateColour(status.state)),
    cell(status.role, 9),
    cell(status.view === null ? '-' : String(status.view.epoch), 7),
    cell(`${String(status.slotsOwned).padStart(3)} ${bar(status.slotsOwned)}`, 5 + BAR_CELLS),
    cell(String(activeLeases(status)), 9),
    cell(status.exchangesPerSecond.toFixed(1), 9),
    span(lagText(status)),
  ];
}

function stateColour(state: string): Colour {
  if (state === 'NORMAL') return 'green';
  return state === 'ISOLATED' || state === 'SHUTDOWN' ? 'red' : 'yellow';
}

function bar(slots: number): string {
  const full = Math.round((slots / SLOTS) * BAR_CELLS);
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full);
}

function lagText({ peers }: NodeStatus): string {
  const parts = peers.map(({ node, link, lagChanges, lagSeconds, inboxChanges }) => {
    const inbox = inboxChanges > 0 ? `, ${inboxChanges} in the inbox` : '';
    return `${node} ${link === 'up' ? formatLag(lagChanges, lagSeconds) : 'link down'}${inbox}`;
  });
  return parts.join('; ') || '-';
}

function poolLines(statuses: readonly (NodeStatus | undefined)[]): Line[] {
  const status = statuses.find((known) => known !== undefined);
  if (status === undefined || status.leases.length === 0) return [];
  const lines = status.leases.map(({ subnet, active, free, size, freeByOwner }): Line => {
    const owners = Object.entries(freeByOwner).map(([owner, count]) => `${owner} ${count}`).join(', ');
    return [
      cell(`pool ${subnet}`, 25), span(`${active} of ${size} leased, ${free} free${owners === '' ? '' : ` (${owners})`}`),
    ];
  });
  return [...lines, []];
}

function clientLines({ clients }: LiveViewLab, linesMax: number): Line[] {
  const shown = clients.slice(0, Math.max(0, linesMax - 1));
  if (shown.length === 0) return [];
  const lines = shown.map(({ name, address, note }): Line => [
    cell(`client ${name}`, 25), cell(address ?? 'no address', 16, address === undefined ? 'yellow' : 'green'), span(note, 'dim'),
  ]);
  return [...lines, []];
}

/** The newest last, as in a log. */
function eventLines(statuses: readonly (NodeStatus | undefined)[], lab: LiveViewLab, linesMax: number): Line[] {
  if (linesMax < 2) return [];
  const events = statuses
    .flatMap((status) => (status?.recentEvents ?? []).map((event) => ({ node: status!.node, ...event })))
    .sort((a, b) => a.time - b.time)
    .slice(1 - linesMax);
  const lines = events.map(({ node, time, message, fields }): Line => [
    span(`${formatDuration((lab.now - time) / 1000).padStart(7)} ago  `, 'dim'),
    span(`${node}  `, 'bold'),
    span(message),
    span(Object.entries(fields).map(([name, value]) => `  ${name}=${value}`).join(''), 'dim'),
  ]);
  return [[span('LAST EVENTS', 'dim')], ...(lines.length > 0 ? lines : [[span('none yet', 'dim')]])];
}

function helpLines({ nodes, stop }: LiveViewLab): Line[] {
  const lines: Line[] = [];
  for (const { node, kill, start, pid } of nodes) {
    if (pid !== undefined) lines.push([cell(`kill node ${node}`, 17, 'bold'), span(kill)]);
    else if (start !== undefined) lines.push([cell(`start node ${node}`, 17, 'bold'), span(start)]);
  }
  for (const { node, metrics } of nodes.slice(0, 1)) lines.push([cell(`metrics of ${node}`, 17, 'bold'), span(metrics)]);
  lines.push([cell('stop', 17, 'bold'), span(stop)]);
  return lines;
}
