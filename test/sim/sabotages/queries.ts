/** Planted bugs in what requestors are told (LEASEQUERY). */
import type { Sabotages } from './sabotage.ts';

const SNAPSHOTS = 'cluster/core/snapshots.ts';

export const QUERY_SABOTAGES = {
  'answer-a-query-unconfirmed': {
    rule: 'A query over UDP is answered once it is confirmed that the node knows all that was committed before.',
    file: 'cluster/core/waiting.ts',
    line: '      if (ticket <= confirmed) {',
    becomes: '      if (ticket <= Math.max(confirmed, ticket)) {',
    without: 'a node that was evicted without noticing it says that a lease is nobody\'s',
  },
  'mark-unconfirmed': {
    rule: 'A moment of the store is told of only if it has all that was committed before it was asked for.',
    file: SNAPSHOTS,
    line: '    if (request.position === undefined && request.ticket <= this.#core.confirmations.confirmed) request.position = store.position;',
    becomes: '    if (request.position === undefined) request.position = store.position;',
    without: 'a bulk query of a node that was evicted without noticing it lacks leases',
  },
  'tell-a-moment-before-its-commit': {
    rule: 'A moment of the store is told of once all that it holds is committed.',
    file: SNAPSHOTS,
    line: '    if (request.needs?.every(({ incarnation: log, seq }) => isCommitted(state, log, seq)) === true) {',
    becomes: '    if (request.needs !== undefined) {',
    without: 'a bulk query tells of a binding that is lost with its owner',
  },
  'tell-a-change-before-its-commit': {
    rule: 'Whoever follows changes is told of one once it is committed.',
    file: 'node/leasequery/committed-feed.ts',
    line: '  return record === undefined || isCommitted(recordIncarnation(record), recordSeq(record));',
    becomes: '  return record === undefined || isCommitted(recordIncarnation(record), 0);',
    without: 'a requestor is told of a binding that is lost with its owner',
  },
  'history-goes-on-through-a-fetch': {
    rule: 'A node that fetches what it has missed begins its history of changes anew.',
    file: 'node/leasequery/change-history.ts',
    line: '    if (this.#recording) this.#begin(wallSeconds(now.wall));',
    becomes: '    this.#isSaved = false;',
    without: 'a requestor that comes back is not told of what changed while the node was away',
  },
} as const satisfies Sabotages;
