/**
 * `lessor reservation`: one reservation, or many, added, changed or removed in the configuration in force,
 * without touching the operator's file: for address management tools. Each call makes one new revision.
 */
import { Option, type Command } from 'commander';
import type { ConfigStore } from '../../cluster/io/config-store.ts';
import { same } from '../config/diff.ts';
import { clientName, IDENTIFIER_KEYS } from '../config/client-name.ts';
import { editReservations } from '../config/edit-reservations.ts';
import type { ReservationEdit } from '../config/edit-reservations.ts';
import { plainValue } from '../config/plain-text.ts';
import { isMap } from '../config/plain-values.ts';
import type { PlainMap } from '../config/plain-values.ts';
import { ReservationPlaces } from '../config/reservation-places.ts';
import type { PlacedReservation, WantedPlace } from '../config/reservation-places.ts';
import { CliError, ExitCode } from './cli-error.ts';
import { addClusterOptions, withCluster } from './cluster-store.ts';
import type { ClusterTarget } from './cluster-store.ts';
import { readText } from './config-apply.ts';
import { addPublishOptions, Overtaken, propose, publishAndWait, readNewest } from './config-publish.ts';
import type { NewestConfig, PublishTarget } from './config-publish.ts';
import type { CliOutput } from './output.ts';
import { renderTable } from './table.ts';

/** Somebody else's revision came between: the same edits are made in theirs. */
const TRIES = 5;

/** By the key of a reservation in the file. */
const FIELDS = {
  address: ['--address <address>', 'its IPv4 address'],
  hardware: ['--hardware <address>', 'the client by its hardware address'],
  clientId: ['--client-id <hex>', 'the client by its option 61'],
  duid: ['--duid <hex>', 'the client by the DUID in its option 61'],
  circuitId: ['--circuit-id <text>', 'the port of the relay that the client is behind'],
  remoteId: ['--remote-id <text>', 'what the relay knows the client by'],
  relayId: ['--relay-id <text>', 'the relay'],
  hostname: ['--hostname <name>', 'the host name that the client is told'],
  description: ['--description <text>', 'for people'],
  until: ['--until <time>', 'when it ends'],
} as const;
type Field = keyof typeof FIELDS;
const FIELD_NAMES = Object.keys(FIELDS) as Field[];

type Fields = Readonly<Partial<Record<Field, string>>>;
type EditOptions = PublishTarget & Fields & WantedPlace & { readonly file?: string; readonly clear?: string };
type ListOptions = ClusterTarget & { readonly json?: true; readonly subnet?: string };

/** What is to be edited in the file as it is; a text: why not. */
type Plan = (places: ReservationPlaces) => ReservationEdit[];

export function addReservationCommand(program: Command, output: CliOutput): void {
  const reservation = program.command('reservation').description('show and change the reservations in the configuration of a cluster');
  addEditCommands(reservation, output);
  addClusterOptions(reservation.command('list'))
    .description('list the reservations of the newest revision')
    .option('--subnet <subnet>', 'only those of one subnet, such as 10.0.0.0/8')
    .option('--json', 'one reservation a line, as JSON')
    .action((options: ListOptions) => withCluster(options, ({ store }) => list(store, options, output)));
  addClusterOptions(reservation.command('show'))
    .description('show one reservation')
    .argument('<who>', 'its address, or an identifier of its client')
    .option('--json', 'one reservation a line, as JSON')
    .action((who: string, options: ListOptions) => withCluster(options, ({ store }) => show(store, who, options, output)));
}

function addEditCommands(reservation: Command, output: CliOutput): void {
  const run = (options: EditOptions, comment: string, plan: Plan): Promise<void> =>
    withCluster(options, ({ store }) => edit(store, options, output, comment, plan));
  addFields(reservation.command('add'))
    .description('reserve an address, or settings, for a client')
    .option('--subnet <subnet>', 'the subnet that it belongs to (default: the one that its address is in; without an address all networks)')
    .option('--shared-network <name>', 'the shared network that it belongs to')
    .option('--file <file>', 'many of them: a list as under reservations: in YAML or JSON, or one JSON object a line; - reads standard input')
    .action((options: EditOptions) => run(options, 'reservation add', (places) => planAdd(places, options)));
  addFields(reservation.command('change'))
    .description('change what is reserved, or for whom')
    .argument('[who]', 'its address now, or an identifier of its client')
    .option('--clear <keys>', 'what is taken away, such as hostname,until')
    .option('--file <file>', 'many of them: what each says replaces what the one for the same client says; null takes away')
    .action((who: string | undefined, options: EditOptions) => run(options, 'reservation change', (places) => planChange(places, who, options)));
  addPublishOptions(addClusterOptions(reservation.command('remove')))
    .description('remove a reservation')
    .argument('[who]', 'its address, or an identifier of its client')
    .option('--file <file>', 'many of them, each named by its client or its address')
    .action((who: string | undefined, options: EditOptions) => run(options, 'reservation remove', (places) => planRemove(places, who, options)));
}

function addFields(command: Command): Command {
  addPublishOptions(addClusterOptions(command));
  for (const [flags, help] of Object.values(FIELDS)) command.addOption(new Option(flags, help));
  return command;
}

// ── what is to be edited ───────────────────────────────────────────────────────────────────────

function fieldsOf(options: Fields): PlainMap {
  return Object.fromEntries(FIELD_NAMES.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]] as const])));
}

/** From `--file`, or the one that the options describe. */
function entriesOf(options: EditOptions): readonly PlainMap[] {
  if (options.file === undefined) return [fieldsOf(options)];
  if (Object.keys(fieldsOf(options)).length > 0) throw new CliError(ExitCode.usage, 'either --file or the fields of one reservation');
  const text = readText(options.file);
  const entries = /^\s*\{/.test(text) ? text.split('\n').filter((line) => line.trim() !== '').map((line) => parsedLine(line, options.file!)) : plainValue(text);
  if (!Array.isArray(entries) || !entries.every(isMap)) {
    throw new CliError(ExitCode.no, `${options.file}: expected a list of reservations as in a cluster.yaml, or one JSON object a line`);
  }
  return entries;
}

function parsedLine(line: string, file: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: a line is no JSON object: ${line.slice(0, 80)}`, { cause });
  }
}

function planAdd(places: ReservationPlaces, options: EditOptions): ReservationEdit[] {
  return entriesOf(options).flatMap((entry): ReservationEdit[] => {
    const found = places.listFor(entry, { subnet: options.subnet, sharedNetwork: options.sharedNetwork });
    if (typeof found === 'string') throw new CliError(ExitCode.no, found);
    if (clientName(entry) === undefined) throw new CliError(ExitCode.no, `expected who it is for: one of ${IDENTIFIER_KEYS.join(', ')}, well-formed (${JSON.stringify(entry)})`);
    // A tool that says the same twice has what it wants.
    return places.ofClient(entry, found).some((each) => same(each.entry, entry)) ? [] : [{ kind: 'add', list: found, entry }];
  });
}

function planChange(places: ReservationPlaces, who: string | undefined, options: EditOptions): ReservationEdit[] {
  const cleared = Object.fromEntries((options.clear ?? '').split(',').filter((key) => key !== '').map((key) => [key.trim(), null]));
  if (options.file !== undefined) return entriesOf(options).flatMap((entry) => planOne(places, one(places.ofClient(entry), describe(entry)), entry));
  if (who === undefined) throw new CliError(ExitCode.usage, 'expected which one: its address or an identifier of its client, or --file');
  const set = { ...fieldsOf(options), ...cleared };
  if (Object.keys(set).length === 0) throw new CliError(ExitCode.usage, 'expected what is to be changed, such as --hostname or --clear until');
  return planOne(places, one(places.find(who), who), set);
}

/** `set`: null takes a key away. With an address in another subnet it moves there. */
function planOne(places: ReservationPlaces, { entry, index, list }: PlacedReservation, set: PlainMap): ReservationEdit[] {
  const changed = Object.fromEntries(Object.entries({ ...entry, ...set }).filter(([, value]) => value !== null));
  if (same(changed, entry)) return [];
  const home = set['address'] === undefined || set['address'] === null || list.length === 1 ? list : places.listFor(changed, {});
  if (typeof home === 'string') throw new CliError(ExitCode.no, home);
  // A shared network's own list takes the addresses of all its subnets.
  const stays = home.join() === list.join() || (home.join('\0').startsWith(list.slice(0, -1).join('\0')) && list[0] === 'sharedNetworks');
  return stays ? [{ kind: 'replace', list, index, entry: changed }] : [{ kind: 'remove', list, index }, { kind: 'add', list: home, entry: changed }];
}

function planRemove(places: ReservationPlaces, who: string | undefined, options: EditOptions): ReservationEdit[] {
  const removal = ({ index, list }: PlacedReservation): ReservationEdit => ({ kind: 'remove', list, index });
  if (options.file !== undefined) {
    return entriesOf(options).map((entry) => {
      const found = clientName(entry) === undefined ? places.find(addressOf(entry)) : places.ofClient(entry);
      return removal(one(found, describe(entry)));
    });
  }
  if (who === undefined) throw new CliError(ExitCode.usage, 'expected which one: its address or an identifier of its client, or --file');
  return [removal(one(places.find(who), who))];
}

function describe(entry: PlainMap): string {
  return clientName(entry) ?? (addressOf(entry) || JSON.stringify(entry));
}

function addressOf({ address }: PlainMap): string {
  return typeof address === 'string' ? address : '';
}

function one(found: readonly PlacedReservation[], who: string): PlacedReservation {
  const [first, ...others] = found;
  if (first === undefined) throw new CliError(ExitCode.no, `there is no reservation for ${who}: lessor reservation list shows those that there are`);
  if (others.length === 0) return first;
  const all = found.map(({ entry, where }) => `${clientName(entry) ?? '?'} in ${where || 'all networks'}`);
  throw new CliError(ExitCode.no, `${found.length} reservations are for ${who}: ${all.slice(0, 5).join('; ')}. Name the one that is meant by its address.`);
}

// ── carrying it out ────────────────────────────────────────────────────────────────────────────

async function edit(store: ConfigStore, options: EditOptions, output: CliOutput, comment: string, plan: Plan): Promise<void> {
  for (let tries = 1; ; tries++) {
    const newest = await newestOf(store);
    const edits = plan(new ReservationPlaces(newest.value));
    if (edits.length === 0) {
      await output.out(options.json === true ? `${JSON.stringify({ changes: [], revision: newest.record.revision }, null, 2)}\n` : `nothing to do: revision ${newest.record.revision} says so already\n`);
      return;
    }
    const next = editReservations(newest.text, newest.value, edits);
    if (next === undefined) throw new CliError(ExitCode.no, `revision ${newest.record.revision} is laid out in a way that cannot be edited here: edit it (lessor config show) and apply it`);
    const mayStrand = edits.some(({ kind }) => kind !== 'add');
    const proposal = await propose({ store, newest, next, name: `revision ${newest.record.revision} with this change`, mayStrand }, options);
    try {
      await publishAndWait(store, proposal, options, output, comment);
      return;
    } catch (error) {
      if (!(error instanceof Overtaken) || tries === TRIES) throw error;
    }
  }
}

async function newestOf(store: ConfigStore): Promise<NewestConfig> {
  const newest = await readNewest(store);
  if (newest === undefined) throw new CliError(ExitCode.no, 'etcd holds no configuration of this cluster yet: lessor config apply FILE writes one');
  if (newest.damage !== undefined) throw new CliError(ExitCode.no, `${newest.damage}: lessor config apply FILE writes a whole configuration again`);
  return newest;
}

// ── looking ────────────────────────────────────────────────────────────────────────────────────

async function list(store: ConfigStore, options: ListOptions, output: CliOutput): Promise<void> {
  const { all } = new ReservationPlaces((await newestOf(store)).value);
  const found = all.filter(({ where }) => options.subnet === undefined || where === options.subnet);
  if (found.length === 0) output.err(options.subnet === undefined ? 'No reservations.\n' : `No reservations in ${options.subnet}.\n`);
  else await output.out(options.json === true ? jsonLines(found) : tableOf(found));
}

async function show(store: ConfigStore, who: string, options: ListOptions, output: CliOutput): Promise<void> {
  const found = new ReservationPlaces((await newestOf(store)).value).find(who);
  if (found.length === 0) one(found, who);
  if (options.json === true) return output.out(jsonLines(found));
  const rows = found.map(({ entry, where }) => [['in', where || 'all networks'], ...Object.entries(entry).map(([key, value]) => [key, textOf(value)])]);
  return output.out(rows.map((pairs) => pairs.map(([key, value]) => renderTable([`${key}:`.padEnd(12), value!], [])).join('')).join('\n'));
}

function jsonLines(found: readonly PlacedReservation[]): string {
  return found.map(({ entry, where }) => `${JSON.stringify({ in: where, ...entry })}\n`).join('');
}

function tableOf(found: readonly PlacedReservation[]): string {
  const cell = (value: unknown): string => (value === undefined ? '-' : textOf(value));
  const rows = found.map(({ entry, where }) => [
    cell(entry['address']), clientName(entry) ?? '-', where || 'all networks', cell(entry['hostname']), cell(entry['until']),
    entry['description'] === undefined ? '' : textOf(entry['description']),
  ]);
  return renderTable(['ADDRESS', 'CLIENT', 'IN', 'HOST NAME', 'UNTIL', 'DESCRIPTION'], rows);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
