/** Planted bugs in what clients are told, and in how time is dealt with. */
import type { Sabotages } from './sabotage.ts';

const REUSE = 'node/lease/reuse.ts';
const RELEASE = 'node/server/release.ts';
const FORWARDING = 'cluster/core/forwarding.ts';

export const CLIENT_SABOTAGES = {
  'keep-what-waited-through-a-stall': {
    rule: 'After a stall what waits in the sockets is discarded.',
    file: 'cluster/core/engine.ts',
    line: '      discardPackets: out.discardPackets || stalled, prepareConfig: out.prepareConfig, exit: out.exit,',
    becomes: '      discardPackets: out.discardPackets, prepareConfig: out.prepareConfig, exit: out.exit,',
    without: 'a release from before the pause frees an address in use',
  },
  'keep-what-waited-before-the-view': {
    rule: 'When a node enters a view what waits in the sockets is discarded.',
    file: 'cluster/core/core.ts',
    line: '      context.out.discardPackets = true;',
    becomes: '',
    without: '',
  },
  'release-by-anybody': {
    rule: 'A release counts only from the client that has the lease.',
    file: RELEASE,
    line: '  if (record === undefined || !isClients(record, x.clientKey)) return \'no-binding\';',
    becomes: '  if (record === undefined) return \'no-binding\';',
    without: 'the late release of the one that had the address before ends the lease of the one that has it',
  },
  'release-from-anywhere': {
    rule: 'A release counts only from the address itself or through a relay.',
    file: RELEASE,
    line: '  if (message.giaddr === 0 && packet.sourceAddress !== message.ciaddr) return \'spoofed-release\';',
    becomes: '',
    without: '',
  },
  'release-twice': {
    rule: 'A release counts only with a transaction id that the binding has not seen.',
    file: RELEASE,
    line: '  if (recordXid(record) === message.xid) return \'replayed-release\';',
    becomes: '',
    without: '',
  },
  'released-address-at-once': {
    rule: 'A released address goes to nobody else for 30 s.',
    file: REUSE,
    line: '    const held = since + RELEASE_HOLD_SECONDS + skew;',
    becomes: '    const held = since;',
    without: 'the release was a late one, and the client has the address again',
  },
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
  'answer-however-late': {
    rule: 'No answer leaves later than 5 s after its packet was read.',
    file: 'node/limits.ts',
    line: 'export const REPLY_AGE_MS_MAX = 5000;',
    becomes: 'export const REPLY_AGE_MS_MAX = 5_000_000;',
    without: 'the client counts its lease from an answer that a pause held up',
  },
  'wait-for-a-commit-for-ever': {
    rule: 'An answer whose change is not committed within 3 s is dropped.',
    file: 'cluster/core/waiting.ts',
    line: '      else if (this.#context.now.mono - waiting.since > COMMIT_TIMEOUT_MS) this.#counters.drop(\'commit-timeout\');',
    becomes: '',
    without: '',
  },
  'whole-lease-again': {
    rule: 'A lease that is told again is told by what is left of it.',
    file: 'node/server/grant.ts',
    line: '  return Math.max(0, Math.min(expires - wallSecondsUp(x.now.wall), recordLeaseSeconds(record)));',
    becomes: '  return recordLeaseSeconds(record);',
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
    line: '    if (!unchanged || !server.mayApply(address, record, context.now)) return false;',
    becomes: '    if (!server.mayApply(address, record, context.now)) return false;',
    without: 'a change that was held up undoes what came after it',
  },
  'apply-unseen': {
    rule: 'An owner checks a proposed change against what it knows itself.',
    file: FORWARDING,
    line: '    if (!unchanged || !server.mayApply(address, record, context.now)) return false;',
    becomes: '    if (!unchanged) return false;',
    without: '',
  },
  'nak-by-what-was': {
    rule: 'A DHCPNAK is dropped if the binding that it rests on has changed meanwhile.',
    file: 'cluster/core/waiting.ts',
    line: '      if (restsOn !== undefined && restsOn.stamp !== this.#stampOf(restsOn.address)) this.#counters.drop(\'superseded\');',
    becomes: '      if (restsOn !== undefined && restsOn.stamp === \'?\') this.#counters.drop(\'superseded\');',
    without: '',
  },
  'accept-a-wrong-clock': {
    rule: 'A member refuses the changes of one whose wall clock differs by more than `maxClockSkew`.',
    file: 'cluster/replication/replication.ts',
    line: '    if (Math.abs(batch.wallMs - context.now.wall) > context.options.maxClockSkewMs) {',
    becomes: '    if (Math.abs(batch.wallMs - context.now.wall) < 0) {',
    without: 'it ends a lease too early and gives the address away',
  },
  'clock-step-unnoticed': {
    rule: 'A node whose wall clock stepped commits nothing until it has compared with every member.',
    file: 'cluster/core/watches.ts',
    line: '      if (clockSteppedAt !== undefined || otherMembers(this.#state).length > 0) this.#state.clockSteppedAt = context.now.mono;',
    becomes: '',
    without: 'it ends leases too early and gives their addresses away',
  },
  'judge-by-a-stepped-clock': {
    rule: 'A leader whose own clock stepped resigns.',
    file: 'cluster/view/leader.ts',
    line: '    if (this.#state.clockSteppedAt !== undefined) return this.resign();',
    becomes: '',
    without: '',
  },
  'admit-a-wrong-clock': {
    rule: 'A node whose clock differs by more than `maxClockSkew` is not let in.',
    file: 'cluster/view/leader.ts',
    line: '    if (Math.abs(peer.wallDifferenceMs) > context.options.maxClockSkewMs) {\n      context.out.event',
    becomes: '    if (Math.abs(peer.wallDifferenceMs) < 0) {\n      context.out.event',
    without: '',
  },
} as const satisfies Sabotages;
