/** The outbox of DNS in a node: what it may do follows from the node's standing in the cluster, and what it does are changes of the log. */
import type { ClusterConfig } from '../../node/config/types.ts';
import type { DnsCounters } from '../../node/ddns/counters.ts';
import { DnsOutbox } from '../../node/ddns/outbox.ts';
import type { DnsRewrites } from '../../node/ddns/rewrites.ts';
import type { LeaseTable } from '../../node/lease/table.ts';
import type { Context } from './context.ts';
import type { ClusterCore } from './core.ts';
import { recordEpoch } from '../../node/lease/record.ts';
import { isCommitted, probingSince } from './state.ts';

export interface DnsParts {
  readonly context: Context;
  readonly core: ClusterCore;
  readonly table: LeaseTable;
  readonly config: ClusterConfig;
  readonly counters: DnsCounters;
  readonly rewrites: DnsRewrites;
  /** Makes a change of the own log; returns its number. */
  readonly make: (address: number, record: Buffer) => number;
}

export function openOutbox({ config, context, core, counters, make, rewrites, table }: DnsParts): DnsOutbox {
  return new DnsOutbox({
    table, config, counters, random: context.random, report: (event) => context.out.events.push(event),
    cluster: {
      // Whatever version is in force: what records have of DNS from a higher one is done, and goes.
      works: () => core.serving() && !core.state.leaving,
      owns: (slot) => core.owns(slot),
      mayRewrite: (record) => recordEpoch(record) >= probingSince(core.state),
      isCommitted: (incarnation, seq) => isCommitted(core.state, incarnation, seq),
      ask: () => core.confirmations.ask(),
      confirmed: () => core.confirmations.confirmed,
    },
    make: (address, record) => {
      const before = table.read(address)!;
      const seq = make(address, record);
      rewrites.note(address, before, context.incarnation, seq, context.now.mono);
    },
  });
}
