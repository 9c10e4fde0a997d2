import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { HttpListenError, startHttp } from '../../node/admin/io/http.ts';
import type { Occurrence } from '../../node/telemetry/events.ts';
import { binding, leaseSource, startNode, type OwnedLeases } from './admin-fixture.ts';
import { noOperations } from '../support/operated-cluster.ts';
import { exampleStatus } from './telemetry-fixture.ts';

const A1 = 0x0a01_0001;

/** Bindings without end. */
function endless(): { source: OwnedLeases; pages: () => number } {
  const record = binding();
  let pages = 0;
  return {
    pages: () => pages,
    source: {
      ...leaseSource(new Map()),
      records: (after, limit) => {
        pages++;
        return Array.from({ length: limit }, (_, n) => ({ address: after + 1 + n, record }));
      },
    },
  };
}

/** Waits until nothing more is read for a while. */
async function settled(pages: () => number): Promise<number> {
  let last = -1;
  for (let still = 0; still < 20; still++) {
    if (pages() !== last) still = 0;
    last = pages();
    await sleep(5);
  }
  return last;
}

test('a live node says so', async (context) => {
  const response = await fetch(`${await startNode(context)}/livez`);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { live: true });
});

test('a node that must not get clients answers 503 with the reason', async (context) => {
  let state = 'DRAINING';
  const url = await startNode(context, { ready: () => ({ ready: state === 'NORMAL', reason: state }) });
  const draining = await fetch(`${url}/readyz`);
  assert.equal(draining.status, 503);
  assert.deepEqual(await draining.json(), { ready: false, reason: 'DRAINING' });
  state = 'NORMAL';
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
  assert.equal((await fetch(`${url}/readyz`, { method: 'HEAD' })).status, 200);
});

test('metrics come with the media type of the text format', async (context) => {
  const response = await fetch(`${await startNode(context)}/metrics`);
  assert.match(response.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/);
  assert.equal(await response.text(), 'lessor_view_epoch 7\n');
});

test('the status is the snapshot as JSON', async (context) => {
  const response = await fetch(`${await startNode(context)}/v1/status`);
  assert.match(response.headers.get('content-type')!, /^application\/json/);
  assert.deepEqual(await response.json(), exampleStatus());
});

test('leases are lines of JSON, filtered by the query', async (context) => {
  const url = await startNode(context, { leases: leaseSource(new Map([[A1, binding()], [A1 + 1, binding()]])) });
  const response = await fetch(`${url}/v1/leases`);
  assert.match(response.headers.get('content-type')!, /^application\/x-ndjson/);
  const lines = (await response.text()).split('\n');
  assert.equal(lines.length, 3);
  assert.equal((JSON.parse(lines[1]!) as { address: string }).address, '10.1.0.2');
  const one = await fetch(`${url}/v1/leases?address=10.1.0.1&client=52:54:00:12:34:56`);
  assert.equal((JSON.parse(await one.text()) as { owner: string }).owner, 'b');
  assert.equal(await (await fetch(`${url}/v1/leases?address=10.1.0.9`)).text(), '');
});

test('a list is read no faster than its reader takes it, and no further once the reader is gone', async (context) => {
  const { source, pages } = endless();
  const url = await startNode(context, { leases: source });
  const request = get(`${url}/v1/leases`);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.pause();
  const stalled = await settled(pages);
  response.resume();
  while (pages() <= stalled) await once(response, 'data');
  request.destroy();
  await settled(pages);
});

test('a mistake in a question is a 400 that says what was expected', async (context) => {
  const response = await fetch(`${await startNode(context)}/v1/leases?address=ten`);
  assert.equal(response.status, 400);
  assert.deepEqual(await response.json(), { error: 'address: expected an IPv4 address like 10.0.0.1, a range like 10.0.0.10-10.0.0.20 or a prefix like 10.0.0.0/24, found "ten"' });
});

test('an unknown path and an unknown method are JSON with the paths that exist', async (context) => {
  const url = await startNode(context);
  for (const [path, method] of [['/leases', 'GET'], ['/v1/status', 'POST']] as const) {
    const response = await fetch(url + path, { method });
    assert.equal(response.status, 404);
    assert.match(((await response.json()) as { error: string }).error, /expected GET and one of \/livez.*\/v1\/openapi\.json/);
  }
});

test('a failure inside is reported as an event, and the reader learns nothing of the inside', async (context) => {
  const reported: Occurrence[] = [];
  const fail = (): never => {
    throw new Error('the secret is 42');
  };
  const url = await startNode(context, {
    status: fail, metrics: fail, leases: { ...leaseSource(new Map()), records: fail },
    report: (occurrences) => reported.push(...occurrences),
  });
  for (const path of ['/v1/status', '/metrics', '/v1/leases']) {
    const response = await fetch(url + path);
    assert.equal(response.status, 500, path);
    const text = await response.text();
    assert.doesNotMatch(text, /secret|node_modules|\.ts/);
    assert.match((JSON.parse(text) as { error: string }).error, /http\.failed/);
    assert.equal(reported.length, 1, path);
    assert.equal(reported[0]!.fields['path'], path);
    assert.match(String(reported.pop()!.fields['error']), /the secret is 42/);
  }
});

test('a list that fails in the middle is cut off', async (context) => {
  const reported: Occurrence[] = [];
  const good = leaseSource(new Map(Array.from({ length: 3000 }, (_, n) => [A1 + n, binding()])));
  const url = await startNode(context, {
    report: (occurrences) => reported.push(...occurrences),
    leases: {
      ...good,
      records: (after, limit) => {
        if (after >= A1) throw new Error('the disk is gone');
        return good.records(after, limit);
      },
    },
  });
  await assert.rejects(async () => (await fetch(`${url}/v1/leases`)).text());
  assert.equal(reported.length, 1);
});

test('a taken port is refused with what to do', async (context) => {
  const url = new URL(await startNode(context));
  await assert.rejects(
    startHttp({
      host: '127.0.0.1', port: Number(url.port), status: () => exampleStatus(),
      metrics: () => Promise.resolve(''), ready: () => ({ ready: true, reason: '' }), operations: noOperations(),
    }),
    (error: unknown) => {
      assert.ok(error instanceof HttpListenError);
      assert.equal(error.code, 'http-port-in-use');
      assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${url.port}.*http\\.listen in node\\.yaml`));
      assert.ok(error.cause instanceof Error);
      return true;
    },
  );
});

test('an address of another host is refused with what to do', async () => {
  const attempt = startHttp({
    host: '192.0.2.1', port: 0, status: () => exampleStatus(),
    metrics: () => Promise.resolve(''), ready: () => ({ ready: true, reason: '' }), operations: noOperations(),
  });
  await assert.rejects(attempt, { name: 'HttpListenError', code: 'http-address-unknown' });
});

test('lists that are sorted for readers who have gone are ended, and make room for others', async (context) => {
  const bindings = new Map(Array.from({ length: 3000 }, (_, n) => [A1 + n, binding()]));
  const url = await startNode(context, { leases: leaseSource(bindings) });
  for (let i = 0; i < 6; i++) {
    const request = get(`${url}/v1/leases?sort=client`);
    request.on('error', () => undefined);
    // Before its answer begins, or while it is read.
    if (i % 2 === 0) await once(request, 'finish');
    else await once(request, 'response');
    request.destroy();
  }
  for (;;) {
    const response = await fetch(`${url}/v1/leases?sort=client&limit=1`);
    const text = await response.text();
    if (response.status === 200) break;
    assert.match(text, /lists are being sorted already/);
    await sleep(5);
  }
});

test('the last events, which may name clients, are told only to who has a role', async (context) => {
  const url = await startNode(context);
  const eventsFor = (host: string): Promise<unknown[]> => new Promise((resolve, reject) => {
    get(`${url}/v1/status`, { headers: { host } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => resolve((JSON.parse(text) as { recentEvents: unknown[] }).recentEvents));
    }).on('error', reject);
  });
  assert.equal((await eventsFor('localhost')).length, exampleStatus().recentEvents.length);
  assert.ok(exampleStatus().recentEvents.length > 0);
  // As a page in somebody's browser would ask: nobody's role.
  assert.deepEqual(await eventsFor('rebound.example.net'), []);
});
