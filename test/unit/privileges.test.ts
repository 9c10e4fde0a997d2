/** What a node gives up of its privileges, and when it cannot run with those that it has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bitsOf, canBound, capabilityNames, keptOf, lackedOf, mustDrop, NEEDED_SET, parsePrivileges, userAtAGlance, whyNotAllowed, type Account, type Privileges,
} from '../../node/privileges.ts';

const ALL = 0x1ff_ffff_ffffn;
const PROGRAM = '/usr/lib/lessor/bin/node';
const lessor: Account = { name: 'lessor', uid: 990, gid: 991 };

const root: Privileges = { uid: 0, gid: 0, effective: ALL, permitted: ALL, inheritable: 0n, ambient: 0n, bounding: ALL, noNewPrivileges: false };
/** As the unit of systemd starts it, and as it is after the drop. */
const bare: Privileges = {
  uid: 990, gid: 991, effective: NEEDED_SET, permitted: NEEDED_SET, inheritable: NEEDED_SET, ambient: NEEDED_SET, bounding: NEEDED_SET, noNewPrivileges: true,
};
const anybody: Privileges = { ...root, uid: 1000, gid: 1000, effective: 0n, permitted: 0n };
const without = (set: bigint, ...bits: number[]): bigint => bits.reduce((rest, bit) => rest & ~(1n << BigInt(bit)), set);

test('what the kernel says of a process is read', () => {
  const status = [
    'Name:\tnode', 'Uid:\t1000\t990\t990\t990', 'Gid:\t1000\t991\t991\t991', 'Groups:\t991 ', 'NoNewPrivs:\t1', 'CapInh:\t0000000000000000',
    'CapPrm:\t0000000000003400', 'CapEff:\t0000000000002400', 'CapBnd:\t000001ffffffffff', 'CapAmb:\t0000000000000400', '',
  ].join('\n');
  assert.deepEqual(parsePrivileges(status), {
    uid: 990, gid: 991, effective: 0x2400n, permitted: 0x3400n, inheritable: 0n, ambient: 0x400n, bounding: ALL, noNewPrivileges: true,
  });
  assert.throws(() => parsePrivileges(status.replace('CapBnd', 'Cap')), /does not tell CapBnd/);
});

test('capabilities have the names of the kernel', () => {
  assert.equal(capabilityNames(NEEDED_SET), 'CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_NET_RAW');
  assert.equal(capabilityNames(1n | 1n << 40n | 1n << 41n), 'CAP_CHOWN CAP_CHECKPOINT_RESTORE capability 41');
  assert.deepEqual(bitsOf(NEEDED_SET), [10, 12, 13]);
  assert.equal(bitsOf(ALL).length, 41);
});

test('root drops; who has just what is needed does not begin again', () => {
  assert.equal(mustDrop(root, undefined), true);
  assert.equal(mustDrop(bare, undefined), false);
  assert.equal(mustDrop(bare, lessor), false);
  assert.equal(mustDrop({ ...bare, uid: 0, gid: 0 }, undefined), false);
  assert.equal(mustDrop({ ...bare, noNewPrivileges: false }, undefined), true);
  for (const set of ['permitted', 'inheritable', 'ambient'] as const) assert.equal(mustDrop({ ...bare, [set]: NEEDED_SET | 1n }, undefined), true, set);
  // Another user or group than node.yaml names.
  assert.equal(mustDrop({ ...bare, uid: 0 }, lessor), true);
  assert.equal(mustDrop({ ...bare, gid: 0 }, lessor), true);
});

test('a bounding set that cannot be made smaller is no reason to begin again', () => {
  assert.equal(canBound(root), true);
  assert.equal(canBound(bare), false);
  assert.equal(mustDrop({ ...bare, bounding: ALL }, undefined), false);
});

test('what is kept is told: what the process holds, and what a program could still give it', () => {
  assert.equal(keptOf(bare), '');
  assert.equal(keptOf({ ...bare, bounding: ALL }), '');
  assert.equal(keptOf({ ...bare, permitted: NEEDED_SET | 1n << 21n }), 'CAP_SYS_ADMIN');
  assert.equal(keptOf({ ...bare, permitted: NEEDED_SET | 1n, bounding: NEEDED_SET | 1n | 1n << 8n, noNewPrivileges: false }), 'CAP_CHOWN; by starting programs: CAP_SETPCAP');
});

test('a node that lacks what it needs says which capability, for what, and how to give it', () => {
  assert.equal(whyNotAllowed(root, undefined, 1024, PROGRAM), undefined);
  assert.equal(whyNotAllowed(bare, lessor, 1024, PROGRAM), undefined);
  const why = whyNotAllowed(anybody, undefined, 1024, PROGRAM)!;
  assert.match(why, /lacks CAP_NET_BIND_SERVICE \(port 67\) and CAP_NET_RAW \(/);
  assert.match(why, /AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_NET_RAW$/m);
  assert.match(why, /--cap-add NET_BIND_SERVICE --cap-add NET_ADMIN --cap-add NET_RAW$/m);
  assert.match(why, /setcap cap_net_bind_service,cap_net_admin,cap_net_raw=ep \/usr\/lib\/lessor\/bin\/node$/m);
});

test('where anybody may use port 67, CAP_NET_BIND_SERVICE is not needed', () => {
  const noPort = { ...bare, permitted: without(NEEDED_SET, 10) };
  assert.equal(whyNotAllowed(noPort, undefined, 0, PROGRAM), undefined);
  assert.equal(whyNotAllowed(noPort, undefined, 67, PROGRAM), undefined);
  assert.match(whyNotAllowed(noPort, undefined, 68, PROGRAM)!, /lacks CAP_NET_BIND_SERVICE/);
});

test('a node does without CAP_NET_ADMIN, and tells', () => {
  const noAdmin = { ...bare, permitted: without(NEEDED_SET, 12) };
  assert.equal(whyNotAllowed(noAdmin, undefined, 1024, PROGRAM), undefined);
  assert.deepEqual(lackedOf(noAdmin).map(({ name }) => name), ['CAP_NET_ADMIN']);
  assert.deepEqual(lackedOf(bare), []);
});

test('a node that cannot become the user of node.yaml does not run as somebody else', () => {
  assert.match(whyNotAllowed({ ...root, permitted: without(ALL, 6, 7) }, lessor, 1024, PROGRAM)!,
    /cannot become user lessor \(990:991\): it is 0:0, without CAP_SETUID and CAP_SETGID\. Start it as root or as lessor/);
  assert.match(whyNotAllowed({ ...root, gid: 991, permitted: without(ALL, 6, 7) }, lessor, 1024, PROGRAM)!, /without CAP_SETUID\./);
  assert.match(whyNotAllowed({ ...anybody, permitted: NEEDED_SET }, lessor, 1024, PROGRAM)!, /it is 1000:1000/);
});

test('the user of a plain node.yaml is seen without reading YAML; where it is not plain, nothing is guessed', () => {
  assert.deepEqual(userAtAGlance('node: a\nuser: lessor\ndhcp: {}\n'), { user: 'lessor' });
  assert.deepEqual(userAtAGlance('user: "lessor"   # its user\r\nnode: a\r\n'), { user: 'lessor' });
  assert.deepEqual(userAtAGlance('node: a\n'), { user: undefined });
  const unclear = ['{ node: a, user: lessor }', '# user: lessor\n', '"user": lessor\n', 'user:\n  lessor\n', 'user: *name\n', 'user: ${NAME}\n',
    'user: one\nuser: other\n', 'user: "lessor\'\n', '? user\n: lessor\n'];
  for (const text of unclear) assert.equal(userAtAGlance(text), undefined, text);
});
