/** One member of a real etcd on a host of its own, through its deaths and returns. */
import { join } from 'node:path';
import type { Host } from '../../deploy/lab/netns.ts';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';

export const ETCD_PORT = 2379;
const PEER_PORT = 2380;
const START_MS = 30_000;

export interface EtcdMemberOptions {
  readonly name: string;
  readonly host: Host;
  readonly address: string;
  readonly folder: string;
  /** Name and address of each member, this one too. */
  readonly members: readonly (readonly [name: string, address: string])[];
}

export interface EtcdStanding {
  readonly leads: boolean;
  /** 0: none. */
  readonly leader: number;
  readonly term: number;
}

export class EtcdMember {
  readonly name: string;
  readonly host: Host;
  readonly #options: EtcdMemberOptions;
  #process: LabProcess | undefined;
  #starts = 0;

  constructor(options: EtcdMemberOptions) {
    this.#options = options;
    this.name = options.name;
    this.host = options.host;
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  start(): void {
    if (this.running) return;
    const { name, address, folder, members } = this.#options;
    const { command, env } = requireProgram('etcd');
    const client = `http://${address}:${ETCD_PORT}`;
    const peer = (of: string): string => `http://${of}:${PEER_PORT}`;
    this.#process = this.host.spawn([
      command, '--name', name, '--data-dir', join(folder, `etcd-${name}`), '--listen-client-urls', `${client},http://127.0.0.1:${ETCD_PORT}`,
      '--advertise-client-urls', client, '--listen-peer-urls', peer(address), '--initial-advertise-peer-urls', peer(address),
      '--initial-cluster', members.map(([name, address]) => `${name}=${peer(address)}`).join(','),
      '--auto-compaction-mode', 'periodic', '--auto-compaction-retention', '5m', '--logger', 'zap',
    ], { env, name: `etcd ${name}`, logFile: join(folder, `etcd-${name}-${String(++this.#starts).padStart(3, '0')}.log`) });
  }

  async ready(): Promise<void> {
    await this.#process?.waitForLine(/ready to serve client requests|serving client traffic/, START_MS);
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** Whether it leads, as it says itself; false where it does not answer. */
  async leads(): Promise<boolean> {
    return (await this.standing())?.leads === true;
  }

  /** Which member it follows, in which term; undefined where it does not answer. */
  async standing(): Promise<EtcdStanding | undefined> {
    if (!this.running) return undefined;
    const { command, env } = requireProgram('etcdctl');
    const args = ['--endpoints', `http://127.0.0.1:${ETCD_PORT}`, '--dial-timeout=1s', '--command-timeout=2s', '-w', 'json', 'endpoint', 'status'];
    const answer = await this.host.exec([command, ...args], { env: { ...env, ETCDCTL_API: '3' } }).catch(() => undefined);
    if (answer === undefined) return undefined;
    const [status] = JSON.parse(answer.stdout) as { Status: { header: { member_id: number }; leader: number; raftTerm: number } }[];
    if (status === undefined) return undefined;
    const { header, leader, raftTerm } = status.Status;
    return { leads: leader === header.member_id, leader, term: raftTerm };
  }
}
