/**
 * A real Prometheus for tests, on a host of a test network or on loopback: its data lies in a temporary
 * folder, and it is asked over its HTTP API as Grafana asks it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../../deploy/lab/netns.ts';
import { LabProcess } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import { freePorts } from './etcd-process.ts';

const HOST_PORT = 9090;
const START_MS = 20_000;
const HTTP_TIMEOUT_MS = 10_000;

export interface PrometheusOptions {
  /** The text of prometheus.yaml; paths in it are taken from `folder`. */
  readonly configuration: string;
  /** Further files that it names, by their path inside of the folder. */
  readonly files?: Readonly<Record<string, string>>;
  /** Where it runs; loopback of this machine if none is given. */
  readonly host?: Host;
}

export type Labels = Readonly<Record<string, string>>;

export interface InstantSample {
  readonly labels: Labels;
  readonly value: number;
}

export interface RangeSeries {
  readonly labels: Labels;
  /** Unix seconds and the value then. */
  readonly points: readonly (readonly [number, number])[];
}

export interface ActiveAlert {
  readonly name: string;
  readonly state: 'pending' | 'firing';
  readonly labels: Labels;
  readonly annotations: Labels;
  /** Unix milliseconds. */
  readonly activeAt: number;
}

export interface RuleHealth {
  readonly group: string;
  readonly name: string;
  readonly health: 'ok' | 'err' | 'unknown';
  readonly lastError: string;
  readonly seconds: number;
}

export interface ScrapeTarget {
  readonly labels: Labels;
  readonly health: 'up' | 'down' | 'unknown';
  readonly lastError: string;
}

/** An answer of the API that is not `success`: a mistake in an expression, say. */
export class PrometheusError extends Error {
  readonly errorType: string;

  constructor(errorType: string, message: string) {
    super(message);
    this.name = 'PrometheusError';
    this.errorType = errorType;
  }
}

type ApiSeries = { readonly metric: Labels; readonly value: readonly [number, string]; readonly values: readonly (readonly [number, string])[] };
type ApiAnswer = { readonly status: string; readonly errorType?: string; readonly error?: string; readonly data?: unknown };

export class PrometheusServer {
  readonly folder: string;
  /** A socket on a host of a test network, a port on loopback. */
  readonly #where: { readonly socketPath: string } | { readonly port: number };
  readonly #server: LabProcess;
  readonly #window: LabProcess | undefined;

  /** Resolves when it answers. It finds its targets some 5 s later. */
  static async start(options: PrometheusOptions): Promise<PrometheusServer> {
    const [freePort = 0] = options.host === undefined ? await freePorts(1) : [HOST_PORT];
    const server = new PrometheusServer(options, freePort);
    try {
      await server.#ready();
    } catch (error) {
      await server.remove();
      throw error;
    }
    return server;
  }

  private constructor({ configuration, files = {}, host }: PrometheusOptions, port: number) {
    const { command, env } = requireProgram('prometheus');
    this.folder = mkdtempSync(join(tmpdir(), 'lessor-prometheus-'));
    process.once('exit', this.#removeFolder);
    for (const [name, text] of Object.entries({ 'prometheus.yaml': configuration, ...files })) writeFileSync(join(this.folder, name), text);
    const words = [
      command, `--config.file=${join(this.folder, 'prometheus.yaml')}`, `--storage.tsdb.path=${join(this.folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`, '--log.level=warn',
    ];
    const settings = { name: 'prometheus', cwd: this.folder, env: { ...env, GOMAXPROCS: '1' } };
    this.#server = host === undefined ? new LabProcess('prometheus', words, settings) : host.spawn(words, settings);
    const socketPath = join(this.folder, 'http.sock');
    this.#where = host === undefined ? { port } : { socketPath };
    this.#window = host?.spawn(
      [process.execPath, join(import.meta.dirname, '../../deploy/lab/http-window.ts'), `${socketPath}=127.0.0.1:${port}`], { name: 'window of prometheus' },
    );
  }

  /** What an expression gives now. Throws a PrometheusError for one that is wrong. */
  async query(expression: string): Promise<InstantSample[]> {
    const { result } = await this.#ask('query', { query: expression }) as { result: readonly ApiSeries[] };
    return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  /** `from` and `to` in Unix seconds. */
  async queryRange(expression: string, from: number, to: number, stepSeconds: number): Promise<RangeSeries[]> {
    const range = { query: expression, start: String(from), end: String(to), step: String(stepSeconds) };
    const { result } = await this.#ask('query_range', range) as { result: readonly ApiSeries[] };
    return result.map(({ metric, values }) => ({ labels: metric, points: values.map(([at, value]) => [at, Number(value)] as const) }));
  }

  /** Values of a label, of the series that match; as Grafana's variables ask for them. */
  async labelValues(label: string, match?: string): Promise<string[]> {
    return await this.#ask(`label/${label}/values`, match === undefined ? {} : { 'match[]': match }) as string[];
  }

  /** The alerts that are pending or firing. */
  async alerts(): Promise<ActiveAlert[]> {
    const { alerts } = await this.#ask('alerts') as {
      alerts: readonly { readonly state: ActiveAlert['state']; readonly labels: Labels; readonly annotations: Labels; readonly activeAt: string }[];
    };
    return alerts.map(({ state, labels, annotations, activeAt }) => {
      const { alertname: name = '', ...others } = labels;
      return { name, state, labels: others, annotations, activeAt: Date.parse(activeAt) };
    });
  }

  /** How the last evaluation of each rule went. */
  async rules(): Promise<RuleHealth[]> {
    const { groups } = await this.#ask('rules') as {
      groups: readonly { readonly name: string; readonly rules: readonly { readonly name: string; readonly health: RuleHealth['health']; readonly lastError?: string; readonly evaluationTime: number }[] }[];
    };
    return groups.flatMap(({ name: group, rules }) =>
      rules.map(({ name, health, lastError = '', evaluationTime: seconds }) => ({ group, name, health, lastError, seconds })));
  }

  async targets(): Promise<ScrapeTarget[]> {
    const { activeTargets } = await this.#ask('targets', { state: 'active' }) as { activeTargets: readonly ScrapeTarget[] };
    return activeTargets.map(({ labels, health, lastError }) => ({ labels, health, lastError }));
  }

  /** Ends it and removes its data. */
  async remove(): Promise<void> {
    await Promise.all([this.#server.kill(), this.#window?.kill()]);
    this.#removeFolder();
    process.off('exit', this.#removeFolder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  readonly #removeFolder = (): void => rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });

  async #ready(): Promise<void> {
    await this.#window?.waitForLine(/^ready/, START_MS);
    const end = performance.now() + START_MS;
    for (;;) {
      if (!this.#server.running) throw new Error(`prometheus ended; its output:\n${this.#server.output}`);
      const status = await this.#get('/-/ready').then(({ code }) => code, () => 0);
      if (status === 200) return;
      if (performance.now() > end) throw new Error(`prometheus is not ready within ${START_MS} ms; its output:\n${this.#server.output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #ask(path: string, parameters: Record<string, string> = {}): Promise<unknown> {
    const { body } = await this.#get(`/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
    const answer = JSON.parse(body) as ApiAnswer;
    if (answer.status !== 'success') throw new PrometheusError(answer.errorType ?? 'unknown', answer.error ?? body);
    return answer.data;
  }

  #get(path: string): Promise<{ code: number; body: string }> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', ...this.#where, path, agent: false, timeout: HTTP_TIMEOUT_MS }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ code: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      });
      asked.on('timeout', () => asked.destroy(new Error(`prometheus did not answer ${path} in time`)));
      asked.on('error', reject);
      asked.end();
    });
  }
}
