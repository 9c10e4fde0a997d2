/**
 * Somebody who now and then reads all bindings of a node (RFC 6926), from one moment of its store: every lease that was
 * held when it was asked for is in it as its client's, each address once, and nothing in it is lost later.
 */
import { formatIpv4 } from '../../../node/codec/address.ts';
import type { AddressRange } from '../../../node/config/types.ts';
import { AddressPlan } from '../../../node/lease/address-plan.ts';
import { BindingState, recordState } from '../../../node/lease/record.ts';
import { findBindings } from '../../../node/leasequery/bulk.ts';
import { configuredRanges } from '../../../node/leasequery/configured.ts';
import type { BulkQuery } from '../../../node/leasequery/query.ts';
import type { Agenda } from '../agenda.ts';
import { PromiseBroken } from '../checker.ts';
import type { Checker, Hold } from '../checker.ts';
import { describeRecord, keepsFor } from '../convergence.ts';
import type { SimNode } from '../node.ts';
import type { Random } from '../random.ts';
import type { Rhythm } from '../rhythm.ts';
import type { Moment, Moments } from './moments.ts';
import type { Promises } from './promises.ts';
import { ENDS_SOON_MS } from './querier.ts';
import { REQUESTOR } from './questions.ts';

const LIVELY_MS = 3000;
const CALM_MS = 90_000;
const ALL: BulkQuery = {
  xid: 1, flags: 0, giaddr: REQUESTOR, requested: undefined, primary: { by: 'all' }, startTime: 0, endTime: 0xffff_ffff, elsewhere: false,
};

export interface BulkWorld {
  readonly agenda: Agenda;
  readonly chance: Random;
  readonly rhythm: Rhythm;
  readonly checker: Checker;
  readonly nodes: readonly SimNode[];
  count(what: string, by?: number): void;
}

export class BulkReader {
  readonly #world: BulkWorld;
  readonly #moments: Moments;
  readonly #promises: Promises;

  constructor(world: BulkWorld, moments: Moments, promises: Promises) {
    this.#world = world;
    this.#moments = moments;
    this.#promises = promises;
  }

  begin(): void {
    const { agenda, chance, nodes, rhythm } = this.#world;
    agenda.after(chance.between(0, 2) * (rhythm.isLively(agenda.now) ? LIVELY_MS : CALM_MS), () => {
      const node = chance.pick(nodes);
      if (node.alive && !node.paused) this.#read(node);
      this.begin();
    });
  }

  #read(node: SimNode): void {
    const { agenda, checker } = this.#world;
    const askedAt = agenda.now;
    const holds = checker.held(askedAt + ENDS_SOON_MS);
    const config = node.engine!.config;
    const ranges = configuredRanges(config, new AddressPlan(config, 0));
    this.#moments.ask(node, (moment) => {
      this.#world.count(moment === undefined ? 'bulk:refused' : 'bulk:read');
      if (moment !== undefined) this.#judge(node, moment, ranges, holds);
    });
  }

  #judge(node: SimNode, { store }: Moment, ranges: readonly AddressRange[], holds: readonly Hold[]): void {
    const found = new Map<number, Buffer | undefined>();
    let last = -1;
    for (const { address, record } of findBindings(ALL, store, ranges)) {
      if (address <= last) throw new PromiseBroken(`a bulk query of ${node.id} tells of ${formatIpv4(address)} behind ${formatIpv4(last)}`);
      last = address;
      found.set(address, record);
      if (record !== undefined) this.#promises.told(node, address, record, `a bulk query of ${node.id}`);
    }
    for (const { first, last: end } of ranges) for (let address = first; address <= end; address++) {
      if (!found.has(address)) throw new PromiseBroken(`a bulk query of ${node.id} says nothing of ${formatIpv4(address)}`);
    }
    for (const hold of holds) {
      const told = found.get(hold.address);
      // Of addresses that no pool has any more it tells only who has them.
      const [untold] = told === undefined ? store.scan(hold.address - 1, 1) : [];
      this.#judgeHold(node, hold, told ?? (untold?.address === hold.address && recordState(untold.record) !== BindingState.ACTIVE ? untold.record : undefined));
    }
  }

  #judgeHold(node: SimNode, asked: Hold, record: Buffer | undefined): void {
    const { agenda, checker } = this.#world;
    const { address, client, until } = asked;
    // Given up since, or about to end.
    if (checker.holdOf(client, address, agenda.now)?.since !== asked.since || until < agenda.now + ENDS_SOON_MS) return;
    this.#world.count('bulk-leases');
    if (record !== undefined && keepsFor(node, record, asked)) {
      const state = recordState(record);
      if (state === BindingState.ACTIVE) return;
      if (state === BindingState.RELEASED || state === BindingState.ABANDONED) return this.#world.count('bulk-ended-by-late-word');
    }
    throw new PromiseBroken(`a bulk query of ${node.id} has ${describeRecord(record)} for ${formatIpv4(address)}, ` +
      `which client ${client.id} holds until ${Math.round(until)} ms`);
  }
}
