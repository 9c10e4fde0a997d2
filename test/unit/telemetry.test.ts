import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { Counters } from '../../node/telemetry/counters.ts';
import { EVENTS, type EventId } from '../../node/telemetry/events.ts';
import { RECENT_EVENTS_MAX, Telemetry, type TelemetryOptions } from '../../node/telemetry/log.ts';
import { METRICS } from '../../node/telemetry/metric-table.ts';
import { createMetrics, describeMetrics } from '../../node/telemetry/metrics.ts';
import { CollectingOutput, DATA_FOLDER, exampleStatus, NOW, scrapeOfEverything } from './telemetry-fixture.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const GRANTED = { id: 'lease.granted', fields: { address: '10.1.0.1', hardware: '52:54:00:12:34:56' } } as const;

function telemetry(changes: Partial<TelemetryOptions> = {}): { log: Telemetry; output: CollectingOutput } {
  const output = new CollectingOutput();
  const log = new Telemetry({
    node: 'a', level: 'info', logLeases: true, output, readable: false, colours: false, ...changes,
  });
  return { log, output };
}

function idWithLevel(level: string): EventId | undefined {
  return (Object.keys(EVENTS) as EventId[]).find((id) => EVENTS[id].level === level);
}

async function scrape(log = telemetry().log, counters = new Counters(), status = exampleStatus()): Promise<string> {
  return createMetrics({ counters, status: () => status, telemetry: log, dataFolder: () => DATA_FOLDER })();
}

test('an event is one line of JSON with its id, its time, its node and its fields', () => {
  const { log, output } = telemetry();
  log.emit([GRANTED], NOW);
  assert.equal(output.lines.length, 1);
  assert.match(output.lines[0]!, /^[^\n]*\n$/);
  assert.deepEqual(JSON.parse(output.lines[0]!), {
    level: 'info', self: 'a', time: '2023-11-14T22:13:20.123Z', event: 'lease.granted',
    address: '10.1.0.1', hardware: '52:54:00:12:34:56', message: 'lease granted',
  });
});

test('a field named like one of the line\'s own keeps its value under another name', () => {
  const { log, output } = telemetry();
  log.emit([{ id: 'lease.granted', fields: { time: 3, self: 'b', message: 'x' } }], NOW);
  const line = JSON.parse(output.lines[0]!) as Record<string, unknown>;
  assert.equal(line['self'], 'a');
  assert.equal(line['self_'], 'b');
  assert.equal(line['time_'], 3);
  assert.equal(line['message_'], 'x');
  assert.equal(output.lines[0]!.split('"self"').length, 2);
});

test('the form for people is one line with the message, the id and the fields', () => {
  const { log, output } = telemetry({ readable: true });
  log.emit([GRANTED], NOW);
  assert.equal(output.lines.length, 1);
  assert.match(output.lines[0]!, /INFO.*lease granted \(lease\.granted\).*10\.1\.0\.1.*\n$/);
  assert.ok(!output.lines[0]!.trimEnd().includes('\n'));
  assert.ok(!output.lines[0]!.includes('\u001B'));
});

test('grants are counted but neither written nor kept unless asked for', () => {
  const { log, output } = telemetry({ logLeases: false });
  log.emit([GRANTED, GRANTED], NOW);
  assert.equal(output.lines.length, 0);
  assert.equal(log.recent().length, 0);
  assert.equal(log.counts().get('lease.granted'), 2);
});

test('the configured level holds lines back, but never a warning', () => {
  const { log, output } = telemetry({ level: 'error' });
  log.emit([GRANTED], NOW);
  assert.equal(output.lines.length, 0);
  const warning = idWithLevel('warn');
  assert.ok(warning !== undefined, 'no event at level warn is declared');
  log.emit([{ id: warning, fields: {} }], NOW);
  assert.equal(output.lines.length, 1);
});

test('the last events are kept, oldest first, and told to who listens', () => {
  const { log } = telemetry();
  const heard: unknown[] = [];
  const stop = log.subscribe((event) => heard.push(event.fields['n']));
  for (let n = 0; n < RECENT_EVENTS_MAX + 3; n++) log.emit([{ id: 'lease.granted', fields: { n } }], NOW);
  stop();
  log.emit([{ id: 'lease.granted', fields: { n: 'last' } }], NOW);
  assert.equal(log.recent().length, RECENT_EVENTS_MAX);
  assert.equal(log.recent()[0]!.fields['n'], 4);
  assert.equal(log.recent().at(-1)!.fields['n'], 'last');
  assert.equal(heard.length, RECENT_EVENTS_MAX + 3);
  assert.equal(heard.at(-1), RECENT_EVENTS_MAX + 2);
});

test('every metric of the table has a sample in a scrape, with exactly its labels', async () => {
  const text = await scrapeOfEverything();
  for (const { name, type, labels, help } of METRICS) {
    assert.ok(text.includes(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), `${name} is not described`);
    const sampleName = type === 'histogram' ? `${name}_count` : name;
    const sample = text.split('\n').find((line) => line.startsWith(`${sampleName} `) || line.startsWith(`${sampleName}{`));
    assert.ok(sample !== undefined, `${name} has no sample`);
    const seen = [...sample.matchAll(/([a-z]+)="/g)].map((match) => match[1]!);
    assert.deepEqual(seen.toSorted(), labels.toSorted(), name);
  }
});

test('metric names follow the conventions', () => {
  for (const { name, type } of METRICS) {
    assert.match(name, /^lessor_[a-z_]+$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    if (type === 'histogram') assert.match(name, /_seconds$/);
  }
  assert.equal(new Set(METRICS.map(({ name }) => name)).size, METRICS.length);
});

test('a scrape tells the integers of the packet\'s path', async () => {
  const counters = new Counters();
  const singles = Object.entries(counters).filter(([, value]) => typeof value === 'number').map(([name]) => name);
  assert.ok(singles.length > 3);
  for (const [i, name] of singles.entries()) Object.assign(counters, { [name]: 77_000 + i });
  const all = await scrape(telemetry().log, counters);
  for (const [i, name] of singles.entries()) assert.match(all, new RegExp(`^lessor_[a-z_]+ ${77_000 + i}$`, 'm'), name);
  counters.received[1] = 42;
  counters.drop('bad-magic');
  counters.takeovers = 2;
  const text = await scrape(telemetry().log, counters);
  assert.match(text, /^lessor_dhcp_received_total\{type="discover"\} 42$/m);
  assert.match(text, /^lessor_dhcp_dropped_total\{reason="bad-magic"\} 1$/m);
  assert.match(text, /^lessor_dhcp_dropped_total\{reason="overload"\} 0$/m);
  assert.match(text, /^lessor_takeovers_total 2$/m);
});

test('a scrape tells the status: states, leases, free addresses, lag', async () => {
  const text = await scrape();
  assert.match(text, /^lessor_node_state\{state="NORMAL"\} 1$/m);
  assert.match(text, /^lessor_node_state\{state="ISOLATED"\} 0$/m);
  assert.match(text, /^lessor_leases\{subnet="10\.0\.0\.0\/8",state="active"\} 812$/m);
  assert.match(text, /^lessor_pool_free_addresses\{subnet="10\.0\.0\.0\/8",owner="b"\} 89$/m);
  assert.match(text, /^lessor_replication_lag_seconds\{peer="b"\} 0\.004$/m);
  assert.match(text, /^lessor_view_epoch 7$/m);
  assert.match(text, /^nodejs_eventloop_lag_p99_seconds /m);
  assert.match(text, /^process_cpu_seconds_total /m);
});

test('without a view and without etcd a scrape still answers', async () => {
  const status = exampleStatus({
    view: null, peers: [], leases: [], etcd: { configured: false, reachable: false, lastSuccessSecondsAgo: null, wentBack: '' },
  });
  const text = await scrape(telemetry().log, new Counters(), status);
  assert.match(text, /^lessor_view_epoch 0$/m);
  assert.match(text, /^lessor_etcd_configured 0$/m);
  assert.doesNotMatch(text, /^lessor_etcd_reachable /m);
});

test('durations are a Prometheus histogram: cumulative buckets, sum and count', async () => {
  const counters = new Counters();
  for (const seconds of [0.0001, 0.0002, 0.3, 60]) counters.commitTime.observe(seconds);
  const text = await scrape(telemetry().log, counters);
  assert.match(text, /^# TYPE lessor_commit_seconds histogram$/m);
  assert.match(text, /^lessor_commit_seconds_bucket\{le="0\.0001"\} 1$/m);
  assert.match(text, /^lessor_commit_seconds_bucket\{le="0\.00025"\} 2$/m);
  assert.match(text, /^lessor_commit_seconds_bucket\{le="0\.5"\} 3$/m);
  assert.match(text, /^lessor_commit_seconds_bucket\{le="5"\} 3$/m);
  assert.match(text, /^lessor_commit_seconds_bucket\{le="\+Inf"\} 4$/m);
  assert.match(text, /^lessor_commit_seconds_sum 60\.3003$/m);
  assert.match(text, /^lessor_commit_seconds_count 4$/m);
});

test('how long leases were held is a histogram of its own for each subnet, from a minute to 90 days', async () => {
  const counters = new Counters();
  for (const seconds of [30, 3600, 100 * 86_400]) counters.held.observe('10.0.0.0/8', seconds);
  counters.held.observe('gone', 60);
  counters.held.keep(new Set(['10.0.0.0/8']));
  const text = await scrape(telemetry().log, counters);
  assert.match(text, /^lessor_lease_held_seconds_bucket\{le="60",subnet="10\.0\.0\.0\/8"\} 1$/m);
  assert.match(text, /^lessor_lease_held_seconds_bucket\{le="3600",subnet="10\.0\.0\.0\/8"\} 2$/m);
  assert.match(text, /^lessor_lease_held_seconds_bucket\{le="7776000",subnet="10\.0\.0\.0\/8"\} 2$/m);
  assert.match(text, /^lessor_lease_held_seconds_count\{subnet="10\.0\.0\.0\/8"\} 3$/m);
  assert.doesNotMatch(text, /subnet="gone"/);
});

test('packets have their turn while a scrape of a thousand subnets is written, and nothing of it is lost', async () => {
  const [subnet] = exampleStatus().leases;
  const leases = Array.from({ length: 1000 }, (_, i) => ({ ...subnet!, subnet: `10.${i >> 8}.${i & 255}.0/24` }));
  const counters = new Counters();
  for (const { subnet: name } of leases) counters.held.observe(name, 3600);
  const metrics = createMetrics({ counters, status: () => exampleStatus({ leases }), telemetry: telemetry().log, dataFolder: () => undefined });
  let pauses = 0;
  const text = await metrics(() => {
    pauses++;
    return Promise.resolve();
  });
  assert.ok(pauses > 20, `${pauses} pauses`);
  assert.equal([...text.matchAll(/^lessor_lease_held_seconds_bucket\{le="3600",subnet="[\d./]+"\} 1$/gm)].length, 1000);
  assert.equal([...text.matchAll(/^lessor_pool_free_addresses\{/gm)].length, 2000);
});

test('what cannot be known has no sample: the clock of a peer without a link, a disk that does not answer', async () => {
  const [peer] = exampleStatus().peers;
  const status = exampleStatus({ peers: [{ ...peer!, clockDifferenceSeconds: null }] });
  const text = await createMetrics({ counters: new Counters(), status: () => status, telemetry: telemetry().log, dataFolder: () => undefined })();
  assert.doesNotMatch(text, /^lessor_clock_difference_seconds\{/m);
  assert.doesNotMatch(text, /^lessor_(data_disk|store)_\w+ /m);
});

test('one snapshot of the status serves a whole scrape', async () => {
  let taken = 0;
  const metrics = createMetrics({
    counters: new Counters(), telemetry: telemetry().log, dataFolder: () => undefined,
    status: () => exampleStatus({ slotsOwned: ++taken }),
  });
  assert.match(await metrics(), /^lessor_slots_owned 1$/m);
  assert.match(await metrics(), /^lessor_slots_owned 2$/m);
  assert.equal(taken, 2);
});

test('events are counted by id, also those that never happened', async () => {
  const { log } = telemetry();
  log.emit([GRANTED], NOW);
  const text = await scrape(log);
  assert.match(text, /^lessor_events_total\{event="lease\.granted"\} 1$/m);
  for (const id of Object.keys(EVENTS)) assert.ok(text.includes(`lessor_events_total{event="${id}"} `), id);
});

test('the documentation names every metric', () => {
  const table = describeMetrics();
  for (const { name } of METRICS) assert.ok(table.includes(`| \`${name}\` |`), name);
});

test('every declared event is emitted somewhere', () => {
  const sources = ['node', 'cluster'].flatMap((room) =>
    readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && file !== join('telemetry', 'events.ts'))
      .map((file) => readFileSync(join(ROOT, room, file), 'utf8')),
  );
  const silent = Object.keys(EVENTS).filter((id) => !sources.some((source) => source.includes(`'${id}'`)));
  assert.deepEqual(silent, []);
});

test('every declared event says what to do', () => {
  for (const [id, { message, action }] of Object.entries(EVENTS)) {
    assert.match(id, /^[a-z0-9-]+(\.[a-z0-9-]+)*$/);
    assert.ok(message.length > 0, id);
    assert.match(action, /\.$/, id);
  }
});
