/** Leases and notes that ended: their owner makes them EXPIRED, a bounded number a turn. */
import { LEASES_ENDED_PER_TICK_MAX } from '../limits.ts';
import { BindingState, recordExpires, recordState, withState } from '../lease/record.ts';
import { endedNote, NOTE_KEYS_END } from '../notes/note.ts';
import { INFINITE_SECONDS, wallSeconds } from '../time.ts';
import type { Now } from '../time.ts';
import type { Occurrence } from '../telemetry/events.ts';
import { recordEvent } from './describe.ts';
import type { ServerContext } from './exchange.ts';
import { NOTHING } from './ports.ts';
import type { Decision, OwnChange } from './ports.ts';

export function endLeases(context: ServerContext, now: Now): Decision {
  const { table, cluster } = context;
  const second = wallSeconds(now.wall);
  const changes: OwnChange[] = [];
  const events: Occurrence[] = [];
  for (const address of table.ended(now, cluster, LEASES_ENDED_PER_TICK_MAX)) {
    const record = table.read(address);
    if (record === undefined || recordState(record) !== BindingState.ACTIVE) continue;
    const expires = recordExpires(record);
    if (expires === INFINITE_SECONDS || expires > second) continue;
    if (address < NOTE_KEYS_END) {
      changes.push({ address, record: endedNote(record, BindingState.EXPIRED, second) });
      continue;
    }
    changes.push({ address, record: withState(record, BindingState.EXPIRED, second) });
    if (context.logLeases) {
      const subnet = context.config.subnets[table.subnetOf(address)];
      events.push(recordEvent('lease.expired', address, record, subnet === undefined ? '' : subnet.name));
    }
  }
  return changes.length === 0 ? NOTHING : { ...NOTHING, changes, events };
}
