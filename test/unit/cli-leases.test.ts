/** The commands that list: what they ask a node for, and how what it answers is written. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import * as fc from 'fast-check';
import { startControl } from '../../node/admin/io/control.ts';
import type { LeaseView } from '../../node/admin/lease-view.ts';
import type { PoolEntry } from '../../node/admin/operations/pools.ts';
import { csvRow } from '../../node/cli/csv.ts';
import { BindingState } from '../../node/lease/record.ts';
import { runLessor } from '../support/run-lessor.ts';
import { binding, leaseSource, operationsOver, startNode } from './admin-fixture.ts';
import { exampleStatus } from './telemetry-fixture.ts';

const A1 = 0x0a01_0001;
const bindings = new Map(Array.from({ length: 7 }, (_, n) => [A1 + n, binding({
  chaddr: Buffer.from([0x52, 0x54, 0, 0, 0, n]), hostname: Buffer.from(['printer', '=cmd|calc!A0', 'a,"b"', '', "it's", 'scanner', 'Printer'][n]!),
  expires: 1_700_003_600 - n, state: n === 6 ? BindingState.RELEASED : BindingState.ACTIVE,
})]));

/** A small reader of RFC 4180, by its grammar. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (let at = 0; at < text.length;) {
    const quoted = text[at] === '"' ? /"((?:[^"]|"")*)"/y : /([^",\r\n]*)/y;
    quoted.lastIndex = at;
    const match = quoted.exec(text);
    assert.ok(match !== null, `no cell at ${at}`);
    row.push(text[at] === '"' ? match[1]!.replaceAll('""', '"') : match[1]!);
    at += match[0].length;
    if (text[at] === ',') {
      at++;
      if (at === text.length) row.push('');
      continue;
    }
    assert.equal(text.slice(at, at + 2), '\r\n', `a line ends at ${at}`);
    rows.push(row);
    row = [];
    at += 2;
  }
  return rows;
}

test('what is written as comma-separated values is read again as it was, and no cell begins like a formula', () => {
  const cell = fc.oneof(fc.string(), fc.constantFrom('', '=1+1', '+x', '-x', '@x', '"', 'a"b', ',', '\r\n', '\t', 'plain'));
  fc.assert(fc.property(fc.array(fc.array(cell, { minLength: 2, maxLength: 5 }), { maxLength: 5 }), (rows) => {
    const read = parseCsv(rows.map(csvRow).join(''));
    assert.deepEqual(read.map((row) => row.map((text) => (/^'[=+\-@\t\r]/.test(text) ? text.slice(1) : text))), rows.map((row) => row.map((text) => (/^'[=+\-@\t\r]/.test(text) ? text.slice(1) : text))));
    assert.ok(read.flat().every((text) => !/^[=+\-@\t\r]/.test(text)));
  }), { numRuns: 300 });
  assert.equal(csvRow(['a', -1, true, undefined]), 'a,-1,true,\r\n', 'numbers are numbers');
});

test('leases as comma-separated values have a head and safe cells', async (context) => {
  const url = await startNode(context, { leases: leaseSource(bindings) });
  const { code, out } = await runLessor(['leases', '--csv', '--url', url]);
  assert.equal(code, 0);
  const [head, ...rows] = parseCsv(out);
  const column = (title: string): string[] => rows.map((row) => row[head!.indexOf(title)]!);
  assert.deepEqual(column('address'), [...bindings.keys()].map((address) => `10.1.0.${address & 255}`));
  assert.deepEqual(column('hostname'), ['printer', "'=cmd|calc!A0", 'a,"b"', '', "it's", 'scanner', 'Printer']);
  assert.deepEqual(column('leaseSeconds'), rows.map(() => '3600'));
  const none = await runLessor(['leases', '--csv', '--state', 'abandoned', '--url', url]);
  assert.deepEqual(parseCsv(none.out), [head], 'a sheet without rows has its head');
});

test('conditions and orders reach the node, and a page ends with what to ask for next', async (context) => {
  const url = await startNode(context, { leases: leaseSource(bindings) });
  const lines = async (...args: string[]): Promise<string[]> => {
    const { code, err, out } = await runLessor(['leases', '--json', '--url', url, ...args]);
    assert.equal(code, 0, err);
    return out.split('\n').filter((line) => line !== '').map((line) => (JSON.parse(line) as LeaseView).address.replace('10.1.0.', ''));
  };
  assert.deepEqual(await lines('--sort', 'expires'), ['7', '6', '5', '4', '3', '2', '1']);
  assert.deepEqual(await lines('--sort', 'expires', '--reverse', '--limit', '2'), ['1', '2']);
  assert.deepEqual(await lines('--client', 'printer*', '--state', 'active'), ['1']);
  assert.deepEqual(await lines('--owner', 'b', '--address', '10.1.0.2-10.1.0.5'), ['3', '5']);
  assert.equal((await runLessor(['leases', '--count', '--state', 'ACTIVE', '--url', url])).out, '6\n');

  const seen: string[] = [];
  let more: string[] = [];
  for (let page = 0; page < 10; page++) {
    const { err, out } = await runLessor(['leases', '--csv', '--sort', 'hostname', '--limit', '3', '--url', url, ...more]);
    seen.push(...parseCsv(out).slice(1).map(([address]) => address!.replace('10.1.0.', '')));
    const next = /--after '([^']*)'/.exec(err)?.[1];
    if (next === undefined) break;
    more = ['--after', next];
  }
  assert.deepEqual(seen, ['2', '3', '5', '1', '7', '6', '4'], 'by name, without regard to case; those without one last');
});

test('what does not go together, or makes no sense, is wrong usage', async (context) => {
  const url = await startNode(context, { leases: leaseSource(bindings) });
  for (const args of [['--csv', '--json'], ['--count', '--json'], ['--sort', 'colour'], ['--reserved', 'maybe'], ['--limit', '0'], ['--state', 'free'], ['--socket'], ['--after', 'x']]) {
    const { code, err, out } = await runLessor(['leases', '--url', url, ...args]);
    assert.deepEqual([code, out], [2, ''], args.join(' '));
    assert.notEqual(err, '');
  }
  assert.equal((await runLessor(['pools', '--full-within', 'soon', '--url', url])).code, 2);
});

test('over the control socket of this host the same is told', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'lessor-leases-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'node.yaml'), 'node: a\ndataDir: ./\ndhcp: { interfaces: [eth0] }\nconfig: ./cluster.yaml\n');
  const control = await startControl({
    dataDir: folder, operations: operationsOver(leaseSource(bindings)), status: () => exampleStatus(), operate: () => ({ ok: true, text: '' }), report: () => undefined,
    backup: () => Readable.from([]),
  });
  context.after(() => control.close());
  const url = await startNode(context, { leases: leaseSource(bindings) });
  const ask = async (...target: string[]): Promise<string> => (await runLessor(['leases', '--json', '--sort', 'client', ...target])).out;
  const overSocket = await ask('--socket', '--config', join(folder, 'node.yaml'));
  assert.equal(overSocket.split('\n').length, bindings.size + 1);
  assert.equal(overSocket, await ask('--url', url));
});

function pool(fields: Partial<PoolEntry>): PoolEntry {
  return {
    pool: '10.1.0.10-10.1.0.99', subnet: '10.1.0.0/24', network: '10.1.0.0/24', size: 90, active: 80, reserved: 3, expired: 1, released: 0, abandoned: 2, free: 7,
    usedPercent: 92.2, freeByOwner: { a: 4, b: 3 }, trends: [{ span: 'hour', trend: 'unknown' }, { span: 'day', trend: 'unknown' }, { span: 'week', trend: 'unknown' }], ...fields,
  };
}

async function startPools(context: TestContext, entries: readonly PoolEntry[]): Promise<string> {
  const server = createServer((_request, response) => void response.end(entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}`;
}

test('pools are a table, a sheet or lines of JSON; one that will be full in time ends with 1', async (context) => {
  const inTwoDays = new Date(Date.now() + 2 * 86_400_000 + 60_000).toISOString();
  const filling = pool({ trends: [
    { span: 'hour', trend: 'steady' }, { span: 'day', trend: 'full', freePerHour: -0.1, fullAt: inTwoDays, earliest: inTwoDays }, { span: 'week', trend: 'unknown' },
  ] });
  const url = await startPools(context, [filling, pool({ pool: '10.1.0.100-10.1.0.199', free: 80 })]);
  const table = await runLessor(['pools', '--url', url]);
  assert.equal(table.code, 0);
  assert.match(table.out, /^POOL +SUBNET +NETWORK +SIZE +ACTIVE +RESERVED +ABANDONED +FREE +USED +FREE BY OWNER +FULL BY HOUR \/ DAY \/ WEEK\n/);
  assert.match(table.out, /\n10\.1\.0\.10-10\.1\.0\.99 +10\.1\.0\.0\/24 +- +90 +80 +3 +2 +7 +92\.2 % +a 4, b 3 +steady \/ in 2d 0h \(2d 0h to never\) \/ \?\n/);
  assert.equal((await runLessor(['pools', '--full-within', '1d', '--url', url])).code, 0);
  const week = await runLessor(['pools', '--full-within', '7d', '--json', '--url', url]);
  assert.equal(week.code, 1);
  assert.deepEqual(week.out.trimEnd().split('\n').map((line) => JSON.parse(line) as unknown), [filling]);
  assert.match(week.err, /1 of 2: nothing is known of a trend yet.*\nlessor: 1 of 2 are full, or will be within 7d/);
  const [head, first] = parseCsv((await runLessor(['pools', '--csv', '--url', url])).out);
  assert.equal(head!.length, first!.length);
  assert.equal(first![head!.indexOf('dayFullAt')], inTwoDays);
  assert.equal(first![head!.indexOf('dayFreePerHour')], '-0.1');
});
