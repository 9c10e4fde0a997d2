/**
 * Waits for the end of this process, seen as the end of its input, and removes what is left then. In a
 * session of its own, so that a Ctrl-C in the terminal does not reach it.
 */
import { spawn, type ChildProcess } from 'node:child_process';

export class Guardian {
  readonly #child: ChildProcess;

  /** @param prefix the network's, @param folder removed with all that is in it */
  constructor(prefix: string, folder: string) {
    const script = `
      cat >/dev/null
      for path in /run/netns/"$1"-*; do
        [ -e "$path" ] || continue
        kill -9 $(ip netns pids "\${path##*/}") 2>/dev/null
        ip netns delete "\${path##*/}" 2>/dev/null
      done
      rm -rf -- "$2"`;
    this.#child = spawn('sh', ['-c', script, 'lessor-lab-guardian', prefix, folder], {
      stdio: ['pipe', 'ignore', 'ignore'], detached: true,
      env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
    });
    this.#child.on('error', () => undefined);
    this.#child.stdin?.on('error', () => undefined);
  }

  /** Resolves when it has removed what it guards. */
  async dismiss(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await new Promise((resolve) => this.#child.once('exit', resolve));
  }
}
