/** Every view that was ever in etcd, and what the nodes said of themselves meanwhile, as etcd tells it. */
import type { Host } from '../../deploy/lab/netns.ts';
import { requireProgram } from '../../deploy/lab/programs.ts';
import { decodeView } from '../../cluster/view/view.ts';
import type { View } from '../../cluster/view/view.ts';

interface WatchEvent {
  readonly type?: string;
  readonly kv: { readonly key: string; readonly value?: string };
}

export class ViewHistory {
  readonly views: View[] = [];
  /** The newest version that an incarnation speaks. */
  readonly #newest = new Map<number, number>();

  /** `host`: of a member of etcd. From the beginning, whenever it is begun. */
  constructor(host: Host, root: string) {
    const { command, env } = requireProgram('etcdctl');
    for (const [prefix, onValue] of [['view', this.#onView], ['nodes/', this.#onNode]] as const) {
      host.spawn([command, 'watch', '--prefix', `${root}${prefix}`, '--rev=1', '-w', 'json'], {
        name: `watch of ${prefix}`, env: { ...env, ETCDCTL_API: '3' },
        onLine: (line) => {
          const { Events: events } = JSON.parse(line) as { Events?: WatchEvent[] };
          for (const { kv } of events ?? []) if (kv.value !== undefined) onValue(Buffer.from(kv.value, 'base64'));
        },
      });
    }
  }

  readonly #onView = (value: Buffer): void => {
    const view = decodeView(value);
    if (view !== undefined) this.views.push(view);
  };

  readonly #onNode = (value: Buffer): void => {
    const { incarnation, protocol } = JSON.parse(value.toString()) as { incarnation: number; protocol: [number, number] };
    this.#newest.set(incarnation, protocol[1]);
  };

  get latest(): View | undefined {
    return this.views.at(-1);
  }

  /** Views whose version is not the highest that all their members speak, in words. */
  mistakes(): string[] {
    return this.views.flatMap(({ epoch, members, protocol }) => {
      const spoken = members.map(({ incarnation }) => this.#newest.get(incarnation) ?? NaN);
      const expected = Math.min(...spoken);
      const text = members.map(({ node }, i) => `${node} up to ${spoken[i]}`).join(', ');
      return protocol === expected ? [] : [`view ${epoch} names version ${protocol}; its members speak: ${text}`];
    });
  }

  /** The versions in force, one after the other. */
  versions(): number[] {
    return this.views.map(({ protocol }) => protocol).filter((protocol, i, all) => i === 0 || all[i - 1] !== protocol);
  }
}
