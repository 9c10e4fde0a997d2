/** What the tests make in a container engine is known by a label with their process: so it is found when they end, or after they were killed. */
import { existsSync } from 'node:fs';
import type { ContainerRuntimeClient } from 'testcontainers';

export type Docker = ContainerRuntimeClient['container']['dockerode'];

const LABEL = 'lessor.test';
const OWNER = String(process.pid);

export const LABELS: Readonly<Record<string, string>> = { [LABEL]: OWNER };

/** Images too. */
export async function removeOwn(docker: Docker): Promise<void> {
  await removeOf(docker, OWNER);
}

/** Of tests whose process has ended. */
export async function sweepLeftovers(docker: Docker): Promise<void> {
  const filters = { label: [LABEL] };
  const [containers, networks, { Volumes }, images] = await Promise.all([
    docker.listContainers({ all: true, filters }), docker.listNetworks({ filters }), docker.listVolumes({ filters }), docker.listImages({ filters }),
  ]);
  const owners = new Set([...containers, ...networks, ...Volumes, ...images].map(({ Labels }) => Labels?.[LABEL] ?? ''));
  for (const owner of owners) if (owner !== OWNER && owner !== '' && !existsSync(`/proc/${owner}`)) await removeOf(docker, owner);
}

async function removeOf(docker: Docker, owner: string): Promise<void> {
  const filters = { label: [`${LABEL}=${owner}`] };
  const containers = await docker.listContainers({ all: true, filters });
  await Promise.all(containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
  for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove();
  const { Volumes } = await docker.listVolumes({ filters });
  for (const { Name } of Volumes) await docker.getVolume(Name).remove();
  for (const { RepoTags } of await docker.listImages({ filters })) {
    // The layers stay, for the next build.
    for (const tag of (RepoTags ?? []).filter((tag) => !tag.startsWith('<none>'))) await docker.getImage(tag).remove({ force: true, noprune: true });
  }
}
