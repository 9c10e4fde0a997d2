/** `lessor quarantine`: clients, addresses and ports that are shut out, or served by a class of their own, on all nodes. */
import * as z from 'zod';
import { formatIpv4 } from '../../codec/address.ts';
import { BindingState, recordState } from '../../lease/record.ts';
import { OPERATION_REASON_CHARACTERS_MAX } from '../../limits.ts';
import { QUARANTINE_LEASES_TOLD_MAX, QUARANTINES_MAX } from '../../notes/limits.ts';
import { encodeNote, endedNote } from '../../notes/note.ts';
import { QUARANTINE_MODES, subjectText } from '../../notes/quarantine.ts';
import type { Quarantine, QuarantineSubject } from '../../notes/quarantine.ts';
import { PROTOCOL_NAMES_AND_NOTES } from '../../protocol.ts';
import type { OwnChange } from '../../server/ports.ts';
import { INFINITE_SECONDS, wallSeconds } from '../../time.ts';
import type { Now } from '../../time.ts';
import { clientHardware } from '../lease-text.ts';
import { isoMs } from '../lease-view.ts';
import { MOMENT_EXPECTED, parseMoment } from '../moment.ts';
import { OperationError } from '../operation.ts';
import type { Audited, ChangeOperation, ListOperation, OperationHost } from '../operation.ts';
import { concerns, isSameSubject, namedSubject, noteBody, quarantineView, viewOf, withHolder } from '../quarantine-view.ts';
import type { NamedSubject, QuarantineView } from '../quarantine-view.ts';

const NAME_CHARACTERS_MAX = 200;
/** Notes read between two pauses of the list. */
const NOTES_AT_ONCE = 64;

const subject = {
  client: z.string().min(1).max(600).optional().describe('a hardware address, or a client identifier in hex'),
  address: z.ipv4().optional().describe('the client that has this address now; and nobody gets the address'),
  circuitId: z.string().min(1).max(600).optional().describe('the port of a relay (option 82, sub-option 1): text, or 0x and hex'),
  remoteId: z.string().min(1).max(600).optional().describe('with circuitId: of this relay alone (sub-option 2)'),
};
const isPortComplete = ({ circuitId, remoteId }: NamedSubject): boolean => remoteId === undefined || circuitId !== undefined;
const REMOTE_ID_ALONE = 'expected circuitId beside remoteId';

const added = z.strictObject({
  ...subject,
  mode: z.enum(QUARANTINE_MODES).default('refuse').describe('refuse: no address at all; class: one of the class that quarantine.class names'),
  until: z.string().max(40).optional().describe(`${MOMENT_EXPECTED}; left out: until it is cleared`),
  reason: z.string().min(1).max(OPERATION_REASON_CHARACTERS_MAX).describe('why, for whoever finds it later'),
}).refine(({ address, circuitId, client }) => countOf(client, address, circuitId) === 1, 'expected one of client, address and circuitId')
  .refine(isPortComplete, REMOTE_ID_ALONE);

const addedResult = z.strictObject({
  quarantine: quarantineView,
  changed: z.boolean().describe('it was there already'),
  leases: z.array(z.strictObject({ address: z.ipv4(), hardware: z.string() })).describe('those that it ends, the first of them; of a port they are not looked for'),
});

function countOf(...values: readonly unknown[]): number {
  return values.filter((value) => value !== undefined).length;
}

export const quarantineAdd: ChangeOperation<z.output<typeof added>, z.output<typeof addedResult>> = {
  id: 'quarantine.add', kind: 'change', method: 'POST', path: '/v1/quarantine', role: 'operator', parameters: added, result: addedResult,
  summary: 'Put a client, an address or a port of a relay into quarantine: its leases end on all nodes, and it gets no other one.',
  async run(host, given, caller) {
    const named = namedSubject(given);
    let result: z.output<typeof addedResult> | undefined;
    await host.change((now) => {
      const decided = decideAdded(host, { ...given, subject: named, by: caller.name }, now);
      if (typeof decided !== 'string') ({ result } = decided);
      return decided;
    });
    return result!;
  },
};

/** What is looked at to decide a quarantine. */
export type QuarantineHost = Pick<OperationHost, 'table' | 'notes' | 'quarantines' | 'owns' | 'protocol' | 'config'>;

interface Wanted extends Pick<z.output<typeof added>, 'mode' | 'until' | 'reason'> {
  readonly subject: QuarantineSubject;
  readonly by: string;
}

interface Decided {
  readonly changes: readonly OwnChange[];
  readonly audited: Audited;
}

/** A text: why not. @throws OperationError */
export function decideAdded(host: QuarantineHost, { by, mode, reason, subject: named, until }: Wanted, now: Now): (Decided & { readonly result: z.output<typeof addedResult> }) | string {
  const known = [...host.quarantines.index.all()].find((each) => isSameSubject(each.subject, named));
  const refusal = whyNotAdded(host, mode, named, known);
  if (refusal !== undefined) return refusal;
  // Who had the address when it was put there first has lost it since.
  const whole = withHolder({ ...known?.subject, ...named }, host.table);
  const second = wallSeconds(now.wall);
  const expires = expiresOf(until, now);
  const body = noteBody(whole, { mode, reason, by: by.slice(0, NAME_CHARACTERS_MAX), at: isoMs(now.wall) });
  const key = known?.key ?? (host.notes.newKey('quarantine', (slot) => host.owns(slot), false) || host.notes.newKey('quarantine', () => true, false));
  if (key === 0) return 'there is no room for another quarantine: lessor quarantine list, and clear what is not needed any more';
  const before = known === undefined ? undefined : viewOf(known.key, host.notes.read(known.key));
  const view = viewOf(key, { body, since: second, expires })!;
  return {
    changes: [{ address: key, record: encodeNote(body, second, expires) }],
    audited: { target: subjectText(whole), before: before === undefined ? '' : termsText(before), after: termsText(view) },
    result: { quarantine: view, changed: known !== undefined, leases: leasesOf(host, whole) },
  };
}

function whyNotAdded(host: QuarantineHost, mode: Quarantine['mode'], { address }: QuarantineSubject, known: Quarantine | undefined): string | undefined {
  if (host.protocol() < PROTOCOL_NAMES_AND_NOTES) return 'a node of the cluster runs a version that knows no quarantine: upgrade it first (lessor status shows versions)';
  if (mode === 'class' && host.config().quarantine.classIndex === undefined) return 'cluster.yaml names no class for it: set quarantine.class, or use the mode refuse';
  if (address !== undefined && host.table.networkOf(address) < 0) return `${formatIpv4(address)} is in no subnet of the configuration`;
  if (known === undefined && host.quarantines.size >= QUARANTINES_MAX) return `there are ${QUARANTINES_MAX} quarantines already: clear some first`;
  return undefined;
}

/** @throws OperationError */
function expiresOf(until: string | undefined, now: Now): number {
  if (until === undefined) return INFINITE_SECONDS;
  const second = wallSeconds(now.wall);
  const expires = parseMoment(until, second, 'ahead');
  if (expires === undefined) throw new OperationError('bad-request', `until: expected ${MOMENT_EXPECTED}, found "${until}"`);
  if (expires <= second) throw new OperationError('bad-request', `until: expected a time that is still to come, found "${until}"`);
  return Math.min(expires, INFINITE_SECONDS - 1);
}

function leasesOf({ table }: QuarantineHost, { address, clientId, hardware }: QuarantineSubject): { address: string; hardware: string }[] {
  const found = new Set([
    ...(address === undefined ? [] : [address]),
    ...(clientId === undefined ? [] : table.findAllByClient(Buffer.from(clientId, 'latin1'))),
    ...(hardware === undefined ? [] : table.findAllByHardware(Buffer.from(hardware, 'latin1'))),
  ]);
  return [...found].flatMap((each) => {
    const record = table.read(each);
    return record !== undefined && recordState(record) === BindingState.ACTIVE ? [{ address: formatIpv4(each), hardware: clientHardware(record) }] : [];
  }).slice(0, QUARANTINE_LEASES_TOLD_MAX);
}

function termsText({ mode, reason, until }: QuarantineView): string {
  return `${mode === 'refuse' ? 'refused' : 'served by the class'} ${until === null ? 'until it is cleared' : `until ${until}`}: ${reason}`;
}

const NO_PARAMETERS = z.strictObject({});

export const quarantineList: ListOperation<Record<string, never>, QuarantineView> = {
  id: 'quarantine.list', kind: 'list', method: 'GET', path: '/v1/quarantine', role: 'viewer', parameters: NO_PARAMETERS, result: quarantineView,
  summary: 'List quarantines with until when, why and by whom.',
  async *run(host) {
    for (const [i, key] of host.notes.keys('quarantine').toSorted((a, b) => a - b).entries()) {
      if (i % NOTES_AT_ONCE === NOTES_AT_ONCE - 1) await host.pause();
      const view = viewOf(key, host.notes.read(key));
      if (view !== undefined) yield view;
    }
  },
};

const cleared = z.strictObject({
  id: z.int().positive().optional().describe('as the list has it'),
  ...subject,
  reason: z.string().max(OPERATION_REASON_CHARACTERS_MAX).default('').describe('why, for the audit log'),
}).refine(({ address, circuitId, client, id }) => countOf(client, address, circuitId, id) === 1, 'expected one of id, client, address and circuitId')
  .refine(isPortComplete, REMOTE_ID_ALONE);

const clearedResult = z.strictObject({ cleared: z.array(quarantineView) });

export const quarantineClear: ChangeOperation<z.output<typeof cleared>, z.output<typeof clearedResult>> = {
  id: 'quarantine.clear', kind: 'change', method: 'POST', path: '/v1/quarantine/clear', role: 'operator', parameters: cleared, result: clearedResult,
  summary: 'End quarantines: a client begins anew, as if it had never been here; a lease that the quarantine class gave it ends.',
  async run(host, { id, reason: _reason, ...named }) {
    const wanted = id === undefined ? namedSubject(named) : undefined;
    let views: QuarantineView[] = [];
    await host.change((now) => {
      const decided = decideCleared(host, wanted ?? id!, now);
      if (typeof decided !== 'string') views = decided.cleared;
      return decided;
    });
    return { cleared: views };
  },
};

/** `wanted`: whom, or a number. A text: why not. */
export function decideCleared(host: QuarantineHost, wanted: QuarantineSubject | number, now: Now): (Decided & { readonly cleared: QuarantineView[] }) | string {
  const all = [...host.quarantines.index.all()];
  const found = all.filter((each) => (typeof wanted === 'number' ? each.key === wanted : concerns(each, wanted)));
  if (found.length === 0) return `${typeof wanted === 'number' ? `number ${wanted}` : subjectText(wanted)} is not in quarantine`;
  const views = found.flatMap(({ key }) => viewOf(key, host.notes.read(key)) ?? []);
  return {
    cleared: views,
    changes: found.map(({ key }) => ({ address: key, record: endedNote(host.table.read(key)!, BindingState.RELEASED, wallSeconds(now.wall)) })),
    audited: { target: found.map((each) => subjectText(each.subject)).join('; '), before: views.map(termsText).join('; '), after: 'cleared' },
  };
}
