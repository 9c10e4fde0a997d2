/**
 * What the members of etcd say of themselves, over the JSON that stands beside their gRPC at the same port: that needs no
 * client that hides which member has answered.
 */
import { lookup } from 'node:dns/promises';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { TlsFiles } from '../../config/types.ts';
import { readCredentials } from '../../tls/io/credentials.ts';
import type { ClockInterval } from '../cluster-checks.ts';
import { clockInterval } from '../cluster-checks.ts';
import type { EtcdAnswer, EtcdFacts, EtcdMember } from '../etcd-checks.ts';

const ANSWER_MS_MAX = 3000;
const ANSWER_BYTES_MAX = 8 * 2 ** 20;

interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  readonly date: string;
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** What a node says of itself in etcd. */
export interface NodeKey {
  readonly node: string;
  /** host:port of its links. */
  readonly address: string;
  readonly serverIds: readonly number[];
  /** NORMAL and the like. */
  readonly state: string;
}

export class EtcdWitness {
  readonly #tls: TlsFiles | undefined;

  /** `tls`: for https:// only. */
  constructor(tls: TlsFiles | undefined) {
    this.#tls = tls;
  }

  async facts(urls: readonly string[]): Promise<{ facts: EtcdFacts; clocks: ClockInterval[] }> {
    const seen = await Promise.all(urls.map((url) => this.#answer(url)));
    const reached = seen.find(({ answer }) => answer.error === '');
    const members = reached === undefined ? [] : await this.#members(reached.answer.url);
    return { facts: { answers: seen.map(({ answer }) => answer), members }, clocks: seen.flatMap(({ clock }) => clock ?? []) };
  }

  /** The nodes that have a session in etcd; undefined where it does not tell. */
  async nodes(url: string, cluster: string): Promise<NodeKey[] | undefined> {
    const prefix = `/lessor/${cluster}/nodes/`;
    const end = `${prefix.slice(0, -1)}0`;
    const answer = await this.#post(url, '/v3/kv/range', { key: base64(prefix), range_end: base64(end) });
    const json = answer.status === 200 ? jsonOf(answer.text) : undefined;
    if (json === undefined) return undefined;
    return listOf(json['kvs']).flatMap(({ key, value }) => {
      const said = jsonOf(Buffer.from(String(value), 'base64').toString());
      if (said === undefined) return [];
      const node = Buffer.from(String(key), 'base64').toString().slice(prefix.length);
      const serverIds = Array.isArray(said['serverIds']) ? said['serverIds'].filter((id): id is number => typeof id === 'number') : [];
      return [{ node, address: textOf(said['address']), serverIds, state: textOf(said['state']) }];
    });
  }

  async #answer(url: string): Promise<{ answer: EtcdAnswer; clock: ClockInterval | undefined }> {
    const none: EtcdAnswer = {
      url, error: '', version: '', healthy: false, memberId: '', leader: '', alarms: [], sizeBytes: 0, revision: 0, metrics: '', commandLine: [], compactedOnce: undefined, roundTripMs: 0,
    };
    try {
      const status = await this.#post(url, '/v3/maintenance/status', {});
      const json = jsonOf(status.text);
      if (status.status !== 200 || json === undefined) throw new Error(`answered ${status.status}: it is no etcd 3.4 or newer, or it wants other credentials`);
      const [health, metrics, variables, first] = await Promise.all([
        this.#get(url, '/health').catch(() => undefined), this.#get(url, '/metrics').catch(() => undefined), this.#get(url, '/debug/vars').catch(() => undefined),
        this.#post(url, '/v3/kv/range', { key: base64('\0'), revision: '1' }).catch(() => undefined),
      ]);
      const header = mapOf(json['header']);
      const words = jsonOf(variables?.text ?? '')?.['cmdline'];
      return {
        answer: {
          ...none, version: textOf(json['version']), healthy: /"health":\s*"?true/.test(health?.text ?? ''), memberId: textOf(header['member_id']),
          leader: textOf(json['leader']) === '0' ? '' : textOf(json['leader']),
          alarms: Array.isArray(json['errors']) ? json['errors'].map(String) : [],
          sizeBytes: Number(json['dbSize'] ?? 0), revision: Number(header['revision'] ?? 0),
          metrics: metrics?.status === 200 ? metrics.text : '', commandLine: Array.isArray(words) ? words.map(String) : [],
          compactedOnce: first === undefined ? undefined : first.status === 200 ? false : /has been compacted/.test(first.text) ? true : undefined,
          roundTripMs: status.answeredAt - status.askedAt,
        },
        clock: Number.isNaN(Date.parse(status.date)) ? undefined : clockInterval(url, Date.parse(status.date), status.askedAt, status.answeredAt, false),
      };
    } catch (error) {
      return { answer: { ...none, error: messageOf(error) }, clock: undefined };
    }
  }

  async #members(url: string): Promise<EtcdMember[]> {
    const answer = await this.#post(url, '/v3/cluster/member/list', {}).catch(() => undefined);
    return listOf(jsonOf(answer?.text ?? '')?.['members']).map((member) => ({
      id: textOf(member['ID']), name: textOf(member['name']),
      clientUrls: stringsOf(member['clientURLs']), peerUrls: stringsOf(member['peerURLs']),
    }));
  }

  #post(url: string, path: string, body: object): Promise<HttpAnswer> {
    return this.#ask(url, path, JSON.stringify(body));
  }

  #get(url: string, path: string): Promise<HttpAnswer> {
    return this.#ask(url, path, undefined);
  }

  #ask(url: string, path: string, body: string | undefined): Promise<HttpAnswer> {
    const askedAt = Date.now();
    const secure = url.startsWith('https:');
    const tls = secure && this.#tls !== undefined ? readCredentials(this.#tls).options : {};
    return new Promise((resolve, reject) => {
      const call = (secure ? requestHttps : requestHttp)(new URL(path, url), {
        method: body === undefined ? 'GET' : 'POST', agent: false, signal: AbortSignal.timeout(ANSWER_MS_MAX), ...tls,
      }, (response) => {
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
      call.end(body);
    });
  }
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

function messageOf(error: unknown): string {
  const { code, name, message } = error as NodeJS.ErrnoException;
  if (name === 'TimeoutError' || code === 'ABORT_ERR') return `no answer within ${ANSWER_MS_MAX / 1000} s`;
  if (code === 'ECONNREFUSED') return 'nothing listens there';
  return message || String(code);
}

function jsonOf(text: string): Record<string, unknown> | undefined {
  try {
    return mapOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function mapOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? value as Record<string, unknown> : {};
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.map(mapOf) : [];
}

/** etcd writes numbers of 64 bits as text. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}
