/**
 * What the members of etcd say of themselves, one by one, for `lessor doctor`: over gRPC, and over the HTTP that stands at the
 * same port. What needs a user is asked over gRPC only, since over HTTP a certificate names none.
 */
import { lookup } from 'node:dns/promises';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { TlsFiles } from '../../node/config/types.ts';
import { clockInterval } from '../../node/doctor/cluster-checks.ts';
import type { ClockInterval } from '../../node/doctor/cluster-checks.ts';
import type { EtcdAnswer, EtcdFacts, EtcdMember } from '../../node/doctor/etcd-checks.ts';
import { CredentialsError, readCredentials } from '../../node/tls/io/credentials.ts';
import type { Credentials } from '../../node/tls/io/credentials.ts';
import { EtcdEndpoint } from './etcd-endpoint.ts';

const ANSWER_MS_MAX = 3000;
const ANSWER_BYTES_MAX = 8 * 2 ** 20;

interface Witness {
  readonly answer: EtcdAnswer;
  readonly members: readonly EtcdMember[];
  readonly clock: ClockInterval | undefined;
}

/** `prefix`: of the cluster's keys. `tls`: for https:// only. */
export async function etcdFacts(urls: readonly string[], prefix: string, tls: TlsFiles | undefined): Promise<{ facts: EtcdFacts; clocks: ClockInterval[] }> {
  const seen = await Promise.all(urls.map((url) => witness(url, prefix, tls)));
  return {
    facts: { answers: seen.map(({ answer }) => answer), members: seen.find(({ members }) => members.length > 0)?.members ?? [] },
    clocks: seen.flatMap(({ clock }) => clock ?? []),
  };
}

async function witness(url: string, prefix: string, tls: TlsFiles | undefined): Promise<Witness> {
  const none: EtcdAnswer = {
    url, error: '', version: '', healthy: false, memberId: '', leader: '', alarms: [], sizeBytes: 0, revision: 0, metrics: '', commandLine: [], compactedOnce: undefined, roundTripMs: 0,
  };
  let endpoint: EtcdEndpoint | undefined;
  try {
    const credentials = url.startsWith('https:') && tls !== undefined ? readCredentials(tls) : undefined;
    endpoint = new EtcdEndpoint(url, prefix, credentials === undefined ? undefined : { current: credentials });
    const { members, ...report } = await endpoint.describe(ANSWER_MS_MAX);
    const get = (path: string): Promise<HttpAnswer | undefined> => httpGet(new URL(path, url), credentials).catch(() => undefined);
    const health = await get('/health');
    const [metrics, variables] = await Promise.all([get('/metrics'), get('/debug/vars')]);
    const date = Date.parse(health?.date ?? '');
    return {
      members,
      answer: {
        // Where metrics and health are on a port of their own, there is nothing else to go by.
        ...none, ...report, healthy: health?.status !== 200 || /"health":\s*"?true/.test(health.text),
        metrics: metrics?.status === 200 ? metrics.text : '', commandLine: commandLineIn(variables), roundTripMs: health === undefined ? 0 : health.answeredAt - health.askedAt,
      },
      clock: health === undefined || Number.isNaN(date) ? undefined : clockInterval(url, date, health.askedAt, health.answeredAt, false),
    };
  } catch (error) {
    return { answer: { ...none, error: messageOf(error) }, members: [], clock: undefined };
  } finally {
    await endpoint?.close();
  }
}

interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  readonly date: string;
  readonly askedAt: number;
  readonly answeredAt: number;
}

function httpGet(url: URL, credentials: Credentials | undefined): Promise<HttpAnswer> {
  const askedAt = Date.now();
  return new Promise((resolve, reject) => {
    const call = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, { agent: false, signal: AbortSignal.timeout(ANSWER_MS_MAX), ...credentials?.options }, (response) => {
      const answeredAt = Date.now();
      const pieces: Buffer[] = [];
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes > ANSWER_BYTES_MAX) call.destroy(new Error('its answer is too long'));
        else pieces.push(piece);
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString(), date: response.headers.date ?? '', askedAt, answeredAt }));
    });
    call.on('error', reject);
    call.end();
  });
}

/** expvar of Go: how the program was started. */
function commandLineIn(answer: HttpAnswer | undefined): string[] {
  try {
    const { cmdline } = JSON.parse(answer?.text ?? '') as { cmdline?: unknown };
    return Array.isArray(cmdline) ? cmdline.map(String) : [];
  } catch {
    return [];
  }
}

function messageOf(error: unknown): string {
  if (error instanceof CredentialsError) return `${error.message} (certificates, above)`;
  const { message } = error as Error;
  return /DEADLINE_EXCEEDED|deadline/i.test(message) ? `no answer within ${ANSWER_MS_MAX / 1000} s` : message;
}

/**
 * The addresses of each member, by its id: those in its URLs, names looked up. A loopback address says where it is only
 * if it is by this that the member was reached from here.
 */
export async function memberAddresses({ answers, members }: EtcdFacts): Promise<Map<string, string[]>> {
  return new Map(await Promise.all(members.map(async ({ id, clientUrls, peerUrls }): Promise<[string, string[]]> => {
    const said = await addressesIn([...clientUrls, ...peerUrls]);
    const reached = await addressesIn(answers.filter(({ memberId }) => memberId === id).map(({ url }) => url));
    return [id, [...said.filter((address) => !isLoopback(address)), ...reached]];
  })));
}

async function addressesIn(urls: readonly string[]): Promise<string[]> {
  const hosts = new Set(urls.filter((url) => URL.canParse(url)).map((url) => new URL(url).hostname.replace(/^\[|\]$/g, '')));
  return (await Promise.all([...hosts].map(addressesOfHost))).flat();
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** Empty where the name is not known here. */
export async function addressesOfHost(host: string): Promise<string[]> {
  return lookup(host, { all: true }).then((found) => found.map(({ address }) => address), () => []);
}
