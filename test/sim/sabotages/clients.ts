/** Planted bugs in what clients are told, and in how time is dealt with. */
import type { Sabotages } from './sabotage.ts';

const REUSE = 'node/lease/reuse.ts';
const FORWARDING = 'cluster/core/forwarding.ts';

export const CLIENT_SABOTAGES = {
  'release-overtaken': {
    rule: 'An address released soon after a grant stays its client\'s until that lease would have ended.',
    file: REUSE,
    line: '  return since - recordLastTransaction(record) <= RELEASE_HOLD_SECONDS ? Math.max(since, recordExpires(record)) : since;',
    becomes: '  return since;',
    without: 'the release was sent before the grant, and the client holds on to the lease',
  },
  'reuse-before-the-skew-bound': {
    rule: 'An ended lease\'s address waits for what clocks may be wrong by and an answer may be late by.',
    file: REUSE,
    line: '  let at = believed + skew + driftSeconds(recordLeaseSeconds(record)) + MAX_REPLY_AGE_SECONDS;',
    becomes: '  let at = believed;',
    without: 'the owner\'s clock is ahead of the one that the lease was given by',
  },
  'whole-lease-again': {
    rule: 'A lease that is told again is told by what is left of it.',
    file: 'node/server/grant.ts',
    line: '  return Math.max(0, Math.min(end - wallSecondsUp(x.now.wall), leaseSeconds));',
    becomes: '  return leaseSeconds;',
    without: 'the client goes by a longer lease than is stored',
  },
  'forget-the-longer-lease': {
    rule: 'A client that was told a longer lease goes by it: the binding ends no earlier.',
    file: 'node/server/grant.ts',
    line: '  const end = Math.max(endOf(x, leaseSeconds), own === undefined ? 0 : endTold(own, leaseSeconds, extending));',
    becomes: '  const end = endOf(x, leaseSeconds);',
    without: 'the answer with the shorter lease is lost',
  },
  'propose-whatever-changed': {
    rule: 'A proposed change is made only if the binding is still what it was decided on.',
    file: FORWARDING,
    line: '    if ((!unchanged && !rewritten) || !server.mayApply(address, record, context.now)) return false;',
    becomes: '    if (!server.mayApply(address, record, context.now)) return false;',
    without: 'a change that was held up undoes what came after it',
  },
  'clock-step-unnoticed': {
    rule: 'A node whose wall clock stepped commits nothing until it has compared with every member.',
    file: 'cluster/core/watches.ts',
    line: '      if (clockSteppedAt !== undefined || otherMembers(this.#state).length > 0) this.#state.clockSteppedAt = context.now.mono;',
    becomes: '',
    without: 'it ends leases too early and gives their addresses away',
  },
} as const satisfies Sabotages;
