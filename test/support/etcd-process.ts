/** A real etcd on loopback for tests: random free ports, a temporary data folder, killed by its id. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdRequest, EtcdResult } from '../../cluster/core/ports.ts';
import { type EtcdClient, openEtcd } from '../../cluster/io/etcd-client.ts';
import { findProgram, ProgramMissing, requireProgram } from '../../deploy/lab/programs.ts';
import type { TlsFiles } from '../../node/config/types.ts';
import type { TlsSource } from '../../node/tls/io/credentials.ts';

/** Why there is no etcd to test against; undefined if there is one. */
export function etcdMissing(): string | undefined {
  return findProgram('etcd') === undefined ? new ProgramMissing('etcd').message : undefined;
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(
    servers.map((server) => {
      const closed = once(server, 'close');
      server.close();
      return closed;
    }),
  );
  return ports;
}

export interface EtcdProcess {
  readonly endpoint: string;
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** After SIGKILL: the same ports and the same data. */
  restart(): void;
  /** Ends the process and removes its data. */
  remove(): Promise<void>;
}

/** `tls`: clients show certificates of the same authority. */
export async function startEtcd(tls?: TlsFiles): Promise<EtcdProcess> {
  const program = requireProgram('etcd');
  const env = { ...process.env, ...program.env };
  const [clientPort, peerPort] = await freePorts(2);
  const folder = mkdtempSync(join(tmpdir(), 'lessor-etcd-'));
  const client = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const options = {
    name: 'test',
    'data-dir': folder,
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `test=${peer}`,
    ...(tls === undefined ? {} : { 'client-cert-auth': 'true', 'trusted-ca-file': tls.authority, 'cert-file': tls.certificate, 'key-file': tls.key }),
  };
  const words = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const start = (): ChildProcess => spawn(program.command, words, { stdio: 'ignore', cwd: folder, env });
  let child = start();
  const onExit = (): void => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.on('exit', onExit);
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(name);
    if (name === 'SIGKILL') await exited;
    // Its threads stop one by one, each when it is scheduled next: until then one may still answer.
    if (name === 'SIGSTOP') while (!threadsOf(child.pid!).every((state) => state === 'T')) await sleep(1);
  };
  return {
    endpoint: client,
    signal,
    restart: () => {
      child = start();
    },
    remove: async () => {
      await signal('SIGKILL');
      process.off('exit', onExit);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The state letter of each thread, from proc(5). */
function threadsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((id) => {
    const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0]!;
  });
}

type Ask = EtcdRequest extends infer R ? (R extends unknown ? Omit<R, 'id'> : never) : never;

/** The adapter as promises; counts hints, and results that nobody asked for. */
export class EtcdAsker {
  readonly client: EtcdClient;
  readonly #waiting = new Map<number, (result: EtcdResult) => void>();
  #id = 0;
  #hints = 0;
  surplus = 0;
  /** What was told of the requests that have ended. */
  readonly ends: { readonly seconds: number; readonly answered: boolean }[] = [];

  constructor(endpoints: readonly string[], watchPrefixes: readonly string[] = [''], prefix = '/lessor/test/', tls?: TlsSource) {
    this.client = openEtcd({
      endpoints,
      tls,
      prefix,
      watchPrefixes,
      onEnd: (seconds, answered) => this.ends.push({ seconds, answered }),
      handler: {
        onResult: (result) => {
          const settle = this.#waiting.get(result.id);
          if (settle === undefined) this.surplus++;
          this.#waiting.delete(result.id);
          settle?.(result);
        },
        onHint: () => {
          this.#hints++;
        },
      },
    });
  }

  ask(request: Ask): Promise<EtcdResult> {
    const id = ++this.#id;
    const result = new Promise<EtcdResult>((resolve) => this.#waiting.set(id, resolve));
    this.client.request({ ...request, id });
    return result;
  }

  /** One read: whether etcd answers. */
  read(deadlineMs: number): Promise<EtcdResult> {
    const then = [{ op: 'get', key: 'k' }] as const;
    return this.ask({ kind: 'txn', compares: [], then, otherwise: [], deadlineMs });
  }

  /** Asks until etcd answers; its caller's time limit bounds it. */
  async ready(): Promise<void> {
    while ((await this.read(1000)).outcome !== 'txn') await this.pass(50);
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, ms);
    });
  }

  hints(): number {
    return this.#hints;
  }

  close(): Promise<void> {
    return this.client.close();
  }
}
