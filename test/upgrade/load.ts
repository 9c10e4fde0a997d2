/** The load of an upgrade (load-client.ts), as its parent sees it. */
import { join } from 'node:path';
import type { Host } from '../../deploy/lab/netns.ts';
import type { LabProcess } from '../../deploy/lab/processes.ts';
import { sleep, waitUntil } from '../../deploy/lab/processes.ts';
import type { LoadCommand, LoadReport, LoadSetup } from './load-client.ts';
import type { BucketReport } from './tally.ts';

const START_MS = 20_000;
const REPORT_MS = 20_000;
/** The longest that a renewal may wait for its second try, and more. */
const FINISH_MS = 120_000;
const CLIENTS = 20_000;
/** RFC 2131 §4.1 has 4 s, give or take one; with less a gap in service shows sooner. */
const RETRY_MS = 2000;

export class UpgradeLoad {
  readonly #process: LabProcess;
  #reports = 0;
  #latest: LoadReport | undefined;

  static async start(host: Host, where: Pick<LoadSetup, 'relay' | 'servers'>): Promise<UpgradeLoad> {
    const load = new UpgradeLoad(host, { ...where, clients: CLIENTS, retryMs: RETRY_MS });
    await load.#process.waitForLine(/^ready/, START_MS);
    return load;
  }

  private constructor(host: Host, setup: LoadSetup) {
    this.#process = host.spawn([process.execPath, join(import.meta.dirname, 'load-client.ts'), JSON.stringify(setup)], {
      name: 'load', input: true,
      onLine: (line) => {
        if (!line.startsWith('{')) return;
        this.#latest = JSON.parse(line) as LoadReport;
        this.#reports++;
      },
    });
  }

  tell(command: LoadCommand): void {
    this.#process.write(JSON.stringify(command));
  }

  async report(): Promise<LoadReport> {
    const before = this.#reports;
    this.tell({ do: 'report' });
    await waitUntil('a report of the load', REPORT_MS, () => {
      if (!this.#process.running) throw new Error(`the load has ended:\n${this.#process.output}`);
      return this.#reports > before ? true : undefined;
    });
    return this.#latest!;
  }

  async latest(): Promise<{ bucket: BucketReport; stalls: number }> {
    const { buckets, stalls } = await this.report();
    return { bucket: buckets.at(-1)!, stalls };
  }

  /** No new clients; resolves when all that had begun has had its answer. */
  async finish(): Promise<LoadReport> {
    this.tell({ do: 'rate', perSecond: 0 });
    this.tell({ do: 'bucket', name: 'afterwards' });
    return waitUntil('the last answers', FINISH_MS, async () => {
      await sleep(500);
      const report = await this.report();
      return report.buckets.slice(0, -1).every(({ open }) => open === 0) ? report : undefined;
    });
  }
}
